"""The table of stages: their versions, the configuration keys that their results depend on, and their inputs.

Changes of code trigger no rerun. Whoever changes what a stage computes raises its version here; the stage and all that
depends on it then rerun, and arrays of another version are refused. A golden test of each stage fails if its output
changes while its version does not.

This module holds the stages of Algorithm 1 and of the common tables and figures. The stages of methods follow from
their rows (``workflow/methods.py``); those of evaluations are in the evaluations' files (``workflow/evaluations/``).
"""

from waypoint.science.evaluation.adapter_effect import DRAWS
from waypoint.store.data.source import OPTIONS
from waypoint.workflow.evaluations.registry import EVALUATIONS  # noqa: F401, enters their stages in STAGES
from waypoint.workflow.methods import METHODS
from waypoint.workflow.plan.method_inputs import READS, sections
from waypoint.workflow.plan.stage import FIGURES, STAGES, START, TRAININGS, Recipe, Stage, stage

THUMBNAIL = 7e-4  # seconds to make the explorer's thumbnail of a training image

# ---- data


@stage(version=2, read_as=1, cost=START)  # version 2 also stores the names of files and classes
def prepare_data(plan):
    """The training images. Their location is not a setting; their content counts by its hash."""
    data = plan.pick("data", "source size subset")
    data |= plan.pick_set("data", " ".join(["near_duplicates", "channels", *OPTIONS]))
    data |= {} if plan.config["data"]["fit"] == "crop" else plan.pick("data", "fit")
    return Recipe({"data": data | {"captions": plan.config["data"]["captions"] is not None}})


@stage(version=1, cost=START)
def import_vae(plan):
    """encoders/vae/, imported from an existing autoencoder."""
    return Recipe({"vae": {"path": plan.config["vae"]["path"]}})


@stage(version=1, uncounted="training the VAE", slurm="gpu")
def train_vae(plan):
    """encoders/vae/, trained on the images."""
    return Recipe({"vae": {"train": plan.config["vae"]["train"]}}, [("prepare_data", {})])


@stage(version=1, cost=START)
def import_text_encoder(plan):
    """encoders/text/."""
    return Recipe({"text_encoder": plan.config["text_encoder"]})


@stage(version=2, read_as=1, uncounted="encoding images and captions", slurm="gpu")  # version 2 as for prepare_data
def encode_data(plan):
    """data/train.zarr of latent and text-conditional models."""
    latent = {"vae": {"latent": plan.config["vae"]["latent"]}} if plan.config["vae"] else {}
    return Recipe(latent, [("prepare_data", {}), *plan.encoders_of_data()])


@stage(version=1, cost=START)
def near_duplicates(plan):
    """data/near_duplicates.zarr."""
    return Recipe(inherits=plan.data())


# ---- models


@stage(TRAININGS, slurm="gpu")
def train(plan, checkpoint):
    """A model trained on the full set, or an adapter of the base."""
    training = plan.training() | {"flip": plan.config["data"]["flip"]}
    if plan.base:
        return Recipe({"adapter": plan.adapter(), "training": training}, [*plan.data(), *plan.base])
    return Recipe({"model": plan.config["model"], "training": training}, plan.data())


@stage(version=1, cost=START)
def import_checkpoint(plan, checkpoint):
    """An existing model."""
    paths = plan.config["checkpoints"]["paths"]
    section = {"path": paths[int(checkpoint.split("/")[1])], "reference": paths[0] if plan.attributed else None}
    sections = {"model": plan.config["model"], "checkpoint": plan.scheduler() | plan.null_class()}
    return Recipe(sections, plan.data(), item={"checkpoint": section})


@stage(version=1, cost=START)
def import_base(plan):
    """checkpoints/base/0, the model that adapters change; its origin is a setting of every adapter."""
    sections = {"model": plan.config["model"], "checkpoint": plan.scheduler() | plan.null_class()}
    return Recipe({**sections, "base": {"path": plan.config["checkpoints"]["base"]}}, plan.data())


@stage(version=1, cost=START)
def import_adapter(plan, checkpoint):
    """An existing adapter of the base."""
    path = plan.config["checkpoints"]["adapters"][int(checkpoint.split("/")[1])]
    alpha = plan.config["adapter"] and plan.config["adapter"]["alpha"]
    sections = {"adapter": {"alpha": alpha}} if alpha else {}
    return Recipe(sections, [*plan.data(), *plan.base], item={"given": {"adapter": path}})


# ---- Algorithm 1


@stage(version=1, slurm="gpu")
def curvature(plan, checkpoint):
    """The curvature of a checkpoint; its damping is a setting of the artifacts that it whitens."""
    settings = {"curvature": plan.pick("curvature", "rows bound"), "data": plan.pick("data", "flip")}
    return Recipe({**settings, "gradients": plan.gradients()["gradients"]}, [plan.model(checkpoint)])


