"""The parts of an experiment: its checkpoints, targets and methods, and the spec and identity of every artifact.

The *spec* of an artifact holds the entry of its own stage and those of the stages that it inherits (``stages``), keyed
by stage, so that an input can be checked against the spec of the job that reads it: stages that both have must agree.
Its *identity* is a hash of that spec and of the identities of everything it reads: an artifact of another identity is
stale.
"""

import json
from pathlib import Path

from waypoint.errors import WaypointError
from waypoint.store.artifacts.fingerprint import json_hash
from waypoint.store.data.source import PLACES
from waypoint.store.data.sources import SOURCES
from waypoint.store.networks.adapter_files import file_of
from waypoint.store.networks.layouts import taken_from
from waypoint.store.networks.places import local_place
from waypoint.workflow.bases import BASES
from waypoint.workflow.config.complete import file_hash
from waypoint.workflow.config.evaluated import chosen_targets
from waypoint.workflow.config.image_encoders import identity, needing, place_of
from waypoint.workflow.config.method_settings import check_bases, check_fisher_rows, kernel_settings, summed
from waypoint.workflow.config.models import checkpoint_names
from waypoint.workflow.config.own_scores import cached_content_hash
from waypoint.workflow.config.shared_stores import folders
from waypoint.workflow.evaluations.registry import asked
from waypoint.workflow.methods import ENCODER, LOOKS, METHODS
from waypoint.workflow.plan.specs import READ_AS, as_read
from waypoint.workflow.plan.stages import STAGES

GIVEN_KEYS = ("sampler", "timestep_spacing", "weights")  # of config.checkpoints
PANEL_SAMPLES = 4  # of p(·|x_t), which every panel shows
SHEET_SAMPLES, CAPTIONED_SAMPLES = 36, 16  # of a model, on its contact sheet: squares of 6 and 4


