"""tables/lds*.csv: LDS by method, target and step; its means with intervals; across steps; method against method."""

from functools import partial

import numpy as np
import pandas as pd

from waypoint.science.evaluation import lds, lds_means
from waypoint.science.random_streams import numpy_stream
from waypoint.store.artifacts.atomic import atomic_file
from waypoint.store.zarr.reader import read
from waypoint.workflow.jobs.job import run
from waypoint.workflow.plan.specs import settings_of

REFERENCES = (lds_means.RETRAIN[0], lds_means.CEILING[0])
ALL = "all"  # all steps together, in lds_comparison.csv
COLUMNS = {
    "lds": "method target step lds subsets models_per_subset checkpoints note",
    "summary": "method step mean se low high targets checkpoints of_ceiling specific",
    "cross": "method score_step output_step mean se",
    "overall": "method checkpoints mean se low high targets steps of_ceiling specific specific_low specific_high",
    "comparison": "method checkpoints versus versus_checkpoints difference low high steps"
    " specific_difference specific_low specific_high",
}


class Evaluation:
    """Predictions and outputs of all targets on the union of their steps; NaN where a target lacks a step.

    outputs: (K, S, J, R). predicted: {(method, checkpoints): (K, S, J)}; checkpoints is "" for methods that read none.
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
            shared = [s for s, t in enumerate(read(store["step"]).tolist()) if t in self.steps]
            for key, score in self._scores(store):
                predicted = self.predicted.setdefault(key, np.full(shape, np.nan))
                predicted[k, rows] = lds.predictions(subsets, score[shared])
            job.progress(n + 1, len(job.args.scores), "scores")

    def _rows(self, store):
        return [self.steps.index(t) for t in read(store["step"]).tolist() if t in self.steps]

    def _scores(self, store):
        """Yield the method's scores, and those of its first checkpoints alone."""
        method, count = store.attrs["method"], len(settings_of(store.attrs["spec"]).get("checkpoints", []))
        yield (method, count or ""), read(store["score"])
        if "score_by_checkpoint" in store:
            for m in self.settings["checkpoints"]:
                if m != count:
                    yield (method, m), read(store["score_by_checkpoint"], slice(m)).astype(np.float64).mean(0)

    def arrays(self):
        """Return the arguments of ``lds_means``: methods, their predictions in one array (P, K, S, J), and outputs."""
        return list(self.predicted), np.stack([*self.predicted.values()]), self.outputs

    def spans(self):
        """Return {name: positions} of the steps over which methods are compared: all, and those of ``lds.spans``."""
        bounds = {f"{low}-{high}": (low, high) for low, high in self.settings["spans"]}
        within = {
            name: [s for s, t in enumerate(self.steps) if low <= t <= high] for name, (low, high) in bounds.items()
        }
        return {ALL: range(len(self.steps)), **within}


def main(job):
    evaluation = Evaluation(job)
    arrays, count = evaluation.arrays(), evaluation.settings["bootstrap"]
    correlations = lds_means.by_target(*arrays)
    means = lds_means.means(*arrays), lds_means.specific_means(*arrays)
    stream, report = numpy_stream(job.settings["seed"], "lds bootstrap"), partial(progress, job, count)
    samples = lds_means.resampled_means(*arrays, stream, count, report)
    tables = {
        "lds": by_target(evaluation, correlations),
        "summary": by_step(evaluation, means, samples),
        "cross": across_steps(evaluation),
        "overall": overall(evaluation, correlations, means, samples),
        "comparison": comparison(evaluation, means, samples),
    }
    targets, _, subsets, models = evaluation.outputs.shape
    attributes = {"images": evaluation.images, "targets": targets, "subsets": subsets, "models_per_subset": models}
    for name, rows in tables.items():
        with atomic_file(getattr(job.args, name), lambda: job.provenance(**attributes)) as tmp:
            pd.DataFrame(rows, columns=COLUMNS[name].split()).to_csv(tmp, index=False, float_format="%.6g")


