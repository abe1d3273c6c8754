"""Train features and TRAK kernels: Algorithm 1, lines 3 and 7-9, and the inverse of line 17.

Reads   data/train.zarr, checkpoints/{checkpoint}/
Makes   features/{checkpoint}.zarr, kernels/{checkpoint}.zarr
"""

if PLAN.config["features"]["shards"] == 1:

    rule featurize:
        input:
            current("features", "features/{checkpoint}.zarr"),
            data="<results>/data/train.zarr",
            checkpoint="<results>/checkpoints/{checkpoint}",
        output:
            directory("<results>/features/{checkpoint}.zarr"),
        log:
            "<logs>/featurize/{checkpoint}.log",
        conda:
            "../envs/waypoint.yaml"
        resources:
            gpu=1,
        params:
            spec=spec("features"),
        shell:
            'python "$WAYPOINT_SCRIPTS"/features/featurize.py --spec {params.spec:q} --data {input.data:q}'
            " --checkpoint {input.checkpoint:q} --name {wildcards.checkpoint} --out {output:q} --log {log:q}"

else:

    rule featurize_shard:
        input:
            data="<results>/data/train.zarr",
            checkpoint="<results>/checkpoints/{checkpoint}",
        output:
            temp(directory("<results>/shards/{checkpoint}/{shard}-of-{shards}.zarr")),
        log:
            "<logs>/featurize/{checkpoint}-{shard}-of-{shards}.log",
        conda:
            "../envs/waypoint.yaml"
        resources:
            gpu=1,
        params:
            spec=spec("features"),
        shell:
            'python "$WAYPOINT_SCRIPTS"/features/featurize.py --spec {params.spec:q} --data {input.data:q}'
            " --checkpoint {input.checkpoint:q} --name {wildcards.checkpoint}"
            " --shard {wildcards.shard}/{wildcards.shards} --out {output:q} --log {log:q}"

    rule join_features:
        input:
            current("features", "features/{checkpoint}.zarr"),
            shards=expand(
                "<results>/shards/{{checkpoint}}/{shard}-of-{shards}.zarr",
                shard=range(PLAN.config["features"]["shards"]),
                shards=PLAN.config["features"]["shards"],
            ),
        output:
            directory("<results>/features/{checkpoint}.zarr"),
        log:
            "<logs>/join_features/{checkpoint}.log",
        conda:
            "../envs/waypoint.yaml"
        params:
            spec=spec("features"),
        shell:
            'python "$WAYPOINT_SCRIPTS"/features/join_features.py --spec {params.spec:q} --shards {input.shards:q} --out {output:q}'
            " --log {log:q}"


rule factor_kernel:
    input:
        current("kernel", "kernels/{checkpoint}.zarr"),
        features="<results>/features/{checkpoint}.zarr",
    output:
        directory("<results>/kernels/{checkpoint}.zarr"),
    log:
        "<logs>/factor_kernel/{checkpoint}.log",
    conda:
        "../envs/waypoint.yaml"
    params:
        spec=spec("kernel"),
    shell:
        'python "$WAYPOINT_SCRIPTS"/features/factor_kernel.py --spec {params.spec:q} --features {input.features:q} --out {output:q}'
        " --log {log:q}"
