"""Models and targets of the evaluations (``plan.Plan`` inherits them)."""

import math

from waypoint.science.evaluation.lds_interval import half_width
from waypoint.workflow.config.evaluated import chosen_targets
from waypoint.workflow.config.evaluation_checks import fid_weights
from waypoint.workflow.config.method_settings import step_methods
from waypoint.workflow.evaluations.registry import asked

WIDE = 0.1  # half an interval of the LDS; methods differ by about as much


class EvaluationPlan:
    """What the evaluations of a configuration consist of."""

    CLASSIFIERS = ("standard", "robust")

    def evaluated(self, section):
        """Targets of an evaluation, in the config's order."""
        return chosen_targets(self.config, section)

    def steps_of(self, section, target):
        """Steps of an evaluation at a target, ascending."""
        return sorted(self.evaluation[section]["steps"] or self.steps(target))

    # ---- linear datamodeling score

    def lds_keys(self, keys):
        """{key: value} of the section ``lds``, named in one string."""
        return {key: self.evaluation["lds"][key] for key in keys.split()}

    def subset_models(self):
        """Names of all subset models, models of one subset side by side."""
        lds = self.evaluation["lds"]
        return [f"subset/{j}-{r}" for j in range(lds["subsets"]) for r in range(lds["models_per_subset"])]

    def lds_interval(self):
        """How wide the intervals of the LDS will be, in one sentence, with advice where that is wider than ±0.1."""
        subsets, models, targets = *self.lds_keys("subsets models_per_subset").values(), len(self.targets)
        width = half_width(subsets, models, targets)
        asked = (
            f"LDS: {counted(subsets, 'subset')} with {counted(models, 'model')} each and {counted(targets, 'target')}"
        )
        if math.isinf(width):
            return f"{asked} are too few for an interval; use more subsets (evaluation.lds.subsets)"
        sentence = f"{asked} give an interval of about ±{width:.2f} around each method's mean at a step"
        if width <= WIDE:
            return sentence
        finer, broader = half_width(4 * subsets, models, targets), half_width(subsets, models, 4 * targets)
        sentence += f"; use more subsets (evaluation.lds.subsets): {4 * subsets} would give ±{finer:.2f}"
        return sentence + (f"; or more targets: {4 * targets} would give ±{broader:.2f}" if broader < width else "")

    # ---- retraining without images

    def methods_of(self, section):
        """Methods whose removals an evaluation compares; random is always among them."""
        named = self.evaluation[section]["methods"] or self.methods
        return [method for method in named if method != "random"] + ["random"]

    def retrained_models(self):
        """Names of all models that evaluations train."""
        names = self.subset_models() if self.evaluation["lds"] else []
        for section in ("counterfactual", "forgetting"):
            if self.evaluation[section]:
                for method in self.methods_of(section):
                    for target in self.evaluated(section):
                        names += self.without_models(section, target, method)
        names += [name for one in asked(self.config).values() for name in one.trainings(self)]
        return list(dict.fromkeys(names))

    def other_models(self, target):
        """The full-set models that serve as a target's baseline: not the generating one."""
        others = [name for name in self.checkpoints if name != self.targets[target]["checkpoint"]]
        return others[: self.evaluation["controls"]["full_models"]]

    def baseline(self, target):
        """The same as artifacts."""
        return [self.model(name) for name in self.other_models(target)]

    def without_models(self, section, target, method):
        """Names of the models trained without a method's top images: random removals serve all targets."""
        own = self.evaluation[section]
        if method == "random":
            removals = range(self.evaluation["controls"]["random_removals"])
            return [f"without/random_{r}_n{n}" for n in own["n_remove"] for r in removals]
        return [f"without/{method}_{target}_t{own['step']}_n{n}" for n in own["n_remove"]]

    def removed_models(self, section, target, method):
        """The same as artifacts, with the scores that say which images are removed."""
        own = self.evaluation[section]
        if method == "random":
            removals = range(self.evaluation["controls"]["random_removals"])
            return [
                ("train_without_random", {"removal": str(r), "n_remove": str(n)})
                for n in own["n_remove"]
                for r in removals
            ]
        key = {"method": method, "target": target, "step": str(own["step"])}
        return [("train_without", {**key, "n_remove": str(n)}) for n in own["n_remove"]] + [self.score(method, target)]

    def removal(self, section, method):
        """Sections of an evaluation after a method's removals: random ones are several."""
        scores = {} if method == "random" else {"method": method}
        controls = {"random_removals": self.evaluation["controls"]["random_removals"]} if method == "random" else {}
        return {section: {"n_remove": self.evaluation[section]["n_remove"]} | scores, "controls": controls}

    def fid(self):
        """The feature network of the counterfactual's distances; a classifier has its own section in the spec."""
        fid = self.evaluation["fid"]
        if fid["features"] == "classifier":
            return {"features": "classifier"}
        return {"features": "inception", "sha256": fid["sha256"], "dims": fid["dims"] or 2048}

    def fid_network(self):
        """The classifier whose features are compared, or an empty list."""
        return (
            [("train_classifier", {"kind": "standard"})] if self.evaluation["fid"]["features"] == "classifier" else []
        )

    @property
    def fid_weights(self):
        """The file of Inception's weights, or an empty list where none is needed."""
        wanted = self.evaluation["counterfactual"] and self.evaluation["fid"]["features"] == "inception"
        return fid_weights(self.evaluation["fid"]) if wanted else []

    # ---- samples and likelihoods

    def chosen_samples(self, targets):
        """Which samples of p(·|x_t) an evaluation takes: how many, and at which steps of each target."""
        steps = {target: self.steps_of("samples", target) for target in targets}
        return {"number": self.evaluation["samples"]["number"], "chosen": steps}

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

    def likelihood_methods(self):
        """The method whose training images stand below the curves: trak where there is one, none without data."""
        return sorted(self.methods, key=lambda method: self.kind(method).name != "trak")[:1]

    # ---- scores compared with each other

    @property
    def step_methods(self):
        """Methods whose scores differ from step to step."""
        return step_methods(self.config)

    def step_scores(self):
        """Scores of the methods that differ from step to step."""
        return [self.score(method, target) for method in self.step_methods for target in self.targets]


def counted(number, noun):
    """A number and its noun."""
    return f"{number} {noun}" + "s" * (number != 1)
