"""Scores of groups of training images (section groups): an artist, a source, a class; docs/groups.md.

Reads   scores/*/{target}.zarr, data/train.zarr, embeddings/{encoder}.zarr, targets/{target}/trajectory.zarr
Makes   evaluation/groups/{target}.csv, tables/group_influences.csv, figures/{target}/groups.png
"""

GROUP_TABLES, GROUP_FIGURES = [], []

if PLAN.config["groups"] is not None:
    GROUP_TABLES = ["<results>/tables/group_influences.csv"]
    GROUP_FIGURES = expand("<results>/figures/{target}/groups.png", target=PLAN.targets)

    rule group_influences:
        input:
            data="<results>/data/train.zarr",
            scores=lambda w: expand(
                "<results>/scores/{method}/{target}.zarr", method=PLAN.config["methods"], target=w.target
            ),
            embeddings=[f"<results>/embeddings/{of['encoder']}.zarr" for _, of in PLAN.group_encoder()],
            lists=outside(list(PLAN.group_lists.values())),
        output:
            table="<results>/evaluation/groups/{target}.csv",
            attributes=beside("<results>/evaluation/groups/{target}.csv"),
        log:
            "<logs>/group_influences/{target}.log",
        group:
            in_group("group_influences")
        conda:
            "../envs/waypoint.yaml"
        resources:
            **submitted_as("group_influences"),
        params:
            spec=spec("group_influences"),
            embeddings=lambda w, input: ["--embeddings", *input.embeddings] if input.embeddings else [],
        shell:
            call(
                "groups/group_influences",
                "data scores lists",
                "{params.embeddings:q} --target {wildcards.target}",
                out="table",
            )

    rule group_table:
        input:
            tables=expand("<results>/evaluation/groups/{target}.csv", target=PLAN.targets),
            attributes=beside(*expand("<results>/evaluation/groups/{target}.csv", target=PLAN.targets)),
        output:
            table=report(
                "<results>/tables/group_influences.csv",
                caption="../docs/report/group_influences.rst",
                category="Tables",
                labels={"table": "groups"},
            ),
            attributes=beside("<results>/tables/group_influences.csv"),
        log:
            "<logs>/group_table.log",
        group:
            in_group("group_table")
        conda:
            "../envs/waypoint.yaml"
        resources:
            **submitted_as("group_table"),
        params:
            spec=spec("group_table"),
        shell:
            call("groups/group_table", "tables", out="table")

    rule plot_groups:
        input:
            table="<results>/evaluation/groups/{target}.csv",
            attributes=beside("<results>/evaluation/groups/{target}.csv"),
            trajectory="<results>/targets/{target}/trajectory.zarr",
        output:
            figure=report(
                "<results>/figures/{target}/groups.png",
                caption="../docs/report/groups.rst",
                category="Groups",
                labels={"target": "{target}"},
            ),
            attributes=beside("<results>/figures/{target}/groups.png"),
        log:
            "<logs>/plot_groups/{target}.log",
        group:
            in_group("plot_groups")
        conda:
            "../envs/waypoint.yaml"
        resources:
            **submitted_as("plot_groups"),
        params:
            spec=spec("plot_groups"),
        shell:
            call("groups/plot_groups", "table trajectory", "--target {wildcards.target}", out="figure")
