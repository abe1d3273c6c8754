"""Waypoint: which training images guided a diffusion model at every step of making an image.

prepare_data → train → featurize → factor_kernel ─┐
                  └→ sample_trajectory → target_gradients → score → table, panels
"""

from snakemake.utils import min_version

min_version("9.27")


include: "rules/repository.smk"
include: RULES / "common.smk"
include: RULES / "data.smk"
include: RULES / "models.smk"


if PLAN.attributed:

    include: RULES / "features.smk"


include: RULES / "targets.smk"


if PLAN.attributed:

    include: RULES / "scores.smk"


# every evaluation names its rule file
for FILE in dict.fromkeys(evaluation.rules for evaluation in EVALUATIONS.values()):

    include: RULES / f"{FILE}.smk"


include: RULES / "groups.smk"
include: RULES / "given_images.smk"
include: RULES / "adapters.smk"
include: RULES / "report.smk"
include: RULES / "explorer.smk"
include: RULES / "collect.smk"


rule all:
    default_target: True
    input:
        DATA,
        VAE,
        TEXT_ENCODER,
        rules.checkpoints.input,
        rules.curvatures.input,
        rules.features.input,
        rules.fisher.input,
        rules.kernels.input,
        rules.gradients.input,
        rules.scores.input,
        rules.evaluations.input,
        rules.tables.input,
        rules.figures.input,
        EXPLORERS,


report: "docs/report/workflow.rst"


onstart:
    refuse_missing_weights(workflow.dag)


onsuccess:
    later = START.afterwards()
    print(closing_words(later))
    if later:
        print(f"Waypoint: {later}", file=sys.stderr)
