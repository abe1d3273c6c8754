"""Tables and figures over scores: columns, what is counted, and what has no number."""

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from scipy.stats import spearmanr
from support import run_script, store

from waypoint.store.artifacts.provenance import read_attributes

N, STEPS = 60, [100, 500, 900]


def numbers(*shape, seed):
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def scored(tmp_path, method, target, score, steps=STEPS):
    """A score store, as a method writes it."""
    attributes = {"method": method, "target": target}
    if method == "trak":
        attributes["spec"] = {"checkpoints": ["full/0", "full/1"]}
    arrays = {"score": (["step", "train"], score), "step": (["step"], steps)}
    return store(tmp_path / f"{method}-{target}.zarr", attributes, **arrays)


def table(tmp_path, stage, scores, log=None, **settings):
    out = tmp_path / f"{stage}.csv"
    spec = {stage: settings} if settings else {}
    run_script(stage, spec=spec, scores=scores, out=out, **({"log": log} if log else {}))
    return pd.read_csv(out)


# ---- tables/step_correlation.csv


def test_step_correlation_has_every_pair_of_each_targets_own_steps(tmp_path):
    a, b = numbers(3, N, seed=1), numbers(2, N, seed=2)
    stores = [scored(tmp_path, "trak", "a", a), scored(tmp_path, "pixel", "b", b, STEPS[1:])]
    found = table(tmp_path, "step_correlation", stores)
    assert list(found) == ["method", "target", "step_a", "step_b", "spearman"]
    expected = [("trak", "a", 100, 500, a[0], a[1]), ("trak", "a", 100, 900, a[0], a[2])]
    expected += [("trak", "a", 500, 900, a[1], a[2]), ("pixel", "b", 500, 900, b[0], b[1])]
    for row, (*names, x, y) in zip(found.itertuples(index=False), expected, strict=True):
        assert list(row[:4]) == names and np.isclose(row.spearman, spearmanr(x, y)[0], atol=1e-5)
    made = read_attributes(tmp_path / "step_correlation.csv")
    assert made["images"] == N and made["targets"] == 2 and made["models"] == 2


def test_equal_scores_have_no_step_correlation(tmp_path):
    score = numbers(3, N, seed=1)
    score[1] = 0.3
    found = table(tmp_path, "step_correlation", [scored(tmp_path, "trak", "a", score)])
    assert found["spearman"].isna().tolist() == [True, False, True]


def test_one_step_has_nothing_to_correlate_with(tmp_path, capsys):
    with pytest.raises(SystemExit):
        table(tmp_path, "step_correlation", [scored(tmp_path, "trak", "a", numbers(1, N, seed=1), [100])])
    assert "evaluation.step_correlation compares steps" in capsys.readouterr().err


# ---- tables/sign_overlap.csv


def planted(seed, *flips):
    """Scores that agree between the steps, with images that go from the top to the bottom."""
    score = np.tile(numbers(N, seed=seed), (3, 1)) + 0.01 * numbers(3, N, seed=seed + 100)
    for image in flips:
        score[:, image] = [9, 0, -9]
    return score


def test_sign_overlap_is_the_share_of_targets_beside_the_formula(tmp_path):
    stores = [scored(tmp_path, "trak", f"t{k}", planted(k, *([5] if k < 3 else []))) for k in range(4)]
    stores += [scored(tmp_path, "random", f"t{k}", numbers(3, N, seed=50 + k)) for k in range(4)]
    found = table(tmp_path, "sign_overlap", stores, top_k=[20, 1])
    assert list(found) == ["method", "top_k", "observed", "random", "targets", "steps"]
    trak = found[found["method"] == "trak"]
    assert trak["top_k"].tolist() == [1, 20] and trak["observed"].tolist() == [0.75, 0.75]
    assert np.allclose(found["random"], 1 - np.exp(-3 * 2 * found["top_k"] ** 2 / N), atol=1e-5)
    assert (found["targets"] == 4).all() and (found["steps"] == 3).all()
    assert found.query("method == 'random' and top_k == 20")["observed"].item() == 1


def test_all_targets_are_counted_at_the_steps_that_they_share(tmp_path):
    """The flip of the first target lies at a step that the second one has not."""
    short = scored(tmp_path, "trak", "b", planted(1)[:2], STEPS[:2])
    found = table(tmp_path, "sign_overlap", [scored(tmp_path, "trak", "a", planted(0, 5)), short], top_k=[2])
    assert found["observed"].item() == 0 and found["steps"].item() == 2
    assert np.isclose(found["random"].item(), 1 - np.exp(-2 * 4 / N), atol=1e-5)


def test_fewer_than_two_common_steps_are_refused(tmp_path, capsys):
    stores = [
        scored(tmp_path, "trak", name, numbers(2, N, seed=1), s) for name, s in (("a", STEPS[:2]), ("b", STEPS[1:]))
    ]
    with pytest.raises(SystemExit):
        table(tmp_path, "sign_overlap", stores, top_k=[2])
    assert "evaluation.sign_overlap counts all targets with the same steps, but they share 1" in capsys.readouterr().err


def test_targets_without_an_order_are_not_counted(tmp_path):
    equal, log = planted(1), tmp_path / "log"
    equal[1] = 2
    stores = [scored(tmp_path, "trak", "a", planted(0, 5)), scored(tmp_path, "trak", "b", equal)]
    stores.append(scored(tmp_path, "pixel", "b", equal))
    found = table(tmp_path, "sign_overlap", stores, log, top_k=[2]).set_index("method")
    assert found.loc["trak", "observed"] == 1 and found.loc["trak", "targets"] == 1
    assert np.isnan(found.loc["pixel", "observed"]) and found.loc["pixel", "targets"] == 0
    assert "trak, target b: the scores of a step are all equal" in log.read_text()


