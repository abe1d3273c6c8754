"""The table and the figure of groups: every column against brute force; what is found, and what cannot be known."""

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from scipy.stats import false_discovery_control
from support import run_script, store

from waypoint.science.evaluation.groups import LEVEL
from waypoint.store.artifacts.provenance import read_attributes

N, STEPS, CLASSES = 60, [100, 500, 900], ["ape", "cat", "cow", "dog"]
COLUMNS = "method target step group size score se percentile random_mean random_sd z null p p_kind q found checkpoints"
COLUMNS += " null_low null_high"


@pytest.fixture
def data(tmp_path):
    rng, label = np.random.default_rng(0), np.arange(N) % 4
    image = rng.standard_normal((N, 1, 4, 4)).astype(np.float32) / 4 + label[:, None, None, None]
    names = np.array([f"{CLASSES[k]}/{i}.png" for i, k in enumerate(label)])
    arrays = {"image": (["train", "channel", "y", "x"], image), "file": (["train"], names)}
    arrays["label"] = (["train"], label, {"class_names": CLASSES})
    return store(tmp_path / "train.zarr", {"sha256": "x"}, **arrays)


def scored(tmp_path, method, parts=None, score=None, models=None, kept="score_by_checkpoint"):
    score = parts.mean(0) if score is None else score
    arrays = {"score": (["step", "train"], score), "step": (["step"], STEPS)}
    if parts is not None:
        arrays[kept] = (["checkpoint", "step", "train"], parts)
    spec = {} if models is None else {"checkpoints": [f"full/{m}" for m in range(models)]}
    return store(tmp_path / f"{method}.zarr", {"method": method, "target": "a", "spec": spec}, **arrays)


