"""Retraining without the top influencers: counterfactual distance (Fig. 5) and forgetting (Fig. 7).

Reads   checkpoints/{full,without}/*/, targets/{target}/trajectory.zarr, scores/{method}/{target}.zarr,
        evaluation/classifiers/standard/
Makes   evaluation/counterfactual/{target}.zarr, evaluation/{counterfactual,forgetting}/{method}/{target}.zarr,
        tables/counterfactual_fid.csv, tables/forgetting.csv, tables/*_comparison.csv,
        figures/counterfactual_fid.png, figures/forgetting.png
"""

PICTURED = 4  # targets whose images the forgetting figure shows

if PLAN.evaluation["counterfactual"]:
    COMPARED = PLAN.evaluated("counterfactual")
    CLASSIFIER = (
        "<results>/evaluation/classifiers/standard" if PLAN.evaluation["fid"]["features"] == "classifier" else []
    )

    rule counterfactual_original:
        input:
            trajectory="<results>/targets/{target}/trajectory.zarr",
            base=BASE,
            generator=generating_model,
            vae=VAE,
            models=full_models,
            classifier=CLASSIFIER,
        output:
            directory("<results>/evaluation/counterfactual/{target}.zarr"),
        log:
            "<logs>/counterfactual_original/{target}.log",
        conda:
            "../envs/waypoint.yaml"
        resources:
            **submitted_as("counterfactual_original"),
        params:
            spec=spec("counterfactual_original"),
        shell:
            call(
                "removals/counterfactual_original",
                "trajectory generator vae models classifier",
                '--weights "$WAYPOINT_FID_WEIGHTS" --target {wildcards.target}',
            )

    rule counterfactual_without:
        input:
            trajectory="<results>/targets/{target}/trajectory.zarr",
            base=BASE,
            generator=generating_model,
            vae=VAE,
            models=models_without("counterfactual"),
            original="<results>/evaluation/counterfactual/{target}.zarr",
            scores=scores_removed_by,
            classifier=CLASSIFIER,
        output:
            directory("<results>/evaluation/counterfactual/{method}/{target}.zarr"),
        log:
            "<logs>/counterfactual_without/{method}-{target}.log",
        conda:
            "../envs/waypoint.yaml"
        resources:
            **submitted_as("counterfactual_without"),
        params:
            spec=spec("counterfactual_without"),
        shell:
            call(
                "removals/counterfactual_without",
                "trajectory generator vae models original scores classifier",
                '--weights "$WAYPOINT_FID_WEIGHTS" --method {wildcards.method} --target {wildcards.target}',
            )

    rule counterfactual_table:
        input:
            originals=expand("<results>/evaluation/counterfactual/{target}.zarr", target=COMPARED),
            without=expand(
                "<results>/evaluation/counterfactual/{method}/{target}.zarr",
                method=methods_of(PLAN, "counterfactual"),
                target=COMPARED,
            ),
        output:
            table=report(
                "<results>/tables/counterfactual_fid.csv",
                caption="../docs/report/counterfactual_fid.rst",
                category="Retraining without the top influencers",
                labels={"table": "counterfactual distance"},
            ),
            attributes=beside("<results>/tables/counterfactual_fid.csv"),
        log:
            "<logs>/counterfactual_table.log",
        group:
            in_group("counterfactual_table")
        conda:
            "../envs/waypoint.yaml"
        resources:
            **submitted_as("counterfactual_table"),
        params:
            spec=spec("counterfactual_table"),
        shell:
            call("removals/counterfactual_table", "originals without", out="table")

    rule plot_counterfactual:
        input:
            table="<results>/tables/counterfactual_fid.csv",
            attributes=beside("<results>/tables/counterfactual_fid.csv"),
        output:
            figure=report(
                "<results>/figures/counterfactual_fid.png",
                caption="../docs/report/counterfactual_fid.rst",
                category="Retraining without the top influencers",
                labels={"figure": "counterfactual distance"},
            ),
            attributes=beside("<results>/figures/counterfactual_fid.png"),
        log:
            "<logs>/plot_counterfactual.log",
        group:
            in_group("plot_counterfactual")
        conda:
            "../envs/waypoint.yaml"
        resources:
            **submitted_as("plot_counterfactual"),
        params:
            spec=spec("plot_counterfactual"),
        shell:
            call("removals/plot_counterfactual", "table", out="figure")