class Plan:
    """Specs and identities of one complete configuration (``config.complete.complete``)."""

    def __init__(self, config):
        self.config = config
        # written to the first store, read from all
        self.root, *self.other_stores = (f"{store}/{config['experiment']}" for store in folders(config["store"]))
        self.checkpoints = checkpoint_names(config)
        self.methods = config["methods"]
        self.targets = {target["id"]: target for target in config["targets"]}
        # the masks of one image are targets that share the trajectory which lies under the image's own id
        self.shared = {name: row["whole"] for name, row in self.targets.items() if "whole" in row}
        self.sampled = self.targets | {image: self.targets[name] for name, image in self.shared.items()}
        # the pictures that somebody has, under the ids that their masks share
        self.given = list(dict.fromkeys(self.shared.get(n, n) for n, row in self.targets.items() if "image" in row))
        self.evaluation = config["evaluation"]
        self.instances = self.methods | self._implied()
        check_bases(config, self.instances)
        check_fisher_rows(config, self.instances)
        self.attributed = config["data"] is not None  # else given models are only sampled from
        self._known = {}

    def _implied(self):
        """{name: settings} of methods that are not listed, but needed by others or by an evaluation."""
        names = [summed(row) for row in self.methods.values() if "scores" in METHODS[row["method"]].reads]
        names += [name for one in asked(self.config).values() for name in one.methods(self.config)]
        return {name: {"method": name} for name in names if name not in self.methods}

    # ---- specs and identities

    def recipe(self, stage, **wildcards):
        """The ``Recipe`` of one artifact."""
        row = STAGES[stage]
        return row.recipe(self, **{name: wildcards[name] for name in row.wildcards})

    def spec(self, stage, **wildcards):
        """The spec of one artifact: {"seed": …, stage: {"version": …, section: …}, …, "item": …}.

        Args:
            wildcards: those of the artifact's rule; of them the stage's own are used.
        """
        return self._artifact(stage, wildcards)[0]

    def identity(self, stage, **wildcards):
        """SHA-256 of an artifact's spec and of the identities of everything it is made from."""
        return self._artifact(stage, wildcards)[1]

    def as_readers(self, stage, **wildcards):
        """An artifact's spec and identity as its readers compare them, without what later versions store beside it."""
        spec, _, identity = self._artifact(stage, wildcards)
        return as_read(spec), identity

    def asked(self, stage, **wildcards):
        """The --spec of a rule's script: one sorted JSON string of the stage's name, the spec and the identity."""
        spec, identity, _ = self._artifact(stage, wildcards)
        return json.dumps({"stage": stage, "spec": spec, "identity": identity}, sort_keys=True)

    def asked_together(self, stage, **wildcards):
        """The same of one pass: a JSON list with an entry for each of its bases."""
        return f"[{', '.join(self.asked(stage, basis=basis, **wildcards) for basis in self.together(stage))}]"

    def _artifact(self, stage, wildcards):
        """An artifact's spec and identity, and the forms of both that its readers compare."""
        row = STAGES[stage]
        key = (stage, *(wildcards[name] for name in row.wildcards))
        if key not in self._known:
            recipe, spec = self.recipe(stage, **wildcards), {"seed": self.config["seed"]}
            for name, of in recipe.inherits:
                inherited = as_read(self.spec(name, **of))
                spec |= {entry: value for entry, value in inherited.items() if entry != "item"}
            more = {} if row.read_as is None else {READ_AS: row.read_as}
            spec[row.entry] = {"version": row.version, **more, **recipe.sections}
            if recipe.item:
                spec["item"] = recipe.item
            read = sorted({self._artifact(name, of)[2] for name, of in [*recipe.inherits, *recipe.reads]})

            def digest(spec):
                return json_hash([key, spec, read])

            self._known[key] = spec, digest(spec), digest(as_read(spec))
        return self._known[key]

    @property
    def images(self):
        """The targets whose trajectories are made, each once: masks of one image share that of the image."""
        return list(dict.fromkeys(self.shared.get(name, name) for name in self.targets))

    # ---- artifacts that stages read

    def data(self):
        """data/train.zarr; without training images the encoders, on which everything is then built."""
        if not self.attributed:
            return self.encoders_of_data()
        return [("encode_data", {})] if self.encoded else [("prepare_data", {})]

    def encoders_of_data(self):
        """encoders/vae/ and encoders/text/, where there are any."""
        stages = []
        if self.config["vae"]:
            stages.append(("import_vae" if "path" in self.config["vae"] else "train_vae", {}))
        return stages + ([("import_text_encoder", {})] if self.config["text_encoder"] else [])

    def model(self, checkpoint):
        """A model of the full set."""
        taken = {"paths": "import_checkpoint", "adapters": "import_adapter"}
        stage = next((stage for key, stage in taken.items() if key in self.config["checkpoints"]), "train")
        return stage, {"checkpoint": checkpoint}

    @property
    def base(self):
        """The base of adapters as artifacts: one, or none."""
        return [("import_base", {})] if "base" in self.config["checkpoints"] else []

    def adapter(self):
        """The section ``adapter`` of a training, alpha filled in."""
        own = self.config["adapter"]
        return {**own, "alpha": own["rank"] if own["alpha"] is None else own["alpha"]}

    def models(self):
        """All models of the full set."""
        return [self.model(checkpoint) for checkpoint in self.checkpoints]

    def trajectory(self, target):
        """A target's trajectory: sampled from its seed or brought along, or made of a given image."""
        return "invert_image" if "image" in self.sampled[target] else "sample_trajectory", {"target": target}

    def compared_image(self, target):
        """The artifact that compares a target's given image with the training images, in a list, or an empty one."""
        whole = self.shared.get(target, target)
        return [("compare_image", {"target": whole})] if whole in self.given else []

    def score(self, method, target):
        """A method's scores of a target."""
        return self.kind(method).stage, {"method": method, "target": target}

    def all_scores(self):
        """The scores of all methods and targets."""
        return [self.score(method, target) for method in self.methods for target in self.targets]

    # ---- parts of the configuration

    @property
    def encoded(self):
        """Whether models see encoded inputs: latents, or embedded captions."""
        return self.attributed and bool(self.config["vae"] or self.config["text_encoder"])

    @property
    def prompted(self):
        """Whether targets have prompts."""
        return self.config["text_encoder"] is not None

    def pick(self, section, keys):
        """{key: value} of some keys of a section, named in one string."""
        return {key: self.config[section][key] for key in keys.split()}

    def pick_set(self, section, keys):
        """As ``pick``, without keys that are null."""
        return {key: value for key, value in self.pick(section, keys).items() if value is not None}

    def training(self):
        """The recipe of a training. A dropout of 0 is left out, so that specs without the key stay equal."""
        dropouts = ("caption_dropout", "label_dropout")
        return {key: value for key, value in self.config["training"].items() if key not in dropouts or value}

    def scheduler(self):
        """The settings by which parts of imported models are chosen or overridden."""
        settings = {key: self.config["checkpoints"][key] for key in GIVEN_KEYS if key in self.config["checkpoints"]}
        return settings | self.pick_set("sampling", "size")

    def null_class(self):
        """The entry of a spec where a class stands for no class, as in guided models without captions."""
        guided = any(self.config[section]["guidance"] != 1 for section in ("sampling", "attribution"))
        dropped = self.config["training"]["label_dropout"] if "count" in self.config["checkpoints"] else 0
        return {"null_class": True} if (guided and not self.prompted) or dropped else {}

    def ensemble(self):
        """Names of all checkpoints, and where they come from if they are not trained here."""
        given = self.config["checkpoints"]
        return {"checkpoints": self.checkpoints, "paths": given.get("paths", given.get("adapters"))}

    def gradients(self):
        """The settings that train features and target gradients must have in common."""
        kind = self.config["gradients"]["kind"]
        settings = self.pick("gradients", "kind precision" if kind == "exact" else "kind precision rank")
        projection = self.config["projection"]
        return {"gradients": settings, "projection": {"kind": "none"} if projection["kind"] == "none" else projection}

    def of_basis(self, basis):
        """The settings that train features, Fisher rows and target gradients of a basis must have in common."""
        damping = {"curvature": self.pick("curvature", "damping")} if BASES[basis].map else {}
        return {"basis": basis, **damping, **self.gradients()}

    def model_in(self, basis, checkpoint):
        """A model of the full set, and the artifact that maps its gradients in a basis, if any."""
        mapped = [(BASES[basis].map, {"checkpoint": checkpoint})] if BASES[basis].map else []
        return [self.model(checkpoint), *mapped]

    # ---- methods

    def kind(self, method):
        """A method's row of the table of methods."""
        return METHODS[self.instances[method]["method"]]

    def of_kind(self, kind):
        """Names of the methods of one kind."""
        return [name for name, settings in self.instances.items() if settings["method"] == kind]

    @property
    def kinds(self):
        """Rows of the table to which a listed method belongs."""
        return [row for name, row in METHODS.items() if self.of_kind(name)]

    def basis(self, method):
        """The basis of a method's features and gradients."""
        return self.kind(method).basis

    @property
    def bases(self):
        """Names of the bases whose features and gradients are made."""
        used = {self.basis(method) for method in self.instances}
        return [name for name in BASES if name in used]

    @property
    def maps(self):
        """Stages whose artifacts map the gradients of a basis."""
        return [BASES[name].map for name in self.bases if BASES[name].map]

    @property
    def with_kernel(self):
        """Names of the methods that have a kernel."""
        return [method for method in self.instances if self.kind(method).kernel]

    def kernel(self, method):
        """The kernel settings of a method: its own, or its kind's, or the experiment's."""
        return kernel_settings(self.config, self.instances[method])

    @property
    def fisher_bases(self):
        """Names of the bases of which there are Fisher rows."""
        used = {self.basis(method) for method in self.with_kernel if self.kind(method).kernel == "fisher"}
        return [name for name in BASES if name in used]

    def together(self, stage):
        """Names of the bases whose artifacts of a stage share a pass, since their draws are the same; none for one.

        Args:
            stage: "featurize", "fisher_rows" or "target_gradients".
        """
        passes = {}
        for basis in self.fisher_bases if stage == "fisher_rows" else self.bases:
            passes.setdefault(self._draws(stage, basis), []).append(basis)
        most = max(passes.values(), key=len, default=[])
        return most if len(most) > 1 else []

    def alone(self, stage):
        """Names of the other bases, each of which has a pass of its own."""
        bases = self.fisher_bases if stage == "fisher_rows" else self.bases
        return [basis for basis in bases if basis not in self.together(stage)]

    def _draws(self, stage, basis):
        """What tells the draws of a basis, and what is differentiated, from those of others."""
        row = BASES[basis]
        if stage == "fisher_rows":
            return self.fisher_rows(basis)
        return (row.train, self.draw_scheme(basis)) if stage == "featurize" else row.target

    def draw_scheme(self, basis):
        """The draws of (t, ε) on the train side of a basis."""
        return BASES[basis].draw_scheme or self.config["features"]["draw_scheme"]

    def fisher_rows(self, basis):
        """How many Fisher rows of a basis there are: all kernels from them have the same."""
        kernels = (name for name in self.with_kernel if self.kind(name).kernel == "fisher")
        return next(self.kernel(name)["rows"] for name in kernels if self.basis(name) == basis)

    def summed(self, method):
        """The method whose scores a trajectory score adds up."""
        return summed(self.instances[method])

    def source(self, method, target):
        """The place of a user's own scores of a target."""
        return str(Path(self.instances[method]["scores"], f"{target}.zarr"))

    def source_hash(self, method, target):
        """SHA-256 of that store."""
        return cached_content_hash(self.source(method, target))

    @property
    def halves_apart(self):
        """Whether scores of both halves of the draws are kept: of a single checkpoint whose features have halves."""
        return self.config["features"]["keep_halves"] and len(self.checkpoints) == 1

    @property
    def regional(self):
        """The method whose scores figures of regions show: the first whose f_t sees masks by its gradients, or None."""
        return next((method for method in self.methods if "gradients" in self.kind(method).reads), None)

    def looks(self, methods=None):
        """The section ``looks`` of a figure: {method: its turn} of those without a look of their own, if there are any.

        Args:
            methods: that the figure shows; default all.
        """
        turns = {name: turn for turn, name in enumerate(name for name in self.methods if name not in LOOKS)}
        shown = {name: turns[name] for name in methods or self.methods if name in turns}
        return {"looks": shown} if shown else {}

    def sampling(self):
        """The settings by which targets are generated; a guidance of 1 is left out."""
        return self.pick("sampling", "steps") | self.guidance("sampling")

    @property
    def sheet_samples(self):
        """How many samples a model's contact sheet shows: fewer where captions take room."""
        return CAPTIONED_SAMPLES if self.prompted else SHEET_SAMPLES

    def guidance(self, section):
        """A section's guidance, if there is any."""
        guidance = self.config[section]["guidance"]
        return {"guidance": guidance} if guidance != 1 else {}

    def origin(self, row):
        """The origin of a target: its seed, label and prompt, or the hash of a given trajectory or image."""
        parts = {key: row[key] for key in ("seed", "label", "prompt", "inversion", "noises") if key in row}
        return parts | {key: file_hash(row[key]) for key in ("trajectory", "image") if key in row}

    def encoder(self, name):
        """An image encoder's settings, with the hash of its weights."""
        return identity(self.config["image_encoders"][name])

    def steps(self, target):
        """Attributed steps of a target, ascending."""
        return sorted(self.sampled[target].get("steps", self.config["attribution"]["steps"]))

    def mask(self, target):
        """A target's mask: a box, the hash of a PNG, or None."""
        mask = self.targets[target].get("mask")
        return {"mask": {"file": file_hash(mask)} if isinstance(mask, str) else mask}

    def samples(self, target):
        """Steps and number of a target's samples of p(·|x_t): enough for the panels and for all evaluations."""
        steps, number = set(self.steps(target)) if self.attributed else set(), PANEL_SAMPLES
        if self.evaluation["samples"] and target in self.evaluated("samples"):
            steps |= set(self.steps_of("samples", target))
            number = max(number, self.evaluation["samples"]["number"])
        return {"steps": sorted(steps), "number": number}

    # ---- evaluations

    def evaluated(self, section):
        """Targets of an evaluation, in the config's order."""
        return chosen_targets(self.config, section)

    def steps_of(self, section, target):
        """Steps of an evaluation at a target, ascending."""
        return sorted(self.evaluation[section]["steps"] or self.steps(target))

    def retrained_models(self):
        """Names of all models that evaluations train."""
        return list(dict.fromkeys(name for one in asked(self.config).values() for name in one.trainings(self)))

    # ---- groups of training images

    @property
    def group_lists(self):
        """{group: file} of the groups that files list, by name."""
        return dict(sorted(self.config["groups"]["files"].items())) if self.config["groups"] else {}

    def groups(self):
        """The section ``groups``, with the hashes of files in the place of their paths."""
        lists = {name: file_hash(path) for name, path in self.group_lists.items()}
        return {**self.config["groups"], "files": lists}

    def group_encoder(self):
        """The embeddings by which images are neighbours, as artifacts; none for pixels."""
        encoder = self.config["groups"]["neighbours"]
        return [] if encoder == "pixels" else [("embed_images", {"encoder": encoder})]

    # ---- image encoders, masks and files from outside the store

    @property
    def encoders(self):
        """Names of the methods that are image encoders."""
        return self.of_kind(ENCODER)

    @property
    def encoder_places(self):
        """{name: folder, file or hub id} of every image encoder in use: no result depends on where weights lie."""
        encoders = self.config["image_encoders"].items()
        return {name: place_of(encoder) for name, encoder in encoders if needing(name, self.config)}

    @property
    def data_places(self):
        """Where the raw data lie: no result depends on it."""
        data = self.config["data"] or {}
        return {key: data[key] for key in PLACES if key in data}

    @property
    def data_sources(self):
        """Files and folders that the training images are read from, where they still exist."""
        return SOURCES[self.config["data"]["source"]].there(self.config["data"])

    def checkpoint_sources(self, checkpoint):
        """Folder and files that an existing model is taken from; nothing for a hub id."""
        return self._taken_from(self.config["checkpoints"]["paths"][int(checkpoint.split("/")[1])])

    def _taken_from(self, path):
        return taken_from(path, self.config["checkpoints"].get("weights"))

    def adapter_sources(self, checkpoint):
        """The file that an existing adapter is taken from; its place where that is gone."""
        path = self.config["checkpoints"]["adapters"][int(checkpoint.split("/")[1])]
        try:
            return [str(file_of(path))]
        except WaypointError:  # it was taken once, and is something else now
            return [path] if Path(path).exists() else []

    def encoder_sources(self, key):
        """The folder that a VAE or text encoder is taken from; nothing for a hub id, or a package that is gone."""
        try:
            path = local_place(self.config[key]["path"], key)
        except WaypointError:
            return []
        return [path] if Path(path).exists() else []

    def sources(self, stage, **wildcards):
        """Files and folders outside the store that an artifact is read from, where they still exist."""
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
        """The targets that are an image's masks: several, or the one under the image's own id."""
        return [name for name, of in self.shared.items() if of == image] or [image]

    @property
    def region_figures(self):
        """The images whose masks have a figure."""
        masked = [self.shared.get(name, name) for name, row in self.targets.items() if "mask" in row]
        return list(dict.fromkeys(masked)) if self.regional else []

    def mask_step(self, image):
        """The step that the figure of an image's masks shows."""
        chosen, nearest = self.config["figures"]["mask_step"], min(self.steps(image), key=lambda t: (abs(t - 400), t))
        return nearest if chosen is None else chosen

    def regions_shown(self, image):
        """Name and mask of each region in an image's figure."""
        return [{"name": name, **self.mask(name)} for name in self.masks_of(image)]

    def mask_files(self, image):
        """The PNGs among an image's masks."""
        return [file for file in map(self.mask_file, self.masks_of(image)) if file]

    def mask_file(self, target):
        """The PNG that a target's mask comes from, or an empty list."""
        mask = self.targets[target].get("mask")
        return mask if isinstance(mask, str) else []
