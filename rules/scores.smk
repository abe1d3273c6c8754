"""Attribution scores: Algorithm 1, line 17, and the baselines, among them image encoders (§5.1: CLIP), which embed every
training image once. A method is whatever writes here.

Reads   targets/{target}/*.zarr, features/, kernels/, data/train.zarr
Makes   scores/{method}/{target}.zarr, embeddings/{encoder}.zarr
"""


rule score_trak:
    input:
        current("trak_scores", "scores/trak/{target}.zarr"),
        gradients="<results>/targets/{target}/gradients.zarr",
        features=expand("<results>/features/{checkpoint}.zarr", checkpoint=PLAN.checkpoints),
        kernels=expand("<results>/kernels/{checkpoint}.zarr", checkpoint=PLAN.checkpoints),
    output:
        directory("<results>/scores/trak/{target}.zarr"),
    log:
        "<logs>/score_trak/{target}.log",
    conda:
        "../envs/waypoint.yaml"
    params:
        spec=spec("trak_scores"),
        # where one job leaves the scores that it made for others in the same pass over the features
        waiting=lambda wildcards, output: str(Path(output[0]).parents[2] / "resume/scores"),
    shell:
        'python "$WAYPOINT_SCRIPTS"/scores/score_trak.py --spec {params.spec:q} --gradients {input.gradients:q}'
        " --features {input.features:q} --kernels {input.kernels:q} --target {wildcards.target}"
        " --waiting {params.waiting:q} --out {output:q} --log {log:q}"


rule score_pixel:
    input:
        current("pixel_scores", "scores/pixel/{target}.zarr"),
        data="<results>/data/train.zarr",
        trajectory="<results>/targets/{target}/trajectory.zarr",
        vae=VAE if PLAN.config["pixel"]["against"] == "x0_hat" else [],
    output:
        directory("<results>/scores/pixel/{target}.zarr"),
    log:
        "<logs>/score_pixel/{target}.log",
    conda:
        "../envs/waypoint.yaml"
    params:
        spec=spec("pixel_scores"),
    shell:
        'python "$WAYPOINT_SCRIPTS"/scores/score_pixel.py --spec {params.spec:q} --data {input.data:q}'
        " --trajectory {input.trajectory:q} --vae {input.vae:q} --target {wildcards.target} --out {output:q}"
        " --log {log:q}"


rule score_random:
    input:
        current("random_scores", "scores/random/{target}.zarr"),
        data="<results>/data/train.zarr",
    output:
        directory("<results>/scores/random/{target}.zarr"),
    log:
        "<logs>/score_random/{target}.log",
    conda:
        "../envs/waypoint.yaml"
    params:
        spec=spec("random_scores"),
    shell:
        'python "$WAYPOINT_SCRIPTS"/scores/score_random.py --spec {params.spec:q} --data {input.data:q} --target {wildcards.target}'
        " --out {output:q} --log {log:q}"


rule score_trak_sum:
    input:
        current("trak_sum_scores", "scores/trak-sum/{target}.zarr"),
        scores="<results>/scores/trak/{target}.zarr",
    output:
        directory("<results>/scores/trak-sum/{target}.zarr"),
    log:
        "<logs>/score_trak_sum/{target}.log",
    conda:
        "../envs/waypoint.yaml"
    params:
        spec=spec("trak_sum_scores"),
    shell:
        'python "$WAYPOINT_SCRIPTS"/scores/score_trak_sum.py --spec {params.spec:q} --scores {input.scores:q}'
        " --target {wildcards.target} --out {output:q} --log {log:q}"


rule score_norm:
    input:
        current("norm_scores", "scores/norm/{target}.zarr"),
        features=expand("<results>/features/{checkpoint}.zarr", checkpoint=PLAN.checkpoints),
    output:
        directory("<results>/scores/norm/{target}.zarr"),
    log:
        "<logs>/score_norm/{target}.log",
    conda:
        "../envs/waypoint.yaml"
    params:
        spec=spec("norm_scores"),
    shell:
        'python "$WAYPOINT_SCRIPTS"/scores/score_norm.py --spec {params.spec:q} --features {input.features:q}'
        " --target {wildcards.target} --out {output:q} --log {log:q}"


if PLAN.encoders:

    rule embed_images:
        input:
            current("embeddings", "embeddings/{encoder}.zarr"),
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
            spec=spec("embeddings"),
        shell:
            'python "$WAYPOINT_SCRIPTS"/scores/embed_images.py --spec {params.spec:q} --data {input.data:q}'
            ' --encoder {wildcards.encoder} --places "$WAYPOINT_ENCODERS" --out {output:q} --log {log:q}'

    rule score_encoder:
        input:
            current("encoder_scores", "scores/{encoder}/{target}.zarr"),
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
            spec=spec("encoder_scores"),
        shell:
            'python "$WAYPOINT_SCRIPTS"/scores/score_encoder.py --spec {params.spec:q} --embeddings {input.embeddings:q}'
            " --trajectory {input.trajectory:q} --encoder {wildcards.encoder} --target {wildcards.target}"
            ' --places "$WAYPOINT_ENCODERS" --out {output:q} --log {log:q}'
