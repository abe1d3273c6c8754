"""Where each artifact lies, and of exactly which config keys it is the result: its *spec*.

A spec holds the sections of a stage and of every stage before it, so that an input can be checked against
the spec of the job that reads it: wherever both have a key, the values must agree.
"""

import inspect
from pathlib import Path

from waypoint.errors import WaypointError
from waypoint.store.data.paths import raw_paths
from waypoint.store.networks.packages import located
from waypoint.workflow.config.complete import file_hash
from waypoint.workflow.config.image_encoders import identity, place_of
from waypoint.workflow.config.models import checkpoint_names
from waypoint.workflow.config.shared_stores import folders
from waypoint.workflow.plan.evaluation import EvaluationPlan
from waypoint.workflow.plan.stages import VERSIONS

SCHEDULER_KEYS = ("sampler", "timestep_spacing")  # of config.checkpoints


class Plan(EvaluationPlan):
    """Paths and specs of one complete configuration (``config.complete.complete``)."""

    def __init__(self, config):
        self.config = config
        # written to the first store, read from all
        self.root, *self.others = (f"{store}/{config['experiment']}" for store in folders(config["store"]))
        self.checkpoints = checkpoint_names(config)
        self.targets = {target["id"]: target for target in config["targets"]}
        # the masks of one image are targets that share the trajectory which lies under the image's own id
        self.shared = {name: row["image"] for name, row in self.targets.items() if "image" in row}
        self.sampled = self.targets | {image: self.targets[name] for name, image in self.shared.items()}
        self.evaluation = config["evaluation"]
        self.attributed = config["data"] is not None  # else given models are only sampled from

    # ---- specs, in the order of the DAG

    def images(self):
        """Spec of the training images as they come from their source."""
        own = self._pick("data", "source path captions size subset") | self._pick_set("data", "near_duplicates")
        return self._spec("data", seed=self.config["seed"], data=own)

    def vae(self):
        """Spec of encoders/vae/: a training on the images, or the path of an existing one."""
        given = self.config["vae"]
        if "path" in given:
            return self._spec("encoder", vae={"path": given["path"]})
        return self._spec("vae", self.images(), vae={"train": given["train"]})

    def text_encoder(self):
        """Spec of encoders/text/."""
        return self._spec("encoder", text_encoder=self.config["text_encoder"])

    def data(self):
        """Spec of data/train.zarr: the images, and for latent and text-conditional models what they see of them.

        Without training images there is no such store, and only the encoders are what everything builds on.
        """
        parts = [self.vae()] if self.config["vae"] else []
        parts += [self.text_encoder()] if self.config["text_encoder"] else []
        if not self.attributed:
            return self._merged({"seed": self.config["seed"]}, *parts)
        if not self.encoded:
            return self.images()
        own = {"vae": {**parts[0]["vae"], "latent": self.config["vae"]["latent"]}} if self.config["vae"] else {}
        return self._spec("encoding", self.images(), *parts, **own)

    def train(self, checkpoint):
        """Spec of a checkpoint: a training, or the path of an existing model."""
        given = self.config["checkpoints"]
        if "paths" in given:
            path = given["paths"][int(checkpoint.split("/")[1])]
            reference = {"reference": given["paths"][0]} if self.attributed else {}
            made = {"checkpoint": {"path": path, **reference, **self._scheduler()}}
        else:
            made = {"training": self._training() | {"flip": self.config["data"]["flip"]}}
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
        row = self.sampled[target]
        origin = {key: row[key] for key in ("seed", "label", "prompt") if key in row}
        if "trajectory" in row:
            origin["trajectory"] = file_hash(row["trajectory"])
        return self._spec(
            "trajectory",
            self.train(row["checkpoint"]),
            generator=row["checkpoint"],
            sampling=self._sampling(),
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
            | self._pick("features", "keep_halves")
            | self._guidance("attribution"),
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

    def embeddings(self, encoder):
        """Spec of embeddings/{encoder}.zarr."""
        return self._spec("embeddings", self.data(), image_encoder=self._encoder(encoder))

    def encoder_scores(self, target, encoder):
        """Spec of scores/{encoder}/{target}.zarr."""
        before = self.trajectory(target)
        own = {**before["target"], "steps": self.steps(target)}
        return self._spec("encoder_scores", before, self.embeddings(encoder), target=own)

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
        return self._spec("figures", figures=self._pick("figures", "top"), target={"steps": self.steps(target)})

    def trajectory_figure(self, target):
        """Spec of the picture of a trajectory without scores."""
        return self._spec("figures")

    def mask_figure(self, target):
        """Spec of the figure of a target's mask, or of all masks of an image."""
        names, steps = self.masks_of(target), self.steps(target)
        chosen, nearest = self.config["figures"]["mask_step"], min(steps, key=lambda t: (abs(t - 400), t))
        step = nearest if chosen is None else chosen
        shown = [{"name": name, **self._mask(name)} for name in names]
        return self._spec("figures", figures={"mask_step": step}, masks=shown)

    def table(self):
        """Spec of tables/top_influences.csv; which targets it lists follows from its inputs."""
        return self._spec("tables", tables=self.config["tables"])

    # ---- parts

    @property
    def encoded(self):
        """Whether models are trained on something else than the images: latents, or embedded captions too."""
        return self.attributed and bool(self.config["vae"] or self.config["text_encoder"])

    @property
    def prompted(self):
        """Whether targets have prompts."""
        return self.config["text_encoder"] is not None

    def _sampling(self):
        """How targets are generated; a guidance of 1 is none."""
        return self._pick("sampling", "steps") | self._guidance("sampling")

    def _guidance(self, section):
        guidance = self.config[section]["guidance"]
        return {"guidance": guidance} if guidance != 1 else {}

    def _scheduler(self):
        """What is done with the scheduler of an existing model, where anything is."""
        return {key: self.config["checkpoints"][key] for key in SCHEDULER_KEYS if key in self.config["checkpoints"]}

    def wildcards(self, stage):
        """Names of the wildcards that a stage's spec depends on."""
        return list(inspect.signature(getattr(self, stage)).parameters)

    @property
    def encoders(self):
        """Names of the methods that are image encoders."""
        return [method for method in self.config["methods"] if method in self.config["image_encoders"]]

    @property
    def encoder_places(self):
        """{name: folder, file or hub id} of every image encoder: no result depends on where weights lie."""
        return {name: place_of(encoder) for name, encoder in self.config["image_encoders"].items()}

    @property
    def data_sources(self):
        """Files and folders that the training images are read from, where they still exist."""
        found = raw_paths(self.config["data"])
        return found if all(path and Path(path).exists() for path in found) else []

    def checkpoint_sources(self, checkpoint):
        """The folder that an existing model is taken from; nothing for a hub id."""
        path = self.config["checkpoints"]["paths"][int(checkpoint.split("/")[1])]
        return [path] if Path(path).exists() else []

    def encoder_sources(self, key):
        """The folder that a VAE or text encoder is taken from; nothing for a hub id, or a package that is gone."""
        try:
            path = located(self.config[key]["path"], key)
        except WaypointError:
            return []
        return [path] if Path(path).exists() else []

    def masks_of(self, image):
        """The targets that are an image's masks: several, or the one under the image's own id."""
        return [name for name, of in self.shared.items() if of == image] or [image]

    @property
    def mask_figures(self):
        """The images whose masks have a figure."""
        masked = [self.shared.get(name, name) for name, row in self.targets.items() if "mask" in row]
        return list(dict.fromkeys(masked)) if "trak" in self.config["methods"] else []

    def mask_files(self, image):
        """The PNGs among an image's masks."""
        return [file for file in map(self.mask_file, self.masks_of(image)) if file]

    def mask_file(self, target):
        """The PNG that a target's mask comes from, or an empty list."""
        mask = self.targets[target].get("mask")
        return mask if isinstance(mask, str) else []

    def _mask(self, target):
        mask = self.targets[target].get("mask")
        return {"mask": {"file": file_hash(mask)} if isinstance(mask, str) else mask}

    def steps(self, target):
        """Attributed steps of a target, ascending."""
        return sorted(self.sampled[target].get("steps", self.config["attribution"]["steps"]))

    def _training(self):
        """The recipe; no dropped captions are no setting."""
        return {key: value for key, value in self.config["training"].items() if key != "caption_dropout" or value}

    def _ensemble(self):
        """What a stage over all checkpoints depends on, in place of one checkpoint's own key."""
        given = {"all": self.config["checkpoints"].get("paths"), **self._scheduler()}
        return {"checkpoints": self.checkpoints, "checkpoint": given}

    def _gradients(self):
        """What train features and target gradients must have in common."""
        kind = self.config["gradients"]["kind"]
        own = self._pick("gradients", "kind precision" if kind == "exact" else "kind precision rank")
        return {"gradients": own, "projection": self.config["projection"]}

    def _encoder(self, name):
        return identity(self.config["image_encoders"][name])

    def _pick(self, section, keys):
        return {key: self.config[section][key] for key in keys.split()}

    def _pick_set(self, section, keys):
        """Those of the keys that are set: what is null leaves a spec as it was before there was such a key."""
        return {key: value for key, value in self._pick(section, keys).items() if value is not None}

    @staticmethod
    def _spec(stage, *before, **sections):
        """The specs before it, later ones winning, with this stage's sections and version."""
        return Plan._merged(*before, sections, {"versions": {stage: VERSIONS[stage]}})

    @staticmethod
    def _merged(*specs):
        """All sections, later ones winning, and all versions."""
        merged = {}
        for spec in specs:
            versions = {**merged.get("versions", {}), **spec.get("versions", {})}
            merged = {**merged, **spec, "versions": versions}
        return merged
