"""The models: trained on the full set, or existing ones taken into the store.

Reads   data/train.zarr
Makes   checkpoints/full/{id}/, a diffusers folder
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
        shell:
            "python {SCRIPTS:q}/train.py --spec {params.spec:q} --data {input.data:q} --name {wildcards.checkpoint}"
            " --resume {PLAN.root:q}/resume --out {output:q} --log {log:q}"

else:

    rule import_checkpoint:
        input:
            current("train", "checkpoints/{checkpoint}"),
            data="<results>/data/train.zarr",
        output:
            directory("<results>/checkpoints/{checkpoint}"),
        log:
            "<logs>/import_checkpoint/{checkpoint}.log",
        conda:
            "../envs/waypoint.yaml"
        params:
            spec=spec("train"),
        shell:
            "python {SCRIPTS:q}/import_checkpoint.py --spec {params.spec:q} --data {input.data:q}"
            " --name {wildcards.checkpoint} --out {output:q} --log {log:q}"
