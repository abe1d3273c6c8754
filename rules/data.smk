"""The training images.

Reads   the raw data that data.path names
Makes   data/train.zarr, or data/images.zarr where models see something else (rules/encoders.smk)
"""


rule prepare_data:
    input:
        # the raw data itself is no input: it may be gone once it is in the store. Its recorded hash tells a change
        current("images", IMAGES, sources=lambda wildcards: PLAN.data_sources),
    output:
        directory(f"<results>/{IMAGES}"),
    log:
        "<logs>/prepare_data.log",
    conda:
        "../envs/waypoint.yaml"
    params:
        spec=spec("images"),
    shell:
        'python "$WAYPOINT_SCRIPTS"/prepare_data.py --spec {params.spec:q} --out {output:q} --log {log:q}'
