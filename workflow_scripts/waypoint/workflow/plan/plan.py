"""The parts of an experiment: its checkpoints, targets and methods, and the spec and identity of every artifact.

The *spec* of an artifact holds the entries of its own stage and of the stages that it inherits (``stages``), keyed by
stage, so that an input can be checked against the spec of the job that reads it: stages in both specs must agree. Its
*identity* is a hash of that spec and of the identities of everything it reads; an artifact with another identity is
stale.
"""

import json
from pathlib import Path

from waypoint.errors import WaypointError
from waypoint.store.artifacts.fingerprint import json_hash
from waypoint.store.data.source import PLACES
from waypoint.store.data.sources import SOURCES
from waypoint.store.networks.adapter_files import sources_of
from waypoint.store.networks.layouts import taken_from
from waypoint.store.networks.places import local_place
from waypoint.workflow.bases import BASES
from waypoint.workflow.config.complete import file_hash
from waypoint.workflow.config.evaluated import chosen_targets
from waypoint.workflow.config.image_encoders import identity, parts_needing, place_of
from waypoint.workflow.config.method_settings import check_bases, check_fisher_rows, kernel_settings, summed
from waypoint.workflow.config.models import checkpoint_names
from waypoint.workflow.config.own_scores import cached_content_hash
from waypoint.workflow.config.shared_stores import folders
from waypoint.workflow.evaluations.registry import asked
from waypoint.workflow.methods import ENCODER, LOOKS, METHODS
from waypoint.workflow.plan.specs import READ_AS, as_read
from waypoint.workflow.plan.stages import STAGES

GIVEN_KEYS = ("sampler", "timestep_spacing", "weights")  # keys of ``checkpoints`` for existing models
PANEL_SAMPLES = 4  # samples of p(·|x_t) in every panel
SHEET_SAMPLES, CAPTIONED_SAMPLES = 36, 16  # samples on a model's contact sheet: 6 × 6, or 4 × 4 with captions


