"""Train features, Fisher rows and kernels: Algorithm 1, lines 3 and 7-9, and the inverse of line 17.

Reads   data/train.zarr, checkpoints/{checkpoint}/
Makes   curvature/{checkpoint}.zarr, curvature/diagonal/{checkpoint}.zarr, features/{basis}/{checkpoint}.zarr,
        fisher/{basis}/{checkpoint}.zarr, kernels/{method}/{checkpoint}.zarr
"""


rule curvature:
    input:
        data="<results>/data/train.zarr",
        base=BASE,
        checkpoint="<results>/checkpoints/{checkpoint}",
    output:
        directory("<results>/curvature/{checkpoint}.zarr"),
    log:
        "<logs>/curvature/{checkpoint}.log",
    conda:
        "../envs/waypoint.yaml"
    resources:
        **submitted_as("curvature"),
    params:
        spec=spec("curvature"),
        resume=lambda wildcards, output: str(Path(output[0]).parents[2] / "resume"),
    shell:
        call("features/curvature", "data checkpoint", "--name {wildcards.checkpoint} --resume {params.resume:q}")


rule diagonal_curvature:
    input:
        data="<results>/data/train.zarr",
        base=BASE,
        checkpoint="<results>/checkpoints/{checkpoint}",
    output:
        directory("<results>/curvature/diagonal/{checkpoint}.zarr"),
    log:
        "<logs>/diagonal_curvature/{checkpoint}.log",
    conda:
        "../envs/waypoint.yaml"
    resources:
        **submitted_as("diagonal_curvature"),
    params:
        spec=spec("diagonal_curvature"),
        resume=lambda wildcards, output: str(Path(output[0]).parents[3] / "resume"),
    shell:
        call(
            "features/diagonal_curvature",
            "data checkpoint",
            "--name {wildcards.checkpoint} --resume {params.resume:q}",
        )


# Bases with the same draws share a pass over the images, by the rules that end in _together. They leave results
# that are up to date as they are, so that adding a basis later makes nothing else anew.

if PLAN.config["features"]["shards"] == 1:

    if ALONE["featurize"]:

        rule featurize:
            input:
                data="<results>/data/train.zarr",
                base=BASE,
                checkpoint="<results>/checkpoints/{checkpoint}",
                curvature=mapped_by,
            output:
                directory("<results>/features/{basis}/{checkpoint}.zarr"),
            log:
                "<logs>/featurize/{basis}/{checkpoint}.log",
            wildcard_constraints:
                basis="|".join(ALONE["featurize"]),
            conda:
                "../envs/waypoint.yaml"
            resources:
                **submitted_as("featurize"),
            params:
                spec=spec("featurize"),
            shell:
                call("features/featurize", "data checkpoint curvature", "--name {wildcards.checkpoint}")

    if TOGETHER["featurize"]:

        rule featurize_together:
            input:
                data="<results>/data/train.zarr",
                base=BASE,
                checkpoint="<results>/checkpoints/{checkpoint}",
                curvature=mapped_together("featurize"),
            output:
                directory(expand("<results>/features/{basis}/{{checkpoint}}.zarr", basis=TOGETHER["featurize"])),
            log:
                "<logs>/featurize/{checkpoint}.log",
            conda:
                "../envs/waypoint.yaml"
            resources:
                **submitted_as("featurize"),
            params:
                spec=specs("featurize"),
            shell:
                call("features/featurize", "data checkpoint curvature", "--name {wildcards.checkpoint}")

