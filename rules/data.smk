"""The training images.

Reads   the raw data that data.path names
Makes   data/train.zarr
"""


rule prepare_data:
    input:
        # the raw data itself is no input: it may be gone once it is in the store. Its recorded hash tells a change
        current("data", "data/train.zarr", sources=lambda wildcards: PLAN.data_sources),
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
