"""The stages of the workflow in one table: each one's version, the config keys that its result depends on, its inputs.

Code triggers no rerun. Whoever changes what a stage computes raises its version here; the stage and what follows from
it then rerun, and arrays of another version are refused. A golden test per stage fails when its output changes while
its version does not.

A stage is a function of the plan and of the wildcards of its rule. It returns a ``Recipe``:

    sections    parts of the configuration, {section: {key: value}}; exactly those that the result depends on
    inherits    stages of which this one reads one artifact; their sections become part of this stage's spec, so that
                every job can compare its own spec with that of what it opens
    reads       stages of which it reads several artifacts; they enter by their identities alone
    item        what tells this artifact from others of its stage, where that is no business of its readers: they record
                the hash of what they read
"""

import inspect
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from waypoint.store.data.source import OPTIONS
from waypoint.workflow.bases import BASES
from waypoint.workflow.methods import METHODS
from waypoint.workflow.plan.method_inputs import READS, sections

STAGES = {}
FIGURES = 7  # the version of every figure
TRAININGS = 1  # of every training: models of subsets are compared with those of the full set, so all have the same
Reference = tuple[str, dict[str, Any]]  # a stage's name and wildcards: one artifact


@dataclass(frozen=True)
class Recipe:
    """What an artifact is made of."""

    sections: dict[str, Any] = field(default_factory=dict)
    inherits: list[Reference] = field(default_factory=list)
    reads: list[Reference] = field(default_factory=list)
    item: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Stage:
    """A row of the table.

    Attributes:
        recipe: (plan, **wildcards) → Recipe.
        version: raised whenever the stage computes something else.
        read_as: the version that its readers go by, where later ones only store more beside what is read; else None.
        entry: the name of the stage's entry in specs: models of random subsets are made by the recipe of ``train``.
        wildcards: names, as rules have them.
    """

    recipe: Callable[..., Recipe]
    version: int
    entry: str
    wildcards: tuple[str, ...]
    read_as: int | None = None


def stage(version, entry=None, read_as=None):
    """Enter a function as the stage of its name."""

    def enter(recipe):
        _, *names = inspect.signature(recipe).parameters
        STAGES[recipe.__name__] = Stage(recipe, version, entry or recipe.__name__, tuple(names), read_as)
        return recipe

    return enter


# ---- data


@stage(version=2, read_as=1)  # 2: the names of files and classes
def prepare_data(plan):
    """The training images; where they lie is no setting, and what they are enters by the hash of their content."""
    data = plan.pick("data", "source size subset")
    data |= plan.pick_set("data", " ".join(["near_duplicates", "channels", *OPTIONS]))
    data |= {} if plan.config["data"]["fit"] == "crop" else plan.pick("data", "fit")
    return Recipe({"data": data | {"captions": plan.config["data"]["captions"] is not None}})


@stage(version=1)
def import_vae(plan):
    """encoders/vae/ of an existing autoencoder."""
    return Recipe({"vae": {"path": plan.config["vae"]["path"]}})


@stage(version=1)
def train_vae(plan):
    """encoders/vae/ trained on the images."""
    return Recipe({"vae": {"train": plan.config["vae"]["train"]}}, [("prepare_data", {})])


@stage(version=1)
def import_text_encoder(plan):
    """encoders/text/."""
    return Recipe({"text_encoder": plan.config["text_encoder"]})


@stage(version=2, read_as=1)  # as prepare_data
def encode_data(plan):
    """data/train.zarr of latent and text-conditional models."""
    latent = {"vae": {"latent": plan.config["vae"]["latent"]}} if plan.config["vae"] else {}
    return Recipe(latent, [("prepare_data", {}), *plan.encoders_of_data()])


@stage(version=1)
def near_duplicates(plan):
    """data/near_duplicates.zarr."""
    return Recipe(inherits=plan.data())


# ---- models


@stage(TRAININGS)
def train(plan, checkpoint):
    """A model of the full set."""
    training = plan.training() | {"flip": plan.config["data"]["flip"]}
    return Recipe({"model": plan.config["model"], "training": training}, plan.data())


@stage(version=1)
def import_checkpoint(plan, checkpoint):
    """An existing model."""
    paths = plan.config["checkpoints"]["paths"]
    given = {"path": paths[int(checkpoint.split("/")[1])], "reference": paths[0] if plan.attributed else None}
    sections = {"model": plan.config["model"], "checkpoint": plan.scheduler() | plan.null_class()}
    return Recipe(sections, plan.data(), item={"checkpoint": given})


