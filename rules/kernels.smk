"""TRAK kernels: Algorithm 1, the inverse of line 17.

Reads   features/{checkpoint}.zarr
Makes   kernels/{checkpoint}.zarr
"""


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
        'python "$WAYPOINT_SCRIPTS"/factor_kernel.py --spec {params.spec:q} --features {input.features:q} --out {output:q}'
        " --log {log:q}"
