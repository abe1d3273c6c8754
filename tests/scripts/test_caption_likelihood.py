"""Image-text preference (B.6) in the likelihood's tables: against explicit cosines, with and without classifiers."""

import json

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from support import run_script, store, tiny_clip

from waypoint.science.evaluation.classifier import build
from waypoint.store.networks.classifier import save_classifier
from waypoint.store.networks.image_encoder import ImageEncoder, weights_hash

NUMBER, STEPS = 70, [100, 300, 500]  # more samples than one batch
CAPTIONS = {"a": ["a $_ blouse", "a dark $ blouse"], "b": ["a dog", "something else"]}


def numbers(*shape, seed=0):
    return np.tanh(np.random.default_rng(seed).standard_normal(shape)).astype(np.float32)


class Study:
    """A tiny CLIP model, two targets and their samples, as feature_likelihood.py finds them."""

    def __init__(self, folder):
        self.folder, self.place = folder, tiny_clip(folder / "clip")
        self.settings = {"kind": "clip", "sha256": weights_hash(self.place)}
        self.sample = {name: numbers(len(STEPS), NUMBER, 1, 8, 8, seed=k) for k, name in enumerate("ab")}
        for name in "ab":
            dims = ["step", "number", "channel", "y", "x"]
            arrays = {"sample": (dims, self.sample[name]), "step": (["step"], np.array(STEPS))}
            store(folder / f"samples-{name}.zarr", {"target": name}, **arrays)
            store(folder / f"trajectory-{name}.zarr", image=(["channel", "y", "x"], numbers(1, 8, 8, seed=10)))
        for k, kind in enumerate(("standard", "robust")):
            save_classifier(build(1, 3, 2, 20 + k, kind), folder / kind, lambda: {"spec": {}})

    def run(self, captions=CAPTIONS, kinds=(), **sections):
        out = {name: self.folder / f"{name}.csv" for name in ("likelihood", "intervals")}
        spec = {"caption_likelihood": {"encoder": "clip", "captions": captions}, "image_encoder": self.settings}
        spec |= {"samples": {"number": NUMBER, "chosen": dict.fromkeys("ab", STEPS)}, "labels": {}}
        run_script(
            "feature_likelihood",
            spec=spec | sections,
            classifiers=[self.folder / kind for kind in kinds],
            samples=[self.folder / f"samples-{name}.zarr" for name in "ab"],
            trajectories=[self.folder / f"trajectory-{name}.zarr" for name in "ab"],
            places=json.dumps({"clip": self.place}),
            **out,
        )
        return tuple(pd.read_csv(path) for path in out.values())

    def share(self, target, step):
        """Counted one image at a time."""
        see, count = ImageEncoder("clip", self.settings, self.place), 0
        first, second = see.captions(CAPTIONS[target]).double()
        for image in self.sample[target][STEPS.index(step)]:
            own = see(torch.from_numpy(image)[None])[0].double()
            count += float(own @ first / first.norm()) > float(own @ second / second.norm())
        return count / NUMBER


@pytest.fixture
def study(tmp_path):
    return Study(tmp_path)


def test_the_share_is_counted_by_explicit_cosines(study):
    table, _ = study.run()
    assert list(table.columns) == ["classifier", "target", "feature", "step", "likelihood", "samples"]
    assert len(table) == 2 * len(STEPS) and set(table["classifier"]) == {"clip"}
    assert set(table["feature"]) == {"a $_ blouse", "a dog"} and table["likelihood"].nunique() > 2
    for row in table.itertuples():
        assert row.feature == CAPTIONS[row.target][0] and row.samples == NUMBER
        assert row.likelihood == pytest.approx(study.share(row.target, row.step), abs=1e-5)
        assert 0 < row.likelihood < 1


def test_the_second_caption_has_the_rest(study):
    table, _ = study.run()
    other, _ = study.run({name: pair[::-1] for name, pair in CAPTIONS.items()})
    assert set(other["feature"]) == {"a dark $ blouse", "something else"}
    assert np.allclose(table["likelihood"] + other["likelihood"], 1, atol=1e-5)


def test_the_steepest_interval_is_the_one_in_the_table(study):
    table, intervals = study.run()
    assert list(intervals.columns) == ["classifier", "target", "feature", "step_from", "step_to", "rise", "note"]
    for row in intervals.itertuples():
        at = table[table["target"] == row.target].set_index("step")["likelihood"]
        rises = {(500, 300): at[300] - at[500], (300, 100): at[100] - at[300]}
        best = max(rises, key=rises.get)
        if rises[best] > 0:
            assert (row.step_from, row.step_to) == best and row.rise == pytest.approx(rises[best], abs=1e-5)
        else:
            assert np.isnan(row.step_from) and "never rises" in row.note


def test_classes_and_captions_stand_in_one_table(study):
    alone, _ = study.run()
    table, intervals = study.run(kinds=["standard", "robust"], likelihood={"features": {"a": 1, "b": 2}})
    assert table["classifier"].unique().tolist() == ["standard", "robust", "clip"] and len(intervals) == 6
    mine = table[table["classifier"] == "clip"].reset_index(drop=True)
    assert mine.equals(alone)
    assert set(table.loc[table["classifier"] == "standard", "feature"]) == {"1", "2"}


def test_a_target_without_captions_has_no_rows_of_them(study):
    table, _ = study.run({"b": CAPTIONS["b"]}, ["standard", "robust"], likelihood={"features": None})
    assert set(table.loc[table["classifier"] == "clip", "target"]) == {"b"}
    assert set(table.loc[table["classifier"] == "robust", "target"]) == {"a", "b"}


@pytest.mark.parametrize("kinds", [[], ["standard", "robust"]])
def test_the_figure_has_a_curve_of_the_model(study, kinds):
    sections = {"likelihood": {"features": {"a": 1, "b": 2}}} if kinds else {}
    study.run(kinds=kinds, **sections)
    data = store(study.folder / "train.zarr", image=(["train", "channel", "y", "x"], numbers(12, 1, 8, 8, seed=9)))
    arrays = {"score": (["step", "train"], numbers(3, 12, seed=3)), "step": (["step"], np.array(STEPS))}
    scores = store(study.folder / "scores.zarr", {"method": "pixel", "target": "a"}, **arrays)
    tables = {part: study.folder / f"{part}.csv" for part in ("likelihood", "intervals")}
    near = store(study.folder / "near.zarr", first=(["train"], np.arange(12)))
    common = {"samples": study.folder / "samples-a.zarr", "scores": scores, "data": data, "near": near}
    run_script(
        "plot_likelihood", spec={"tables": {"top": 5}}, **tables, **common, target="a", out=study.folder / "figure.png"
    )
    with Image.open(study.folder / "figure.png") as image:
        picture = np.asarray(image.convert("RGB"), np.float64)
    colours = {"clip": (204, 121, 167), "standard": (0, 114, 178)}
    seen = {name: int((np.abs(picture - colour).max(2) < 8).sum()) for name, colour in colours.items()}
    assert seen["clip"] > 50 and (seen["standard"] > 50) == bool(kinds)