class Plan:
    """The specs and identities of one complete configuration (``config.complete.complete``)."""

    def __init__(self, config):
        self.config = config
        # artifacts are written to the first store and read from all
        self.root, *self.other_stores = (f"{store}/{config['experiment']}" for store in folders(config["store"]))
        self.checkpoints = checkpoint_names(config)
        self.methods = config["methods"]
        self.targets = {target["id"]: target for target in config["targets"]}
        # masks of one image are targets that share its trajectory, which is stored under the image's id
        self.shared = {name: row["whole"] for name, row in self.targets.items() if "whole" in row}
        self.sampled = self.targets | {image: self.targets[name] for name, image in self.shared.items()}
        # given images, by the ids that their masks share
        self.given = list(dict.fromkeys(self.shared.get(n, n) for n, row in self.targets.items() if "image" in row))
        self.evaluation = config["evaluation"]
        self.instances = self.methods | self._implied()
        check_bases(config, self.instances)
        check_fisher_rows(config, self.instances)
        self.attributed = config["data"] is not None  # otherwise existing models are only sampled from
        self._artifacts = {}

    def _implied(self):
        """Return {name: settings} of unlisted methods that other methods or an evaluation need."""
        names = [summed(row) for row in self.methods.values() if "scores" in METHODS[row["method"]].reads]
        names += [name for evaluation in asked(self.config).values() for name in evaluation.methods(self.config)]
        return {name: {"method": name} for name in names if name not in self.methods}

    # ---- specs and identities

    def recipe(self, stage, **wildcards):
        """Return the ``Recipe`` of an artifact."""
        row = STAGES[stage]
        return row.recipe(self, **{name: wildcards[name] for name in row.wildcards})

    def spec(self, stage, **wildcards):
        """Return the spec of an artifact: {"seed": …, stage: {"version": …, section: …}, …, "item": …}.

        Args:
            wildcards: those of the artifact's rule; any that the stage lacks are ignored.
        """
        return self._artifact(stage, wildcards)[0]

    def identity(self, stage, **wildcards):
        """Return the SHA-256 of an artifact's spec and of the identities of all its inputs."""
        return self._artifact(stage, wildcards)[1]

    def as_readers(self, stage, **wildcards):
        """Return an artifact's spec and identity as its readers compare them (see ``specs.as_read``)."""
        spec, _, identity = self._artifact(stage, wildcards)
        return as_read(spec), identity

    def asked(self, stage, **wildcards):
        """Return the --spec of a rule's script: the stage's name, the spec and the identity as sorted JSON."""
        spec, identity, _ = self._artifact(stage, wildcards)
        return json.dumps({"stage": stage, "spec": spec, "identity": identity}, sort_keys=True)

    def asked_together(self, stage, **wildcards):
        """Return the --spec of a shared pass: a JSON list with an entry for each of its bases."""
        return f"[{', '.join(self.asked(stage, basis=basis, **wildcards) for basis in self.together(stage))}]"

    def _artifact(self, stage, wildcards):
        """Return an artifact's spec and identity, and the identity that its readers compare."""
        row = STAGES[stage]
        key = (stage, *(wildcards[name] for name in row.wildcards))
        if key not in self._artifacts:
            recipe, spec = self.recipe(stage, **wildcards), {"seed": self.config["seed"]}
            for name, input_wildcards in recipe.inherits:
                inherited = as_read(self.spec(name, **input_wildcards))
                spec |= {entry: value for entry, value in inherited.items() if entry != "item"}
            read_version = {} if row.read_as is None else {READ_AS: row.read_as}
            spec[row.entry] = {"version": row.version, **read_version, **recipe.sections}
            if recipe.item:
                spec["item"] = recipe.item
            read = sorted(
                {
                    self._artifact(name, input_wildcards)[2]
                    for name, input_wildcards in [*recipe.inherits, *recipe.reads]
                }
            )

            def digest(spec):
                return json_hash([key, spec, read])

            self._artifacts[key] = spec, digest(spec), digest(as_read(spec))
        return self._artifacts[key]

    @property
    def images(self):
        """The ids of all trajectories; masks of one image share the image's."""
        return list(dict.fromkeys(self.shared.get(name, name) for name in self.targets))

    # ---- artifacts that stages read

    def data(self):
        """Return data/train.zarr, or, without training images, the encoders, on which everything then depends."""
        if not self.attributed:
            return self.encoders_of_data()
        return [("encode_data", {})] if self.encoded else [("prepare_data", {})]

    def encoders_of_data(self):
        """Return encoders/vae/ and encoders/text/, as far as the experiment has them."""
        stages = []
        if self.config["vae"]:
            stages.append(("import_vae" if "path" in self.config["vae"] else "train_vae", {}))
        return stages + ([("import_text_encoder", {})] if self.config["text_encoder"] else [])

    def model(self, checkpoint):
        """Return a model of the full set."""
        import_stages = {"paths": "import_checkpoint", "adapters": "import_adapter"}
        stage = next((stage for key, stage in import_stages.items() if key in self.config["checkpoints"]), "train")
        return stage, {"checkpoint": checkpoint}

    @property
    def base(self):
        """The base of the adapters as a list of one artifact or none."""
        return [("import_base", {})] if "base" in self.config["checkpoints"] else []

    def adapter(self):
        """Return the section ``adapter`` of a training with alpha filled in."""
        section = self.config["adapter"]
        return {**section, "alpha": section["rank"] if section["alpha"] is None else section["alpha"]}

    def models(self):
        """Return all models of the full set."""
        return [self.model(checkpoint) for checkpoint in self.checkpoints]

    def trajectory(self, target):
        """Return a target's trajectory: sampled from its seed, given, or made from a given image."""
        return "invert_image" if "image" in self.sampled[target] else "sample_trajectory", {"target": target}

    def compared_image(self, target):
        """Return the comparison of a target's given image with the training images as a list of one artifact, or []."""
        whole = self.shared.get(target, target)
        return [("compare_image", {"target": whole})] if whole in self.given else []

    def score(self, method, target):
        """Return a method's scores of a target."""
        return self.kind(method).stage, {"method": method, "target": target}

    def all_scores(self):
        """Return the scores of all methods and targets."""
        return [self.score(method, target) for method in self.methods for target in self.targets]

    # ---- parts of the configuration

    @property
    def encoded(self):
        """Whether models are trained on encoded inputs: latents or embedded captions."""
        return self.attributed and bool(self.config["vae"] or self.config["text_encoder"])

    @property
    def prompted(self):
        """Whether targets have prompts."""
        return self.config["text_encoder"] is not None

    def pick(self, section, keys):
        """Return {key: value} of some keys of a section, given as one string."""
        return {key: self.config[section][key] for key in keys.split()}

    def pick_set(self, section, keys):
        """Return the same as ``pick`` without keys that are null."""
        return {key: value for key, value in self.pick(section, keys).items() if value is not None}

    def training(self):
        """Return the section ``training``. A dropout of 0 is omitted, so that older specs still match."""
        dropouts = ("caption_dropout", "label_dropout")
        return {key: value for key, value in self.config["training"].items() if key not in dropouts or value}

    def scheduler(self):
        """Return the settings that choose or override parts of imported models."""
        settings = {key: self.config["checkpoints"][key] for key in GIVEN_KEYS if key in self.config["checkpoints"]}
        return settings | self.pick_set("sampling", "size")

    def null_class(self):
        """Return a spec's entry if there is a null class, as in guided models without captions, else {}."""
        guided = any(self.config[section]["guidance"] != 1 for section in ("sampling", "attribution"))
        dropped = self.config["training"]["label_dropout"] if "count" in self.config["checkpoints"] else 0
        return {"null_class": True} if (guided and not self.prompted) or dropped else {}

    def ensemble(self):
        """Return the names of all checkpoints, and their sources if they are not trained here."""
        section = self.config["checkpoints"]
        return {"checkpoints": self.checkpoints, "paths": section.get("paths", section.get("adapters"))}

    def gradients(self):
        """Return the settings that train features and target gradients must share."""
        kind = self.config["gradients"]["kind"]
        settings = self.pick("gradients", "kind precision" if kind == "exact" else "kind precision rank")
        projection = self.config["projection"]
        return {"gradients": settings, "projection": {"kind": "none"} if projection["kind"] == "none" else projection}

    def of_basis(self, basis):
        """Return the settings that train features, Fisher rows and target gradients of a basis must share."""
        damping = {"curvature": self.pick("curvature", "damping")} if BASES[basis].map else {}
        return {"basis": basis, **damping, **self.gradients()}

    def model_in(self, basis, checkpoint):
        """Return a model of the full set and, if there is one, the artifact that maps its gradients in a basis."""
        maps = [(BASES[basis].map, {"checkpoint": checkpoint})] if BASES[basis].map else []
        return [self.model(checkpoint), *maps]

    # ---- methods

    def kind(self, method):
        """Return a method's row of the table of methods."""
        return METHODS[self.instances[method]["method"]]

    def of_kind(self, kind):
        """Return the names of the methods of one kind."""
        return [name for name, settings in self.instances.items() if settings["method"] == kind]

    @property
    def kinds(self):
        """The rows of the table of methods that the experiment uses."""
        return [row for name, row in METHODS.items() if self.of_kind(name)]

    def basis(self, method):
        """Return the basis of a method's features and gradients."""
        return self.kind(method).basis

    @property
    def bases(self):
        """The names of the bases in use."""
        used = {self.basis(method) for method in self.instances}
        return [name for name in BASES if name in used]

    @property
    def maps(self):
        """The stages whose artifacts map the gradients of the bases in use."""
        return [BASES[name].map for name in self.bases if BASES[name].map]

    @property
    def with_kernel(self):
        """The names of the methods that have a kernel."""
        return [method for method in self.instances if self.kind(method).kernel]

    def kernel(self, method):
        """Return a method's kernel settings: its own, its kind's, or the experiment's."""
        return kernel_settings(self.config, self.instances[method])

    @property
    def fisher_bases(self):
        """The names of the bases that have Fisher rows."""
        used = {self.basis(method) for method in self.with_kernel if self.kind(method).kernel == "fisher"}
        return [name for name in BASES if name in used]

    def together(self, stage):
        """Return the names of the bases that share a stage's pass because their draws are equal: at least two, or none.

        Args:
            stage: "featurize", "fisher_rows" or "target_gradients".
        """
        passes = {}
        for basis in self.fisher_bases if stage == "fisher_rows" else self.bases:
            passes.setdefault(self._draws(stage, basis), []).append(basis)
        largest = max(passes.values(), key=len, default=[])
        return largest if len(largest) > 1 else []

    def alone(self, stage):
        """Return the names of the other bases, each of which has its own pass."""
        bases = self.fisher_bases if stage == "fisher_rows" else self.bases
        return [basis for basis in bases if basis not in self.together(stage)]

    def _draws(self, stage, basis):
        """Return a key that is equal for bases with the same draws and the same differentiated function."""
        row = BASES[basis]
        if stage == "fisher_rows":
            return self.fisher_rows(basis)
        return (row.train, self.draw_scheme(basis)) if stage == "featurize" else row.target

    def draw_scheme(self, basis):
        """Return how (t, ε) are drawn on the train side of a basis."""
        return BASES[basis].draw_scheme or self.config["features"]["draw_scheme"]

    def fisher_rows(self, basis):
        """Return the number of Fisher rows of a basis, which is the same for all its kernels."""
        kernels = (name for name in self.with_kernel if self.kind(name).kernel == "fisher")
        return next(self.kernel(name)["rows"] for name in kernels if self.basis(name) == basis)

    def summed(self, method):
        """Return the method whose scores a trajectory score adds up."""
        return summed(self.instances[method])

    def source(self, method, target):
        """Return the path of a user's own scores of a target."""
        return str(Path(self.instances[method]["scores"], f"{target}.zarr"))

    def source_hash(self, method, target):
        """Return the SHA-256 of a user's own scores of a target."""
        return cached_content_hash(self.source(method, target))

    @property
    def halves_apart(self):
        """Whether scores of both halves of the draws are kept: for a single checkpoint whose features have halves."""
        return self.config["features"]["keep_halves"] and len(self.checkpoints) == 1

    @property
    def regional(self):
        """The method that figures of regions show: the first one whose gradients depend on the mask, or None."""
        return next((method for method in self.methods if "gradients" in self.kind(method).reads), None)

    def looks(self, methods=None):
        """Return a figure's section ``looks``, {method: its turn} of methods without a fixed look, or {}.

        Args:
            methods: those in the figure; default: all.
        """
        turns = {name: turn for turn, name in enumerate(name for name in self.methods if name not in LOOKS)}
        visible = {name: turns[name] for name in methods or self.methods if name in turns}
        return {"looks": visible} if visible else {}

    def sampling(self):
        """Return the settings for generating targets; a guidance of 1 is omitted."""
        return self.pick("sampling", "steps") | self.guidance("sampling")

    @property
    def sheet_samples(self):
        """The number of samples on a model's contact sheet: fewer if there are captions."""
        return CAPTIONED_SAMPLES if self.prompted else SHEET_SAMPLES

    def guidance(self, section):
        """Return a section's guidance, or {} if there is none."""
        guidance = self.config[section]["guidance"]
        return {"guidance": guidance} if guidance != 1 else {}

    def origin(self, row):
        """Return the origin of a target: its seed, label and prompt, or the hash of a given trajectory or image."""
        parts = {key: row[key] for key in ("seed", "label", "prompt", "inversion", "noises") if key in row}
        return parts | {key: file_hash(row[key]) for key in ("trajectory", "image") if key in row}

    def encoder(self, name):
        """Return an image encoder's settings with the hash of its weights."""
        return identity(self.config["image_encoders"][name])

    def steps(self, target):
        """Return the attributed steps of a target, ascending."""
        return sorted(self.sampled[target].get("steps", self.config["attribution"]["steps"]))

    def mask(self, target):
        """Return a target's mask: a box, the hash of a PNG, or None."""
        mask = self.targets[target].get("mask")
        return {"mask": {"file": file_hash(mask)} if isinstance(mask, str) else mask}

    def samples(self, target):
        """Return the steps and number of a target's samples of p(·|x_t), enough for the panels and all evaluations."""
        steps, number = set(self.steps(target)) if self.attributed else set(), PANEL_SAMPLES
        if self.evaluation["samples"] and target in self.evaluated("samples"):
            steps |= set(self.steps_of("samples", target))
            number = max(number, self.evaluation["samples"]["number"])
        return {"steps": sorted(steps), "number": number}

    # ---- evaluations

    def evaluated(self, section):
        """Return the targets of an evaluation, in the order of the configuration."""
        return chosen_targets(self.config, section)

    def steps_of(self, section, target):
        """Return the steps of an evaluation for a target, ascending."""
        return sorted(self.evaluation[section]["steps"] or self.steps(target))

    def retrained_models(self):
        """Return the names of all models that evaluations train."""
        return list(
            dict.fromkeys(name for evaluation in asked(self.config).values() for name in evaluation.trainings(self))
        )

    # ---- groups of training images

    @property
    def group_lists(self):
        """{group: file} of the groups that are listed in files, sorted by name."""
        return dict(sorted(self.config["groups"]["files"].items())) if self.config["groups"] else {}

    def groups(self):
        """Return the section ``groups`` with the hashes of files instead of their paths."""
        lists = {name: file_hash(path) for name, path in self.group_lists.items()}
        return {**self.config["groups"], "files": lists}

    def group_encoder(self):
        """Return the embeddings that define neighbours, as a list of one artifact; none for pixels."""
        encoder = self.config["groups"]["neighbours"]
        return [] if encoder == "pixels" else [("embed_images", {"encoder": encoder})]

    # ---- image encoders, masks and files from outside the store

    @property
    def encoders(self):
        """The names of the methods that are image encoders."""
        return self.of_kind(ENCODER)

    @property
    def encoder_places(self):
        """{name: folder, file or hub id} of every image encoder in use; results do not depend on these locations."""
        encoders = self.config["image_encoders"].items()
        return {name: place_of(encoder) for name, encoder in encoders if parts_needing(name, self.config)}

    @property
    def data_places(self):
        """The locations of the raw data, on which no result depends."""
        data = self.config["data"] or {}
        return {key: data[key] for key in PLACES if key in data}

    @property
    def data_sources(self):
        """The existing files and folders that the training images are read from."""
        return SOURCES[self.config["data"]["source"]].there(self.config["data"])

    def checkpoint_sources(self, checkpoint):
        """Return the folder and files of an existing model; none for a hub id."""
        return self._taken_from(self.config["checkpoints"]["paths"][int(checkpoint.split("/")[1])])

    def _taken_from(self, path):
        return taken_from(path, self.config["checkpoints"].get("weights"))

    def adapter_sources(self, checkpoint):
        """Return the files of an existing adapter, or its path if that is no longer an adapter."""
        path = self.config["checkpoints"]["adapters"][int(checkpoint.split("/")[1])]
        try:
            return [str(file) for file in sources_of(path)]
        except WaypointError:  # no longer an adapter, though it was when it was imported
            return [path] if Path(path).exists() else []

    def encoder_sources(self, key):
        """Return the folder of a VAE or text encoder; none for a hub id or a package that was removed."""
        try:
            path = local_place(self.config[key]["path"], key)
        except WaypointError:
            return []
        return [path] if Path(path).exists() else []

    def sources(self, stage, **wildcards):
        """Return the existing files and folders outside the store that an artifact is made from."""
        if stage == "prepare_data":
            return self.data_sources
        if stage == "import_checkpoint":
            return self.checkpoint_sources(wildcards["checkpoint"])
        if stage == "import_adapter":
            return self.adapter_sources(wildcards["checkpoint"])
        if stage == "import_base":
            return self._taken_from(self.config["checkpoints"]["base"])
        keys = {"import_vae": "vae", "import_text_encoder": "text_encoder"}
        return self.encoder_sources(keys[stage]) if stage in keys else []

    def masks_of(self, image):
        """Return the targets that are an image's masks, or the target with the image's id."""
        return [name for name, whole in self.shared.items() if whole == image] or [image]

    @property
    def region_figures(self):
        """The images with a figure of their masks."""
        masked = [self.shared.get(name, name) for name, row in self.targets.items() if "mask" in row]
        return list(dict.fromkeys(masked)) if self.regional else []

    def mask_step(self, image):
        """Return the step in the figure of an image's masks."""
        configured, nearest = (
            self.config["figures"]["mask_step"],
            min(self.steps(image), key=lambda t: (abs(t - 400), t)),
        )
        return nearest if configured is None else configured

    def regions_shown(self, image):
        """Return the name and mask of each region in an image's figure."""
        return [{"name": name, **self.mask(name)} for name in self.masks_of(image)]

    def mask_files(self, image):
        """Return the PNGs among an image's masks."""
        return [file for file in map(self.mask_file, self.masks_of(image)) if file]

    def mask_file(self, target):
        """Return the PNG of a target's mask, or an empty list."""
        mask = self.targets[target].get("mask")
        return mask if isinstance(mask, str) else []
