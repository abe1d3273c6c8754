"""Scores compared with each other: across steps (B.3, B.4, B.5), across targets, and between halves of the draws or
checkpoints, all without retraining.

Reads   scores/*/*.zarr, data/train.zarr, targets/{target}/trajectory.zarr; with features.keep_halves also features/,
        targets/*/gradients.zarr
Makes   tables/{step_correlation,sign_overlap,top_overlap,split_half}.csv,
        figures/{step_correlation,sign_overlap,sign_flips,top_overlap,split_half}.png
"""

STEP_SCORES = expand("<results>/scores/{method}/{target}.zarr", method=methods_by_step(PLAN), target=PLAN.targets)

if PLAN.evaluation["step_correlation"] is not None:

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
        group:
            in_group("step_correlation")
        conda:
            "../envs/waypoint.yaml"
        resources:
            **submitted_as("step_correlation"),
        params:
            spec=spec("step_correlation"),
        shell:
            call("analyses/step_correlation", "scores", out="table")

    rule plot_step_correlation:
        input:
            table="<results>/tables/step_correlation.csv",
            attributes=beside("<results>/tables/step_correlation.csv"),
        output:
            figure=report(
                "<results>/figures/step_correlation.png",
                caption="../docs/report/step_correlation.rst",
                category="Scores across steps and targets",
                labels={"figure": "step correlation"},
            ),
            attributes=beside("<results>/figures/step_correlation.png"),
        log:
            "<logs>/plot_step_correlation.log",
        group:
            in_group("plot_step_correlation")
        conda:
            "../envs/waypoint.yaml"
        resources:
            **submitted_as("plot_step_correlation"),
        params:
            spec=spec("plot_step_correlation"),
        shell:
            call("analyses/plot_step_correlation", "table", out="figure")


if PLAN.evaluation["sign_overlap"]:

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
        group:
            in_group("sign_overlap")
        conda:
            "../envs/waypoint.yaml"
        resources:
            **submitted_as("sign_overlap"),
        params:
            spec=spec("sign_overlap"),
        shell:
            call("analyses/sign_overlap", "scores", out="table")

    rule plot_sign_overlap:
        input:
            table="<results>/tables/sign_overlap.csv",
            attributes=beside("<results>/tables/sign_overlap.csv"),
        output:
            figure=report(
                "<results>/figures/sign_overlap.png",
                caption="../docs/report/sign_overlap.rst",
                category="Scores across steps and targets",
                labels={"figure": "sign overlap"},
            ),
            attributes=beside("<results>/figures/sign_overlap.png"),
        log:
            "<logs>/plot_sign_overlap.log",
        group:
            in_group("plot_sign_overlap")
        conda:
            "../envs/waypoint.yaml"
        resources:
            **submitted_as("plot_sign_overlap"),
        params:
            spec=spec("plot_sign_overlap"),
        shell:
            call("analyses/plot_sign_overlap", "table", out="figure")

    rule plot_sign_flips:
        input:
            table="<results>/tables/sign_overlap.csv",
            data="<results>/data/train.zarr",
            # only the first method: no other one is computed for a figure
            scores=expand(
                "<results>/scores/{method}/{target}.zarr", method=methods_by_step(PLAN)[0], target=PLAN.targets
            ),
            trajectories=expand("<results>/targets/{target}/trajectory.zarr", target=PLAN.targets),
            attributes=beside("<results>/tables/sign_overlap.csv"),
        output:
            figure=report(
                "<results>/figures/sign_flips.png",
                caption="../docs/report/sign_flips.rst",
                category="Scores across steps and targets",
                labels={"figure": "images that change sides"},
            ),
            attributes=beside("<results>/figures/sign_flips.png"),
        log:
            "<logs>/plot_sign_flips.log",
        group:
            in_group("plot_sign_flips")
        conda:
            "../envs/waypoint.yaml"
        resources:
            **submitted_as("plot_sign_flips"),
        params:
            spec=spec("plot_sign_flips"),
        shell:
            call("analyses/plot_sign_flips", "table data scores trajectories", out="figure")


if PLAN.evaluation["top_overlap"]:

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
        group:
            in_group("top_overlap")
        conda:
            "../envs/waypoint.yaml"
        resources:
            **submitted_as("top_overlap"),
        params:
            spec=spec("top_overlap"),
        shell:
            call("analyses/top_overlap", "scores", out="table")

    rule plot_top_overlap:
        input:
            table="<results>/tables/top_overlap.csv",
            attributes=beside("<results>/tables/top_overlap.csv"),
        output:
            figure=report(
                "<results>/figures/top_overlap.png",
                caption="../docs/report/top_overlap.rst",
                category="Scores across steps and targets",
                labels={"figure": "top overlap"},
            ),
            attributes=beside("<results>/figures/top_overlap.png"),
        log:
            "<logs>/plot_top_overlap.log",
        group:
            in_group("plot_top_overlap")
        conda:
            "../envs/waypoint.yaml"
        resources:
            **submitted_as("plot_top_overlap"),
        params:
            spec=spec("plot_top_overlap"),
        shell:
            call("analyses/plot_top_overlap", "table", out="figure")


if PLAN.evaluation["split_half"] is not None:
    HALVED_FEATURES, HALVED_GRADIENTS = [], []
    if PLAN.config["features"]["keep_halves"]:
        BASIS = PLAN.basis(halved(PLAN))
        HALVED_FEATURES = expand(f"<results>/features/{BASIS}/{{name}}.zarr", name=PLAN.checkpoints)
        HALVED_GRADIENTS = expand(f"<results>/targets/{{target}}/gradients/{BASIS}.zarr", target=PLAN.targets)

    rule split_half:
        input:
            scores=expand("<results>/scores/{method}/{target}.zarr", method=halved(PLAN), target=PLAN.targets),
            features=HALVED_FEATURES,
            gradients=HALVED_GRADIENTS,
        output:
            table=report(
                "<results>/tables/split_half.csv",
                caption="../docs/report/split_half.rst",
                category="Split-half reliability",
                labels={"table": "split-half reliability"},
            ),
            attributes=beside("<results>/tables/split_half.csv"),
        log:
            "<logs>/split_half.log",
        group:
            in_group("split_half")
        conda:
            "../envs/waypoint.yaml"
        resources:
            **submitted_as("split_half"),
        params:
            spec=spec("split_half"),
        shell:
            call("analyses/split_half", "scores features gradients", out="table")

    rule plot_split_half:
        input:
            table="<results>/tables/split_half.csv",
            attributes=beside("<results>/tables/split_half.csv"),
        output:
            figure=report(
                "<results>/figures/split_half.png",
                caption="../docs/report/split_half.rst",
                category="Split-half reliability",
                labels={"figure": "split-half reliability"},
            ),
            attributes=beside("<results>/figures/split_half.png"),
        log:
            "<logs>/plot_split_half.log",
        group:
            in_group("plot_split_half")
        conda:
            "../envs/waypoint.yaml"
        resources:
            **submitted_as("plot_split_half"),
        params:
            spec=spec("plot_split_half"),
        shell:
            call("analyses/plot_split_half", "table", out="figure")
