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
            resume=lambda wildcards, output: str(Path(output[0]).parents[2] / "resume"),
        shell:
            'python "$WAYPOINT_SCRIPTS"/train.py --spec {params.spec:q} --data {input.data:q} --name {wildcards.checkpoint}'
            " --resume {params.resume:q} --out {output:q} --log {log:q}"

else:

    rule import_checkpoint:
        input:
            current("train", "checkpoints/{checkpoint}", sources=lambda w: PLAN.checkpoint_sources(w.checkpoint)),
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
            'python "$WAYPOINT_SCRIPTS"/import_checkpoint.py --spec {params.spec:q} --data {input.data:q}'
            " --name {wildcards.checkpoint} --out {output:q} --log {log:q}"
