"""The scripts of the linear datamodeling score: outputs against loops over Eq. 3, tables against loops over scipy."""

import json
import warnings

import numpy as np
import pandas as pd
import pytest
import torch
from matplotlib.figure import Figure
from matplotlib.image import imread
from scipy.stats import spearmanr
from support import images, run_script, staged, store, tiny_denoiser

from waypoint.science.algorithm1 import output_function
from waypoint.science.draws import target_noise
from waypoint.science.gradients.examples import Example
from waypoint.science.random_streams import numpy_stream, torch_stream
from waypoint.science.regions import box_mask
from waypoint.store.artifacts.atomic import atomic_file
from waypoint.store.artifacts.provenance import read_attributes
from waypoint.store.networks import checkpoints
from waypoint.store.networks.training_rows import rows_hash
from waypoint.store.zarr.reader import open_store
from waypoint.workflow.figures.lds_words import lds_in_words, overall_lds
from waypoint.workflow.figures.style import plt

N, DRAWS, STEPS = 6, 3, [100, 500]
SUBSETS = [[0, 1, 2], [1, 3, 5], [0, 4, 5]]
INCLUDED = np.array([[i in rows for i in range(N)] for rows in SUBSETS])


def numbers(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def subsets_store(path, included):
    return store(path, included=(["subset", "train"], included))


# ---- subset_outputs


class Target:
    """A target with a generating model and two models for each of three subsets, as subset_outputs.py finds them."""

    def __init__(self, folder, model, mask=None, names=lambda j, r: f"subset/{j}-{r}", **unet):
        self.folder, self.mask, self.label = folder, mask, 2 if "num_class_embeds" in unet else None
        self.origin = {"seed": 3} | ({} if self.label is None else {"label": self.label})
        self.lds = {"models_per_subset": 2, "draws": DRAWS, "steps": STEPS}
        sampled = {"generator": "full/0", "sampling": {"steps": 10}, "target": self.origin}
        self.spec = {
            "seed": 5,
            "train": {"version": 1, "training": {"epochs": 2}},
            "sample_trajectory": {"version": 1, **sampled},
            "draw_subsets": {"version": 1, "lds": {"subsets": 3, "fraction": 0.5}},
            "subset_outputs": {"version": 1, "target": {"mask": mask}, "lds": self.lds},
        }
        self.theta = {(j, r): tiny_denoiser(model, names(j, r), **unet) for j in range(3) for r in range(2)}
        for (j, r), theta in self.theta.items():
            self.save(f"subset/{j}-{r}", theta, f"{j}-{r}", SUBSETS[j])
        self.save("full/0", tiny_denoiser(model, **unet), "generator", range(N))
        self.list()
        self.x0_hat = images(3, seed=1)  # on the grid 500, 300, 100
        self.trajectory = self.store_trajectory(self.x0_hat)
        self.subsets = subsets_store(folder / "subsets.zarr", INCLUDED)

    def store_trajectory(self, x0_hat, name="trajectory"):
        dims = ["step", "channel", "y", "x"]
        arrays = {"x_t": (dims, numbers(3, 1, 8, 8)), "x0_hat": (dims, x0_hat.numpy())}
        arrays |= {"image": (dims[1:], x0_hat[0].numpy()), "step": (["step"], np.array([500, 300, 100]))}
        return store(self.folder / f"{name}.zarr", {"weights": "generator"}, **arrays)

    def save(self, name, theta, weights, rows, spec=None):
        place = self.folder / "checkpoints" / name
        checkpoints.save(theta.unet, theta.scheduler, place)
        made = {"name": name, "weights": weights, "rows_sha256": rows_hash(np.array(rows)), "spec": spec or {}}
        (place / "waypoint.json").write_text(json.dumps(made))

    def list(self):
        names = [self.folder / f"checkpoints/subset/{j}-{r}" for j in range(3) for r in range(2)]
        run_script("list_subset_models", spec={"seed": 5}, models=names, out=self.list_file)

    @property
    def list_file(self):
        return self.folder / "checkpoints/subset/models.json"

    def outputs(self, out="outputs.zarr", **changes):
        """The outputs that the script stores, (subset, model, step)."""
        given = {
            "trajectory": self.trajectory,
            "generator": self.folder / "checkpoints/full/0",
            "subsets": self.subsets,
        }
        given |= {"models": self.list_file, "target": "a", "mask": [], "spec": self.spec, "out": self.folder / out}
        run_script("subset_outputs", **given | changes)
        return open_store(self.folder / out)["output"][:]

    def by_loops(self, noise):
        """−f_t(x̂0_t, θ) of Eq. 3, one model and step at a time; ``noise(t, k)`` is ε of a draw."""
        found = np.empty((3, 2, len(STEPS)))
        weight = None if self.mask is None else torch.from_numpy(box_mask(self.mask, 8, 8))
        label = None if self.label is None else torch.full((DRAWS,), self.label)
        for (j, r), theta in self.theta.items():
            for s, t in enumerate(STEPS):
                epsilon = torch.stack([noise(t, k) for k in range(DRAWS)])
                x0_hat = self.x0_hat[[500, 300, 100].index(t)].expand(epsilon.shape)
                with torch.no_grad():
                    x = Example(x0_hat, torch.full((DRAWS,), t), epsilon, label, weight)
                    found[j, r, s] = -output_function(theta, x).mean()
        return found

    @property
    def key(self):
        """Names the trajectory."""
        return json.dumps([self.origin, "full/0", {"steps": 10}], sort_keys=True)

    def output_noise(self, t, k):
        return torch.randn(1, 8, 8, generator=torch_stream(5, "output draws", self.key, t, k))

    def gradient_noise(self, t, k):
        return target_noise(5, self.key, "full/0", t, k, (1, 8, 8))


@pytest.fixture
def target(tmp_path, tiny_model):
    return Target(tmp_path, tiny_model)


def refused(capsys, target, **changes):
    with pytest.raises(SystemExit):
        target.outputs(out="refused.zarr", **changes)
    assert not (target.folder / "refused.zarr").exists()
    return capsys.readouterr().err


def equal(a, b):
    return np.abs(a - b).max() <= 1e-5 * np.abs(b).max()


@pytest.mark.parametrize("mask", [None, [0, 0, 4, 8], [2, 3, 7, 4]])
@pytest.mark.parametrize("prediction", ["epsilon", "v_prediction"])
def test_outputs_are_minus_eq_3(tmp_path, tiny_model, mask, prediction):
    tiny_model["scheduler"]["prediction_type"] = prediction
    target = Target(tmp_path, tiny_model, mask)
    found = target.outputs()
    assert found.shape == (3, 2, 2) and (found < 0).all()
    assert equal(found, target.by_loops(target.output_noise))


def test_outputs_of_class_conditional_models_use_the_targets_label(tmp_path, tiny_model):
    target = Target(tmp_path, tiny_model, num_class_embeds=4)
    assert equal(target.outputs(), target.by_loops(target.output_noise))
    target.label = 1
    assert not equal(target.outputs(), target.by_loops(target.output_noise))


def test_outputs_do_not_use_the_noises_of_the_gradients(target):
    """Else the same noise would enter both sides of the correlation."""
    found, other = target.outputs(), target.by_loops(target.gradient_noise)
    assert np.abs(found - other).max() > 0.01 * np.abs(found).max()


def test_all_models_see_the_same_noises(tmp_path, tiny_model):
    """The same weights in two subsets give the same output to the last bit, others another."""
    found = Target(tmp_path, tiny_model, names=lambda j, r: f"{min(j, 1)}-{r}").outputs()
    assert (found[1] == found[2]).all() and (found[0] != found[1]).all() and (found[:, 0] != found[:, 1]).all()


def test_a_masks_noises_are_those_without_it(tmp_path, tiny_model):
    """A mask over everything changes nothing: noises are keyed by the trajectory, not by target or mask."""
    plain = Target(tmp_path / "plain", tiny_model).outputs()
    assert equal(Target(tmp_path / "masked", tiny_model, mask=[0, 0, 8, 8]).outputs(target="b"), plain)


def test_outputs_do_not_depend_on_other_steps(target):
    both = target.outputs()
    target.lds["steps"] = [500]
    assert equal(target.outputs(out="one.zarr")[..., 0], both[..., 1])


def test_outputs_carry_coordinates_and_provenance(target):
    target.outputs()
    found = open_store(target.folder / "outputs.zarr")
    assert found["output"].metadata.dimension_names == ("subset", "model", "step")
    assert found["step"][:].tolist() == STEPS and found["subset"][:].tolist() == [0, 1, 2]
    assert (
        found.attrs["target"] == "a" and found.attrs["stage"] == "subset_outputs" and found.attrs["spec"] == target.spec
    )


def test_a_model_of_other_images_is_refused(target, capsys):
    target.save("subset/1-0", target.theta[1, 0], "1-0", [1, 3, 4])
    text = refused(capsys, target)
    assert "subset/1-0 was trained on different images than the configuration asks for; delete it and rerun" in text


def test_models_of_other_subsets_are_refused(target, capsys):
    other = subsets_store(target.folder / "other.zarr", np.roll(INCLUDED, 1, axis=0))
    assert "subset/0-0 was trained on different images" in refused(capsys, target, subsets=other)


def test_a_model_that_is_not_the_listed_one_is_refused(target, capsys):
    target.save("subset/2-1", target.theta[2, 0], "retrained since", SUBSETS[2])
    assert f"subset/2-1 is not the model that {target.list_file} lists" in refused(capsys, target)


def test_a_list_that_lacks_a_model_is_refused(target, capsys):
    listed = json.loads(target.list_file.read_text())
    del listed["subset/2-1"]
    made = read_attributes(target.list_file)
    with atomic_file(target.list_file, lambda: made) as tmp:
        tmp.write_text(json.dumps(listed))
    assert f"subset/2-1 is not the model that {target.list_file} lists" in refused(capsys, target)


def test_a_model_of_another_recipe_is_refused(target, capsys):
    """All models of one comparison are trained alike; a script by hand must not mix them either."""
    target.save(
        "subset/2-1", target.theta[2, 1], "2-1", SUBSETS[2], spec={"train": {"version": 1, "training": {"epochs": 3}}}
    )
    assert "subset/2-1 was made when training.epochs was 3; here it is 2" in refused(capsys, target)


def test_a_model_of_another_version_is_refused(target, capsys):
    spec = {"train": {**target.spec["train"], "version": 0}}
    target.save("subset/2-1", target.theta[2, 1], "2-1", SUBSETS[2], spec=spec)
    assert "subset/2-1 was made when the version of stage train was 0; here it is 1" in refused(capsys, target)


def test_a_list_of_other_settings_is_refused(target, capsys):
    target.spec["seed"] = 6
    assert "models.json was made when seed was 5; here it is 6" in refused(capsys, target)


def test_a_missing_model_is_refused(target, capsys):
    target.save("subset/2-1", target.theta[2, 1], "2-1", SUBSETS[2])
    (target.folder / "checkpoints/subset/2-1/waypoint.json").unlink()
    assert "subset/2-1: there is no artifact of Waypoint" in refused(capsys, target)


def test_a_missing_model_is_not_listed(target, capsys):
    with pytest.raises(SystemExit):
        run_script("list_subset_models", spec={}, models=[target.folder / "nothing"], out=target.folder / "models.json")
    assert "nothing: there is no artifact of Waypoint" in capsys.readouterr().err


def test_an_output_that_is_not_finite_is_refused(target, capsys):
    with torch.no_grad():
        next(target.theta[1, 1].unet.parameters()).fill_(1e38)
    target.save("subset/1-1", target.theta[1, 1], "1-1", SUBSETS[1])
    assert "output: not finite at subset 1" in refused(capsys, target)


# ---- draw_subsets


def test_subsets_are_random_halves_and_keep_when_more_are_drawn(tmp_path):
    data = store(tmp_path / "train.zarr", image=(["train", "channel", "y", "x"], numbers(21, 1, 8, 8)))
    found = {}
    for count in (8, 12):
        spec = {"seed": 3, "lds": {"subsets": count, "fraction": 0.5}}
        run_script("draw_subsets", spec=spec, data=data, out=tmp_path / f"{count}.zarr")
        found[count] = open_store(tmp_path / f"{count}.zarr")["included"][:]
        assert found[count].shape == (count, 21) and (found[count].sum(1) == 10).all()
    assert (found[12][:8] == found[8]).all() and len({subset.tobytes() for subset in found[12]}) == 12


# ---- lds_tables


J, IMAGES, SEED = 12, 30, 4
TARGETS = {"a": [100, 500], "b": [100, 500], "c": [100, 500]}
TABLES = ("lds", "summary", "cross", "overall", "comparison")


class Tables:
    """Synthetic stores of scores and outputs; runs lds_tables.py on them."""

    def __init__(self, folder, models=2, targets=TARGETS, bootstrap=100, checkpoints=(), noise=1, spans=()):
        self.folder, self.models, self.targets, self.noise = folder, models, dict(targets), noise
        lds = {"bootstrap": bootstrap, "models_per_subset": models, "checkpoints": list(checkpoints)}
        lds["spans"] = [list(span) for span in spans]
        self.spec = {"seed": SEED, "lds": lds}
        self.subsets = np.zeros((J, IMAGES), bool)
        for j, mask in enumerate(self.subsets):
            mask[np.random.default_rng(j).permutation(IMAGES)[: IMAGES // 2]] = True
        self.methods = {"trak": 2, "pixel": None}  # method: how many checkpoints it knows
        self.score, self.output, self.each = {}, {}, {}
        for k, (name, steps) in enumerate(self.targets.items()):
            self.add_target(name, steps, k)

    def add_target(self, name, steps, k):
        self.targets[name] = steps
        effect = numbers(len(steps), IMAGES, seed=100 + k)
        noise = self.noise * numbers(len(steps), J, self.models, seed=200 + k)
        self.output[name] = (effect @ self.subsets.T)[..., None] + noise
        for m, method in enumerate(self.methods):
            self.score[method, name] = effect + (m + 0.5) * numbers(len(steps), IMAGES, seed=1000 * (m + 1) + k)

    def add_method(self, method):
        self.methods[method] = None
        for k, (name, steps) in enumerate(self.targets.items()):
            self.score[method, name] = numbers(len(steps), IMAGES, seed=5000 + k)

    def run(self, place="run"):
        """The five tables as data frames."""
        folder = self.folder / place
        outputs, scores = [], []
        for name, steps in self.targets.items():
            arrays = {"output": (["subset", "model", "step"], self.output[name].transpose(1, 2, 0))}
            arrays["step"] = (["step"], np.array(steps))
            outputs.append(store(folder / f"outputs/{name}.zarr", {"target": name}, **arrays))
        for (method, name), score in self.score.items():
            steps = self.targets[name] if len(score) == len(self.targets[name]) else [100, 300, 500][: len(score)]
            known = self.methods[method]
            spec = {} if known is None else {"checkpoints": [f"full/{m}" for m in range(known)]}
            arrays = {"score": (["step", "train"], score), "step": (["step"], np.array(steps))}
            if (method, name) in self.each:
                arrays["score_by_checkpoint"] = (["checkpoint", "step", "train"], self.each[method, name])
            attributes = {"target": name, "method": method, "spec": spec}
            scores.append(store(folder / f"scores/{method}/{name}.zarr", attributes, **arrays))
        subsets = subsets_store(folder / "subsets.zarr", self.subsets)
        out = {table: folder / f"{table}.csv" for table in TABLES}
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            run_script("lds_tables", spec=self.spec, subsets=subsets, outputs=outputs, scores=scores, **out)
        return {table: pd.read_csv(path) for table, path in out.items()}

    def predicted(self, method, name, s):
        """Σ_{i∈S_j} τ(i), in a loop."""
        return [sum(float(self.score[method, name][s, i]) for i in np.flatnonzero(mask)) for mask in self.subsets]

    def rho(self, name, s):
        x = self.output[name][s]
        return np.mean([spearmanr(x[:, r], x[:, q]).statistic for r in range(self.models) for q in range(r)])

    def retrain(self, name, s):
        x = self.output[name][s].astype(np.float64)
        rest = [np.delete(x, r, 1).mean(1) for r in range(self.models)]
        return np.mean([spearmanr(x[:, r], rest[r]).statistic for r in range(self.models)])

    def lds(self, method, name, s, t=None):
        mean = self.output[name][s if t is None else t].astype(np.float64).mean(1)
        return spearmanr(self.predicted(method, name, s), mean).statistic


def close(found, expected):
    """Equal to half of the last of the six digits that tables print."""
    return np.allclose(found, expected, rtol=5e-6, atol=0, equal_nan=True)


@pytest.fixture
def plain(tmp_path):
    return Tables(tmp_path)


def row(table, **where):
    """The one row of a table with these values; "" stands for an empty cell."""
    for column, value in where.items():
        table = table[table[column].isna()] if value == "" else table[table[column] == value]
    (found,) = table.to_dict("records")
    return found


def test_columns_are_those_of_the_contract(plain):
    found = plain.run()
    assert [*found["lds"]] == "method target step lds subsets models_per_subset checkpoints note".split()
    assert [*found["summary"]] == ("method step mean se low high targets checkpoints of_ceiling specific".split())
    assert [*found["cross"]] == "method score_step output_step mean se".split()
    assert [*found["overall"]] == (
        "method checkpoints mean se low high targets steps of_ceiling specific specific_low specific_high".split()
    )
    assert [*found["comparison"]] == (
        "method checkpoints versus versus_checkpoints difference low high steps"
        " specific_difference specific_low specific_high"
    ).split()


def test_every_target_and_step_against_scipy(plain):
    table = plain.run()["lds"]
    for method, known in (("trak", 2), ("pixel", "")):
        for name, steps in TARGETS.items():
            for s, step in enumerate(steps):
                found = row(table, method=method, target=name, step=step)
                assert close(found["lds"], plain.lds(method, name, s))
                assert (found["subsets"], found["models_per_subset"]) == (J, 2)
                assert found["checkpoints"] == known or (known == "" and np.isnan(found["checkpoints"]))
    assert table["note"].isna().all() and set(table["method"]) == {"trak", "pixel", "retrain", "ceiling"}


@pytest.mark.parametrize("models", [2, 3])
def test_references_of_every_target_against_scipy(tmp_path, models):
    tables = Tables(tmp_path, models)
    table = tables.run()["lds"]
    for name, steps in TARGETS.items():
        for s, step in enumerate(steps):
            rho = tables.rho(name, s)
            assert rho > 0
            ceiling = np.sqrt(models * rho / (1 + (models - 1) * rho))
            assert close(row(table, method="ceiling", target=name, step=step)["lds"], ceiling)
            retrain = tables.retrain(name, s)
            assert close(row(table, method="retrain", target=name, step=step)["lds"], retrain)


def test_means_over_targets_against_numpy(plain):
    table = plain.run()["summary"]
    for method in ("trak", "pixel"):
        for s, step in enumerate(TARGETS["a"]):
            values = [plain.lds(method, name, s) for name in TARGETS]
            found = row(table, method=method, step=step)
            assert close([found["mean"], found["se"]], [np.mean(values), np.std(values, ddof=1) / np.sqrt(3)])
            assert found["targets"] == 3 and found["low"] <= found["mean"] <= found["high"]
    for s, step in enumerate(TARGETS["a"]):
        rho = np.mean([plain.rho(name, s) for name in TARGETS])
        assert close(row(table, method="ceiling", step=step)["mean"], np.sqrt(2 * rho / (1 + rho)))
        retrain = np.mean([plain.retrain(name, s) for name in TARGETS])
        assert close(row(table, method="retrain", step=step)["mean"], retrain)


def test_intervals_against_explicit_resampling(plain):
    """Targets and subsets are drawn anew, everything else is computed as for the whole."""
    found, stream = plain.run(), numpy_stream(SEED, "lds bootstrap")
    samples = {(method, s): [] for method in ("trak", "pixel") for s in (0, 1)}
    for _ in range(100):
        targets, subsets = stream.integers(3, size=3), stream.integers(J, size=J)
        for (method, s), values in samples.items():
            each = []
            for k in targets:
                name = list(TARGETS)[k]
                mean = plain.output[name][s].astype(np.float64).mean(1)
                each.append(spearmanr(np.array(plain.predicted(method, name, s))[subsets], mean[subsets]).statistic)
            values.append(np.mean(each))
    for (method, s), values in samples.items():
        bounds = row(found["summary"], method=method, step=TARGETS["a"][s])
        assert close([bounds["low"], bounds["high"]], np.quantile(values, [0.025, 0.975]))
    for method in ("trak", "pixel"):
        bounds = row(found["overall"], method=method)
        average = np.mean([samples[method, 0], samples[method, 1]], 0)
        assert close([bounds["low"], bounds["high"]], np.quantile(average, [0.025, 0.975]))
    bounds = row(found["comparison"], method="trak", versus="pixel")
    difference = np.mean([np.subtract(samples["trak", s], samples["pixel", s]) for s in (0, 1)], 0)
    assert close([bounds["low"], bounds["high"]], np.quantile(difference, [0.025, 0.975]))


def test_across_steps_against_scipy(plain):
    table = plain.run()["cross"]
    assert len(table) == 2 * 2 * 2  # no references
    for method in ("trak", "pixel"):
        for s, t in np.ndindex(2, 2):
            values = [plain.lds(method, name, s, t) for name in TARGETS]
            steps = {"score_step": TARGETS["a"][s], "output_step": TARGETS["a"][t]}
            found = row(table, method=method, **steps)
            assert close([found["mean"], found["se"]], [np.mean(values), np.std(values, ddof=1) / np.sqrt(3)])


def test_averages_over_the_steps(plain):
    found = plain.run()
    for method in ("trak", "pixel"):
        each = [np.mean([plain.lds(method, name, s) for s in (0, 1)]) for name in TARGETS]
        average = row(found["overall"], method=method)
        assert close([average["mean"], average["se"]], [np.mean(each), np.std(each, ddof=1) / np.sqrt(3)])
        assert (average["targets"], average["steps"]) == (3, 2)
    summary = found["summary"]
    for method in ("retrain", "ceiling"):
        average = row(found["overall"], method=method)
        assert close(average["mean"], summary[summary["method"] == method]["mean"].mean())
    (difference,) = found["comparison"].to_dict("records")
    means = found["overall"].set_index("method")["mean"]
    assert abs(difference["difference"] - (means["trak"] - means["pixel"])) < 2e-6


def test_the_share_of_the_ceiling_is_a_ratio_of_means(plain):
    found = plain.run()
    summary = found["summary"].set_index(["method", "step"])
    for method in ("trak", "pixel", "retrain"):
        shares = summary.loc[method]["mean"] / summary.loc["ceiling"]["mean"]
        assert np.allclose(summary.loc[method]["of_ceiling"], shares, rtol=1e-5)
        whole = summary.loc[method]["mean"].mean() / summary.loc["ceiling"]["mean"].mean()
        assert np.isclose(row(found["overall"], method=method)["of_ceiling"], whole, rtol=1e-5)


def test_steps_without_a_ceiling_do_not_count_in_its_share(plain):
    for name in TARGETS:
        plain.output[name][1, :, 1] = -plain.output[name][1, :, 0] + 1e-3 * numbers(J)
    found = plain.run()
    first, second = (row(found["summary"], method="trak", step=step) for step in (100, 500))
    assert np.isnan(second["of_ceiling"])
    assert close(row(found["overall"], method="trak")["of_ceiling"], first["of_ceiling"])


EIGHT = {name: [100, 500] for name in "abcdefgh"}


def test_the_target_specific_lds_against_loops(tmp_path):
    tables = Tables(tmp_path, targets=EIGHT)
    found = tables.run()
    for method in ("trak", "pixel"):
        for s, step in enumerate((100, 500)):
            predicted = np.array([tables.predicted(method, name, s) for name in EIGHT])
            outputs = np.array([tables.output[name][s].astype(np.float64).mean(1) for name in EIGHT])
            for j in range(J):
                predicted[:, j] -= sum(predicted[:, j]) / 8
                outputs[:, j] -= sum(outputs[:, j]) / 8
            each = [spearmanr(p, o).statistic for p, o in zip(predicted, outputs)]
            assert close(row(found["summary"], method=method, step=step)["specific"], np.mean(each))
    average = row(found["overall"], method="trak")
    assert average["specific_low"] < average["specific"] < average["specific_high"]


def test_scores_that_are_the_same_for_all_targets_have_no_target_specific_lds(tmp_path):
    """They know which images are good for every target, and are rewarded for that in the LDS alone."""
    common = 20 * numbers(2, IMAGES, seed=77)
    tables = Tables(tmp_path, targets=EIGHT | {"i": [100, 500]}, noise=0.1)  # a mean of 9 equal numbers is rounded
    for name in tables.targets:
        tables.output[name] += (common @ tables.subsets.T)[..., None]
        tables.score["trak", name] = common
    found = tables.run()["summary"].query("method == 'trak'")
    assert (found["mean"] > 0.9).all() and found["specific"].isna().all()


def test_fewer_than_eight_targets_have_no_target_specific_lds(tmp_path):
    seven = {name: steps for name, steps in EIGHT.items() if name != "h"}
    assert Tables(tmp_path, targets=seven).run()["summary"]["specific"].isna().all()


def test_methods_are_compared_over_spans_of_steps_too(tmp_path):
    tables = Tables(tmp_path, targets=EIGHT, spans=[[400, 600]])
    found = tables.run()
    whole, span = (row(found["comparison"], method="trak", steps=steps) for steps in ("all", "400-600"))
    trak, pixel = (row(found["summary"], method=method, step=500) for method in ("trak", "pixel"))
    assert np.isclose(span["difference"], trak["mean"] - pixel["mean"], atol=2e-6)
    assert np.isclose(span["specific_difference"], trak["specific"] - pixel["specific"], atol=2e-6)
    assert span["low"] < span["difference"] < span["high"] and span["difference"] != whole["difference"]


def test_a_positive_score_predicts_a_higher_output(tmp_path):
    tables = Tables(tmp_path, noise=0)
    for name, steps in TARGETS.items():
        for s in range(len(steps)):  # the true effects, and their opposite
            effect = np.linalg.lstsq(tables.subsets.astype(float), tables.output[name][s].mean(-1))[0]
            tables.score["trak", name][s], tables.score["pixel", name][s] = effect, -effect
    found = tables.run()["lds"].set_index("method")["lds"]
    assert (found["trak"] == 1).all() and (found["pixel"] == -1).all()


def test_one_method_alone_has_nothing_to_compare_with(plain):
    """But the table has its columns: an empty file is none that pandas reads."""
    plain.score = {(method, name): score for (method, name), score in plain.score.items() if method == "trak"}
    found = plain.run()["comparison"]
    assert found.empty and list(found)[0] == "method"


def test_a_constant_score_gives_nan_with_a_note_and_no_warning(plain):
    plain.score["pixel", "b"][1] = 0.1
    found = plain.run()
    bad = row(found["lds"], method="pixel", target="b", step=500)
    assert np.isnan(bad["lds"]) and bad["note"] == "undefined: the predictions are constant"
    assert found["lds"]["lds"].isna().sum() == 1 and found["lds"]["note"].notna().sum() == 1
    rest = [plain.lds("pixel", name, 1) for name in "ac"]
    assert close(row(found["summary"], method="pixel", step=500)["mean"], np.mean(rest))


def test_a_target_whose_scores_are_constant_at_all_steps_counts_nowhere(plain):
    plain.score["pixel", "b"][:] = 0.1
    found = row(plain.run()["overall"], method="pixel")
    each = [np.mean([plain.lds("pixel", name, s) for s in (0, 1)]) for name in "ac"]
    assert close([found["mean"], found["se"]], [np.mean(each), np.std(each, ddof=1) / np.sqrt(2)])


def test_a_method_that_is_constant_everywhere_gives_nan_and_no_warning(plain):
    for name in TARGETS:
        plain.score["pixel", name][:] = 0.1
    found = plain.run()
    bad = found["summary"].query("method == 'pixel'")
    assert bad[["mean", "se", "low", "high"]].isna().all(axis=None) and len(bad) == 2
    assert found["lds"].query("method == 'pixel'")["note"].notna().all()
    assert "pixel" not in set(found["overall"]["method"])


def test_equal_outputs_of_all_subsets_give_nan_with_a_note(plain):
    plain.output["b"][1] = -0.5
    found = plain.run()["lds"]
    bad = found[(found["target"] == "b") & (found["step"] == 500)]
    assert set(bad["method"]) == {"trak", "pixel"} and bad["lds"].isna().all()
    assert (bad["note"] == "undefined: the outputs of all subsets are equal").all()


def test_one_model_per_subset_has_no_references(tmp_path):
    found = Tables(tmp_path, models=1).run()
    for table in TABLES:
        assert set(found[table]["method"]) <= {"trak", "pixel"}
    assert (found["lds"]["models_per_subset"] == 1).all()


def test_models_that_do_not_agree_have_no_references(plain):
    plain.output["b"][0, :, 1] = -plain.output["b"][0, :, 0]  # ρ = −1 at one target and step
    for name in TARGETS:
        plain.output[name][1, :, 1] = -plain.output[name][1, :, 0] + 1e-3 * numbers(J)  # and at 500 everywhere
    found = plain.run()
    for method in ("retrain", "ceiling"):
        rows = found["lds"][found["lds"]["method"] == method]
        assert set(zip(rows["target"], rows["step"])) == {("a", 100), ("c", 100)}
        assert set(found["summary"][found["summary"]["method"] == method]["step"]) <= {100}
        assert method not in set(found["overall"]["method"])


def test_means_of_the_references_take_in_targets_that_do_not_agree(tmp_path):
    """Leaving them out would make the best possible look better than it is."""
    tables = Tables(tmp_path)
    tables.output["b"][0, :, 1] = 2 * numbers(J, seed=7) - 0.1 * tables.output["b"][0, :, 0]
    rho = [tables.rho(name, 0) for name in TARGETS]
    assert rho[1] < 0 < np.mean(rho)
    mean = np.mean(rho)
    found = row(tables.run()["summary"], method="ceiling", step=100)
    assert close(found["mean"], np.sqrt(2 * mean / (1 + mean)))


def test_a_target_may_lack_a_step(tmp_path):
    tables = Tables(tmp_path, targets={"a": [100, 500], "b": [500]})
    found = tables.run()
    assert found["lds"].query("target == 'b' and step == 100").empty and found["lds"]["lds"].notna().all()
    assert close(row(found["lds"], method="trak", target="b", step=500)["lds"], tables.lds("trak", "b", 0))
    one, two = (row(found["summary"], method="trak", step=step) for step in (100, 500))
    assert one["targets"] == 1 and np.isnan(one["se"]) and two["targets"] == 2
    assert close(one["mean"], tables.lds("trak", "a", 0))
    assert close(two["mean"], np.mean([tables.lds("trak", "a", 1), tables.lds("trak", "b", 0)]))
    across = row(found["cross"], method="trak", score_step=100, output_step=500)
    assert close(across["mean"], tables.lds("trak", "a", 0, 1))


def test_scores_at_further_steps_are_left_out(plain):
    """evaluation.lds.steps may be fewer than the attributed ones."""
    before = plain.run("before")
    for key, score in plain.score.items():
        plain.score[key] = np.stack([score[0], numbers(IMAGES, seed=9), score[1]])  # 100, 300, 500
    after = plain.run("after")
    assert all(before[table].equals(after[table]) for table in TABLES)


def test_outputs_at_a_step_without_scores_give_nan_with_a_note(plain):
    for key, score in plain.score.items():
        plain.score[key] = score[:1]
    found = plain.run()
    bad = found["lds"].query("step == 500 and method in ['trak', 'pixel']")
    assert bad["lds"].isna().all() and (bad["note"] == "undefined: no score at this step").all() and len(bad) == 6


def test_fewer_checkpoints_are_rows_of_their_own(tmp_path):
    tables = Tables(tmp_path, checkpoints=[1, 2, 3])
    tables.methods["trak"] = 3
    for k, name in enumerate(TARGETS):
        tables.each["trak", name] = numbers(3, 2, IMAGES, seed=300 + k)
        tables.score["trak", name] = tables.each["trak", name].mean(0)
    found = tables.run()
    assert sorted(found["lds"].query("method == 'trak'")["checkpoints"].unique()) == [1, 2, 3]
    for m in (1, 2, 3):
        tables.score = {("trak", n): tables.each["trak", n][:m].astype(np.float64).mean(0) for n in TARGETS}
        for s, step in enumerate(STEPS):
            for name in TARGETS:
                one = row(found["lds"], method="trak", target=name, step=step, checkpoints=m)
                assert close(one["lds"], tables.lds("trak", name, s))
            mean = row(found["summary"], method="trak", step=step, checkpoints=m)["mean"]
            assert close(mean, np.mean([tables.lds("trak", name, s) for name in TARGETS]))
    assert len(found["cross"].query("method == 'trak'")) == 4  # of all checkpoints only
    comparison = found["comparison"]
    assert len(comparison) == 3 + 3  # 3 pairs of ensembles, and each with pixel
    difference = row(comparison, method="trak", checkpoints=1, versus="trak", versus_checkpoints=2)["difference"]
    means = found["overall"].query("method == 'trak'").set_index("checkpoints")["mean"]
    assert abs(difference - (means[1] - means[2])) < 2e-6


def test_without_the_setting_a_score_by_checkpoint_adds_nothing(plain):
    before = plain.run("before")
    for name in TARGETS:
        plain.each["trak", name] = numbers(2, 2, IMAGES, seed=3)
    after = plain.run("after")
    assert all(before[table].equals(after[table]) for table in TABLES)


def test_another_method_leaves_the_other_rows_as_they_are(plain):
    before = plain.run("before")
    plain.add_method("random")
    after = plain.run("after")
    for table in TABLES:
        rest = after[table][after[table]["method"] != "random"]
        rest = rest[rest["versus"] != "random"] if table == "comparison" else rest
        pd.testing.assert_frame_equal(rest.reset_index(drop=True), before[table], check_dtype=False, check_exact=True)


def test_another_target_leaves_the_other_rows_as_they_are(plain):
    before = plain.run("before")["lds"]
    plain.add_target("d", [100, 500], 3)
    after = plain.run("after")["lds"]
    assert after[after["target"] != "d"].reset_index(drop=True).equals(before)
    assert len(after[after["target"] == "d"]) == len(before) / 3


def test_a_second_run_gives_the_same_tables(plain):
    first, second = plain.run("first"), plain.run("second")
    assert all(first[table].equals(second[table]) for table in TABLES)


def test_tables_say_what_they_are_of(plain):
    plain.run()
    for table in TABLES:
        made = read_attributes(plain.folder / f"run/{table}.csv")
        wanted = {"stage": "lds_tables", "images": IMAGES, "targets": 3, "subsets": J, "models_per_subset": 2}
        assert wanted.items() <= made.items() and made["spec"] == staged(plain.spec, "lds_tables")


def test_scores_of_other_data_are_refused(plain, capsys):
    plain.spec["seed"] = SEED
    other = store(plain.folder / "other.zarr", {"spec": {"seed": 9}}, included=(["subset", "train"], plain.subsets))
    out = {table: plain.folder / f"{table}.csv" for table in TABLES}
    with pytest.raises(SystemExit):
        run_script("lds_tables", spec=plain.spec, subsets=other, outputs=[other], scores=[other], **out)
    assert "other.zarr was made when seed was 9; here it is 4" in capsys.readouterr().err


# ---- figures


def test_figures_of_any_table_are_drawn_without_a_warning(tmp_path):
    """With references, smaller ensembles, an undefined method; and with one model per subset."""
    full = Tables(tmp_path / "full", checkpoints=[1])
    for name in TARGETS:
        full.each["trak", name] = numbers(2, 2, IMAGES, seed=3)
        full.score["pixel", name][:] = 0.1
    for place, tables in (("full", full), ("few", Tables(tmp_path / "few", models=1))):
        tables.run()
        folder = tmp_path / place / "run"
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            names = {"summary": folder / "summary.csv", "overall": folder / "overall.csv"}
            run_script("plot_lds", spec={}, **names, out=folder / "lds.png")
            run_script("plot_lds_cross", spec={}, cross=folder / "cross.csv", out=folder / "cross.png")
        for figure in ("lds", "cross"):
            assert (folder / f"{figure}.png").stat().st_size > 5000


def panel(path, method, target, steps):
    """A picture that stands for a trajectory panel; its pixels."""
    pixels = np.random.default_rng(len(target)).integers(0, 256, (300, 728, 4), np.uint8)
    pixels[..., 3] = 255
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_file(path, lambda: {"spec": {}, "method": method, "target": target, "steps": steps}) as tmp:
        plt.imsave(tmp, pixels)
    return pixels[..., :3]


def test_a_panel_with_the_lds_is_the_panel_and_says_how_far_to_trust_it(plain, monkeypatch):
    plain.run()
    run, words = plain.folder / "run", []
    pixels = {name: panel(run / f"{name}.png", name, "a", [500, 300, 100]) for name in ("trak", "pixel")}
    kept = Figure.savefig
    monkeypatch.setattr(Figure, "savefig", lambda figure, *of: (words.append(texts(figure)), kept(figure, *of)))
    outs = [run / f"lds/{name}.png" for name in pixels]
    places = {"summary": run / "summary.csv", "overall": run / "overall.csv"}
    run_script("plot_lds_panels", spec={}, **places, panels=[run / f"{name}.png" for name in pixels], out=outs)
    for name, out, said in zip(pixels, outs, words, strict=True):
        shown = (imread(out)[..., :3] * 255).round().astype(np.uint8)
        assert shown.shape[1] == 728 and (shown[70:370] == pixels[name]).all()
        assert said[0] == f"{name}: {lds_in_words(overall_lds(run / 'overall.csv', name))}"
        assert said[1] == f"over all steps; 3 targets, {J} random subsets, 2 models each"
        assert read_attributes(out)["stage"] == "plot_lds_panels"


def texts(figure):
    return [text.get_text() for text in figure.texts]