@stage(version=1, slurm="gpu")
def diagonal_curvature(plan, checkpoint):
    """The diagonal of a checkpoint's curvature, which needs no bound on the size of factors."""
    settings = {"curvature": plan.pick("curvature", "rows"), "data": plan.pick("data", "flip")}
    return Recipe({**settings, "gradients": plan.gradients()["gradients"]}, [plan.model(checkpoint)])


@stage(version=2, slurm="gpu")
def featurize(plan, basis, checkpoint):
    """Train features, whole or in shards."""
    settings = {
        **plan.pick("features", "dtype keep_halves"),
        "draw_scheme": plan.draw_scheme(basis),
        "train_draws": plan.config["attribution"]["train_draws"],
        "flip": plan.config["data"]["flip"],
    }
    return Recipe({"features": settings, **plan.of_basis(basis)}, plan.model_in(basis, checkpoint))


@stage(version=1, slurm="gpu")
def fisher_rows(plan, basis, checkpoint):
    """Fisher rows, in the same basis and projection as the features."""
    settings = {"kernel": {"rows": plan.fisher_rows(basis)}, "data": plan.pick("data", "flip")}
    return Recipe({**settings, **plan.of_basis(basis)}, plan.model_in(basis, checkpoint))


@stage(version=1, slurm="matrices")
def factor_kernel(plan, method, checkpoint):
    """A method's factored kernel, from train features or from Fisher rows."""
    source = {"features": "featurize", "fisher": "fisher_rows"}[plan.kind(method).kernel]
    rows = (source, {"basis": plan.basis(method), "checkpoint": checkpoint})
    return Recipe({"kernel": {"damping": plan.kernel(method)["damping"]}}, [rows])


@stage(version=1, slurm="gpu")
def sample_trajectory(plan, target):
    """A target's trajectory, which depends on the target's origin but not on the attributed steps."""
    row = plan.sampled[target]
    sections = {
        "generator": row["checkpoint"],
        "sampling": plan.sampling(),
        "target": plan.origin(row),
        "attribution": plan.pick("attribution", "clip_x0_hat"),
    }
    return Recipe(sections, [plan.model(row["checkpoint"])])


@stage(version=1, slurm="gpu")
def invert_image(plan, target):
    """The trajectory of a given image; the location of its file is not a setting."""
    return sample_trajectory(plan, target)


@stage(version=3, slurm="gpu")
def target_gradients(plan, basis, target):
    """A target's gradients at its attributed steps, for all checkpoints."""
    attribution = plan.pick("attribution", "target_draws x0_hat clip_x0_hat") | plan.guidance("attribution")
    sections = {
        "attribution": attribution | plan.pick("features", "keep_halves"),
        "target": {"steps": plan.steps(target), **plan.mask(target)},
        **plan.of_basis(basis),
        **plan.ensemble(),
    }
    # the first curvature is inherited, so that its settings are compared whenever one is opened
    (_, *first), *others = [plan.model_in(basis, name) for name in plan.checkpoints]
    reads = [artifact for artifacts in others for artifact in artifacts]
    return Recipe(sections, [plan.trajectory(target), *first], [*plan.models(), *reads])


@stage(version=1, slurm="gpu")
def sample_from_x_t(plan, target):
    """The samples of p(·|x_t) for panels and evaluations."""
    return Recipe({"samples": plan.samples(target)}, [plan.trajectory(target)])


@stage(FIGURES, slurm="gpu")
def contact_sheet(plan, checkpoint):
    """figures/models/{checkpoint}.png."""
    sections = {"sampling": plan.sampling(), "contact_sheet": {"samples": plan.sheet_samples}}
    return Recipe(sections, [plan.model(checkpoint)], [("near_duplicates", {})])


# ---- scores


@stage(version=1, uncounted="embedding images", slurm="gpu")
def embed_images(plan, encoder):
    """Embeddings of the training images."""
    return Recipe({"image_encoder": plan.encoder(encoder)}, plan.data())


def score_of(row):
    """Return the stage that scores with one kind of method, from its row of the table of methods."""

    def recipe(plan, method, target):
        inputs = [READS[name](plan, method, target) for name in row.reads]
        inherits = [artifacts[0] for artifacts in inputs if artifacts]
        reads = [artifact for artifacts in inputs for artifact in artifacts[1:]]
        return Recipe(sections(plan, method, target), inherits, reads)

    return Stage(recipe, row.version, row.stage, ("method", "target"), cost=row.cost, slurm=row.slurm)


STAGES.update({row.stage: score_of(row) for row in METHODS.values()})


# ---- adapters


def cost_of_effect(costs):
    """Return the seconds to run every adapter, on and off, at the attributed steps of every target."""
    calls = len(costs.plan.images) * costs.steps() * 2 * DRAWS
    return costs.models * (costs.rates.load + calls * costs.rates.call)


