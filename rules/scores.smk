"""Attribution scores: Algorithm 1, line 17, and the baselines. A method is whatever writes here.

Reads   targets/{target}/*.zarr, features/, kernels/, data/train.zarr
Makes   scores/{method}/{target}.zarr
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
        'python "$WAYPOINT_SCRIPTS"/score_trak.py --spec {params.spec:q} --gradients {input.gradients:q}'
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
        'python "$WAYPOINT_SCRIPTS"/score_pixel.py --spec {params.spec:q} --data {input.data:q}'
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
        'python "$WAYPOINT_SCRIPTS"/score_random.py --spec {params.spec:q} --data {input.data:q} --target {wildcards.target}'
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
        'python "$WAYPOINT_SCRIPTS"/score_trak_sum.py --spec {params.spec:q} --scores {input.scores:q}'
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
        'python "$WAYPOINT_SCRIPTS"/score_norm.py --spec {params.spec:q} --features {input.features:q}'
        " --target {wildcards.target} --out {output:q} --log {log:q}"
