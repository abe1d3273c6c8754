"""Scores compared with each other: across steps (B.3, B.4, B.5), across targets, and between halves of the draws or
checkpoints, all without retraining.

Reads   scores/*/*.zarr, data/train.zarr, targets/{target}/trajectory.zarr; with features.keep_halves also features/,
        targets/*/gradients.zarr
Makes   tables/{step_correlation,sign_overlap,top_overlap,reliability}.csv,
        figures/{step_correlation,sign_overlap,sign_flips,top_overlap,reliability}.png
"""

from waypoint.workflow.config.evaluation_checks import step_methods

ANALYSIS_TABLES, ANALYSIS_FIGURES = [], []
STEP_SCORES = expand("<results>/scores/{method}/{target}.zarr", method=step_methods(PLAN.config), target=PLAN.targets)

if PLAN.evaluation["step_correlation"] is not None:
    ANALYSIS_TABLES.append("<results>/tables/step_correlation.csv")
    ANALYSIS_FIGURES.append("<results>/figures/step_correlation.png")

    rule step_correlation:
        input:
            current("step_correlation", "tables/step_correlation.csv"),
            scores=STEP_SCORES,
        output:
            table=report(
                "<results>/tables/step_correlation.csv",
                caption="../docs/report/step_correlation.rst",
                category="Scores across steps and targets",
                labels={"table": "step correlation"},
            ),
            attributes=beside("<results>/tables/step_correlation.csv"),
        log:
            "<logs>/step_correlation.log",
        conda:
            "../envs/waypoint.yaml"
        params:
            spec=spec("step_correlation"),
        shell:
            'python "$WAYPOINT_SCRIPTS"/analyses/step_correlation.py --spec {params.spec:q} --scores {input.scores:q} --out {output.table:q}'
            " --log {log:q}"

    rule plot_step_correlation:
        input:
            current("evaluation_figure", "figures/step_correlation.png"),
            table="<results>/tables/step_correlation.csv",
            attributes=beside("<results>/tables/step_correlation.csv"),
        output:
            report(
                "<results>/figures/step_correlation.png",
                caption="../docs/report/step_correlation.rst",
                category="Scores across steps and targets",
                labels={"figure": "step correlation"},
            ),
        log:
            "<logs>/plot_step_correlation.log",
        conda:
            "../envs/waypoint.yaml"
        params:
            spec=spec("evaluation_figure"),
        shell:
            'python "$WAYPOINT_SCRIPTS"/analyses/plot_step_correlation.py --spec {params.spec:q} --table {input.table:q}'
            " --out {output:q} --log {log:q}"


if PLAN.evaluation["sign_overlap"]:
    ANALYSIS_TABLES.append("<results>/tables/sign_overlap.csv")
    ANALYSIS_FIGURES += ["<results>/figures/sign_overlap.png", "<results>/figures/sign_flips.png"]

    rule sign_overlap:
        input:
            current("sign_overlap", "tables/sign_overlap.csv"),
            scores=STEP_SCORES,
        output:
            table=report(
                "<results>/tables/sign_overlap.csv",
                caption="../docs/report/sign_overlap.rst",
                category="Scores across steps and targets",
                labels={"table": "sign overlap"},
            ),
            attributes=beside("<results>/tables/sign_overlap.csv"),
        log:
            "<logs>/sign_overlap.log",
        conda:
            "../envs/waypoint.yaml"
        params:
            spec=spec("sign_overlap"),
        shell:
            'python "$WAYPOINT_SCRIPTS"/analyses/sign_overlap.py --spec {params.spec:q} --scores {input.scores:q} --out {output.table:q}'
            " --log {log:q}"

    rule plot_sign_overlap:
        input:
            current("evaluation_figure", "figures/sign_overlap.png"),
            table="<results>/tables/sign_overlap.csv",
            attributes=beside("<results>/tables/sign_overlap.csv"),
        output:
            report(
                "<results>/figures/sign_overlap.png",
                caption="../docs/report/sign_overlap.rst",
                category="Scores across steps and targets",
                labels={"figure": "sign overlap"},
            ),
        log:
            "<logs>/plot_sign_overlap.log",
        conda:
            "../envs/waypoint.yaml"
        params:
            spec=spec("evaluation_figure"),
        shell:
            'python "$WAYPOINT_SCRIPTS"/analyses/plot_sign_overlap.py --spec {params.spec:q} --table {input.table:q} --out {output:q}'
            " --log {log:q}"

    rule plot_sign_flips:
        input:
            current("evaluation_figure", "figures/sign_flips.png"),
            table="<results>/tables/sign_overlap.csv",
            data="<results>/data/train.zarr",
            # the first method alone: no other one is computed for a figure
            scores=expand(
                "<results>/scores/{method}/{target}.zarr", method=step_methods(PLAN.config)[0], target=PLAN.targets
            ),
            trajectories=expand("<results>/targets/{target}/trajectory.zarr", target=PLAN.targets),
            attributes=beside("<results>/tables/sign_overlap.csv"),
        output:
            report(
                "<results>/figures/sign_flips.png",
                caption="../docs/report/sign_flips.rst",
                category="Scores across steps and targets",
                labels={"figure": "images that change sides"},
            ),
        log:
            "<logs>/plot_sign_flips.log",
        conda:
            "../envs/waypoint.yaml"
        params:
            spec=spec("evaluation_figure"),
        shell:
            'python "$WAYPOINT_SCRIPTS"/analyses/plot_sign_flips.py --spec {params.spec:q} --table {input.table:q} --data {input.data:q}'
            " --scores {input.scores:q} --trajectories {input.trajectories:q} --out {output:q} --log {log:q}"


