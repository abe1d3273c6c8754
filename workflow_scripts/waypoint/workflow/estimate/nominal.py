"""Rough running times of jobs before anything is measured, which weight a run's progress.

Only their proportions matter: ``workflow/terminal/pace`` scales them by the times of the run's own jobs.
"""

from waypoint.errors import WaypointError
from waypoint.store.artifacts.provenance import consolidated, read_attributes
from waypoint.store.data.sources import SOURCES
from waypoint.workflow.config.shared_stores import stored_images
from waypoint.workflow.estimate.costs import Costs, Rates, Sizes

START, LIGHT_START = 6.0, 2.5  # seconds of a process with and without a model, on one core of a laptop
PRODUCT = 3e-11  # seconds of a multiply-add
ROW = 1e-4  # seconds of a call for one image besides its multiply-adds
GRADIENT_CALLS = 3  # calls of the model that take as long as a gradient
UNKNOWN = 1_000_000  # assumed number of parameters or values that only the jobs will know
IMAGES = 1_000  # assumed number of training images if it is unknown
EXAMINED = 3  # artifacts of a rule whose recorded times are read


def expected(plan, names, jobs, rules):
    """Return the expected seconds of one job of each rule, and those of them known from finished artifacts.

    Args:
        plan: a ``Plan``. names: names of rules. jobs: Snakemake's jobs, whether or not their artifacts exist.
        rules: Snakemake's rules; those that ask for a GPU load a model.

    Returns:
        {name: seconds} of all names, and {name: seconds} of the measured ones.
    """
    with_model = {rule.name for rule in rules if "gpu" in rule.resources}
    costs, artifacts, measured = nominal(plan, with_model), {}, {}
    for job in jobs:
        artifacts.setdefault(job.rule.name, []).extend(job.output)
    for name in names:
        if seconds := recorded(artifacts.get(name, ()), name in with_model):
            measured[name] = seconds
    return {name: costs.seconds(name) for name in names} | measured, measured


def nominal(plan, with_model):
    """Return the ``Costs`` of a plan at a laptop's rates, without opening models or data.

    Args:
        plan: a ``Plan``. with_model: names of the rules whose jobs load a model.
    """
    config = plan.config
    unet = (config["model"] or {}).get("unet") or {}
    pixels = _size(unet.get("sample_size")) * unet.get("in_channels", 3)
    call = ROW + PRODUCT * (_products(unet) or UNKNOWN * 100)
    draws = config["attribution"]
    rates = Rates(
        start=START,
        light_start=LIGHT_START,
        load=0.3,
        call=call,
        single=2 * call,
        train=GRADIENT_CALLS * call,
        feature=GRADIENT_CALLS * call * draws["train_draws"],
        row=GRADIENT_CALLS * call,
        gradient=GRADIENT_CALLS * call * draws["target_draws"],
        product=PRODUCT,
        score=PRODUCT,
    )
    sizes = Sizes(
        images=_images(config),
        parameters=UNKNOWN,
        pixels=pixels,
        inputs=pixels,
        caption=0,
        latent=bool(config["vae"]),
        T=1000,
        factors=UNKNOWN,
        rotations=100 * UNKNOWN,
    )
    return Costs(plan, sizes, rates, with_model)


def recorded(artifacts, with_model):
    """Return the mean seconds of a rule's jobs according to the experiment's finished artifacts, or None.

    Args:
        artifacts: paths of the rule's artifacts, existing or not. with_model: whether its jobs load a model.
    """
    times = []
    for path in artifacts:
        try:
            attributes = read_attributes(path)
        except WaypointError:  # damaged, as the checks at the start of the run have reported
            continue
        if attributes and "seconds" in attributes:
            times.append(attributes["seconds"])
        if len(times) == EXAMINED:
            break
    return sum(times) / len(times) + (START if with_model else LIGHT_START) if times else None


def _images(config):
    """Return N from the store, the configuration or the source, or else a typical number."""
    if config["data"] is None:
        return 0
    if stored := stored_images(config):
        try:
            return consolidated(stored)["image"]["shape"][0]
        except (WaypointError, OSError):  # damaged, as the checks at the start of the run report
            return IMAGES
    subset = config["data"]["subset"]
    if subset is not None:
        return subset if isinstance(subset, int) else len(subset)
    return SOURCES[config["data"]["source"]].images or IMAGES


def _products(unet):
    """Return roughly the multiply-adds of one call of a UNet: two convolutions per layer, down and up."""
    area, layers, total, before = _size(unet.get("sample_size")), unet.get("layers_per_block", 2), 0, None
    for channels in unet.get("block_out_channels", ()):
        total += (2 * layers + 1) * 2 * 9 * channels * (before or channels) * area
        area, before = max(area / 4, 1), channels
    return total


def _size(side):
    sides = side if isinstance(side, (list, tuple)) else [side or 32] * 2
    return sides[0] * sides[1]
