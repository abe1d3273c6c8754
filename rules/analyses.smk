"""Scores compared with each other: across steps (B.3, B.4, B.5), across targets, and between halves of the draws or
checkpoints, all without retraining.

Reads   scores/*/*.zarr, data/train.zarr, targets/{target}/trajectory.zarr; with features.keep_halves also features/,
        targets/*/gradients.zarr
Makes   tables/{step_correlation,sign_overlap,top_overlap,split_half}.csv,
        figures/{step_correlation,sign_overlap,sign_flips,top_overlap,split_half}.png
"""

from waypoint.workflow.config.evaluation_checks import step_methods

ANALYSIS_TABLES, ANALYSIS_FIGURES = [], []
STEP_SCORES = expand("<results>/scores/{method}/{target}.zarr", method=step_methods(PLAN.config), target=PLAN.targets)

if PLAN.evaluation["step_correlation"] is not None:
    ANALYSIS_TABLES.append("<results>/tables/step_correlation.csv")
    ANALYSIS_FIGURES.append("<results>/figures/step_correlation.png")

    rule step_correlation:
        input:
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
            spec=spec("plot_step_correlation"),
        shell:
            'python "$WAYPOINT_SCRIPTS"/analyses/plot_step_correlation.py --spec {params.spec:q} --table {input.table:q}'
            " --out {output:q} --log {log:q}"


if PLAN.evaluation["sign_overlap"]:
    ANALYSIS_TABLES.append("<results>/tables/sign_overlap.csv")
    ANALYSIS_FIGURES += ["<results>/figures/sign_overlap.png", "<results>/figures/sign_flips.png"]

    rule sign_overlap:
        input:
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
            spec=spec("plot_sign_overlap"),
        shell:
            'python "$WAYPOINT_SCRIPTS"/analyses/plot_sign_overlap.py --spec {params.spec:q} --table {input.table:q} --out {output:q}'
            " --log {log:q}"

    rule plot_sign_flips:
        input:
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
            spec=spec("plot_sign_flips"),
        shell:
            'python "$WAYPOINT_SCRIPTS"/analyses/plot_sign_flips.py --spec {params.spec:q} --table {input.table:q} --data {input.data:q}'
            " --scores {input.scores:q} --trajectories {input.trajectories:q} --out {output:q} --log {log:q}"


if PLAN.evaluation["top_overlap"]:
    ANALYSIS_TABLES.append("<results>/tables/top_overlap.csv")
    ANALYSIS_FIGURES.append("<results>/figures/top_overlap.png")

    rule top_overlap:
        input:
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
            spec=spec("plot_top_overlap"),
        shell:
            'python "$WAYPOINT_SCRIPTS"/analyses/plot_top_overlap.py --spec {params.spec:q} --table {input.table:q} --out {output:q}'
            " --log {log:q}"


SPLIT_HALF_TABLES, SPLIT_HALF_FIGURES = [], []

if PLAN.evaluation["split_half"] is not None:
    SPLIT_HALF_TABLES, SPLIT_HALF_FIGURES = ["<results>/tables/split_half.csv"], ["<results>/figures/split_half.png"]
    HALVED = PLAN.config["features"]["keep_halves"]

    rule split_half:
        input:
            scores=expand("<results>/scores/trak/{target}.zarr", target=PLAN.targets),
            features=expand("<results>/features/plain/{checkpoint}.zarr", checkpoint=PLAN.checkpoints) if HALVED else [],
            gradients=expand("<results>/targets/{target}/gradients/plain.zarr", target=PLAN.targets) if HALVED else [],
        output:
            table=report(
                "<results>/tables/split_half.csv",
                caption="../docs/report/split_half.rst",
                category="Reliability",
                labels={"table": "split_half"},
            ),
            attributes=beside("<results>/tables/split_half.csv"),
        log:
            "<logs>/split_half.log",
        conda:
            "../envs/waypoint.yaml"
        params:
            spec=spec("split_half"),
        shell:
            'python "$WAYPOINT_SCRIPTS"/analyses/split_half.py --spec {params.spec:q} --scores {input.scores:q}'
            " --features {input.features:q} --gradients {input.gradients:q} --out {output.table:q} --log {log:q}"

    rule plot_split_half:
        input:
            table="<results>/tables/split_half.csv",
            attributes=beside("<results>/tables/split_half.csv"),
        output:
            report(
                "<results>/figures/split_half.png",
                caption="../docs/report/split_half.rst",
                category="Reliability",
                labels={"figure": "split_half"},
            ),
        log:
            "<logs>/plot_split_half.log",
        conda:
            "../envs/waypoint.yaml"
        params:
            spec=spec("plot_split_half"),
        shell:
            'python "$WAYPOINT_SCRIPTS"/analyses/plot_split_half.py --spec {params.spec:q} --table {input.table:q} --out {output:q}'
            " --log {log:q}"
