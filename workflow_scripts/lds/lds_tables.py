"""tables/lds*.csv: LDS by method, target and step; its means with intervals; across steps; method against method."""

import numpy as np
import pandas as pd

from waypoint.science.evaluation import lds
from waypoint.science.random_streams import numpy_stream
from waypoint.store.artifacts.atomic import atomic_file
from waypoint.store.zarr.reader import read
from waypoint.workflow.jobs.job import run
from waypoint.workflow.plan.specs import settings_of

REFERENCES = ("retrain", "ceiling")
COLUMNS = {
    "lds": "method target step lds subsets models_per_subset checkpoints note",
    "summary": "method step mean se low high targets checkpoints",
    "cross": "method score_step output_step mean se",
    "overall": "method checkpoints mean se low high targets steps",
    "comparison": "method checkpoints versus versus_checkpoints difference low high",
}


class Evaluation:
    """Predictions and outputs of all targets, on the union of their steps; NaN where a target lacks a step.

    outputs: (K, S, J, R). predicted: {(method, checkpoints): (K, S, J)}; checkpoints is "" for methods without.
    """

    def __init__(self, job):
        self.settings = job.settings["lds"]
        subsets = read(job.open(job.args.subsets)["included"])
        self.images = subsets.shape[1]
        outputs = {store.attrs["target"]: store for store in map(job.open, job.args.outputs)}
        self.targets = list(outputs)
        self.steps = sorted({t for store in outputs.values() for t in read(store["step"]).tolist()})
        shape = (len(self.targets), len(self.steps), len(subsets))
        self.outputs = np.full((*shape, self.settings["models_per_subset"]), np.nan)
        for k, store in enumerate(outputs.values()):
            self.outputs[k, self._rows(store)] = read(store["output"]).transpose(2, 0, 1)
        self.predicted = {}
        for n, store in enumerate(map(job.open, job.args.scores)):
            k, rows = self.targets.index(store.attrs["target"]), self._rows(store)
            known = [s for s, t in enumerate(read(store["step"]).tolist()) if t in self.steps]
            for key, score in self._scores(store):
                predicted = self.predicted.setdefault(key, np.full(shape, np.nan))
                predicted[k, rows] = lds.predictions(subsets, score[known])
            job.progress(n + 1, len(job.args.scores), "scores")

    def _rows(self, store):
        return [self.steps.index(t) for t in read(store["step"]).tolist() if t in self.steps]

    def _scores(self, store):
        """The method's scores, and those of its first checkpoints alone."""
        method, count = store.attrs["method"], len(settings_of(store.attrs["spec"]).get("checkpoints", []))
        yield (method, count or ""), read(store["score"])
        if "score_by_checkpoint" in store:
            for m in self.settings["checkpoints"]:
                if m != count:
                    yield (method, m), read(store["score_by_checkpoint"], slice(m)).astype(np.float64).mean(0)

    def correlations(self, targets=slice(None), subsets=slice(None)):
        """{(method, checkpoints): LDS (K, S)} and, for R > 1, ρ (K, S) and retrain (K, S), on a resample or all."""
        outputs = self.outputs[targets][:, :, subsets]
        found = {key: lds.lds(p[targets][:, :, subsets], outputs) for key, p in self.predicted.items()}
        return found, lds.agreement(outputs), lds.retrain(outputs)

    def summary(self, targets=slice(None), subsets=slice(None)):
        """{(method, checkpoints): mean over targets (S,), standard error (S,)}, with the two references.

        The references' means take in all targets, those with ρ ≤ 0 too: leaving them out would flatter.
        """
        found, rho, retrain = self.correlations(targets, subsets)
        means = {key: lds.mean_over_targets(values) for key, values in found.items()}
        if rho is not None:
            mean, _ = lds.mean_over_targets(rho)
            models = self.outputs.shape[-1]
            means["ceiling", ""] = lds.ceiling(mean, models), np.full(mean.shape, np.nan)
            value, error = lds.mean_over_targets(retrain)
            means["retrain", ""] = np.where(mean > 0, value, np.nan), error
        return means


def main(job):
    evaluation = Evaluation(job)
    means = evaluation.summary()
    stream = numpy_stream(job.settings["seed"], "lds bootstrap")
    samples = {key: [] for key in means}
    shape = evaluation.outputs.shape
    for b, (targets, subsets) in enumerate(lds.resamples(stream, shape[0], shape[2], evaluation.settings["bootstrap"])):
        for key, (mean, _) in evaluation.summary(targets, subsets).items():
            samples[key].append(mean)
        job.progress(b + 1, evaluation.settings["bootstrap"], "resamples")
    samples = {key: np.array(values) for key, values in samples.items()}
    tables = {
        "lds": by_target(evaluation),
        "summary": by_step(evaluation, means, samples),
        "cross": across_steps(evaluation),
        "overall": overall(evaluation, means, samples),
        "comparison": comparison(means, samples),
    }
    made = {"images": evaluation.images, "targets": shape[0], "subsets": shape[2], "models_per_subset": shape[3]}
    for name, rows in tables.items():
        with atomic_file(getattr(job.args, name), lambda: job.provenance(**made)) as tmp:
            pd.DataFrame(rows, columns=COLUMNS[name].split()).to_csv(tmp, index=False, float_format="%.6g")


