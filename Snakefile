"""Waypoint: which training images guided a diffusion model at every step of making an image.

prepare_data → train → featurize → factor_kernel ─┐
                  └→ sample_trajectory → target_gradients → score → table, panels
"""

from snakemake.utils import min_version

min_version("9.27")


include: "rules/common.smk"
include: "rules/data.smk"
include: "rules/models.smk"


if PLAN.attributed:

    include: "rules/features.smk"


include: "rules/targets.smk"


if PLAN.attributed:

    include: "rules/scores.smk"


# every evaluation names its rule file
for FILE in dict.fromkeys(evaluation.rules for evaluation in EVALUATIONS.values()):

    include: f"rules/{FILE}.smk"


include: "rules/groups.smk"
include: "rules/given_images.smk"
include: "rules/adapters.smk"
include: "rules/report.smk"
include: "rules/explorer.smk"
include: "rules/collect.smk"


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
