"""Specs, models and targets of the evaluations (``plan.Plan`` inherits them)."""

from waypoint.workflow.config.evaluation_checks import chosen_targets, fid_weights

CLASSIFIERS = ("standard", "robust")


class EvaluationPlan:
    """Each evaluation's spec holds its own config section and whatever it reads."""

    # ---- models that are retrained

    def subset(self, subset):
        """Spec of the models of one random subset, checkpoints/subset/{subset}-*/."""
        images = {"subset": int(subset), "fraction": self.evaluation["lds"]["fraction"]}
        return {**self.train("full/0"), "images": images}

    def without(self, method, target, step, n_remove):
        """Spec of a model without a method's top images; which images those are follows from the scores."""
        images = {"method": method, "target": target, "step": int(step), "remove": share_or_count(n_remove)}
        return {**self.train("full/0"), "images": images}

    def without_random(self, removal, n_remove):
        """Spec of a model without random images."""
        return {**self.train("full/0"), "images": {"random": int(removal), "remove": share_or_count(n_remove)}}

    # ---- specs, in the order of the DAG

    def masks(self):
        """Spec of evaluation/masks.zarr."""
        return self._spec("masks", self.data(), lds=self._lds("subsets fraction"))

    def outputs(self, target):
        """Spec of evaluation/outputs/{target}.zarr: what the subset models make of a target."""
        before = self.trajectory(target)
        return self._spec(
            "outputs",
            before,
            self.masks(),
            lds=self._lds("subsets fraction models_per_subset draws") | {"steps": self.lds_steps(target)},
            attribution=before["attribution"] | self._guidance("attribution"),
            target={**before["target"], **self._mask(target)},
        )

    def lds(self):
        """Spec of tables/lds*.csv."""
        return self._spec(
            "lds", self.data(), lds=self._lds("subsets fraction models_per_subset draws checkpoints bootstrap")
        )

    def classifier(self, kind):
        """Spec of evaluation/classifiers/{kind}/, kind being standard or robust."""
        own = dict(self.evaluation["classifier"])
        if kind == "standard":
            own = {key: value for key, value in own.items() if key not in ("radius", "attack_steps")}
        return self._spec("classifier", self.data(), classifier={kind: own})

    def samples(self, target):
        """Spec of evaluation/samples/{target}.zarr: samples of p(·|x_t)."""
        own = {"number": self.evaluation["samples"]["number"], "steps": self._steps_of("samples", target)}
        return self._spec("samples", self.trajectory(target), samples=own)

    def proxy(self):
        """Spec of tables/proxy.csv."""
        return self._spec("proxy", self.data(), samples={"number": self.evaluation["samples"]["number"]})

    def likelihood(self):
        """Spec of tables/feature_likelihood.csv and steepest_intervals.csv: of classes, of captions, or of both."""
        classes, captions = {}, {}
        if self.evaluation["likelihood"] is not None:
            kinds = {kind: self.classifier(kind)["classifier"][kind] for kind in CLASSIFIERS}
            classes = self.classifier("standard") | {
                "classifier": kinds,
                "likelihood": self.evaluation["likelihood"],
            }
        if self.evaluation["caption_likelihood"] is not None:
            own = self.evaluation["caption_likelihood"]
            captions = {"caption_likelihood": own, "image_encoder": self._encoder(own["encoder"])}
        number = self.evaluation["samples"]["number"]
        return self._spec("likelihood", self.data(), classes, captions, samples={"number": number})

    def seed_consistency(self):
        """Spec of evaluation/seed_consistency.zarr and its table: the listed models, and no other."""
        own = {key: self.evaluation["seed_consistency"][key] for key in ("models", "images")}
        paths = self.config["checkpoints"].get("paths")
        given = {}
        if paths:
            listed = [paths[int(m.split("/")[1])] for m in own["models"]]
            given = {"checkpoint": {"all": listed, **self._scheduler()}}
        before = self.train(own["models"][0]) | given
        return self._spec("seed_consistency", before, sampling=self._sampling(), seed_consistency=own)

    def counterfactual(self, target):
        """Spec of evaluation/counterfactual/{target}.zarr: the original images and the baseline's distances."""
        own = {key: self.evaluation["counterfactual"][key] for key in ("step", "delta", "images")}
        classifier = [self.classifier("standard")] if self.evaluation["fid"]["features"] == "classifier" else []
        return self._spec(
            "counterfactual",
            *classifier,
            self.trajectory(target),
            counterfactual=own,
            fid=self.fid(),
            controls={"full_models": self.other_models(target)},
        )

    def counterfactual_without(self, target, method):
        """Spec of evaluation/counterfactual/{method}/{target}.zarr: the distances after a method's removals."""
        return self._removal("counterfactual", self.counterfactual(target), method)

    def forgetting(self, target, method):
        """Spec of evaluation/forgetting/{method}/{target}.zarr: images of the same seed after a method's removals."""
        before = self._spec(
            "forgetting", self.trajectory(target), forgetting={"step": self.evaluation["forgetting"]["step"]}
        )
        if method == "none":
            return self._spec("forgetting", before, controls={"full_models": self.other_models(target)})
        return self._removal("forgetting", before, method)

    def removal_table(self):
        """Spec of tables/counterfactual_fid.csv and forgetting.csv."""
        return self._spec("removal_tables", self.data())

    def step_correlation(self):
        """Spec of tables/step_correlation.csv."""
        return self._spec("step_correlation", self.data())

    def sign_overlap(self):
        """Spec of tables/sign_overlap.csv."""
        return self._spec("sign_overlap", self.data(), sign_overlap=self.evaluation["sign_overlap"])

    def top_overlap(self):
        """Spec of tables/top_overlap.csv."""
        return self._spec("top_overlap", self.data(), top_overlap=self.evaluation["top_overlap"])

    def reliability(self):
        """Spec of tables/reliability.csv."""
        return self._spec("reliability", self.kernel(self.checkpoints[0]), self._ensemble())

    def evaluation_figure(self):
        """Spec of every figure of an evaluation."""
        return self._spec("figures")

    # ---- what evaluations consist of

    def evaluated(self, section):
        """Targets of an evaluation, in the config's order."""
        return chosen_targets(self.config, section)

    def seeded_targets(self):
        """What seed consistency generates: id, seed and label of its targets that have a seed."""
        chosen = {self.shared.get(name, name): self.targets[name] for name in self.evaluated("seed_consistency")}
        rows = [{**row, "id": name} for name, row in chosen.items() if "seed" in row]  # all masks have one image
        keys = ("id", "seed", "label", "prompt")
        return [{key: row[key] for key in keys if key in row} for row in rows]

    def judged(self):
        """Targets with rows in tables/feature_likelihood.csv, in the order of the samples."""
        if self.evaluation["likelihood"] is not None:
            return self.evaluated("samples")
        return [target for target in self.evaluated("samples") if target in self.captions()]

    def captions(self):
        """{target: [first, second]} of image-text preference (B.6)."""
        own = self.evaluation["caption_likelihood"]
        return own["captions"] if own else {}

    def target_labels(self, names):
        """{target: label} of class-conditional targets."""
        return {name: self.targets[name]["label"] for name in names if "label" in self.targets[name]}

    def methods_of(self, section):
        """Methods whose removals an evaluation compares; random is always among them."""
        named = self.evaluation[section]["methods"] or self.config["methods"]
        return [method for method in named if method != "random"] + ["random"]

    def lds_steps(self, target):
        """Steps at which the subset models' outputs of a target are taken, ascending."""
        return self._steps_of("lds", target)

    def subset_models(self):
        """Names of all subset models, models of one subset side by side."""
        lds = self.evaluation["lds"]
        return [f"subset/{j}-{r}" for j in range(lds["subsets"]) for r in range(lds["models_per_subset"])]

    def retrained_models(self):
        """Names of all models that evaluations train."""
        names = self.subset_models() if self.evaluation["lds"] else []
        for section in ("counterfactual", "forgetting"):
            if self.evaluation[section]:
                for method in self.methods_of(section):
                    for target in self.evaluated(section):
                        names += self.without_models(section, target, method)
        return list(dict.fromkeys(names))

    def other_models(self, target):
        """The full-set models that serve as a target's baseline: not the generating one."""
        others = [name for name in self.checkpoints if name != self.targets[target]["checkpoint"]]
        return others[: self.evaluation["controls"]["full_models"]]

    def without_models(self, section, target, method):
        """Names of the models trained without a method's top images: random removals serve all targets."""
        own = self.evaluation[section]
        if method == "random":
            removals = range(self.evaluation["controls"]["random_removals"])
            return [f"without/random_{r}_n{n}" for n in own["n_remove"] for r in removals]
        return [f"without/{method}_{target}_t{own['step']}_n{n}" for n in own["n_remove"]]

    def fid(self):
        """The feature network of the counterfactual's distances; a classifier has its own section in the spec."""
        fid = self.evaluation["fid"]
        if fid["features"] == "classifier":
            return {"features": "classifier"}
        return {"features": "inception", "sha256": fid["sha256"], "dims": fid["dims"] or 2048}

    @property
    def fid_weights(self):
        """The file of Inception's weights, or an empty list where none is needed."""
        wanted = self.evaluation["counterfactual"] and self.evaluation["fid"]["features"] == "inception"
        return fid_weights(self.evaluation["fid"]) if wanted else []

    def _removal(self, section, before, method):
        own = {**before[section], "n_remove": self.evaluation[section]["n_remove"]}
        scores = {} if method == "random" else {"method": method}
        return self._spec(
            section, before, controls=before.get("controls", {}) | self._random(method), **{section: own | scores}
        )

    def _random(self, method):
        return {"random_removals": self.evaluation["controls"]["random_removals"]} if method == "random" else {}

    def _steps_of(self, section, target):
        return sorted(self.evaluation[section]["steps"] or self.steps(target))

    def _lds(self, keys):
        return {key: self.evaluation["lds"][key] for key in keys.split()}


def share_or_count(text):
    """n_remove as the config has it, from its form in a model's name."""
    return float(text) if "." in text or "e" in text else int(text)