def by_target(evaluation):
    """Rows of lds.csv."""
    found, rho, retrain = evaluation.correlations()
    _, _, subsets, models = evaluation.outputs.shape
    if rho is not None:
        found["retrain", ""] = np.where(rho > 0, retrain, np.nan)
        found["ceiling", ""] = lds.ceiling(rho, models)
    rows = []
    for (method, checkpoints), values in found.items():
        for k, target in enumerate(evaluation.targets):
            for s, step in enumerate(evaluation.steps):
                missing = np.isnan(evaluation.outputs[k, s]).any()
                if missing or (method in REFERENCES and np.isnan(values[k, s])):
                    continue
                row = {"method": method, "target": target, "step": step, "lds": values[k, s], "subsets": subsets}
                row |= {"models_per_subset": models, "checkpoints": checkpoints}
                rows.append({**row, "note": note(evaluation, method, checkpoints, k, s, values[k, s])})
    return rows


def note(evaluation, method, checkpoints, k, s, value):
    """Why a correlation is undefined."""
    if np.isfinite(value):
        return ""
    if np.ptp(evaluation.outputs[k, s].mean(-1)) == 0:
        return "undefined: the outputs of all subsets are equal"
    predicted = evaluation.predicted[method, checkpoints][k, s]
    return (
        "undefined: no score at this step" if np.isnan(predicted).any() else "undefined: the predictions are constant"
    )


def by_step(evaluation, means, samples):
    """Rows of lds_summary.csv."""
    rows = []
    for (method, checkpoints), (mean, error) in means.items():
        low, high = lds.interval(samples[method, checkpoints])
        counted = np.isfinite(evaluation.outputs).all((2, 3)).sum(0)
        for s, step in enumerate(evaluation.steps):
            if method in REFERENCES and np.isnan(mean[s]):
                continue
            row = {"method": method, "step": step, "mean": mean[s], "se": error[s], "low": low[s], "high": high[s]}
            rows.append({**row, "targets": counted[s], "checkpoints": checkpoints})
    return rows


def across_steps(evaluation):
    """Rows of lds_cross.csv."""
    rows, largest = [], {}
    for method, checkpoints in evaluation.predicted:
        largest[method] = max(checkpoints or 0, largest.get(method, 0))
    for (method, checkpoints), predicted in evaluation.predicted.items():
        if (checkpoints or 0) < largest[method]:
            continue
        pairs = zip(predicted, evaluation.outputs)
        mean, error = lds.mean_over_targets(np.array([lds.cross_step(p, o) for p, o in pairs]))
        for s, score_step in enumerate(evaluation.steps):
            for t, output_step in enumerate(evaluation.steps):
                row = {"method": method, "score_step": score_step, "output_step": output_step}
                rows.append({**row, "mean": mean[s, t], "se": error[s, t]})
    return rows


def overall(evaluation, means, samples):
    """Rows of lds_overall.csv: the average over the steps."""
    rows, (found, _, _) = [], evaluation.correlations()
    for (method, checkpoints), (mean, _) in means.items():
        if np.isnan(mean).any():
            continue
        low, high = lds.interval(samples[method, checkpoints].mean(-1))
        error = np.nan
        if method not in REFERENCES:
            each, _ = lds.mean_over_targets(found[method, checkpoints].T)  # the same mean, over a target's steps
            _, error = lds.mean_over_targets(each)
        row = {
            "method": method,
            "checkpoints": checkpoints,
            "mean": mean.mean(),
            "se": float(error),
            "low": low,
            "high": high,
        }
        rows.append({**row, "targets": len(evaluation.targets), "steps": len(evaluation.steps)})
    return rows


def comparison(means, samples):
    """Rows of lds_comparison.csv: differences of two methods' averages over the steps, on the same resamples."""
    rows, keys = [], [key for key in means if key[0] not in REFERENCES]
    for i, a in enumerate(keys):
        for b in keys[i + 1 :]:
            low, high = lds.interval((samples[a] - samples[b]).mean(-1))
            row = {"method": a[0], "checkpoints": a[1], "versus": b[0], "versus_checkpoints": b[1]}
            rows.append({**row, "difference": (means[a][0] - means[b][0]).mean(), "low": low, "high": high})
    return rows


if __name__ == "__main__":
    run(main, ["subsets", "outputs*", "scores*", "lds", "summary", "cross", "overall", "comparison"])
