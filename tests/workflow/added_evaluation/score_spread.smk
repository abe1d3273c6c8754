"""Spread of scores, which a test adds.

Reads   scores/*/*.zarr
Makes   evaluation/spread/{target}.zarr, figures/score_spread.png
"""

if PLAN.evaluation["score_spread"]:

    rule score_spread:
        input:
            scores=expand("<results>/scores/{method}/{{target}}.zarr", method=PLAN.config["methods"]),
        output:
            directory("<results>/evaluation/spread/{target}.zarr"),
        log:
            "<logs>/score_spread/{target}.log",
        conda:
            "../envs/waypoint.yaml"
        resources:
            **submitted_as("score_spread"),
        params:
            spec=spec("score_spread"),
        shell:
            "true"

    rule plot_score_spread:
        input:
            stores=expand("<results>/evaluation/spread/{target}.zarr", target=PLAN.targets),
        output:
            "<results>/figures/score_spread.png",
        log:
            "<logs>/plot_score_spread.log",
        group:
            in_group("plot_score_spread")
        conda:
            "../envs/waypoint.yaml"
        resources:
            **submitted_as("plot_score_spread"),
        params:
            spec=spec("plot_score_spread"),
        shell:
            "true"