if PLAN.evaluation["forgetting"]:
    FORGOTTEN = PLAN.evaluated("forgetting")
    FORGETTING_METHODS = compared_methods(PLAN)

    rule forgetting:
        input:
            trajectory="<results>/targets/{target}/trajectory.zarr",
            base=BASE,
            generator=generating_model,
            vae=VAE,
            models=models_without("forgetting"),
            scores=scores_removed_by,
        output:
            directory("<results>/evaluation/forgetting/{method}/{target}.zarr"),
        log:
            "<logs>/forgetting/{method}-{target}.log",
        conda:
            "../envs/waypoint.yaml"
        resources:
            **submitted_as("forgetting"),
        params:
            spec=spec("forgetting"),
        shell:
            call(
                "removals/forgetting",
                "trajectory generator vae models scores",
                "--method {wildcards.method} --target {wildcards.target}",
            )

    rule forgetting_table:
        input:
            stores=expand(
                "<results>/evaluation/forgetting/{method}/{target}.zarr", method=FORGETTING_METHODS, target=FORGOTTEN
            ),
        output:
            table=report(
                "<results>/tables/forgetting.csv",
                caption="../docs/report/forgetting.rst",
                category="Retraining without the top influencers",
                labels={"table": "forgetting"},
            ),
            attributes=beside("<results>/tables/forgetting.csv"),
        log:
            "<logs>/forgetting_table.log",
        group:
            in_group("forgetting_table")
        conda:
            "../envs/waypoint.yaml"
        resources:
            **submitted_as("forgetting_table"),
        params:
            spec=spec("forgetting_table"),
        shell:
            call("removals/forgetting_table", "stores", out="table")

    rule plot_forgetting:
        input:
            table="<results>/tables/forgetting.csv",
            stores=expand(
                "<results>/evaluation/forgetting/{method}/{target}.zarr",
                method=FORGETTING_METHODS,
                target=FORGOTTEN[:PICTURED],
            ),
            attributes=beside("<results>/tables/forgetting.csv"),
        output:
            figure=report(
                "<results>/figures/forgetting.png",
                caption="../docs/report/forgetting.rst",
                category="Retraining without the top influencers",
                labels={"figure": "forgetting"},
            ),
            attributes=beside("<results>/figures/forgetting.png"),
        log:
            "<logs>/plot_forgetting.log",
        group:
            in_group("plot_forgetting")
        conda:
            "../envs/waypoint.yaml"
        resources:
            **submitted_as("plot_forgetting"),
        params:
            spec=spec("plot_forgetting"),
        shell:
            call("removals/plot_forgetting", "table stores", out="figure")


if PLAN.evaluation["counterfactual"] or PLAN.evaluation["forgetting"]:

    rule compare_removals:
        input:
            table="<results>/tables/{evaluation}.csv",
            attributes=beside("<results>/tables/{evaluation}.csv"),
        output:
            table=report(
                "<results>/tables/{evaluation}_comparison.csv",
                caption="../docs/report/compare_removals.rst",
                category="Retraining without the top influencers",
                labels={"table": "methods compared, {evaluation}"},
            ),
            attributes=beside("<results>/tables/{evaluation}_comparison.csv"),
        log:
            "<logs>/compare_removals/{evaluation}.log",
        wildcard_constraints:
            evaluation="counterfactual_fid|forgetting",
        group:
            in_group("compare_removals")
        conda:
            "../envs/waypoint.yaml"
        resources:
            **submitted_as("compare_removals"),
        params:
            spec=spec("compare_removals"),
        shell:
            call("removals/compare_removals", "table", "--evaluation {wildcards.evaluation}", out="table")
