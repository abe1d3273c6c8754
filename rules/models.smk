"""The models: trained on the full set, on random subsets, without some images; or existing ones.

Reads   data/train.zarr, scores/{method}/{target}.zarr
Makes   checkpoints/{full,subset,without}/{id}/, diffusers folders
        checkpoints/subset/models.json, which stands for all subset models
"""

if "count" in PLAN.config["checkpoints"]:

    rule train:
        input:
            current("train", "checkpoints/{checkpoint}"),
            data="<results>/data/train.zarr",
        output:
            directory("<results>/checkpoints/{checkpoint}"),
        log:
            "<logs>/train/{checkpoint}.log",
        conda:
            "../envs/waypoint.yaml"
        resources:
            gpu=1,
        params:
            spec=spec("train"),
            resume=lambda wildcards, output: str(Path(output[0]).parents[2] / "resume"),
        shell:
            'python "$WAYPOINT_SCRIPTS"/models/train.py --spec {params.spec:q} --data {input.data:q} --name {wildcards.checkpoint}'
            " --resume {params.resume:q} --out {output:q} --log {log:q}"

else:

    rule import_checkpoint:
        input:
            current("train", "checkpoints/{checkpoint}", sources=lambda w: PLAN.checkpoint_sources(w.checkpoint)),
            # what the model must fit: the data as it is encoded, or without data the encoders themselves
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
            spec=spec("train"),
        shell:
            'python "$WAYPOINT_SCRIPTS"/models/import_checkpoint.py --spec {params.spec:q} --data {input.data:q}'
            " --vae {input.vae:q} --text {input.text:q} --name {wildcards.checkpoint} --out {output:q} --log {log:q}"


if PLAN.evaluation["lds"]:
    MODELS_PER_SUBSET = range(PLAN.evaluation["lds"]["models_per_subset"])

    rule train_subset:
        input:
            *[current("subset", f"checkpoints/subset/{{subset}}-{r}") for r in MODELS_PER_SUBSET],
            data="<results>/data/train.zarr",
        output:
            # kept while the job runs: it trains only what is missing
            update(directory(expand("<results>/checkpoints/subset/{{subset}}-{r}", r=MODELS_PER_SUBSET))),
        log:
            "<logs>/train/subset/{subset}.log",
        conda:
            "../envs/waypoint.yaml"
        resources:
            gpu=1,
        params:
            spec=spec("subset"),
            names=lambda wildcards: [f"subset/{wildcards.subset}-{r}" for r in MODELS_PER_SUBSET],
            resume=lambda wildcards, output: str(Path(output[0]).parents[2] / "resume"),
        shell:
            'python "$WAYPOINT_SCRIPTS"/models/train.py --spec {params.spec:q} --data {input.data:q} --name {params.names:q}'
            " --resume {params.resume:q} --out {output:q} --log {log:q}"

    rule list_subset_models:
        input:
            current("masks", "checkpoints/subset/models.json"),
            models=[f"<results>/checkpoints/{name}" for name in PLAN.subset_models()],
        output:
            models="<results>/checkpoints/subset/models.json",
            attributes=beside("<results>/checkpoints/subset/models.json"),
        log:
            "<logs>/list_subset_models.log",
        conda:
            "../envs/waypoint.yaml"
        params:
            spec=spec("masks"),
        shell:
            'python "$WAYPOINT_SCRIPTS"/models/list_subset_models.py --spec {params.spec:q} --models {input.models:q} --out {output.models:q}'
            " --log {log:q}"


if PLAN.evaluation["counterfactual"] or PLAN.evaluation["forgetting"]:

    rule train_without:
        input:
            current("without", "checkpoints/without/{method}_{target}_t{step}_n{n_remove}"),
            data="<results>/data/train.zarr",
            scores="<results>/scores/{method}/{target}.zarr",
        output:
            # kept while the job runs: other scores may remove the same images
            update(directory("<results>/checkpoints/without/{method}_{target}_t{step}_n{n_remove}")),
        log:
            "<logs>/train/without/{method}_{target}_t{step}_n{n_remove}.log",
        conda:
            "../envs/waypoint.yaml"
        resources:
            gpu=1,
        params:
            spec=spec("without"),
            resume=lambda wildcards, output: str(Path(output[0]).parents[2] / "resume"),
        shell:
            'python "$WAYPOINT_SCRIPTS"/models/train.py --spec {params.spec:q} --data {input.data:q} --scores {input.scores:q}'
            " --name without/{wildcards.method}_{wildcards.target}_t{wildcards.step}_n{wildcards.n_remove}"
            " --resume {params.resume:q} --out {output:q} --log {log:q}"

    rule train_without_random:
        input:
            current("without_random", "checkpoints/without/random_{removal}_n{n_remove}"),
            data="<results>/data/train.zarr",
        output:
            update(directory("<results>/checkpoints/without/random_{removal}_n{n_remove}")),
        log:
            "<logs>/train/without/random_{removal}_n{n_remove}.log",
        conda:
            "../envs/waypoint.yaml"
        resources:
            gpu=1,
        params:
            spec=spec("without_random"),
            resume=lambda wildcards, output: str(Path(output[0]).parents[2] / "resume"),
        shell:
            'python "$WAYPOINT_SCRIPTS"/models/train.py --spec {params.spec:q} --data {input.data:q}'
            " --name without/random_{wildcards.removal}_n{wildcards.n_remove}"
            " --resume {params.resume:q} --out {output:q} --log {log:q}"
