"""Feature likelihood: the share of samples of p(·|x_t) that a classifier assigns to a class (§3.1, Fig. 3, B.10).

Its table and figures also show image-text preference (``caption_likelihood``).
"""

from waypoint.errors import WaypointError
from waypoint.workflow.config.evaluated import chosen_targets
from waypoint.workflow.evaluations.classifier import KINDS
from waypoint.workflow.evaluations.evaluation import Evaluation
from waypoint.workflow.evaluations.samples import chosen_samples
from waypoint.workflow.plan.stage import FIGURES, START, Recipe, stage

FIGURE = "figures/likelihood-{target}.png"


def judged(plan):
    """Return the targets with rows in tables/feature_likelihood.csv, in the order of evaluation.samples."""
    ids, captions = plan.evaluated("samples"), plan.evaluation["caption_likelihood"]
    if plan.evaluation["likelihood"] is not None:
        return ids
    return [target for target in ids if captions and target in captions["captions"]]


def methods_below(plan):
    """Return, in a list, the method whose training images are shown below the curves: trak if listed; [] if none is."""
    return sorted(plan.methods, key=lambda method: plan.kind(method).name != "trak")[:1]


@stage(version=1, uncounted="classifying samples", slurm="gpu")
def feature_likelihood(plan):
    """The feature likelihoods of classes, captions, or both."""
    targets, sections = judged(plan), {}
    reads = [("sample_from_x_t", {"target": t}) for t in targets] + [plan.trajectory(t) for t in targets]
    if plan.evaluation["likelihood"] is not None:
        sections["likelihood"] = plan.evaluation["likelihood"]
        reads += [("train_classifier", {"kind": kind}) for kind in KINDS]
    if plan.evaluation["caption_likelihood"] is not None:
        section = plan.evaluation["caption_likelihood"]
        sections |= {"caption_likelihood": section, "image_encoder": plan.encoder(section["encoder"])}
    labels = {name: plan.targets[name]["label"] for name in targets if "label" in plan.targets[name]}
    sections |= {"samples": chosen_samples(plan, targets), "labels": labels}
    return Recipe(sections, plan.data(), reads)


@stage(FIGURES, cost=START, slurm="small")
def plot_likelihood(plan, target):
    """figures/likelihood-{target}.png."""
    reads, sections = [("sample_from_x_t", {"target": target})], {}
    if scores := [plan.score(method, target) for method in methods_below(plan)]:
        sections["tables"] = plan.pick("tables", "top")  # the same verdicts as in tables/top_influences.csv
        reads += [("near_duplicates", {}), *scores]
    return Recipe(sections, [("feature_likelihood", {})], reads)


def check(config, grid):
    """Refuse features of targets without samples."""
    ids = chosen_targets(config, "samples")
    for name in config["evaluation"]["likelihood"]["features"] or {}:
        if name not in ids:
            raise WaypointError(
                f"config: evaluation.likelihood.features: {name!r} is not a target of evaluation.samples"
            )


def tables(plan):
    """Return the paths of the tables, which also hold image-text preference."""
    return ["tables/feature_likelihood.csv", "tables/steepest_intervals.csv"]


def figures(plan):
    """Return the path of a figure for every judged target."""
    return [FIGURE.format(target=target) for target in judged(plan)]


EVALUATION = Evaluation(
    "Feature likelihood (§3.1, Fig. 3, B.10): share of the samples that a classifier calls a class. Needs "
    "evaluation.samples and labels.",
    rules="likelihood",
    keys={
        "features": {
            "type": ["object", "null"],
            "description": "{target: class}; null: the class of the final image, as the standard classifier sees it.",
            "default": None,
            "additionalProperties": {"type": "integer", "minimum": 0},
        }
    },
    needs=("data", "labels", "samples"),
    check=check,
    by_target=("features",),
    stores=lambda plan: [f"evaluation/classifiers/{kind}" for kind in KINDS],
    tables=tables,
    figures=figures,
    places=(FIGURE,),
)
