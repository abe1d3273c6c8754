"""The training images.

Reads   the raw data that data.path names
Makes   data/train.zarr
"""


rule prepare_data:
    input:
        current("data", "data/train.zarr", sources=lambda wildcards: PLAN.data_sources),
        raw=ancient(PLAN.data_sources),
    output:
        directory("<results>/data/train.zarr"),
    log:
        "<logs>/prepare_data.log",
    conda:
        "../envs/waypoint.yaml"
    params:
        spec=spec("data"),
    shell:
        'python "$WAYPOINT_SCRIPTS"/prepare_data.py --spec {params.spec:q} --out {output:q} --log {log:q}'