if PLAN.evaluation["top_overlap"]:
    ANALYSIS_TABLES.append("<results>/tables/top_overlap.csv")
    ANALYSIS_FIGURES.append("<results>/figures/top_overlap.png")

    rule top_overlap:
        input:
            current("top_overlap", "tables/top_overlap.csv"),
            scores=expand("<results>/scores/{method}/{target}.zarr", method=PLAN.config["methods"], target=PLAN.targets),
        output:
            table=report(
                "<results>/tables/top_overlap.csv",
                caption="../docs/report/top_overlap.rst",
                category="Scores across steps and targets",
                labels={"table": "top overlap"},
            ),
            attributes=beside("<results>/tables/top_overlap.csv"),
        log:
            "<logs>/top_overlap.log",
        conda:
            "../envs/waypoint.yaml"
        params:
            spec=spec("top_overlap"),
        shell:
            'python "$WAYPOINT_SCRIPTS"/analyses/top_overlap.py --spec {params.spec:q} --scores {input.scores:q} --out {output.table:q}'
            " --log {log:q}"

    rule plot_top_overlap:
        input:
            current("evaluation_figure", "figures/top_overlap.png"),
            table="<results>/tables/top_overlap.csv",
            attributes=beside("<results>/tables/top_overlap.csv"),
        output:
            report(
                "<results>/figures/top_overlap.png",
                caption="../docs/report/top_overlap.rst",
                category="Scores across steps and targets",
                labels={"figure": "top overlap"},
            ),
        log:
            "<logs>/plot_top_overlap.log",
        conda:
            "../envs/waypoint.yaml"
        params:
            spec=spec("evaluation_figure"),
        shell:
            'python "$WAYPOINT_SCRIPTS"/analyses/plot_top_overlap.py --spec {params.spec:q} --table {input.table:q} --out {output:q}'
            " --log {log:q}"


RELIABILITY_TABLES, RELIABILITY_FIGURES = [], []

if PLAN.evaluation["reliability"] is not None:
    RELIABILITY_TABLES, RELIABILITY_FIGURES = ["<results>/tables/reliability.csv"], [
        "<results>/figures/reliability.png"
    ]
    HALVED = PLAN.config["features"]["keep_halves"]

    rule split_half:
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
            "<logs>/split_half.log",
        conda:
            "../envs/waypoint.yaml"
        params:
            spec=spec("reliability"),
        shell:
            'python "$WAYPOINT_SCRIPTS"/analyses/split_half.py --spec {params.spec:q} --scores {input.scores:q}'
            " --features {input.features:q} --gradients {input.gradients:q} --out {output.table:q} --log {log:q}"

    rule plot_split_half:
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
            "<logs>/plot_split_half.log",
        conda:
            "../envs/waypoint.yaml"
        params:
            spec=spec("evaluation_figure"),
        shell:
            'python "$WAYPOINT_SCRIPTS"/analyses/plot_split_half.py --spec {params.spec:q} --table {input.table:q} --out {output:q}'
            " --log {log:q}"
