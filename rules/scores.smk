"""Attribution scores: Algorithm 1, line 17, and the baselines, among them image encoders (§5.1: CLIP), which embed every
training image once. A method is whatever writes here.

Reads   targets/{target}/*.zarr, features/, kernels/, data/train.zarr
Makes   scores/{method}/{target}.zarr, embeddings/{encoder}.zarr
"""


rule score_trak:
    input:
        gradients=lambda w: f"<results>/targets/{w.target}/gradients/{PLAN.basis(w.method)}.zarr",
        features=features_of,
        kernels=expand("<results>/kernels/{{method}}/{checkpoint}.zarr", checkpoint=PLAN.checkpoints),
    output:
        directory("<results>/scores/{method}/{target}.zarr"),
    log:
        "<logs>/score_trak/{method}-{target}.log",
    wildcard_constraints:
        method=of_kind("trak"),
    conda:
        "../envs/waypoint.yaml"
    params:
        spec=spec("score_trak"),
        # where one job leaves the scores that it made for others in the same pass over the features
        waiting=lambda wildcards, output: str(Path(output[0]).parents[2] / "resume/scores" / wildcards.method),
        targets=list(PLAN.targets),
    shell:
        'python "$WAYPOINT_SCRIPTS"/scores/score_trak.py --spec {params.spec:q} --gradients {input.gradients:q}'
        " --features {input.features:q} --kernels {input.kernels:q} --method {wildcards.method}"
        " --target {wildcards.target} --targets {params.targets:q} --waiting {params.waiting:q} --out {output:q}"
        " --log {log:q}"


rule score_pixel:
    input:
        data="<results>/data/train.zarr",
        trajectory="<results>/targets/{target}/trajectory.zarr",
        vae=VAE if PLAN.config["pixel"]["against"] == "x0_hat" else [],
    output:
        directory("<results>/scores/{method}/{target}.zarr"),
    log:
        "<logs>/score_pixel/{method}-{target}.log",
    wildcard_constraints:
        method=of_kind("pixel"),
    conda:
        "../envs/waypoint.yaml"
    params:
        spec=spec("score_pixel"),
    shell:
        'python "$WAYPOINT_SCRIPTS"/scores/score_pixel.py --spec {params.spec:q} --data {input.data:q}'
        " --trajectory {input.trajectory:q} --vae {input.vae:q} --method {wildcards.method} --target {wildcards.target}"
        " --out {output:q} --log {log:q}"


rule score_random:
    input:
        data="<results>/data/train.zarr",
    output:
        directory("<results>/scores/{method}/{target}.zarr"),
    log:
        "<logs>/score_random/{method}-{target}.log",
    wildcard_constraints:
        method=of_kind("random"),
    conda:
        "../envs/waypoint.yaml"
    params:
        spec=spec("score_random"),
    shell:
        'python "$WAYPOINT_SCRIPTS"/scores/score_random.py --spec {params.spec:q} --data {input.data:q}'
        " --method {wildcards.method} --target {wildcards.target} --out {output:q} --log {log:q}"


rule score_trak_sum:
    input:
        scores=lambda w: f"<results>/scores/{PLAN.summed(w.method)}/{w.target}.zarr",
    output:
        directory("<results>/scores/{method}/{target}.zarr"),
    log:
        "<logs>/score_trak_sum/{method}-{target}.log",
    wildcard_constraints:
        method=of_kind("trak-sum"),
    conda:
        "../envs/waypoint.yaml"
    params:
        spec=spec("score_trak_sum"),
    shell:
        'python "$WAYPOINT_SCRIPTS"/scores/score_trak_sum.py --spec {params.spec:q} --scores {input.scores:q}'
        " --method {wildcards.method} --target {wildcards.target} --out {output:q} --log {log:q}"


rule score_norm:
    input:
        features=features_of,
    output:
        directory("<results>/scores/{method}/{target}.zarr"),
    log:
        "<logs>/score_norm/{method}-{target}.log",
    wildcard_constraints:
        method=of_kind("norm"),
    conda:
        "../envs/waypoint.yaml"
    params:
        spec=spec("score_norm"),
    shell:
        'python "$WAYPOINT_SCRIPTS"/scores/score_norm.py --spec {params.spec:q} --features {input.features:q}'
        " --method {wildcards.method} --target {wildcards.target} --out {output:q} --log {log:q}"


if PLAN.encoders:

    rule embed_images:
        input:
            data="<results>/data/train.zarr",
        output:
            directory("<results>/embeddings/{encoder}.zarr"),
        log:
            "<logs>/embed_images/{encoder}.log",
        wildcard_constraints:
            encoder="|".join(PLAN.encoders),
        conda:
            "../envs/waypoint.yaml"
        resources:
            gpu=1,
        params:
            spec=spec("embed_images"),
        shell:
            'python "$WAYPOINT_SCRIPTS"/scores/embed_images.py --spec {params.spec:q} --data {input.data:q}'
            ' --encoder {wildcards.encoder} --places "$WAYPOINT_ENCODERS" --out {output:q} --log {log:q}'

    rule score_encoder:
        input:
            embeddings="<results>/embeddings/{encoder}.zarr",
            trajectory="<results>/targets/{target}/trajectory.zarr",
        output:
            directory("<results>/scores/{encoder}/{target}.zarr"),
        log:
            "<logs>/score_encoder/{encoder}-{target}.log",
        wildcard_constraints:
            encoder="|".join(PLAN.encoders),
        conda:
            "../envs/waypoint.yaml"
        resources:
            gpu=1,
        params:
            spec=spec("score_encoder"),
        shell:
            'python "$WAYPOINT_SCRIPTS"/scores/score_encoder.py --spec {params.spec:q} --embeddings {input.embeddings:q}'
            " --trajectory {input.trajectory:q} --encoder {wildcards.encoder} --target {wildcards.target}"
            ' --places "$WAYPOINT_ENCODERS" --out {output:q} --log {log:q}'
