"""Where each artifact lies, and of exactly which config keys it is the result: its *spec*.

A spec holds the sections of a stage and of every stage before it, so that an input can be checked against
the spec of the job that reads it: wherever both have a key, the values must agree.
"""

import inspect
from pathlib import Path

from ..store.raw import raw_paths
from .config import checkpoint_names, file_hash
from .evaluation import EvaluationPlan
from .stages import VERSIONS


class Plan(EvaluationPlan):
    """Paths and specs of one complete configuration (``config.complete``)."""

    def __init__(self, config):
        self.config = config
        self.root = f"{config['store']}/{config['experiment']}"
        self.checkpoints = checkpoint_names(config)
        self.targets = {target["id"]: target for target in config["targets"]}
        self.evaluation = config["evaluation"]

    # ---- specs, in the order of the DAG

    def data(self):
        """Spec of data/train.zarr."""
        own = self._pick("data", "source path captions size subset") | self._pick_set("data", "near_duplicates")
        return self._spec("data", seed=self.config["seed"], data=own)

    def train(self, checkpoint):
        """Spec of a checkpoint: a training, or the path of an existing model."""
        given = self.config["checkpoints"]
        if "paths" in given:
            path = given["paths"][int(checkpoint.split("/")[1])]
            made = {"checkpoint": {"path": path, "reference": given["paths"][0]}}
        else:
            made = {"training": {**self.config["training"], "flip": self.config["data"]["flip"]}}
        return self._spec("train", self.data(), model=self.config["model"], **made)

    def features(self, checkpoint):
        """Spec of features/{checkpoint}.zarr."""
        own = {
            **self._pick("features", "draw_scheme dtype keep_halves"),
            "train_draws": self.config["attribution"]["train_draws"],
            "flip": self.config["data"]["flip"],
        }
        return self._spec("features", self.train(checkpoint), features=own, **self._gradients())

    def kernel(self, checkpoint):
        """Spec of kernels/{checkpoint}.zarr."""
        return self._spec("kernel", self.features(checkpoint), kernel=self.config["kernel"])

    def trajectory(self, target):
        """Spec of targets/{target}/trajectory.zarr: its origin, but not its attributed steps."""
        row = self.targets[target]
        origin = {key: row[key] for key in ("seed", "label") if key in row}
        if "trajectory" in row:
            origin["trajectory"] = file_hash(row["trajectory"])
        return self._spec(
            "trajectory",
            self.train(row["checkpoint"]),
            generator=row["checkpoint"],
            sampling=self.config["sampling"],
            target=origin,
            attribution=self._pick("attribution", "clip_x0_hat"),
        )

    def gradients(self, target):
        """Spec of targets/{target}/gradients.zarr and of the continuations beside it."""
        before = self.trajectory(target)
        return self._spec(
            "gradients",
            before,
            self._ensemble(),
            attribution=self._pick("attribution", "target_draws x0_hat clip_x0_hat")
            | self._pick("features", "keep_halves"),
            **self._gradients(),
            target={
                **before["target"],
                "steps": self.steps(target),
                **self._mask(target),
            },
        )

    def trak_scores(self, target):
        """Spec of scores/trak/{target}.zarr."""
        kernel = self.kernel(self.checkpoints[0])
        return self._spec("scores", kernel, self.gradients(target), self._ensemble(), scores=self.config["scores"])

    def pixel_scores(self, target):
        """Spec of scores/pixel/{target}.zarr."""
        before = self.trajectory(target)
        own = {**before["target"], "steps": self.steps(target)}
        return self._spec("scores", before, target=own, pixel=self.config["pixel"])

    def random_scores(self, target):
        """Spec of scores/random/{target}.zarr."""
        return self._spec("scores", self.data(), target={"steps": self.steps(target)})

    def trak_sum_scores(self, target):
        """Spec of scores/trak-sum/{target}.zarr."""
        return self.trak_scores(target)

    def norm_scores(self, target):
        """Spec of scores/norm/{target}.zarr."""
        features = self.features(self.checkpoints[0])
        return self._spec("scores", features, self._ensemble(), target={"steps": self.steps(target)})

    def panel(self, target):
        """Spec of one target's trajectory panels."""
        return self._spec("figures", figures=self.config["figures"], target={"steps": self.steps(target)})

    def table(self):
        """Spec of tables/top_influences.csv; which targets it lists follows from its inputs."""
        return self._spec("tables", tables=self.config["tables"])

    # ---- parts

    def wildcards(self, stage):
        """Names of the wildcards that a stage's spec depends on."""
        return list(inspect.signature(getattr(self, stage)).parameters)

    @property
    def data_sources(self):
        """Files and folders that the training images are read from, where they still exist."""
        found = raw_paths(self.config["data"])
        return found if all(path and Path(path).exists() for path in found) else []

    def checkpoint_sources(self, checkpoint):
        """The folder that an existing model is taken from; nothing for a hub id."""
        path = self.config["checkpoints"]["paths"][int(checkpoint.split("/")[1])]
        return [path] if Path(path).exists() else []

    def mask_file(self, target):
        """The PNG that a target's mask comes from, or an empty list."""
        mask = self.targets[target].get("mask")
        return mask if isinstance(mask, str) else []

    def _mask(self, target):
        mask = self.targets[target].get("mask")
        return {"mask": {"file": file_hash(mask)} if isinstance(mask, str) else mask}

    def steps(self, target):
        """Attributed steps of a target, ascending."""
        return sorted(self.targets[target].get("steps", self.config["attribution"]["steps"]))

    def _ensemble(self):
        """What a stage over all checkpoints depends on, in place of one checkpoint's own key."""
        return {"checkpoints": self.checkpoints, "checkpoint": {"all": self.config["checkpoints"].get("paths")}}

    def _gradients(self):
        """What train features and target gradients must have in common."""
        kind = self.config["gradients"]["kind"]
        own = self._pick("gradients", "kind precision" if kind == "exact" else "kind precision rank")
        return {"gradients": own, "projection": self.config["projection"]}

    def _pick(self, section, keys):
        return {key: self.config[section][key] for key in keys.split()}

    def _pick_set(self, section, keys):
        """Those of the keys that are set: what is null leaves a spec as it was before there was such a key."""
        return {key: value for key, value in self._pick(section, keys).items() if value is not None}

    @staticmethod
    def _spec(stage, *before, **sections):
        """The specs before it, later ones winning, with this stage's sections and version."""
        merged = {}
        for spec in (*before, sections):
            versions = {**merged.get("versions", {}), **spec.get("versions", {})}
            merged = {**merged, **spec, "versions": versions}
        merged["versions"][stage] = VERSIONS[stage]
        return merged