@stage(version=1, cost=cost_of_effect, slurm="gpu")
def adapter_effect(plan):
    """tables/adapter_effect.csv."""
    rows = {name: {"steps": plan.steps(name), "origin": plan.origin(plan.sampled[name])} for name in plan.images}
    sections = {"targets": rows, "attribution": plan.guidance("attribution"), "checkpoints": plan.checkpoints}
    return Recipe(sections, plan.data(), [*plan.models(), *plan.base, *map(plan.trajectory, plan.images)])


# ---- given images


@stage(version=1, slurm="gpu")
def compare_image(plan, target):
    """A given image compared with the training images, and how well the generating model explains both."""
    mask_target = plan.masks_of(target)[0]  # an encoder's scores do not depend on the mask
    reads = [
        artifact
        for name in plan.encoders
        for artifact in (("embed_images", {"encoder": name}), plan.score(name, mask_target))
    ]
    sections = {"target": {"steps": plan.steps(target)}, "compared": {"encoders": plan.encoders}}
    return Recipe(sections, [plan.trajectory(target)], reads)


@stage(version=2, cost=START, slurm="small")
def given_images(plan):
    """tables/given_images.csv."""
    return Recipe(inherits=plan.data(), reads=[("compare_image", {"target": target}) for target in plan.given])


# ---- groups of training images


@stage(version=2, cost=START, slurm="small")
def group_influences(plan, target):
    """evaluation/groups/{target}.csv."""
    scores = [plan.score(method, target) for method in plan.methods]
    return Recipe({"groups": plan.groups()}, plan.data(), [*plan.group_encoder(), *scores])


@stage(version=2, cost=START, slurm="small")
def group_table(plan):
    """tables/group_influences.csv."""
    return Recipe({}, plan.data(), [("group_influences", {"target": target}) for target in plan.targets])


@stage(FIGURES, cost=START, slurm="small")
def plot_groups(plan, target):
    """figures/{target}/groups.png."""
    return Recipe(plan.looks(), [("group_influences", {"target": target})], [plan.trajectory(target)])


# ---- common tables and figures


@stage(version=4, cost=START, slurm="small")
def top_influences(plan):
    """tables/top_influences.csv."""
    tables = {"tables": plan.pick("tables", "top")}
    return Recipe(tables, plan.data(), [("near_duplicates", {}), *plan.all_scores()])


@stage(version=1, cost=START, slurm="small")
def scores_of_images(plan):
    """tables/scores_of_images.csv."""
    return Recipe({"tables": plan.pick("tables", "images")}, plan.data(), plan.all_scores())


@stage(FIGURES, cost=START, slurm="panel")
def trajectory_panel(plan, target, method):
    """The trajectory panel of a target and method."""
    sections = {"figures": plan.pick("figures", "top"), "target": {"steps": plan.steps(target)}}
    sections["tables"] = plan.pick("tables", "top")  # panels show the same verdicts as tables/top_influences.csv
    return Recipe(
        sections,
        [plan.score(method, target)],
        [("near_duplicates", {}), ("sample_from_x_t", {"target": target}), *plan.compared_image(target)],
    )


@stage(FIGURES, cost=START, slurm="panel")
def plot_trajectory(plan, target):
    """The figure of a trajectory without scores."""
    return Recipe(inherits=[("sample_from_x_t", {"target": target})])


@stage(FIGURES, cost=START, slurm="panel")
def plot_regions(plan, target):
    """The figure of an image's region or regions."""
    sections = {"figures": {"mask_step": plan.mask_step(target)}, "masks": plan.regions_shown(target)}
    sections["tables"] = plan.pick("tables", "top")
    scores = [plan.score(plan.regional, name) for name in plan.masks_of(target)]
    return Recipe(sections, plan.data(), [("near_duplicates", {}), plan.trajectory(target), *scores])


# ---- the explorer


def explorer_recipe(plan, targets):
    """Return the recipe of the explorer's page for some targets and all methods."""
    # dictionaries, so that a new order of targets or methods does not make the page stale
    rows = {name: {"whole": plan.shared.get(name, name), **plan.mask(name)} for name in targets}
    controls = {name: plan.kind(name).control for name in plan.methods}
    sections = {"explorer": {"targets": rows, "controls": controls}}
    reads = [("near_duplicates", {}), ("top_influences", {})]
    reads += [plan.score(method, target) for method in plan.methods for target in targets]
    for target in targets:
        reads += [plan.trajectory(target), ("sample_from_x_t", {"target": target}), *plan.compared_image(target)]
    if plan.config["groups"] is not None:
        sections["groups"] = plan.groups()
        reads.append(("group_table", {}))
    if plan.evaluation["lds"]:
        reads.append(("lds_tables", {}))
    return Recipe(sections, plan.data(), reads)


@stage(version=2, cost=lambda costs: costs.sizes.images * THUMBNAIL, slurm="small")
def explorer(plan):
    """explorer/."""
    return explorer_recipe(plan, list(plan.targets))


@stage(version=2, cost=START, slurm="small")
def packed_explorer(plan, target):
    """figures/{target}/explorer.html."""
    return explorer_recipe(plan, [target])