@stage(TRAININGS, entry="train")
def train_subset(plan, subset):
    """The models of one random subset; models that are added leave the others as they are."""
    recipe = train(plan, "full/0")
    images = {"subset": int(subset), "fraction": plan.evaluation["lds"]["fraction"]}
    return Recipe(recipe.sections, recipe.inherits, item={"images": images})


@stage(TRAININGS, entry="train")
def train_without(plan, method, target, step, n_remove):
    """A model without a method's top images; which images those are follows from the scores."""
    recipe = train(plan, "full/0")
    images = {"method": method, "target": target, "step": int(step), "remove": share_or_count(n_remove)}
    return Recipe(recipe.sections, recipe.inherits, [plan.score(method, target)], {"images": images})


@stage(TRAININGS, entry="train")
def train_without_random(plan, removal, n_remove):
    """A model without random images."""
    recipe = train(plan, "full/0")
    images = {"random": int(removal), "remove": share_or_count(n_remove)}
    return Recipe(recipe.sections, recipe.inherits, item={"images": images})


@stage(version=1)
def list_subset_models(plan):
    """checkpoints/subset/models.json."""
    lds = {"lds": plan.lds_keys("subsets fraction models_per_subset")}
    subsets = [("train_subset", {"subset": j}) for j in range(plan.evaluation["lds"]["subsets"])]
    return Recipe(lds, [plan.model("full/0")], subsets)


# ---- Algorithm 1


@stage(version=1)
def curvature(plan, checkpoint):
    """The curvature of a checkpoint; its damping belongs to what is whitened by it."""
    own = {"curvature": plan.pick("curvature", "rows bound"), "data": plan.pick("data", "flip")}
    return Recipe({**own, "gradients": plan.gradients()["gradients"]}, [plan.model(checkpoint)])


@stage(version=1)
def diagonal_curvature(plan, checkpoint):
    """The diagonal alone, which needs no bound on what is factored."""
    own = {"curvature": plan.pick("curvature", "rows"), "data": plan.pick("data", "flip")}
    return Recipe({**own, "gradients": plan.gradients()["gradients"]}, [plan.model(checkpoint)])


@stage(version=2)
def featurize(plan, basis, checkpoint):
    """Train features, whole or in shards."""
    own = {
        **plan.pick("features", "dtype keep_halves"),
        "draw_scheme": BASES[basis].draw_scheme or plan.config["features"]["draw_scheme"],
        "train_draws": plan.config["attribution"]["train_draws"],
        "flip": plan.config["data"]["flip"],
    }
    return Recipe({"features": own, **plan.of_basis(basis)}, plan.model_in(basis, checkpoint))


@stage(version=1)
def fisher_rows(plan, basis, checkpoint):
    """Fisher rows, in the basis of the features and projected as they are."""
    own = {"kernel": {"rows": plan.fisher_rows(basis)}, "data": plan.pick("data", "flip")}
    return Recipe({**own, **plan.of_basis(basis)}, plan.model_in(basis, checkpoint))


@stage(version=1)
def factor_kernel(plan, method, checkpoint):
    """A method's kernel, factored: of train features or of Fisher rows, whose number is theirs."""
    made_from = {"features": "featurize", "fisher": "fisher_rows"}[plan.kind(method).kernel]
    rows = (made_from, {"basis": plan.basis(method), "checkpoint": checkpoint})
    return Recipe({"kernel": {"damping": plan.kernel(method)["damping"]}}, [rows])


@stage(version=1)
def sample_trajectory(plan, target):
    """A target's trajectory: what it comes from, but not its attributed steps."""
    row = plan.sampled[target]
    sections = {
        "generator": row["checkpoint"],
        "sampling": plan.sampling(),
        "target": plan.origin(row),
        "attribution": plan.pick("attribution", "clip_x0_hat"),
    }
    return Recipe(sections, [plan.model(row["checkpoint"])])


@stage(version=1)
def invert_image(plan, target):
    """The trajectory of an image that somebody has; where its file lies is no setting."""
    return sample_trajectory(plan, target)


@stage(version=3)
def target_gradients(plan, basis, target):
    """A target's gradients at its attributed steps, for all checkpoints."""
    attribution = plan.pick("attribution", "target_draws x0_hat clip_x0_hat") | plan.guidance("attribution")
    sections = {
        "attribution": attribution | plan.pick("features", "keep_halves"),
        "target": {"steps": plan.steps(target), **plan.mask(target)},
        **plan.of_basis(basis),
        **plan.ensemble(),
    }
    # of the curvatures the first is inherited, so that its settings are compared when any is opened
    (_, *first), *others = [plan.model_in(basis, name) for name in plan.checkpoints]
    reads = [artifact for each in others for artifact in each]
    return Recipe(sections, [plan.trajectory(target), *first], [*plan.models(), *reads])


