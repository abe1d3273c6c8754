"""Named targets: everything, or one stage's output (snakemake scores --cores 2)."""


rule checkpoints:
    input:
        BASE,
        expand("<results>/checkpoints/{checkpoint}", checkpoint=[*PLAN.checkpoints, *PLAN.retrained_models()]),


rule curvatures:
    input:
        [maps_of(basis, PLAN.checkpoints) for basis in PLAN.bases],


rule features:
    input:
        expand(
            "<results>/features/{basis}/{checkpoint}.zarr",
            basis=PLAN.bases,
            checkpoint=PLAN.checkpoints if PLAN.attributed else [],
        ),


rule fisher:
    input:
        expand("<results>/fisher/{basis}/{checkpoint}.zarr", basis=PLAN.fisher_bases, checkpoint=PLAN.checkpoints),


rule kernels:
    input:
        expand("<results>/kernels/{method}/{checkpoint}.zarr", method=PLAN.with_kernel, checkpoint=PLAN.checkpoints),


rule gradients:
    input:
        expand(
            "<results>/targets/{target}/{part}.zarr",
            target=PLAN.targets,
            part=["trajectory", *(f"gradients/{basis}" for basis in PLAN.bases)],
        ),
        expand("<results>/targets/{image}/trajectory.zarr", image=dict.fromkeys(PLAN.shared.values())),


rule scores:
    input:
        expand("<results>/scores/{method}/{target}.zarr", method=PLAN.config["methods"], target=PLAN.targets),


rule lds:
    input:
        made("stores", "lds"),
        made("tables", "lds"),
        # without panels, which need samples of all targets
        expand("<results>/figures/{name}.png", name=["lds", "lds_cross"] if PLAN.evaluation["lds"] else []),


rule evaluations:
    input:
        SAMPLES_STORES,
        made("stores"),


rule tables:
    input:
        "<results>/tables/top_influences.csv" if PLAN.attributed else [],
        IMAGE_TABLES,
        GROUP_TABLES,
        GIVEN_TABLES,
        ADAPTER_TABLES,
        made("tables"),


rule figures:
    input:
        expand("<results>/figures/{target}/{method}.png", method=PLAN.config["methods"], target=PLAN.targets),
        TRAJECTORY_FIGURES,
        REGION_FIGURES,
        GROUP_FIGURES,
        MODEL_FIGURES,
        made("figures"),