def progress(job, count, done):
    """Report how many resamples are done."""
    job.progress(done, count, "resamples")


def ceiling_of(evaluation, means):
    """Return the ceiling at each step (S,), NaN where it is undefined."""
    return means.get(lds_means.CEILING, [np.full(len(evaluation.steps), np.nan)])[0]


def by_target(evaluation, correlations):
    """Return the rows of lds.csv."""
    _, _, subsets, models = evaluation.outputs.shape
    rows = []
    for (method, checkpoints), values in correlations.items():
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
    """Return why a correlation is undefined, or an empty string."""
    if np.isfinite(value):
        return ""
    if np.ptp(evaluation.outputs[k, s].mean(-1)) == 0:
        return "undefined: the outputs of all subsets are equal"
    predicted = evaluation.predicted[method, checkpoints][k, s]
    return (
        "undefined: no score at this step" if np.isnan(predicted).any() else "undefined: the predictions are constant"
    )


def by_step(evaluation, means, samples):
    """Return the rows of lds_summary.csv."""
    (means, specific), (samples, _), rows = means, samples, []
    ceilings = ceiling_of(evaluation, means)
    target_counts = np.isfinite(evaluation.outputs).all((2, 3)).sum(0)
    for (method, checkpoints), (mean, error) in means.items():
        low, high = lds.interval(samples[method, checkpoints])
        for s, step in enumerate(evaluation.steps):
            if method in REFERENCES and np.isnan(mean[s]):
                continue
            row = {"method": method, "step": step, "mean": mean[s], "se": error[s], "low": low[s], "high": high[s]}
            row |= {"targets": target_counts[s], "checkpoints": checkpoints, "of_ceiling": mean[s] / ceilings[s]}
            rows.append({**row, "specific": specific[method, checkpoints][0][s]})
    return rows


def across_steps(evaluation):
    """Return the rows of lds_cross.csv."""
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


def overall(evaluation, correlations, means, samples):
    """Return the rows of lds_overall.csv: averages over the steps."""
    (means, specific), (samples, specific_samples), rows = means, samples, []
    ceilings = ceiling_of(evaluation, means)
    for key, (mean, _) in means.items():
        if np.isnan(mean).any():
            continue
        low, high = lds.interval(samples[key].mean(-1))
        error = np.nan if key[0] in REFERENCES else lds_means.error_of_overall(correlations[key])
        row = {"method": key[0], "checkpoints": key[1], "mean": mean.mean(), "se": error}
        row |= {"low": low, "high": high, "targets": len(evaluation.targets), "steps": len(evaluation.steps)}
        row |= {"of_ceiling": lds.share_of_ceiling(mean, ceilings), "specific": specific[key][0].mean()}
        low, high = lds.interval(specific_samples[key].mean(-1))
        rows.append({**row, "specific_low": low, "specific_high": high})
    return rows


def comparison(evaluation, means, samples):
    """Return the rows of lds_comparison.csv: differences of two methods' averages over steps, on the same resamples."""
    keys = [key for key in means[0] if key[0] not in REFERENCES]
    pairs = [(a, b) for i, a in enumerate(keys) for b in keys[i + 1 :]]
    rows = []
    for name, steps in evaluation.spans().items():
        for a, b in pairs:
            row = {"method": a[0], "checkpoints": a[1], "versus": b[0], "versus_checkpoints": b[1], "steps": name}
            for prefix, mean, resampled in zip(("", "specific_"), means, samples):
                row[f"{prefix}difference"] = (mean[a][0] - mean[b][0])[steps].mean()
                low, high = lds.interval((resampled[a] - resampled[b])[:, steps].mean(-1))
                row |= {f"{prefix}low": low, f"{prefix}high": high}
            rows.append(row)
    return rows


if __name__ == "__main__":
    run(main, ["subsets", "outputs*", "scores*", "lds", "summary", "cross", "overall", "comparison"])