@stage(version=1)
def sample_from_x_t(plan, target):
    """Samples of p(·|x_t): those that panels show, and those that evaluations ask for."""
    return Recipe({"samples": plan.samples(target)}, [plan.trajectory(target)])


# ---- scores


@stage(version=1)
def embed_images(plan, encoder):
    """Embeddings of the training images."""
    return Recipe({"image_encoder": plan.encoder(encoder)}, plan.data())


def score_of(row):
    """The stage of the scores of one kind of methods, from its row of the table of methods."""

    def recipe(plan, method, target):
        found = [READS[name](plan, method, target) for name in row.reads]
        inherits = [artifacts[0] for artifacts in found if artifacts]
        reads = [artifact for artifacts in found for artifact in artifacts[1:]]
        return Recipe(sections(plan, method, target), inherits, reads)

    return Stage(recipe, row.version, row.stage, ("method", "target"))


STAGES |= {row.stage: score_of(row) for row in METHODS.values()}


# ---- linear datamodeling score


@stage(version=1)
def draw_subsets(plan):
    """evaluation/subsets.zarr."""
    return Recipe({"lds": plan.lds_keys("subsets fraction")}, plan.data())


@stage(version=1)
def subset_outputs(plan, target):
    """What the subset models make of a target."""
    sections = {
        "lds": plan.lds_keys("models_per_subset draws") | {"steps": plan.steps_of("lds", target)},
        "attribution": plan.guidance("attribution"),
        "target": plan.mask(target),
    }
    inherits = [plan.trajectory(target), ("draw_subsets", {}), ("list_subset_models", {})]
    return Recipe(sections, inherits)


@stage(version=2)
def lds_tables(plan):
    """tables/lds*.csv."""
    outputs = [("subset_outputs", {"target": target}) for target in plan.targets]
    lds = plan.lds_keys("models_per_subset draws checkpoints bootstrap spans")
    return Recipe({"lds": lds}, [("draw_subsets", {})], outputs + plan.all_scores())


@stage(FIGURES)
def plot_lds(plan):
    """figures/lds.png."""
    return Recipe(plan.looks(), [("lds_tables", {})])


@stage(FIGURES)
def plot_lds_cross(plan):
    """figures/lds_cross.png."""
    return Recipe(inherits=[("lds_tables", {})])


# ---- retraining without images


@stage(version=1)
def counterfactual_original(plan, target):
    """The original images and the distances of the baseline."""
    own = {key: plan.evaluation["counterfactual"][key] for key in ("step", "delta", "images")}
    sections = {"counterfactual": own, "fid": plan.fid(), "controls": {"full_models": plan.other_models(target)}}
    return Recipe(sections, [plan.trajectory(target)], plan.baseline(target) + plan.fid_network())


@stage(version=1)
def counterfactual_without(plan, target, method):
    """The distances after a method's removals."""
    sections = plan.removal("counterfactual", method)
    reads = plan.removed_models("counterfactual", target, method)
    return Recipe(sections, [("counterfactual_original", {"target": target})], reads)


@stage(version=1)
def counterfactual_table(plan):
    """tables/counterfactual_fid.csv."""
    targets, methods = plan.evaluated("counterfactual"), plan.methods_of("counterfactual")
    reads = [("counterfactual_original", {"target": t}) for t in targets]
    reads += [("counterfactual_without", {"target": t, "method": m}) for t in targets for m in methods]
    return Recipe(inherits=plan.data(), reads=reads)


@stage(FIGURES)
def plot_counterfactual(plan):
    """figures/counterfactual_fid.png."""
    return Recipe(plan.looks(plan.methods_of("counterfactual")), [("counterfactual_table", {})])


@stage(version=1)
def forgetting(plan, target, method):
    """Images of the same seed after a method's removals; for ``none`` those of other models of the full set."""
    own = {"forgetting": {"step": plan.evaluation["forgetting"]["step"]}}
    trajectory = [plan.trajectory(target)]
    if method == "none":
        controls = {"controls": {"full_models": plan.other_models(target)}}
        return Recipe(own | controls, trajectory, plan.baseline(target))
    removal = plan.removal("forgetting", method)
    sections = own | removal | {"forgetting": own["forgetting"] | removal["forgetting"]}
    return Recipe(sections, trajectory, plan.removed_models("forgetting", target, method))