else:

    if ALONE["featurize"]:

        rule featurize_shard:
            input:
                data="<results>/data/train.zarr",
                base=BASE,
                checkpoint="<results>/checkpoints/{checkpoint}",
                curvature=mapped_by,
            output:
                temp(directory("<results>/shards/{basis}/{checkpoint}/{shard}-of-{shards}.zarr")),
            log:
                "<logs>/featurize/{basis}/{checkpoint}-{shard}-of-{shards}.log",
            wildcard_constraints:
                basis="|".join(ALONE["featurize"]),
            conda:
                "../envs/waypoint.yaml"
            resources:
                **submitted_as("featurize"),
            params:
                spec=spec("featurize"),
            shell:
                call(
                    "features/featurize",
                    "data checkpoint curvature",
                    "--name {wildcards.checkpoint} --shard {wildcards.shard}/{wildcards.shards}",
                )

    if TOGETHER["featurize"]:

        rule featurize_shard_together:
            input:
                data="<results>/data/train.zarr",
                base=BASE,
                checkpoint="<results>/checkpoints/{checkpoint}",
                curvature=mapped_together("featurize"),
            output:
                temp(
                    directory(
                        expand(
                            "<results>/shards/{basis}/{{checkpoint}}/{{shard}}-of-{{shards}}.zarr",
                            basis=TOGETHER["featurize"],
                        )
                    )
                ),
            log:
                "<logs>/featurize/{checkpoint}-{shard}-of-{shards}.log",
            conda:
                "../envs/waypoint.yaml"
            resources:
                **submitted_as("featurize"),
            params:
                spec=specs("featurize"),
            shell:
                call(
                    "features/featurize",
                    "data checkpoint curvature",
                    "--name {wildcards.checkpoint} --shard {wildcards.shard}/{wildcards.shards}",
                )

    rule join_features:
        input:
            shards=expand(
                "<results>/shards/{{basis}}/{{checkpoint}}/{shard}-of-{shards}.zarr",
                shard=range(PLAN.config["features"]["shards"]),
                shards=PLAN.config["features"]["shards"],
            ),
        output:
            directory("<results>/features/{basis}/{checkpoint}.zarr"),
        log:
            "<logs>/join_features/{basis}/{checkpoint}.log",
        conda:
            "../envs/waypoint.yaml"
        params:
            spec=spec("featurize"),
        shell:
            call("features/join_features", "shards")


if ALONE["fisher_rows"]:

    rule fisher_rows:
        input:
            data="<results>/data/train.zarr",
            base=BASE,
            checkpoint="<results>/checkpoints/{checkpoint}",
            curvature=mapped_by,
        output:
            directory("<results>/fisher/{basis}/{checkpoint}.zarr"),
        log:
            "<logs>/fisher_rows/{basis}/{checkpoint}.log",
        wildcard_constraints:
            basis="|".join(ALONE["fisher_rows"]),
        conda:
            "../envs/waypoint.yaml"
        resources:
            **submitted_as("fisher_rows"),
        params:
            spec=spec("fisher_rows"),
        shell:
            call("features/fisher_rows", "data checkpoint curvature", "--name {wildcards.checkpoint}")


if TOGETHER["fisher_rows"]:

    rule fisher_rows_together:
        input:
            data="<results>/data/train.zarr",
            base=BASE,
            checkpoint="<results>/checkpoints/{checkpoint}",
            curvature=mapped_together("fisher_rows"),
        output:
            directory(expand("<results>/fisher/{basis}/{{checkpoint}}.zarr", basis=TOGETHER["fisher_rows"])),
        log:
            "<logs>/fisher_rows/{checkpoint}.log",
        conda:
            "../envs/waypoint.yaml"
        resources:
            **submitted_as("fisher_rows"),
        params:
            spec=specs("fisher_rows"),
        shell:
            call("features/fisher_rows", "data checkpoint curvature", "--name {wildcards.checkpoint}")


rule factor_kernel:
    input:
        # one of the two, by the kind of kernel; the other is empty
        features=lambda w: rows_of("features", w),
        fisher=lambda w: rows_of("fisher", w),
    output:
        directory("<results>/kernels/{method}/{checkpoint}.zarr"),
    log:
        "<logs>/factor_kernel/{method}/{checkpoint}.log",
    conda:
        "../envs/waypoint.yaml"
    resources:
        **submitted_as("factor_kernel"),
    params:
        spec=spec("factor_kernel"),
    shell:
        call("features/factor_kernel", "features fisher")
