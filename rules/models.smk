"""The models: trained on the full set, on random subsets or without some images; or existing ones.

Reads   data/train.zarr, scores/{method}/{target}.zarr
Makes   checkpoints/{full,subset,without}/{id}/, diffusers folders, or adapters of checkpoints/base/0/
        checkpoints/subset/models.json, which stands for all subset models
"""

if "count" in PLAN.config["checkpoints"]:

    rule train:
        input:
            data="<results>/data/train.zarr",
            base=BASE,
        output:
            directory("<results>/checkpoints/{checkpoint}"),
        log:
            "<logs>/train/{checkpoint}.log",
        conda:
            "../envs/waypoint.yaml"
        resources:
            **submitted_as("train"),
        params:
            spec=spec("train"),
            resume=lambda wildcards, output: str(Path(output[0]).parents[2] / "resume"),
        shell:
            call("models/train", "data base", "--name {wildcards.checkpoint} --resume {params.resume:q}")

elif "adapters" in PLAN.config["checkpoints"]:

    rule import_adapter:
        input:
            base=BASE,
        output:
            directory("<results>/checkpoints/{checkpoint}"),
        log:
            "<logs>/import_adapter/{checkpoint}.log",
        conda:
            "../envs/waypoint.yaml"
        params:
            spec=spec("import_adapter"),
        shell:
            call("models/import_adapter", "base", "--name {wildcards.checkpoint}")

else:

    rule import_checkpoint:
        input:
            # what the model must fit: the encoded data, or the encoders if there is no data
            data=DATA[-1:],
            vae=[] if PLAN.attributed else VAE,
            text=[] if PLAN.attributed else TEXT_ENCODER,
        output:
            directory("<results>/checkpoints/{checkpoint}"),
        log:
            "<logs>/import_checkpoint/{checkpoint}.log",
        conda:
            "../envs/waypoint.yaml"
        params:
            spec=spec("import_checkpoint"),
        shell:
            call("models/import_checkpoint", "data vae text", "--name {wildcards.checkpoint}")


if PLAN.base:

    rule import_base:
        input:
            data=DATA[-1:],
            vae=[] if PLAN.attributed else VAE,
            text=[] if PLAN.attributed else TEXT_ENCODER,
        output:
            directory("<results>/checkpoints/base/0"),
        log:
            "<logs>/import_base.log",
        conda:
            "../envs/waypoint.yaml"
        params:
            spec=spec("import_base"),
        shell:
            call("models/import_checkpoint", "data vae text", "--name base/0")


if PLAN.evaluation["lds"]:
    MODELS_PER_SUBSET = range(PLAN.evaluation["lds"]["models_per_subset"])

    rule train_subset:
        input:
            data="<results>/data/train.zarr",
            base=BASE,
        output:
            # existing models stay: the job trains only the missing ones
            directory(expand("<results>/checkpoints/subset/{{subset}}-{r}", r=MODELS_PER_SUBSET)),
        log:
            "<logs>/train/subset/{subset}.log",
        # in the order of their index, so that a part of them gives the LDS of fewer subsets. After everything else that
        # can run, but by so little that Snakemake's solver (2 per core, against 4 per priority and core) leaves no core
        # idle
        priority: lambda wildcards: -int(wildcards.subset) / (8 * PLAN.evaluation["lds"]["subsets"] ** 2)
        conda:
            "../envs/waypoint.yaml"
        resources:
            **submitted_as("train_subset"),
        params:
            spec=spec("train_subset"),
            names=lambda wildcards: [f"subset/{wildcards.subset}-{r}" for r in MODELS_PER_SUBSET],
            resume=lambda wildcards, output: str(Path(output[0]).parents[2] / "resume"),
        shell:
            call("models/train", "data base", "--name {params.names:q} --resume {params.resume:q}")

    rule list_subset_models:
        input:
            models=[f"<results>/checkpoints/{name}" for name in subset_models(PLAN)],
        output:
            models="<results>/checkpoints/subset/models.json",
            attributes=beside("<results>/checkpoints/subset/models.json"),
        log:
            "<logs>/list_subset_models.log",
        conda:
            "../envs/waypoint.yaml"
        params:
            spec=spec("list_subset_models"),
        shell:
            call("models/list_subset_models", "models", out="models")


if PLAN.evaluation["counterfactual"] or PLAN.evaluation["forgetting"]:

    rule train_without:
        input:
            data="<results>/data/train.zarr",
            base=BASE,
            scores="<results>/scores/{method}/{target}.zarr",
        output:
            # an existing model stays if other scores remove the same images
            directory("<results>/checkpoints/without/{method}_{target}_t{step}_n{n_remove}"),
        log:
            "<logs>/train/without/{method}_{target}_t{step}_n{n_remove}.log",
        conda:
            "../envs/waypoint.yaml"
        resources:
            **submitted_as("train_without"),
        params:
            spec=spec("train_without"),
            resume=lambda wildcards, output: str(Path(output[0]).parents[2] / "resume"),
        shell:
            call(
                "models/train",
                "data base scores",
                "--name without/{wildcards.method}_{wildcards.target}_t{wildcards.step}_n{wildcards.n_remove} --resume {params.resume:q}",
            )

    rule train_without_random:
        input:
            data="<results>/data/train.zarr",
            base=BASE,
        output:
            directory("<results>/checkpoints/without/random_{removal}_n{n_remove}"),
        log:
            "<logs>/train/without/random_{removal}_n{n_remove}.log",
        conda:
            "../envs/waypoint.yaml"
        resources:
            **submitted_as("train_without_random"),
        params:
            spec=spec("train_without_random"),
            resume=lambda wildcards, output: str(Path(output[0]).parents[2] / "resume"),
        shell:
            call(
                "models/train",
                "data base",
                "--name without/random_{wildcards.removal}_n{wildcards.n_remove} --resume {params.resume:q}",
            )
