"""The inputs that methods may read: as artifacts for the stage that makes scores, as paths for its rule.

Of several artifacts of one kind, one for each checkpoint, a stage inherits the first and reads the others.
"""

from waypoint.workflow.methods import METHODS

SOURCE, MASK = "source", "mask"  # files from outside the store


def _data(plan, method, target):
    return plan.data()


def _trajectory(plan, method, target):
    return [plan.trajectory(target)]


def _vae(plan, method, target):
    """The decoder of x̂0_t, where pixels are compared with it."""
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


# {what a row reads: (plan, method, target) → artifacts}
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
# {stage: where its artifacts lie in the experiment}
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
    """Paths in the experiment of what a method reads under a name of ``READS``."""
    return [PLACES[stage].format(**wildcards) for stage, wildcards in READS[name](plan, method, target)]


def files(plan, name: str, method: str, target: str) -> str | list:
    """The path of a file outside the store that a method reads under a name of ``READS``, or an empty list."""
    return plan.source(method, target) if name == SOURCE else plan.mask_file(target)


def sections(plan, method: str, target: str) -> dict:
    """The parts of the configuration that a method's scores depend on, beyond those that what it reads depends on."""
    row, merged = plan.kind(method), {}
    for setting in row.settings:
        section, _, key = setting.partition(".")
        merged |= (
            {section: merged.get(section, {}) | plan.pick(section, key)} if key else {section: plan.config[section]}
        )
    if row.by_checkpoint and plan.halves_apart:
        merged["scores"] = merged["scores"] | {"keep_halves": True}
    if not {"gradients", "scores"} & set(row.reads):  # these know the steps
        merged["target"] = {"steps": plan.steps(target)}
    if MASK in row.reads:
        merged["target"] |= plan.mask(target)
    if "features" in row.reads:
        merged |= plan.ensemble()
    if SOURCE in row.reads:
        merged[SOURCE] = {"sha256": plan.source_hash(method, target)}
    return merged