@stage(version=1)
def forgetting_table(plan):
    """tables/forgetting.csv."""
    methods = [*plan.methods_of("forgetting"), "none"]
    targets = plan.evaluated("forgetting")
    reads = [("forgetting", {"target": t, "method": m}) for t in targets for m in methods]
    return Recipe(inherits=plan.data(), reads=reads)


@stage(FIGURES)
def plot_forgetting(plan):
    """figures/forgetting.png."""
    return Recipe(plan.looks(plan.methods_of("forgetting")), [("forgetting_table", {})])


@stage(version=1)
def compare_removals(plan, evaluation):
    """tables/counterfactual_fid_comparison.csv, tables/forgetting_comparison.csv."""
    return Recipe(
        inherits=[("counterfactual_table" if evaluation == "counterfactual_fid" else evaluation + "_table", {})]
    )


# ---- samples and likelihoods


@stage(FIGURES)
def contact_sheet(plan, checkpoint):
    """figures/models/{checkpoint}.png."""
    sections = {"sampling": plan.sampling(), "contact_sheet": {"samples": plan.sheet_samples}}
    return Recipe(sections, [plan.model(checkpoint)], [("near_duplicates", {})])


@stage(version=1)
def one_step_error(plan):
    """tables/one_step_error.csv."""
    targets = plan.evaluated("samples")
    reads = [artifact for t in targets for artifact in (("sample_from_x_t", {"target": t}), plan.trajectory(t))]
    return Recipe({"samples": plan.chosen_samples(targets)}, plan.data(), reads)


@stage(FIGURES)
def plot_one_step_error(plan):
    """figures/one_step_error.png."""
    return Recipe(inherits=[("one_step_error", {})])


@stage(version=1)
def seed_consistency(plan):
    """Images of several models from the same noise: the listed models, and no other."""
    own = {key: plan.evaluation["seed_consistency"][key] for key in ("models", "images")}
    sections = {"sampling": plan.sampling(), "seed_consistency": own, "seeded": plan.seeded_targets()}
    models = [plan.model(name) for name in own["models"]]
    return Recipe(sections, models[:1], models[1:])


@stage(FIGURES)
def plot_seed_consistency(plan):
    """figures/seed_consistency.png."""
    return Recipe(inherits=[("seed_consistency", {})])


@stage(version=1)
def train_classifier(plan, kind):
    """A classifier of the training images, standard or robust."""
    own = dict(plan.evaluation["classifier"])
    if kind == "standard":
        own = {key: value for key, value in own.items() if key not in ("radius", "attack_steps")}
    return Recipe({}, plan.data(), item={"classifier": {kind: own}})


@stage(version=1)
def feature_likelihood(plan):
    """Feature likelihoods: of classes, of captions, or of both."""
    targets, sections = plan.judged(), {}
    reads = [("sample_from_x_t", {"target": t}) for t in targets] + [plan.trajectory(t) for t in targets]
    if plan.evaluation["likelihood"] is not None:
        sections["likelihood"] = plan.evaluation["likelihood"]
        reads += [("train_classifier", {"kind": kind}) for kind in plan.CLASSIFIERS]
    if plan.evaluation["caption_likelihood"] is not None:
        own = plan.evaluation["caption_likelihood"]
        sections |= {"caption_likelihood": own, "image_encoder": plan.encoder(own["encoder"])}
    sections |= {"samples": plan.chosen_samples(targets), "labels": plan.target_labels(targets)}
    return Recipe(sections, plan.data(), reads)


@stage(FIGURES)
def plot_likelihood(plan, target):
    """figures/likelihood-{target}.png."""
    scores = [plan.score(method, target) for method in plan.likelihood_methods()]
    return Recipe(inherits=[("feature_likelihood", {})], reads=[("sample_from_x_t", {"target": target}), *scores])


# ---- scores compared with each other


@stage(version=1)
def step_correlation(plan):
    """tables/step_correlation.csv."""
    return Recipe(inherits=plan.data(), reads=plan.step_scores())


@stage(FIGURES)
def plot_step_correlation(plan):
    """figures/step_correlation.png."""
    return Recipe(plan.looks(plan.step_methods), [("step_correlation", {})])


