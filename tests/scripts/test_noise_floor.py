"""The words of the table and the panels on the noise floor, and the numbers that stand on a panel."""

import matplotlib.axes
import matplotlib.figure
import numpy as np
import pandas as pd
import pytest
from support import run_script, store

from waypoint.store.artifacts.atomic import atomic_file

N, STEPS = 200, [100, 500]
DIMS = ["checkpoint", "step", "train"]


def noise(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def planted(parts, strength):
    made = noise(parts, len(STEPS), N)
    made[:, 0, 7] += strength
    made[:, 0, 9] -= strength
    return made


def scored(tmp_path, method, parts, kept="score_by_checkpoint", models=None, **sections):
    arrays = {"score": (DIMS[1:], parts.mean(0)), "step": (["step"], STEPS)}
    if kept:
        arrays[kept] = (DIMS, parts)
        arrays["score_se"] = (DIMS[1:], parts.std(0, ddof=1) / np.sqrt(len(parts)))
    spec = {"checkpoints": [f"full/{m}" for m in range(models)]} if models else {}
    return store(tmp_path / f"{method}.zarr", {"method": method, "target": "a", "spec": {**spec, **sections}}, **arrays)


@pytest.fixture
def data(tmp_path):
    return store(tmp_path / "train.zarr", image=(["train", "channel", "y", "x"], np.tanh(noise(N, 1, 8, 8))))


def near(tmp_path, first=range(N)):
    return store(tmp_path / "near.zarr", first=(["train"], np.array(first)))


@pytest.mark.parametrize("kept, models, parts", [("score_by_checkpoint", 4, 4), ("score_by_half", 1, 2)])
def test_the_table_says_what_is_found_and_between_which_ranks(tmp_path, data, kept, models, parts):
    each = planted(parts, 12)
    stores = [scored(tmp_path, "trak", each, kept, models), scored(tmp_path, "pixel", noise(1, 2, N), None)]
    given = {"data": data, "near": near(tmp_path), "scores": stores}
    run_script("top_influences", spec={"seed": 0, "tables": {"top": 5}}, **given, out=tmp_path / "t.csv")
    table = pd.read_csv(tmp_path / "t.csv")
    trak = table[table["method"] == "trak"]
    found = trak[trak["found"].astype(str) == "True"]
    assert set(zip(found["step"], found["sign"], found["train"])) == {(100, "+", 7), (100, "-", 9)}
    assert (found["rank_low"] == 1).all() and (found["rank_high"] == 1).all()
    assert (trak["rank_low"] <= trak["rank_high"]).all() and trak["rank_low"].min() == 1
    assert table.loc[table["method"] == "pixel", ["rank_low", "rank_high", "found"]].isna().all(axis=None)


@pytest.fixture
def written(monkeypatch):
    """Every text that is written on a figure, and the labels below images with their frames' colours."""
    texts, labels, write, label = [], [], matplotlib.figure.Figure.text, matplotlib.axes.Axes.set_xlabel

    def text(self, x, y, s, *more, **style):
        texts.append(s)
        return write(self, x, y, s, *more, **style)

    def xlabel(self, words, *more, **style):
        labels.append((words, self.spines["left"].get_edgecolor()))
        return label(self, words, *more, **style)

    monkeypatch.setattr(matplotlib.figure.Figure, "text", text)
    monkeypatch.setattr(matplotlib.axes.Axes, "set_xlabel", xlabel)
    return texts, labels


def panel(tmp_path, data, scores, first=range(N), **more):
    image = {"image": (["channel", "y", "x"], noise(1, 8, 8))}
    grid = {name: (["step", "channel", "y", "x"], noise(2, 1, 8, 8)) for name in ("x_t", "x0_hat")}
    trajectory = store(tmp_path / "trajectory.zarr", step=(["step"], STEPS), **grid, **image)
    sample = (["step", "number", "channel", "y", "x"], noise(2, 4, 1, 8, 8))
    samples = store(tmp_path / "samples.zarr", sample=sample, step=(["step"], STEPS))
    spec = {"seed": 0, "figures": {"top": 2}, "tables": {"top": 5}}
    given = {
        "near": near(tmp_path, first),
        "data": data,
        "trajectory": trajectory,
        "samples": samples,
        "scores": scores,
        "target": "a",
    }
    run_script("trajectory_panel", spec=spec, **given, **more, out=tmp_path / "panel.png")


def test_a_panel_marks_what_is_found_and_greys_what_is_not(tmp_path, data, written):
    panel(tmp_path, data, scored(tmp_path, "trak", planted(4, 12), models=4))
    texts, labels = written
    marked = [words.split("\n")[1] for words, _ in labels if "✓" in words]
    assert sorted(marked) == ["7", "9"] and all("±" in words for words, _ in labels)
    greys = [max(color[:3]) - min(color[:3]) < 0.01 for words, color in labels]
    assert greys == ["✓" not in words for words, _ in labels]
    told = "\n".join(texts)
    assert "200 training images, 4 models" in told and "confirmed by 4 models" in told
    assert "control" not in told


def test_a_single_models_halves_speak(tmp_path, data, written):
    panel(tmp_path, data, scored(tmp_path, "trak", planted(2, 12), "score_by_half", 1))
    told = "\n".join(written[0])
    assert "1 model" in told and "confirmed by halves of the random draws" in told


def test_controls_are_labelled_and_what_nothing_judges_is_grey(tmp_path, data, written):
    panel(tmp_path, data, scored(tmp_path, "random", noise(1, 2, N), None))
    told, labels = "\n".join(written[0]), written[1]
    assert "random (control)" in told and "no ✓: nothing can be confirmed, because the method uses no model" in told
    assert not any("✓" in words or "±" in words for words, _ in labels)
    assert all(max(color[:3]) - min(color[:3]) < 0.05 for _, color in labels)


def test_one_models_scores_without_halves_say_so(tmp_path, data, written):
    panel(tmp_path, data, scored(tmp_path, "trak", noise(1, 2, N), None, models=1))
    assert "because scores are not stored by model or half" in "\n".join(written[0])


def test_a_panel_shows_what_is_there_several_times_once_and_says_how_often(tmp_path, data, written):
    first = np.arange(N)
    first[[8, 11]] = 7
    each = planted(4, 12)
    each[:, :, [8, 11]] = each[:, :, [7]]
    panel(tmp_path, data, scored(tmp_path, "trak", each, models=4), first)
    texts, labels = written
    assert [words for words, _ in labels if "×" in words][0].split("\n")[0].endswith("✓ ×3")
    assert not any(words.split("\n")[1] in ("8", "11") for words, _ in labels)
    assert "one of three images that show the same" in "\n".join(texts)


# ---- the other figures with lists


def likelihood_figure(tmp_path, data, scores, first=range(N)):
    """Draw the likelihood of a target; training images are shown at both steps."""
    for name, row in {
        "likelihood": {"step": STEPS, "likelihood": [0.9, 0.2], "samples": 4},
        "intervals": {"step_from": [500], "step_to": [100], "rise": [0.7]},
    }.items():
        table = pd.DataFrame({"classifier": "clip", "target": "a", "feature": "a dog", **row})
        with atomic_file(tmp_path / f"{name}.csv", lambda: {"spec": {}}) as path:
            table.to_csv(path, index=False)
    sample = (["step", "number", "channel", "y", "x"], noise(2, 4, 1, 8, 8))
    given = {"likelihood": tmp_path / "likelihood.csv", "intervals": tmp_path / "intervals.csv"}
    given["samples"] = store(tmp_path / "samples.zarr", sample=sample, step=(["step"], STEPS))
    given |= {"near": near(tmp_path, first) if scores else "", "data": data, "scores": scores, "target": "a"}
    spec = {"seed": 0, "tables": {"top": 5}} if scores else {"seed": 0}
    run_script("plot_likelihood", spec=spec, **given, out=tmp_path / "likelihood.png")


def regions_figure(tmp_path, data, scores, first=range(N)):
    """Draw one region at step 100."""
    box, grid = [0, 0, 4, 8], ["channel", "y", "x"]
    given = {"near": near(tmp_path, first), "data": data, "scores": [scores], "pngs": [], "target": "a"}
    given["trajectory"] = store(tmp_path / "trajectory.zarr", image=(grid, noise(1, 8, 8)))
    spec = {"seed": 0, "figures": {"mask_step": 100}, "tables": {"top": 5}, "masks": [{"name": "left", "mask": box}]}
    run_script("plot_regions", spec=spec, **given, out=tmp_path / "regions.png")


@pytest.fixture(params=[likelihood_figure, regions_figure])
def figure(request):
    return request.param


def scored_region(tmp_path, parts, **more):
    """Scores as ``scored``, by a masked target and projected gradients."""
    spec = {"target": {"mask": [0, 0, 4, 8]}, "projection": {"kind": "none"}}
    return scored(tmp_path, "trak", parts, **more, **spec)


def test_every_figure_with_lists_marks_what_is_found_and_greys_what_is_not(tmp_path, data, written, figure):
    figure(tmp_path, data, scored_region(tmp_path, planted(4, 12), models=4))
    texts, labels = written
    labels = [(words, color) for words, color in labels if "±" in words]
    sides = {"7", "9"} if figure is likelihood_figure else {"7"}  # regions have no lists of the lowest scores
    assert {words.split("\n")[1] for words, _ in labels if "✓" in words} == sides
    assert len(labels) == (12 if figure is likelihood_figure else 8)
    greys = [max(color[:3]) - min(color[:3]) < 0.01 for _, color in labels]
    assert greys == ["✓" not in words for words, _ in labels]
    told = "\n".join(texts)
    assert "score ± its error, index" in told and "✓: found, confirmed by 4 models; grey: not told from noise" in told


def test_no_figure_with_lists_confirms_what_nothing_judges(tmp_path, data, written, figure):
    figure(tmp_path, data, scored_region(tmp_path, planted(1, 12), kept=None, models=1))
    texts, labels = written
    assert not any("✓" in words or "±" in words for words, _ in labels)
    assert "no ✓: nothing can be confirmed, because scores are not stored by model or half" in "\n".join(texts)


def test_every_figure_with_lists_names_near_duplicates_once_with_their_number(tmp_path, data, written, figure):
    first = np.arange(N)
    first[[8, 11]] = 7
    each = planted(4, 12)
    each[:, :, [8, 11]] = each[:, :, [7]]
    figure(tmp_path, data, scored_region(tmp_path, each, models=4), first)
    texts, labels = written
    assert {words.split("\n")[0][-4:] for words, _ in labels if "×" in words} == {"✓ ×3"}
    assert not any(words.split("\n")[1:2] in (["8"], ["11"]) for words, _ in labels)
    assert "one of three images that show the same" in "\n".join(texts)


def test_without_training_images_a_likelihood_needs_no_scores(tmp_path, written):
    likelihood_figure(tmp_path, "", "")
    texts, labels = written
    assert "4 samples of $p(\\cdot|x_t)$ per step" in "\n".join(texts) and "below" not in "\n".join(texts)
    assert not any("±" in words or "✓" in words for words, _ in labels)
