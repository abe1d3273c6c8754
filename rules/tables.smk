"""Tables over all targets.

Reads   scores/*/*.zarr, data/train.zarr
Makes   tables/top_influences.csv
"""


rule top_influences:
    input:
        current("table", "tables/top_influences.csv"),
        data="<results>/data/train.zarr",
        scores=expand("<results>/scores/{method}/{target}.zarr", method=PLAN.config["methods"], target=PLAN.targets),
    output:
        report(
            "<results>/tables/top_influences.csv",
            caption="../docs/report/top_influences.rst",
            category="Tables",
            labels={"table": "top influences"},
        ),
    log:
        "<logs>/top_influences.log",
    conda:
        "../envs/waypoint.yaml"
    params:
        spec=spec("table"),
    shell:
        'python "$WAYPOINT_SCRIPTS"/top_influences.py --spec {params.spec:q} --data {input.data:q} --scores {input.scores:q}'
        " --out {output:q} --log {log:q}"