# ---- tables/top_overlap.csv


def test_an_image_that_dominates_every_target_shows(tmp_path):
    own = [numbers(3, N, seed=k) for k in range(6)]
    for score in own:
        score[1, 42] = 99
    stores = [scored(tmp_path, "trak", f"t{k}", score) for k, score in enumerate(own)]
    found = table(tmp_path, "top_overlap", stores, top_k=[10, 4])
    columns = ["method", "step", "top_k", "overlap", "random", "most_common", "frequency", "targets"]
    assert list(found) == columns and (found["targets"] == 6).all()
    row = found.query("step == 500 and top_k == 4").iloc[0]
    assert row["most_common"] == 42 and row["frequency"] == 1
    assert (found.query("step != 500")["frequency"] < 1).all()
    for row in found.itertuples():
        s, k = STEPS.index(row.step), row.top_k
        tops = [set(np.argsort(-score[s])[:k].tolist()) for score in own]
        shares = [len(x & y) / k for i, x in enumerate(tops) for y in tops[:i]]
        assert np.isclose(row.overlap, np.mean(shares), atol=1e-5) and np.isclose(row.random, k / N)


def test_targets_without_a_top_are_not_counted_and_one_shares_nothing(tmp_path):
    score, log = numbers(3, N, seed=1), tmp_path / "log"
    score[1] = 5
    stores = [scored(tmp_path, "trak", "a", numbers(3, N, seed=0)), scored(tmp_path, "trak", "b", score)]
    found = table(tmp_path, "top_overlap", stores, log, top_k=[3]).set_index("step")
    assert found["targets"].to_dict() == {100: 2, 500: 1, 900: 2}
    assert found.loc[500, ["overlap", "most_common", "frequency"]].isna().all()
    assert found.loc[[100, 900], ["overlap", "most_common", "frequency"]].notna().all(axis=None)
    assert "target b: the scores of step 500 are all equal" in log.read_text()


# ---- figures


def drawn(path):
    """A figure's size, once it is there and no blank page."""
    with Image.open(path) as image:
        assert np.ptp(np.asarray(image.convert("L"))) > 200
        return image.size


@pytest.mark.parametrize("targets", [2, 5])
def test_figures_of_tables_are_drawn_for_few_and_many_targets(tmp_path, targets):
    stores = [
        scored(tmp_path, method, f"t{k}", numbers(3, N, seed=10 * k + m))
        for m, method in enumerate(["trak", "random"])
        for k in range(targets)
    ]
    for stage, settings in {
        "step_correlation": {},
        "sign_overlap": {"top_k": [2]},
        "top_overlap": {"top_k": [4]},
    }.items():
        table(tmp_path, stage, stores, **settings)
        out = tmp_path / f"{stage}.png"
        run_script(f"plot_{stage}", spec={}, table=tmp_path / f"{stage}.csv", out=out)
        drawn(out)


def flips(tmp_path, *flipping, method="trak"):
    """The figure of targets of which some have an image that changes sides; the texts that it shows."""
    scores = [scored(tmp_path, method, f"t{k}", planted(k, *images)) for k, images in enumerate(flipping)]
    table(tmp_path, "sign_overlap", scores, top_k=[1, 3])
    dims = ["train", "channel", "y", "x"]
    data = store(tmp_path / "train.zarr", image=(dims, np.tanh(numbers(N, 1, 8, 8, seed=9))))
    dims = ["step", *dims[1:]]
    arrays = {"x0_hat": (dims, np.tanh(numbers(3, 1, 8, 8, seed=8))), "step": (["step"], STEPS[::-1])}
    trajectories = [store(tmp_path / f"trajectory{k}.zarr", **arrays) for k in range(len(scores))]
    common = {"table": tmp_path / "sign_overlap.csv", "data": data, "trajectories": trajectories, "scores": scores}
    texts, save = [], matplotlib_figure().savefig
    with pytest.MonkeyPatch.context() as patch:

        def saved(figure, *arguments, **options):
            texts.extend(text.get_text() for text in figure.findobj(is_text))
            return save(figure, *arguments, **options)

        patch.setattr(matplotlib_figure(), "savefig", saved)
        run_script("plot_sign_flips", spec={}, **common, out=tmp_path / "sign_flips.png")
    return drawn(tmp_path / "sign_flips.png"), texts


def matplotlib_figure():
    from matplotlib.figure import Figure

    return Figure


def is_text(artist):
    from matplotlib.text import Text

    return isinstance(artist, Text)


def test_flips_show_the_image_with_its_place_at_every_step(tmp_path):
    size, texts = flips(tmp_path, [7], [], [21])
    assert "training image\n7" in texts and "training image\n21" in texts
    assert texts.count("+1") == 2 and texts.count("−1") == 2 and sum(text.startswith("rank ") for text in texts) == 2
    assert any("2 of the targets have such an image" in text and f"{N} training images" in text for text in texts)
    assert "target t0\n$\\hat{x}_0^t$" in texts and not any("target t1" in text for text in texts)


@pytest.mark.parametrize("method", ["trak", "pixel"])
@pytest.mark.parametrize("image", [[7], []])
def test_flips_name_the_method_whose_scores_they_show(tmp_path, method, image):
    _, texts = flips(tmp_path, image, method=method)
    assert any(text.startswith(f"{method}: training images in the top 3") for text in texts)


def test_no_more_than_three_targets_are_shown(tmp_path):
    _, texts = flips(tmp_path, [1], [2], [3], [4], [5])
    assert sum(text.startswith("training image\n") for text in texts) == 3


def test_a_figure_without_a_flip_says_so(tmp_path):
    _, texts = flips(tmp_path, [], [])
    assert "No target has such an image." in texts and any("K = 3 is the largest" in text for text in texts)
