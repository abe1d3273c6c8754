"""The inputs of methods: as artifacts for the stage that computes the scores, and as paths for its rule.

Of several artifacts of one kind, one per checkpoint, a stage inherits the first and reads the others.
"""

from waypoint.workflow.methods import METHODS
from waypoint.workflow.types import Config

SOURCE, MASK = "source", "mask"  # files from outside the store


def _data(plan, method, target):
    return plan.data()


def _trajectory(plan, method, target):
    return [plan.trajectory(target)]


def _vae(plan, method, target):
    """Return the decoder of x̂0_t if its pixels are compared."""
    latent = plan.config["vae"] and plan.config["pixel"]["against"] == "x0_hat"
    return [("import_vae" if "path" in plan.config["vae"] else "train_vae", {})] if latent else []


def _features(plan, method, target):
    return [("featurize", {"basis": plan.basis(method), "checkpoint": name}) for name in plan.checkpoints]


def _kernels(plan, method, target):
    return [("factor_kernel", {"method": method, "checkpoint": name}) for name in plan.checkpoints]


def _fisher(plan, method, target):
    return [("fisher_rows", {"basis": plan.basis(method), "checkpoint": name}) for name in plan.checkpoints]


def _gradients(plan, method, target):
    return [("target_gradients", {"basis": plan.basis(method), "target": target})]


def _scores(plan, method, target):
    return [plan.score(plan.summed(method), target)]


def _embeddings(plan, method, target):
    return [("embed_images", {"encoder": method})]


def _generator(plan, method, target):
    return [plan.model(plan.targets[target]["checkpoint"])]


def _outside(plan, method, target):
    return []


# {input: (plan, method, target) → artifacts}
READS = {
    "data": _data,
    "trajectory": _trajectory,
    "vae": _vae,
    "features": _features,
    "kernels": _kernels,
    "fisher": _fisher,
    "gradients": _gradients,
    "scores": _scores,
    "embeddings": _embeddings,
    "generator": _generator,
    SOURCE: _outside,
    MASK: _outside,
}
# {stage: path pattern of its artifacts within the experiment}
PLACES = {
    "prepare_data": "data/train.zarr",
    "encode_data": "data/train.zarr",
    "import_vae": "encoders/vae",
    "train_vae": "encoders/vae",
    "train": "checkpoints/{checkpoint}",
    "import_checkpoint": "checkpoints/{checkpoint}",
    "sample_trajectory": "targets/{target}/trajectory.zarr",
    "invert_image": "targets/{target}/trajectory.zarr",
    "curvature": "curvature/{checkpoint}.zarr",
    "diagonal_curvature": "curvature/diagonal/{checkpoint}.zarr",
    "featurize": "features/{basis}/{checkpoint}.zarr",
    "fisher_rows": "fisher/{basis}/{checkpoint}.zarr",
    "factor_kernel": "kernels/{method}/{checkpoint}.zarr",
    "target_gradients": "targets/{target}/gradients/{basis}.zarr",
    "embed_images": "embeddings/{encoder}.zarr",
} | {row.stage: "scores/{method}/{target}.zarr" for row in METHODS.values()}


def paths(plan, name: str, method: str, target: str) -> list[str]:
    """Return the paths, within the experiment, of a method's input ``name``, a key of ``READS``."""
    return [PLACES[stage].format(**wildcards) for stage, wildcards in READS[name](plan, method, target)]


def files(plan, name: str, method: str, target: str) -> str | list[str]:
    """Return the path of a method's input ``name`` outside the store, or an empty list."""
    return plan.source(method, target) if name == SOURCE else plan.mask_file(target)


def sections(plan, method: str, target: str) -> Config:
    """Return the parts of the configuration that a method's scores depend on besides those of its inputs."""
    row, merged = plan.kind(method), {}
    for setting in row.settings:
        section, _, key = setting.partition(".")
        merged |= (
            {section: merged.get(section, {}) | plan.pick(section, key)} if key else {section: plan.config[section]}
        )
    if row.by_checkpoint and plan.halves_apart:
        merged["scores"] = merged["scores"] | {"keep_halves": True}
    if not {"gradients", "scores"} & set(row.reads):  # the specs of these inputs hold the steps
        merged["target"] = {"steps": plan.steps(target)}
    if MASK in row.reads:
        merged["target"] |= plan.mask(target)
    if "features" in row.reads:
        merged |= plan.ensemble()
    if SOURCE in row.reads:
        merged[SOURCE] = {"sha256": plan.source_hash(method, target)}
    return merged
