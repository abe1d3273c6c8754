"""Samples of p(·|x_t), the check of x̂0_t against them, and seed consistency (B.1).

Reads   targets/{target}/trajectory.zarr, checkpoints/full/*/
Makes   evaluation/samples/{target}.zarr, evaluation/seed_consistency.zarr, tables/proxy.csv, seed_consistency.csv,
        figures/proxy.png, seed_consistency.png
"""

SAMPLES_STORES, SAMPLES_TABLES, SAMPLES_FIGURES = [], [], []

if PLAN.evaluation["samples"]:
    SAMPLED = PLAN.evaluated("samples")
    SAMPLES_STORES += expand("<results>/evaluation/samples/{target}.zarr", target=SAMPLED)
    SAMPLES_TABLES.append("<results>/tables/proxy.csv")
    SAMPLES_FIGURES.append("<results>/figures/proxy.png")

    rule sample_from_x_t:
        input:
            current("samples", "evaluation/samples/{target}.zarr"),
            trajectory="<results>/targets/{target}/trajectory.zarr",
            generator=lambda w: f"<results>/checkpoints/{PLAN.targets[w.target]['checkpoint']}",
            vae=VAE,
        output:
            directory("<results>/evaluation/samples/{target}.zarr"),
        log:
            "<logs>/sample_from_x_t/{target}.log",
        conda:
            "../envs/waypoint.yaml"
        resources:
            gpu=1,
        params:
            spec=spec("samples"),
        shell:
            'python "$WAYPOINT_SCRIPTS"/samples/sample_from_x_t.py --spec {params.spec:q} --trajectory {input.trajectory:q}'
            " --generator {input.generator:q} --vae {input.vae:q} --target {wildcards.target} --out {output:q} --log {log:q}"

    rule one_step_error:
        input:
            current("proxy", "tables/proxy.csv"),
            samples=expand("<results>/evaluation/samples/{target}.zarr", target=SAMPLED),
            trajectories=expand("<results>/targets/{target}/trajectory.zarr", target=SAMPLED),
        output:
            table=report(
                "<results>/tables/proxy.csv",
                caption="../docs/report/proxy.rst",
                category="Samples",
                labels={"table": "one-step estimate against samples"},
            ),
            attributes=beside("<results>/tables/proxy.csv"),
        log:
            "<logs>/one_step_error.log",
        conda:
            "../envs/waypoint.yaml"
        params:
            spec=spec("proxy"),
        shell:
            'python "$WAYPOINT_SCRIPTS"/samples/one_step_error.py --spec {params.spec:q} --samples {input.samples:q}'
            " --trajectories {input.trajectories:q} --out {output.table:q} --log {log:q}"

    rule plot_one_step_error:
        input:
            current("evaluation_figure", "figures/proxy.png"),
            table="<results>/tables/proxy.csv",
            attributes=beside("<results>/tables/proxy.csv"),
        output:
            report(
                "<results>/figures/proxy.png",
                caption="../docs/report/proxy.rst",
                category="Samples",
                labels={"figure": "one-step estimate against samples"},
            ),
        log:
            "<logs>/plot_one_step_error.log",
        conda:
            "../envs/waypoint.yaml"
        params:
            spec=spec("evaluation_figure"),
        shell:
            'python "$WAYPOINT_SCRIPTS"/samples/plot_one_step_error.py --spec {params.spec:q} --table {input.table:q} --out {output:q}'
            " --log {log:q}"


if PLAN.evaluation["seed_consistency"]:
    SAMPLES_STORES.append("<results>/evaluation/seed_consistency.zarr")
    SAMPLES_TABLES.append("<results>/tables/seed_consistency.csv")
    SAMPLES_FIGURES.append("<results>/figures/seed_consistency.png")

    rule seed_consistency:
        input:
            current("seed_consistency", "evaluation/seed_consistency.zarr"),
            current("seed_consistency", "tables/seed_consistency.csv"),
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
            gpu=1,
        params:
            spec=spec("seed_consistency"),
            rows=json.dumps(PLAN.seeded_targets()),
        shell:
            'python "$WAYPOINT_SCRIPTS"/samples/seed_consistency.py --spec {params.spec:q} --models {input.models:q}'
            " --rows {params.rows:q} --vae {input.vae:q} --text {input.text:q} --out {output.store:q} --table {output.table:q} --log {log:q}"

    rule plot_seed_consistency:
        input:
            current("evaluation_figure", "figures/seed_consistency.png"),
            store="<results>/evaluation/seed_consistency.zarr",
            table="<results>/tables/seed_consistency.csv",
            attributes=beside("<results>/tables/seed_consistency.csv"),
        output:
            report(
                "<results>/figures/seed_consistency.png",
                caption="../docs/report/seed_consistency.rst",
                category="Seed consistency",
                labels={"figure": "seed consistency"},
            ),
        log:
            "<logs>/plot_seed_consistency.log",
        conda:
            "../envs/waypoint.yaml"
        params:
            spec=spec("evaluation_figure"),
        shell:
            'python "$WAYPOINT_SCRIPTS"/samples/plot_seed_consistency.py --spec {params.spec:q} --store {input.store:q}'
            " --table {input.table:q} --out {output:q} --log {log:q}"
