"""Figures of single targets, and tables over all targets.

Reads   scores/{method}/{target}.zarr, targets/{target}/*.zarr, data/train.zarr, data/near_duplicates.zarr
Makes   figures/{target}/{method}.png, figures/{target}/regions.png, tables/top_influences.csv,
        tables/scores_of_images.csv of the images that tables.images lists; without data figures/{target}/trajectory.png
"""

# without data there are no scores to show, only the trajectories of targets with samples
PICTURED_ALONE = PLAN.evaluated("samples") if PLAN.evaluation["samples"] and not PLAN.attributed else []
TRAJECTORY_FIGURES = expand("<results>/figures/{target}/trajectory.png", target=PICTURED_ALONE)

REGION_FIGURES = expand("<results>/figures/{target}/regions.png", target=PLAN.region_figures)

IMAGE_TABLES = ["<results>/tables/scores_of_images.csv"] if PLAN.config["tables"]["images"] else []

if PICTURED_ALONE:

    rule plot_trajectory:
        input:
            trajectory="<results>/targets/{target}/trajectory.zarr",
            samples="<results>/targets/{target}/samples.zarr",
        output:
            figure=report(
                "<results>/figures/{target}/trajectory.png",
                caption="../docs/report/trajectory.rst",
                category="Trajectories",
                labels={"target": "{target}"},
            ),
            attributes=beside("<results>/figures/{target}/trajectory.png"),
        log:
            "<logs>/plot_trajectory/{target}.log",
        group:
            in_group("plot_trajectory")
        conda:
            "../envs/waypoint.yaml"
        resources:
            **submitted_as("plot_trajectory"),
        params:
            spec=spec("plot_trajectory"),
        shell:
            call("report/plot_trajectory", "trajectory samples", "--target {wildcards.target}", out="figure")


if PLAN.attributed:

    rule trajectory_panel:
        input:
            data="<results>/data/train.zarr",
            near="<results>/data/near_duplicates.zarr",
            trajectory="<results>/targets/{target}/trajectory.zarr",
            samples="<results>/targets/{target}/samples.zarr",
            scores="<results>/scores/{method}/{target}.zarr",
            # of given images, their comparison with the training images
            compared=lambda w: [
                f"<results>/targets/{of['target']}/compared.zarr" for _, of in PLAN.compared_image(w.target)
            ],
        output:
            figure=report(
                "<results>/figures/{target}/{method}.png",
                caption="../docs/report/panel.rst",
                category="Trajectory panels",
                labels={"target": "{target}", "method": "{method}"},
            ),
            attributes=beside("<results>/figures/{target}/{method}.png"),
        log:
            "<logs>/trajectory_panel/{target}-{method}.log",
        group:
            in_group("trajectory_panel")
        conda:
            "../envs/waypoint.yaml"
        resources:
            **submitted_as("trajectory_panel"),
        params:
            spec=spec("trajectory_panel"),
        shell:
            call(
                "report/trajectory_panel",
                "data near trajectory samples scores compared",
                "--target {wildcards.target}",
                out="figure",
            )

    rule plot_regions:
        input:
            data="<results>/data/train.zarr",
            near="<results>/data/near_duplicates.zarr",
            # an image with several masks has one trajectory, under the id that they share
            trajectory="<results>/targets/{target}/trajectory.zarr",
            scores=lambda w: expand(
                "<results>/scores/{method}/{mask}.zarr", method=PLAN.regional, mask=PLAN.masks_of(w.target)
            ),
            pngs=lambda w: outside(PLAN.mask_files(w.target)),
        output:
            figure=report(
                "<results>/figures/{target}/regions.png",
                caption="../docs/report/regions.rst",
                category="Regions",
                labels={"target": "{target}"},
            ),
            attributes=beside("<results>/figures/{target}/regions.png"),
        log:
            "<logs>/plot_regions/{target}.log",
        group:
            in_group("plot_regions")
        conda:
            "../envs/waypoint.yaml"
        resources:
            **submitted_as("plot_regions"),
        params:
            spec=spec("plot_regions"),
        shell:
            call("report/plot_regions", "data near trajectory scores pngs", "--target {wildcards.target}", out="figure")

    rule top_influences:
        input:
            data="<results>/data/train.zarr",
            near="<results>/data/near_duplicates.zarr",
            scores=expand("<results>/scores/{method}/{target}.zarr", method=PLAN.config["methods"], target=PLAN.targets),
        output:
            table=report(
                "<results>/tables/top_influences.csv",
                caption="../docs/report/top_influences.rst",
                category="Tables",
                labels={"table": "top influences"},
            ),
            attributes=beside("<results>/tables/top_influences.csv"),
        log:
            "<logs>/top_influences.log",
        group:
            in_group("top_influences")
        conda:
            "../envs/waypoint.yaml"
        resources:
            **submitted_as("top_influences"),
        params:
            spec=spec("top_influences"),
        shell:
            call("report/top_influences", "data near scores", out="table")


if IMAGE_TABLES:

    rule scores_of_images:
        input:
            data="<results>/data/train.zarr",
            scores=expand("<results>/scores/{method}/{target}.zarr", method=PLAN.config["methods"], target=PLAN.targets),
        output:
            table=report(
                "<results>/tables/scores_of_images.csv",
                caption="../docs/report/scores_of_images.rst",
                category="Tables",
                labels={"table": "scores of images"},
            ),
            attributes=beside("<results>/tables/scores_of_images.csv"),
        log:
            "<logs>/scores_of_images.log",
        group:
            in_group("scores_of_images")
        conda:
            "../envs/waypoint.yaml"
        resources:
            **submitted_as("scores_of_images"),
        params:
            spec=spec("scores_of_images"),
        shell:
            call("report/scores_of_images", "data scores", out="table")
