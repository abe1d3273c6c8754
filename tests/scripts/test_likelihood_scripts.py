"""The scripts of classifiers and feature likelihood: tables against explicit counts, figures against what they show."""

import json

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from support import run_script, store

from waypoint.science.evaluation.classifier import accuracy, build, held_out
from waypoint.store.artifacts.provenance import read_attributes
from waypoint.store.networks.classifier import load_classifier, save_classifier
from waypoint.store.zarr.reader import open_store

N, NUMBER, STEPS = 12, 6, [100, 300, 500]
RECIPE = {"epochs": 1, "batch_size": 8, "learning_rate": 1e-3, "width": 2, "holdout": 0.25}
ATTACK = {"radius": 0.1, "attack_steps": 2}
COLUMNS = ["classifier", "target", "feature", "step", "likelihood", "samples"]


def numbers(*shape, seed=0):
    return np.tanh(np.random.default_rng(seed).standard_normal(shape)).astype(np.float32)


LABELS = np.arange(N) % 3


def data(path, labels=LABELS):
    arrays = {"image": (["train", "channel", "y", "x"], numbers(N, 1, 8, 8, seed=9))}
    return store(path, **arrays, **({} if labels is None else {"label": (["train"], labels)}))


# ---- train_classifier


def trained(tmp_path, kind, **recipe):
    spec = {"seed": 4, "classifier": {kind: RECIPE | (ATTACK if kind == "robust" else {}) | recipe}}
    source = data(tmp_path / "train.zarr")
    run_script("train_classifier", spec=spec, data=source, kind=kind, out=tmp_path / kind)
    return load_classifier(tmp_path / kind), read_attributes(tmp_path / kind)


@pytest.mark.parametrize("kind", ["standard", "robust"])
def test_a_classifier_says_how_well_it_does_on_what_it_never_saw(tmp_path, kind):
    network, made = trained(tmp_path, kind)
    found = open_store(tmp_path / "train.zarr")
    kept = held_out(N, 0.25, 4)[1]
    images, labels = torch.from_numpy(found["image"][:])[kept], torch.from_numpy(found["label"][:])[kept]
    assert made["accuracy"] == pytest.approx(accuracy(network, images, labels)) and made["held_out"] == 3
    assert ("robust_accuracy" in made) == (kind == "robust")
    assert network.config == {"channels": 1, "classes": 3, "width": 2}


def test_images_held_back_are_not_trained_on(tmp_path):
    network = trained(tmp_path, "standard")[0]
    changed = tmp_path / "changed"
    changed.mkdir()
    image = open_store(tmp_path / "train.zarr")["image"][:]
    image[held_out(N, 0.25, 4)[1]] = 0
    label = (["train"], np.arange(N) % 3)
    source = store(changed / "train.zarr", image=(["train", "channel", "y", "x"], image), label=label)
    spec = {"seed": 4, "classifier": {"standard": RECIPE}}
    run_script("train_classifier", spec=spec, data=source, kind="standard", out=changed / "standard")
    other = load_classifier(changed / "standard")
    assert all(torch.equal(a, b) for a, b in zip(network.state_dict().values(), other.state_dict().values()))


def test_data_without_labels_names_the_keys_that_need_them(tmp_path, capsys):
    spec = {"seed": 4, "classifier": {"standard": RECIPE}}
    source = data(tmp_path / "train.zarr", labels=None)
    with pytest.raises(SystemExit):
        run_script("train_classifier", spec=spec, data=source, kind="standard", out=tmp_path / "standard")
    message = capsys.readouterr().err
    for part in ("train.zarr has no labels", "evaluation.likelihood", "evaluation.fid.features"):
        assert part in message
    assert not (tmp_path / "standard").exists()


def test_training_that_diverges_names_the_key(tmp_path, capsys):
    with pytest.raises(SystemExit):
        trained(tmp_path, "standard", learning_rate=1e30, epochs=3)
    assert "evaluation.classifier.learning_rate" in capsys.readouterr().err
    assert not (tmp_path / "standard").exists()


