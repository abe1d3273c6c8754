"""Attribution scores: Algorithm 1, line 17, the baselines, and whatever else workflow/methods.py has a row for.

A method is whatever writes here. Every kind of method that the configuration names has a rule, made from its row.

If a method makes one pass over the features, one job scores all pending targets, into resume/scores/{method}/; the other
jobs find their scores finished (workflow/jobs/shared_pass.py).

Reads   targets/{target}/*.zarr, features/, kernels/, data/train.zarr, embeddings/
Makes   scores/{method}/{target}.zarr, embeddings/{encoder}.zarr
"""

for KIND in PLAN.kinds:

    rule:
        name:
            KIND.stage
        input:
            **scores_from(KIND),
        output:
            directory("<results>/scores/{method}/{target}.zarr"),
        log:
            f"<logs>/{KIND.stage}/{{method}}-{{target}}.log",
        wildcard_constraints:
            method="|".join(PLAN.of_kind(KIND.name)),
        group:
            submitted_with(KIND)
        conda:
            "../envs/waypoint.yaml"
        resources:
            **SLURM_RESOURCES[KIND.slurm],
        params:
            spec=spec(KIND.stage),
            script=KIND.stage,
            options=options_of(KIND),
            # paths outside the store, which are no reason to rerun
            places='--places "$WAYPOINT_ENCODERS"' if "embeddings" in KIND.reads else "",
        shell:
            'python "$WAYPOINT_SCRIPTS/scores/{params.script:q}.py" --spec {params.spec:q} {params.options} {params.places}'
            " --method {wildcards.method} --target {wildcards.target} --out {output:q} --log {log:q}"


if PLAN.encoders:

    rule embed_images:
        input:
            data="<results>/data/train.zarr",
        output:
            directory("<results>/embeddings/{encoder}.zarr"),
        log:
            "<logs>/embed_images/{encoder}.log",
        wildcard_constraints:
            encoder="|".join(PLAN.encoders),
        conda:
            "../envs/waypoint.yaml"
        resources:
            **submitted_as("embed_images"),
        params:
            spec=spec("embed_images"),
        shell:
            call("scores/embed_images", "data", '--encoder {wildcards.encoder} --places "$WAYPOINT_ENCODERS"')
