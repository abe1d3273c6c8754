"""The training images.

Reads   the raw data that data.path names
Makes   data/train.zarr
"""


rule prepare_data:
    input:
        current("data", "data/train.zarr"),
        raw=ancient([PLAN.config["data"][key] for key in ("path", "captions") if PLAN.config["data"][key]]),
    output:
        directory("<results>/data/train.zarr"),
    log:
        "<logs>/prepare_data.log",
    params:
        spec=spec("data"),
    conda:
        "../envs/waypoint.yaml"
    shell:
        "python {SCRIPTS:q}/prepare_data.py --spec {params.spec:q} --out {output:q} --log {log:q}"
