"""Samples of every model of the full set, of p(·|x_t), the check of x̂0_t against them, and seed consistency (B.1).

Reads   targets/{target}/trajectory.zarr, checkpoints/full/*/, data/train.zarr, data/near_duplicates.zarr
Makes   targets/{target}/samples.zarr, evaluation/seed_consistency.zarr, tables/one_step_error.csv, seed_consistency.csv,
        figures/models/full/*.png, one_step_error.png, seed_consistency.png
"""

# every attributed target has samples, for its panels; others are made for evaluations only
SAMPLES_STORES = expand("<results>/targets/{target}/samples.zarr", target=PLAN.targets if PLAN.attributed else [])
SAMPLED = PLAN.evaluated("samples") if PLAN.evaluation["samples"] else []
MODEL_FIGURES = []


rule sample_from_x_t:
    input:
        trajectory="<results>/targets/{target}/trajectory.zarr",
        base=BASE,
        generator=lambda w: f"<results>/checkpoints/{PLAN.targets[w.target]['checkpoint']}",
        vae=VAE,
    output:
        directory("<results>/targets/{target}/samples.zarr"),
    log:
        "<logs>/sample_from_x_t/{target}.log",
    conda:
        "../envs/waypoint.yaml"
    resources:
        **submitted_as("sample_from_x_t"),
    params:
        spec=spec("sample_from_x_t"),
    shell:
        call("samples/sample_from_x_t", "trajectory generator vae", "--target {wildcards.target}")


# without training images there are no captions to generate from
if PLAN.attributed:
    MODEL_FIGURES = expand("<results>/figures/models/{checkpoint}.png", checkpoint=PLAN.checkpoints)

    rule contact_sheet:
        input:
            base=BASE,
            model="<results>/checkpoints/full/{m}",
            data="<results>/data/train.zarr",
            near="<results>/data/near_duplicates.zarr",
            vae=VAE,
        output:
            figure=report(
                "<results>/figures/models/full/{m}.png",
                caption="../docs/report/contact_sheet.rst",
                category="Models",
                labels={"model": "full/{m}"},
            ),
            attributes=beside("<results>/figures/models/full/{m}.png"),
        log:
            "<logs>/contact_sheet/full/{m}.log",
        conda:
            "../envs/waypoint.yaml"
        resources:
            **submitted_as("contact_sheet"),
        params:
            spec=lambda wildcards: PLAN.asked("contact_sheet", checkpoint=f"full/{wildcards.m}"),
        shell:
            call("samples/contact_sheet", "model data near vae", "--name full/{wildcards.m}", out="figure")


if PLAN.evaluation["samples"]:

    rule one_step_error:
        input:
            samples=expand("<results>/targets/{target}/samples.zarr", target=SAMPLED),
            trajectories=expand("<results>/targets/{target}/trajectory.zarr", target=SAMPLED),
        output:
            table=report(
                "<results>/tables/one_step_error.csv",
                caption="../docs/report/one_step_error.rst",
                category="Samples",
                labels={"table": "one-step estimate against samples"},
            ),
            attributes=beside("<results>/tables/one_step_error.csv"),
        log:
            "<logs>/one_step_error.log",
        group:
            in_group("one_step_error")
        conda:
            "../envs/waypoint.yaml"
        resources:
            **submitted_as("one_step_error"),
        params:
            spec=spec("one_step_error"),
        shell:
            call("samples/one_step_error", "samples trajectories", out="table")

    rule plot_one_step_error:
        input:
            table="<results>/tables/one_step_error.csv",
            attributes=beside("<results>/tables/one_step_error.csv"),
        output:
            figure=report(
                "<results>/figures/one_step_error.png",
                caption="../docs/report/one_step_error.rst",
                category="Samples",
                labels={"figure": "one-step estimate against samples"},
            ),
            attributes=beside("<results>/figures/one_step_error.png"),
        log:
            "<logs>/plot_one_step_error.log",
        group:
            in_group("plot_one_step_error")
        conda:
            "../envs/waypoint.yaml"
        resources:
            **submitted_as("plot_one_step_error"),
        params:
            spec=spec("plot_one_step_error"),
        shell:
            call("samples/plot_one_step_error", "table", out="figure")


if PLAN.evaluation["seed_consistency"]:

    rule seed_consistency:
        input:
            base=BASE,
            models=expand("<results>/checkpoints/{model}", model=PLAN.evaluation["seed_consistency"]["models"]),
            vae=VAE,
            text=TEXT_ENCODER,
        output:
            store=directory("<results>/evaluation/seed_consistency.zarr"),
            table=report(
                "<results>/tables/seed_consistency.csv",
                caption="../docs/report/seed_consistency.rst",
                category="Seed consistency",
                labels={"table": "seed consistency"},
            ),
            attributes=beside("<results>/tables/seed_consistency.csv"),
        log:
            "<logs>/seed_consistency.log",
        conda:
            "../envs/waypoint.yaml"
        resources:
            **submitted_as("seed_consistency"),
        params:
            spec=spec("seed_consistency"),
        shell:
            call("samples/seed_consistency", "models vae text", out="store", outputs="table")

    rule plot_seed_consistency:
        input:
            store="<results>/evaluation/seed_consistency.zarr",
            table="<results>/tables/seed_consistency.csv",
            attributes=beside("<results>/tables/seed_consistency.csv"),
        output:
            figure=report(
                "<results>/figures/seed_consistency.png",
                caption="../docs/report/seed_consistency.rst",
                category="Seed consistency",
                labels={"figure": "seed consistency"},
            ),
            attributes=beside("<results>/figures/seed_consistency.png"),
        log:
            "<logs>/plot_seed_consistency.log",
        group:
            in_group("plot_seed_consistency")
        conda:
            "../envs/waypoint.yaml"
        resources:
            **submitted_as("plot_seed_consistency"),
        params:
            spec=spec("plot_seed_consistency"),
        shell:
            call("samples/plot_seed_consistency", "store table", out="figure")