# ---- feature_likelihood


class Study:
    """Two untrained classifiers, two targets and their samples, as feature_likelihood.py finds them."""

    def __init__(self, folder):
        self.folder, self.networks = folder, {}
        for k, kind in enumerate(("standard", "robust")):
            network = build(1, 3, 2, 20 + k, kind).requires_grad_(False)
            with torch.no_grad():  # so that all classes are called now and then
                network.head.weight.mul_(30)
                called = network(torch.from_numpy(numbers(400, 1, 8, 8, seed=77)))
                network.head.bias.sub_(called.mean(0))
            save_classifier(network, folder / kind, lambda: {"spec": {}})
            self.networks[kind] = network.eval()
        self.sample = {name: numbers(len(STEPS), NUMBER, 1, 8, 8, seed=k) for k, name in enumerate("ab")}
        self.image = {name: numbers(1, 8, 8, seed=10 + k) for k, name in enumerate("ab")}
        for name in "ab":
            self.save_samples(name)
            image = (["channel", "y", "x"], self.image[name])
            store(folder / f"trajectory-{name}.zarr", image=image)

    def save_samples(self, name, steps=STEPS, sample=None):
        sample = self.sample[name] if sample is None else sample
        arrays = {"sample": (["step", "number", "channel", "y", "x"], sample), "step": (["step"], np.array(steps))}
        store(self.folder / f"samples-{name}.zarr", {"target": name}, **arrays)

    def run(self, features=None, labels=None, **stages):
        places = {part: [self.folder / f"{part}-{name}.zarr" for name in "ab"] for part in ("samples", "trajectory")}
        out = {name: self.folder / f"{name}.csv" for name in ("likelihood", "intervals")}
        own = {"samples": {"number": NUMBER, "chosen": dict.fromkeys("ab", STEPS)}, "labels": labels or {}}
        run_script(
            "feature_likelihood",
            spec={
                "seed": 4,
                "feature_likelihood": {"version": 1, "likelihood": {"features": features}, **own},
                **stages,
            },
            classifiers=[self.folder / kind for kind in self.networks],
            samples=places["samples"],
            trajectories=places["trajectory"],
            **out,
        )
        return tuple(pd.read_csv(path) for path in out.values())

    def called(self, kind, image):
        """The class of one (C, H, W) image."""
        return int(self.networks[kind](torch.from_numpy(image)[None]).argmax())


@pytest.fixture
def study(tmp_path):
    return Study(tmp_path)


def test_likelihood_is_the_counted_share(study):
    table, _ = study.run(features={"a": 1, "b": 2})
    assert list(table.columns) == COLUMNS and len(table) == 2 * 2 * len(STEPS)
    assert table["likelihood"].nunique() > 2  # not all 0 or 1
    for row in table.itertuples():
        images = study.sample[row.target][STEPS.index(row.step)]
        count = sum(study.called(row.classifier, image) == {"a": 1, "b": 2}[row.target] for image in images)
        assert row.likelihood == pytest.approx(count / NUMBER, abs=1e-5) and row.samples == NUMBER


def test_the_feature_is_named_or_the_label_or_the_final_images_class(study):
    for features, labels, expected in (
        ({"a": 2}, {"a": 1}, {"a": 2}),
        (None, {"a": 1, "b": 0}, {"a": 1, "b": 0}),
        (None, {}, {name: study.called("standard", study.image[name]) for name in "ab"}),
    ):
        table, intervals = study.run(features, labels)
        for target, feature in expected.items():
            for found in (table, intervals):  # the same for both classifiers
                assert set(found.loc[found["target"] == target, "feature"]) == {feature}