@stage(version=1)
def sign_overlap(plan):
    """tables/sign_overlap.csv."""
    return Recipe({"sign_overlap": plan.evaluation["sign_overlap"]}, plan.data(), plan.step_scores())


@stage(FIGURES)
def plot_sign_overlap(plan):
    """figures/sign_overlap.png."""
    return Recipe(plan.looks(plan.step_methods), [("sign_overlap", {})])


@stage(FIGURES)
def plot_sign_flips(plan):
    """figures/sign_flips.png."""
    trajectories = [plan.trajectory(target) for target in plan.targets]
    return Recipe(inherits=[("sign_overlap", {})], reads=trajectories)


@stage(version=1)
def top_overlap(plan):
    """tables/top_overlap.csv."""
    return Recipe({"top_overlap": plan.evaluation["top_overlap"]}, plan.data(), plan.all_scores())


@stage(FIGURES)
def plot_top_overlap(plan):
    """figures/top_overlap.png."""
    return Recipe(plan.looks(), [("top_overlap", {})])


@stage(version=1)
def split_half(plan):
    """tables/split_half.csv."""
    scores = [plan.score(plan.halved, target) for target in plan.targets]
    kernel = ("factor_kernel", {"method": plan.halved, "checkpoint": plan.checkpoints[0]})
    return Recipe(plan.ensemble(), [kernel], scores)


@stage(FIGURES)
def plot_split_half(plan):
    """figures/split_half.png."""
    return Recipe(inherits=[("split_half", {})])


# ---- given images


@stage(version=1)
def compare_image(plan, target):
    """Whether a given image is a training image, and how well the generating model explains both."""
    one = plan.masks_of(target)[0]  # in an encoder's scores masks count for nothing
    seen = [
        artifact for name in plan.encoders for artifact in (("embed_images", {"encoder": name}), plan.score(name, one))
    ]
    sections = {"target": {"steps": plan.steps(target)}, "compared": {"encoders": plan.encoders}}
    return Recipe(sections, [plan.trajectory(target)], seen)


@stage(version=1)
def given_images(plan):
    """tables/given_images.csv."""
    return Recipe(inherits=plan.data(), reads=[("compare_image", {"target": target}) for target in plan.given])


# ---- groups of training images


@stage(version=1)
def group_influences(plan, target):
    """evaluation/groups/{target}.csv."""
    scores = [plan.score(method, target) for method in plan.methods]
    return Recipe({"groups": plan.groups()}, plan.data(), [*plan.group_encoder(), *scores])


@stage(version=1)
def group_table(plan):
    """tables/group_influences.csv."""
    return Recipe({}, plan.data(), [("group_influences", {"target": target}) for target in plan.targets])


@stage(FIGURES)
def plot_groups(plan, target):
    """figures/{target}/groups.png."""
    return Recipe(plan.looks(), [("group_influences", {"target": target})], [plan.trajectory(target)])


# ---- what people look at


@stage(version=4)
def top_influences(plan):
    """tables/top_influences.csv."""
    tables = {"tables": plan.pick("tables", "top")}
    return Recipe(tables, plan.data(), [("near_duplicates", {}), *plan.all_scores()])


@stage(version=1)
def scores_of_images(plan):
    """tables/scores_of_images.csv."""
    return Recipe({"tables": plan.pick("tables", "images")}, plan.data(), plan.all_scores())


@stage(FIGURES)
def trajectory_panel(plan, target, method):
    """One target's trajectory panel of a method."""
    sections = {"figures": plan.pick("figures", "top"), "target": {"steps": plan.steps(target)}}
    sections["tables"] = plan.pick("tables", "top")  # the lists of the table, as it judges them
    return Recipe(
        sections,
        [plan.score(method, target)],
        [("near_duplicates", {}), ("sample_from_x_t", {"target": target}), *plan.compared_image(target)],
    )


@stage(FIGURES)
def plot_trajectory(plan, target):
    """The picture of a trajectory without scores."""
    return Recipe(inherits=[("sample_from_x_t", {"target": target})])


@stage(FIGURES)
def plot_regions(plan, target):
    """The figure of an image's region, or of all its regions."""
    sections = {"figures": {"mask_step": plan.mask_step(target)}, "masks": plan.regions_shown(target)}
    scores = [plan.score(plan.regional, name) for name in plan.masks_of(target)]
    return Recipe(sections, plan.data(), [("near_duplicates", {}), plan.trajectory(target), *scores])


def share_or_count(text):
    """n_remove as the config has it, from its form in a model's name."""
    return float(text) if "." in text or "e" in text else int(text)
