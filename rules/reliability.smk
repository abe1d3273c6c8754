"""Reliability of TRAK scores without retraining.

Reads   scores/trak/*.zarr; with features.keep_halves also features/, targets/*/gradients.zarr
Makes   tables/reliability.csv, figures/reliability.png
"""

RELIABILITY_TABLES, RELIABILITY_FIGURES = [], []

if PLAN.evaluation["reliability"] is not None:
    RELIABILITY_TABLES, RELIABILITY_FIGURES = ["<results>/tables/reliability.csv"], [
        "<results>/figures/reliability.png"
    ]
    HALVED = PLAN.config["features"]["keep_halves"]

    rule reliability_table:
        input:
            current("reliability", "tables/reliability.csv"),
            scores=expand("<results>/scores/trak/{target}.zarr", target=PLAN.targets),
            features=expand("<results>/features/{checkpoint}.zarr", checkpoint=PLAN.checkpoints) if HALVED else [],
            gradients=expand("<results>/targets/{target}/gradients.zarr", target=PLAN.targets) if HALVED else [],
        output:
            table=report(
                "<results>/tables/reliability.csv",
                caption="../docs/report/reliability.rst",
                category="Reliability",
                labels={"table": "reliability"},
            ),
            attributes=beside("<results>/tables/reliability.csv"),
        log:
            "<logs>/reliability_table.log",
        conda:
            "../envs/waypoint.yaml"
        params:
            spec=spec("reliability"),
        shell:
            'python "$WAYPOINT_SCRIPTS"/reliability_table.py --spec {params.spec:q} --scores {input.scores:q}'
            " --features {input.features:q} --gradients {input.gradients:q} --out {output.table:q} --log {log:q}"

    rule plot_reliability:
        input:
            current("evaluation_figure", "figures/reliability.png"),
            table="<results>/tables/reliability.csv",
            attributes=beside("<results>/tables/reliability.csv"),
        output:
            report(
                "<results>/figures/reliability.png",
                caption="../docs/report/reliability.rst",
                category="Reliability",
                labels={"figure": "reliability"},
            ),
        log:
            "<logs>/plot_reliability.log",
        conda:
            "../envs/waypoint.yaml"
        params:
            spec=spec("evaluation_figure"),
        shell:
            'python "$WAYPOINT_SCRIPTS"/plot_reliability.py --spec {params.spec:q} --table {input.table:q} --out {output:q}'
            " --log {log:q}"
