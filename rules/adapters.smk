"""Whether adapters do anything: if not, their scores mean nothing.

Reads   checkpoints/full/*/, checkpoints/base/0/, targets/{target}/trajectory.zarr
Makes   tables/adapter_effect.csv
"""

ADAPTER_TABLES = []

if PLAN.base and PLAN.attributed:
    ADAPTER_TABLES.append("<results>/tables/adapter_effect.csv")

    rule adapter_effect:
        input:
            base=BASE,
            models=expand("<results>/checkpoints/{checkpoint}", checkpoint=PLAN.checkpoints),
            trajectories=expand("<results>/targets/{target}/trajectory.zarr", target=PLAN.images),
        output:
            table=report(
                "<results>/tables/adapter_effect.csv",
                caption="../docs/report/adapter_effect.rst",
                category="Tables",
                labels={"table": "adapter effect"},
            ),
            attributes=beside("<results>/tables/adapter_effect.csv"),
        log:
            "<logs>/adapter_effect.log",
        conda:
            "../envs/waypoint.yaml"
        resources:
            **submitted_as("adapter_effect"),
        params:
            spec=spec("adapter_effect"),
        shell:
            call("adapters/adapter_effect", "models trajectories", out="table")
