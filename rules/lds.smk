"""Linear datamodeling score (Fig. 4): outputs of subset models, against predictions from summed scores.

Reads   checkpoints/subset/*/, targets/{target}/trajectory.zarr, scores/*/*.zarr
Makes   evaluation/subsets.zarr, evaluation/outputs/{target}.zarr, tables/lds*.csv, figures/lds*.png,
        figures/{target}/lds/{method}.png

Trajectory panels do not wait for retraining: those with the LDS are separate figures.
"""

if PLAN.evaluation["lds"]:

    rule draw_subsets:
        input:
            data="<results>/data/train.zarr",
        output:
            directory("<results>/evaluation/subsets.zarr"),
        log:
            "<logs>/draw_subsets.log",
        conda:
            "../envs/waypoint.yaml"
        params:
            spec=spec("draw_subsets"),
        shell:
            call("lds/draw_subsets", "data")

    rule subset_outputs:
        input:
            trajectory="<results>/targets/{target}/trajectory.zarr",
            base=BASE,
            generator=lambda w: f"<results>/checkpoints/{PLAN.targets[w.target]['checkpoint']}",
            mask=lambda w: outside(PLAN.mask_file(w.target)),
            subsets="<results>/evaluation/subsets.zarr",
            models="<results>/checkpoints/subset/models.json",
            listed=carried(*[f"<results>/checkpoints/{name}" for name in subset_models(PLAN)]),
            attributes=beside("<results>/checkpoints/subset/models.json"),
        output:
            directory("<results>/evaluation/outputs/{target}.zarr"),
        log:
            "<logs>/subset_outputs/{target}.log",
        conda:
            "../envs/waypoint.yaml"
        resources:
            **submitted_as("subset_outputs"),
        params:
            spec=spec("subset_outputs"),
        shell:
            call("lds/subset_outputs", "trajectory generator mask subsets models", "--target {wildcards.target}")

    rule lds_tables:
        input:
            subsets="<results>/evaluation/subsets.zarr",
            outputs=expand("<results>/evaluation/outputs/{target}.zarr", target=PLAN.targets),
            scores=expand("<results>/scores/{method}/{target}.zarr", method=PLAN.config["methods"], target=PLAN.targets),
        output:
            lds="<results>/tables/lds.csv",
            summary=report(
                "<results>/tables/lds_summary.csv",
                caption="../docs/report/lds_summary.rst",
                category="Linear datamodeling score",
                labels={"table": "LDS by step"},
            ),
            cross="<results>/tables/lds_cross.csv",
            overall=report(
                "<results>/tables/lds_overall.csv",
                caption="../docs/report/lds_summary.rst",
                category="Linear datamodeling score",
                labels={"table": "LDS over all steps"},
            ),
            comparison="<results>/tables/lds_comparison.csv",
            attributes=beside(*(f"<results>/tables/{name}.csv" for name in TABLES)),
        log:
            "<logs>/lds_tables.log",
        group:
            in_group("lds_tables")
        conda:
            "../envs/waypoint.yaml"
        resources:
            **submitted_as("lds_tables"),
        params:
            spec=spec("lds_tables"),
        shell:
            call("lds/lds_tables", "subsets outputs scores", outputs="lds summary cross overall comparison")

    rule plot_lds:
        input:
            summary="<results>/tables/lds_summary.csv",
            overall="<results>/tables/lds_overall.csv",
            attributes=beside("<results>/tables/lds_summary.csv", "<results>/tables/lds_overall.csv"),
        output:
            figure=report(
                "<results>/figures/lds.png",
                caption="../docs/report/lds.rst",
                category="Linear datamodeling score",
                labels={"figure": "LDS against t"},
            ),
            attributes=beside("<results>/figures/lds.png"),
        log:
            "<logs>/plot_lds.log",
        group:
            in_group("plot_lds")
        conda:
            "../envs/waypoint.yaml"
        resources:
            **submitted_as("plot_lds"),
        params:
            spec=spec("plot_lds"),
        shell:
            call("lds/plot_lds", "summary overall", out="figure")

    rule plot_lds_cross:
        input:
            cross="<results>/tables/lds_cross.csv",
            attributes=beside("<results>/tables/lds_cross.csv"),
        output:
            figure=report(
                "<results>/figures/lds_cross.png",
                caption="../docs/report/lds_cross.rst",
                category="Linear datamodeling score",
                labels={"figure": "LDS across steps"},
            ),
            attributes=beside("<results>/figures/lds_cross.png"),
        log:
            "<logs>/plot_lds_cross.log",
        group:
            in_group("plot_lds_cross")
        conda:
            "../envs/waypoint.yaml"
        resources:
            **submitted_as("plot_lds_cross"),
        params:
            spec=spec("plot_lds_cross"),
        shell:
            call("lds/plot_lds_cross", "cross", out="figure")

    rule plot_lds_panels:
        input:
            summary="<results>/tables/lds_summary.csv",
            overall="<results>/tables/lds_overall.csv",
            panels=[f"<results>/{path}" for path in panels(PLAN, "figures/{target}/{method}.png")],
            attributes=beside(
                "<results>/tables/lds_summary.csv",
                "<results>/tables/lds_overall.csv",
                *(f"<results>/{path}" for path in panels(PLAN, "figures/{target}/{method}.png")),
            ),
        output:
            figures=[f"<results>/{path}" for path in panels(PLAN, PANELS)],
            attributes=beside(*(f"<results>/{path}" for path in panels(PLAN, PANELS))),
        log:
            "<logs>/plot_lds_panels.log",
        group:
            in_group("plot_lds_panels")
        conda:
            "../envs/waypoint.yaml"
        resources:
            **submitted_as("plot_lds_panels"),
        params:
            spec=spec("plot_lds_panels"),
        shell:
            call("lds/plot_lds_panels", "summary overall panels", out="figures")