def noise(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def planted(parts=4, strength=2.0):
    """Noise in which cats push towards the target."""
    made = noise(parts, len(STEPS), N, seed=1)
    made[:, :, np.arange(N) % 4 == 1] += strength
    return made


def table(tmp_path, data, scores, files=None, by="label", **more):
    lists, hashes = [], {}
    for name, lines in sorted((files or {}).items()):
        (tmp_path / f"{name}.txt").write_text("\n".join(lines))
        lists.append(tmp_path / f"{name}.txt")
        hashes[name] = "hash"
    spec = {"seed": 0, "groups": {"files": hashes, "by": by, "neighbours": "pixels"}}
    out = tmp_path / "a.csv"
    run_script("group_influences", spec=spec, data=data, scores=scores, lists=lists, target="a", out=out, **more)
    return pd.read_csv(out)


def test_every_column_against_brute_force(tmp_path, data):
    parts = noise(3, len(STEPS), N)
    found = table(tmp_path, data, [scored(tmp_path, "trak", parts, models=3)], {"few": ["0", "ape/4.png", "7"]})
    assert list(found) == COLUMNS.split() and len(found) == len(STEPS) * 5 * 2
    groups = {"few": [0, 4, 7]} | {name: list(range(k, N, 4)) for k, name in enumerate(CLASSES)}
    assert list(found["group"].unique()) == list(groups) and (found["checkpoints"] == 3).all()
    score, total = parts.mean(0), N
    for row in found.itertuples():
        s, images = STEPS.index(row.step), groups[row.group]
        sums, n = parts[:, s, images].sum(1).astype(float), len(images)
        assert row.size == n and np.isclose(row.score, score[s, images].sum(), atol=1e-4)
        assert np.isclose(row.se, sums.std(ddof=1) / np.sqrt(3), rtol=1e-4)
        assert np.isclose(row.z, (row.score - row.random_mean) / row.random_sd, atol=1e-3)
        if row.null == "random":
            assert np.isclose(row.random_mean, n * score[s].mean(), atol=1e-4)
            assert np.isclose(row.random_sd, np.sqrt(n * score[s].var() * (total - n) / (total - 1)), rtol=1e-4)
    assert (found["null_low"] < found["random_mean"]).all() and (found["null_high"] > found["random_mean"]).all()
    for null, rows in found.groupby("null"):
        assert np.allclose(rows["q"], false_discovery_control(rows["p"]), rtol=1e-4), null
    assert found["p"].between(0, 1).all() and set(found["p_kind"]) <= {"normal", "permutation"}
    assert read_attributes(tmp_path / "a.csv")["stage"] == "group_influences"


def test_a_planted_group_is_found_and_noise_is_not(tmp_path, data):
    stores = [scored(tmp_path, "trak", planted(), models=4), scored(tmp_path, "pixel", score=noise(3, N, seed=3))]
    found = table(tmp_path, data, stores)
    trak = found.query("method == 'trak'").set_index("group")
    assert (
        trak.loc["cat", "found"].all()
        and (trak.loc["cat", "z"] > 0).all()
        and (trak.loc["cat", "percentile"] == 100).all()
    )
    assert not found.query("method == 'pixel'")["found"].any()
    stricter = trak.groupby(["group", "step"])["q"].max()
    assert (stricter[trak.reset_index().groupby(["group", "step"])["found"].first()] <= LEVEL).all()


def test_both_halves_of_one_models_draws_give_an_error(tmp_path, data):
    halves = planted(2)
    found = table(tmp_path, data, [scored(tmp_path, "trak", halves, models=1, kept="score_by_half")])
    row = found.query("group == 'dog' and step == 500").iloc[0]
    sums = halves[:, 1, 3::4].sum(1)
    assert np.isclose(row.se, abs(sums[0] - sums[1]) / 2, rtol=1e-3) and (found["checkpoints"] == 1).all()


def test_what_is_an_estimate_of_unknown_error_is_never_called_found(tmp_path, data):
    score = planted().mean(0)
    found = table(
        tmp_path, data, [scored(tmp_path, "trak", score=score, models=1), scored(tmp_path, "wiener", score=score)]
    )
    assert found.query("method == 'trak'")["found"].isna().all() and found["se"].isna().all()
    assert (found.query("method == 'wiener' and group == 'cat'")["found"].astype(str) == "True").all()


def test_neighbours_by_embeddings_are_others_than_by_pixels(tmp_path, data):
    scores = [scored(tmp_path, "trak", planted(), models=4)]
    embeddings = store(tmp_path / "e.zarr", embedding=(["train", "feature"], noise(N, 6, seed=4)))
    a, b = table(tmp_path, data, scores), table(tmp_path, data, scores, embeddings=[embeddings])
    for null, same in (("random", True), ("neighbourhoods", False)):
        of_a, of_b = (rows.loc[rows["null"] == null, "p"].to_numpy() for rows in (a, b))
        assert np.array_equal(of_a, of_b) is same


def test_a_line_that_means_no_image_ends_the_job(tmp_path, data, capsys):
    with pytest.raises(SystemExit):
        table(tmp_path, data, [scored(tmp_path, "trak", planted(), models=4)], {"x": ["bird.png"]})
    assert "groups.files.x" in capsys.readouterr().err


def test_the_table_of_all_targets_has_one_header(tmp_path, data):
    found = table(tmp_path, data, [scored(tmp_path, "trak", planted(), models=4)])
    run_script("group_table", spec={}, tables=[tmp_path / "a.csv"] * 2, out=tmp_path / "all.csv")
    assert len(pd.read_csv(tmp_path / "all.csv")) == 2 * len(found)


def test_the_figure_says_what_is_found_and_what_is_not_a_share(tmp_path, data, monkeypatch):
    import matplotlib.figure

    stores = [scored(tmp_path, "trak", planted(), models=4), scored(tmp_path, "random", score=noise(3, N, seed=3))]
    table(tmp_path, data, stores, {"a $name$ that is much longer than what fits": ["0", "5"]})
    image = (["channel", "y", "x"], noise(1, 8, 8))
    trajectory = store(tmp_path / "trajectory.zarr", image=image)
    words, write = [], matplotlib.figure.Figure.text

    def text(self, x, y, s, *more, **style):
        words.append(s)
        return write(self, x, y, s, *more, **style)

    monkeypatch.setattr(matplotlib.figure.Figure, "text", text)
    given = {"table": tmp_path / "a.csv", "trajectory": trajectory, "target": "a", "out": tmp_path / "groups.png"}
    run_script("plot_groups", spec={}, **given)
    told = " ".join(words)
    assert "“cat” pushed towards at t = 900, 500, 100" in told and "Found by random: nothing." in told
    assert "No height is a share of the image" in told and "4 models" in told
    assert "With 4 models the error itself is uncertain: a sum must lie 3.2 errors away" in told
    with Image.open(tmp_path / "groups.png") as made:
        assert made.width > 600