def test_the_steepest_interval_is_the_one_in_the_table(study):
    table, intervals = study.run(features={"a": 1, "b": 2})
    assert list(intervals.columns) == ["classifier", "target", "feature", "step_from", "step_to", "rise", "note"]
    assert len(intervals) == 4
    for row in intervals.itertuples():
        rows = table[(table["classifier"] == row.classifier) & (table["target"] == row.target)]
        at = dict(zip(rows["step"], rows["likelihood"]))
        rises = {(500, 300): at[300] - at[500], (300, 100): at[100] - at[300]}
        best = max(rises, key=lambda pair: (round(rises[pair], 5), pair[0]))
        if rises[best] <= 0:
            assert np.isnan(row.step_from) and np.isnan(row.rise) and "never rises" in row.note
        else:
            assert (row.step_from, row.step_to) == best and row.rise == pytest.approx(rises[best], abs=1e-5)


def test_a_likelihood_that_never_rises_gets_a_note(study):
    same = np.repeat(study.sample["a"][:1], 3, 0)
    study.save_samples("a", sample=same)
    rows = study.run()[1].query("target == 'a'")
    assert (
        rows[["step_from", "step_to", "rise"]].isna().all(axis=None) and rows["note"].str.contains("never rises").all()
    )


@pytest.mark.parametrize("features, labels", [({"a": 3}, {}), (None, {"a": -1}), (None, {"b": 7})])
def test_a_class_that_the_data_lacks_is_refused(study, capsys, features, labels):
    with pytest.raises(SystemExit):
        study.run(features, labels)
    message = capsys.readouterr().err
    assert "evaluation.likelihood.features" in message and "one of" in message
    assert not (study.folder / "likelihood.csv").exists()


def test_a_classifier_of_other_images_is_refused(study, capsys):
    marker = {"spec": {"prepare_data": {"version": 1, "data": {"subset": 9}}}}
    (study.folder / "robust/waypoint.json").write_text(json.dumps(marker))
    with pytest.raises(SystemExit):
        study.run(prepare_data={"version": 1, "data": {"subset": 8}})
    assert "robust was made when data.subset was 9; here it is 8" in capsys.readouterr().err


# ---- plot_likelihood


MANY = 200  # of so few images as above, none could be told from noise


def plotted(study, scored, name="figure.png"):
    parts = np.random.default_rng(3).normal(size=(4, len(scored), MANY))
    parts[:, :, 7] += 12
    parts[:, :, 9] -= 12
    scores = {"score": (["step", "train"], parts.mean(0)), "step": (["step"], np.array(scored))}
    scores["score_by_checkpoint"] = (["checkpoint", "step", "train"], parts)
    attributes = {"method": "trak", "target": "a", "spec": {"checkpoints": [f"full/{m}" for m in range(4)]}}
    scores = store(study.folder / f"{name}-scores.zarr", attributes, **scores)
    arrays = {"image": (["train", "channel", "y", "x"], numbers(MANY, 1, 8, 8, seed=9))}
    train = store(study.folder / f"{name}-train.zarr", **arrays, label=(["train"], np.arange(MANY) % 3))
    near = store(study.folder / f"{name}-near.zarr", first=(["train"], np.arange(MANY)))
    tables = {part: study.folder / f"{part}.csv" for part in ("likelihood", "intervals")}
    common = {"samples": study.folder / "samples-a.zarr", "scores": scores, "data": train, "near": near}
    spec = {"seed": 4, "tables": {"top": 5}}
    run_script("plot_likelihood", spec=spec, **tables, **common, target="a", out=study.folder / name)
    with Image.open(study.folder / name) as image:
        return np.asarray(image.convert("RGB"), np.float64)


def coloured(picture, colour):
    """Pixels of one colour, of a frame say."""
    return int((np.abs(picture - colour).max(2) < 8).sum())


def test_training_images_are_framed_at_attributed_steps_only(study):
    study.run(features={"a": 1, "b": 2})
    green, red = (0, 158, 115), (204, 51, 17)
    some, all_ = plotted(study, STEPS[:1], "some.png"), plotted(study, STEPS, "all.png")
    for colour in (green, red):
        assert coloured(all_, colour) > 2 * coloured(some, colour) > 0
