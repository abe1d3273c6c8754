"""Retraining without images: shared models, refusals, counterfactual and forgetting stores, their tables."""

import json
import shutil
import types

import numpy as np
import pandas as pd
import pytest
import torch
from support import UNET, run_script, staged, tiny_config

from waypoint.science.evaluation.subsets import removal_count
from waypoint.store.artifacts.atomic import atomic_file
from waypoint.store.artifacts.provenance import read_attributes
from waypoint.store.networks import checkpoints
from waypoint.store.networks.training_rows import rows_hash
from waypoint.store.zarr.reader import open_store
from waypoint.store.zarr.writer import create_store
from waypoint.workflow.evaluations.removals import other_models, without_models
from waypoint.workflow.plan.plan import Plan

N, STEP, FEATURES = 30, 500, 4
EVALUATION = {
    "fid": {"features": "classifier"},
    "classifier": {"width": 1},
    "counterfactual": {"targets": 1, "step": STEP, "delta": 200, "n_remove": [0.1, 8], "images": 20},
    "forgetting": {"targets": 1, "step": STEP, "n_remove": [0.1, 8]},
}


class Store:
    """A store made by the scripts themselves, job by job, as the rules would call them."""

    def __init__(self, root):
        model = {"unet": UNET, "scheduler": {"num_train_timesteps": 1000}}
        self.root, self.plan = root, Plan(tiny_config(model, checkpoints={"count": 3}, evaluation=EVALUATION))
        self.data, self.trajectory = root / "data/train.zarr", root / "targets/a/trajectory.zarr"
        self.original = root / "evaluation/counterfactual/a.zarr"

    def folder(self, name):
        return self.root / "checkpoints" / name

    def train(self, name, spec, **more):
        common = {"data": self.data, "name": [name], "resume": self.root / "resume", "out": [self.folder(name)]}
        log = self.root / f"{name.replace('/', '-')}.log"
        run_script("train", spec=spec, **common, **more, log=log)
        return log.read_text()

    def scores(self, method, score):
        """A score store of one step."""
        path = self.root / f"scores/{method}/a.zarr"
        with create_store(path, lambda: {"spec": {}, "method": method, "target": "a"}) as store:
            store.write("step", ["step"], np.array([STEP]))
            store.write("score", ["step", "train"], np.asarray(score, np.float32)[None])
        return path

    def train_without(self, method, n, score):
        name = f"without/{method}_a_t{STEP}_n{n}"
        spec = self.plan.asked("train_without", method=method, target="a", step=str(STEP), n_remove=str(n))
        return self.folder(name), self.train(name, spec, scores=self.scores(method, score))

    def train_random(self, removal, n):
        name = f"without/random_{removal}_n{n}"
        self.train(name, self.plan.asked("train_without_random", removal=str(removal), n_remove=str(n)))
        return self.folder(name)

    def models(self, section, method):
        if method == "none":
            return [self.folder(name) for name in other_models(self.plan, "a")]
        return [self.folder(name) for name in without_models(self.plan, section, "a", method)]

    def evaluate(self, script, method, out, **more):
        """One job of a script about one method."""
        section = "forgetting" if script == "forgetting" else "counterfactual"
        spec = self.plan.asked(script, target="a", method=method)
        common = {"trajectory": self.trajectory, "generator": self.folder("full/0"), "method": method, "target": "a"}
        scores = [] if method in ("random", "none") else self.root / f"scores/{method}/a.zarr"
        common |= {"models": self.models(section, method), "scores": scores, **more}
        run_script(script, spec=spec, **common, out=out)
        return open_store(out)

    def without(self, method, out, **more):
        common = {"original": self.original, "classifier": self.root / "classifier", "weights": "", **more}
        return self.evaluate("counterfactual_without", method, out, **common)

    def originals(self, out, models=None):
        models = models or self.models("counterfactual", "none")
        common = {"trajectory": self.trajectory, "generator": self.folder("full/0"), "target": "a", "models": models}
        common |= {"classifier": self.root / "classifier", "weights": "", "out": out}
        run_script("counterfactual_original", spec=self.plan.asked("counterfactual_original", target="a"), **common)
        return open_store(out)


@pytest.fixture(scope="module")
def stub():
    """A network of four fixed features in place of the trained classifier's."""
    weight = torch.randn(64, FEATURES, generator=torch.Generator().manual_seed(0))
    network = types.SimpleNamespace(features=lambda images: images.flatten(1) @ weight)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("waypoint.workflow.jobs.removals.load_classifier", lambda folder, device: network)
        yield network


@pytest.fixture(scope="module")
def made(tmp_path_factory, stub):
    """Three models of the full set, a target, and the models without pixel's top images or random ones."""
    store = Store(tmp_path_factory.mktemp("removals"))
    plan = store.plan
    given = {"spec": plan.asked("prepare_data"), "places": json.dumps(plan.data_places)}
    run_script("prepare_data", **given, out=store.data)
    for m in range(3):
        store.train(f"full/{m}", plan.asked("train", checkpoint=f"full/{m}"))
    given = {"spec": plan.asked("sample_trajectory", target="a"), "checkpoint": store.folder("full/0")}
    run_script("sample_trajectory", **given, out=store.trajectory)
    (store.root / "classifier").mkdir()
    marker = {"spec": plan.spec("train_classifier", kind="standard")}
    (store.root / "classifier/waypoint.json").write_text(json.dumps(marker))
    for n in (0.1, 8):
        store.train_without("pixel", n, np.arange(N))
        for removal in range(3):
            store.train_random(removal, n)
    store.originals(store.original)
    return store


@pytest.fixture
def copied(made, tmp_path):
    """A copy that a test may change."""
    shutil.copytree(made.root, tmp_path / "store", copy_function=shutil.copy2)
    return Store(tmp_path / "store")


def weights_time(folder):
    return (folder / "unet/diffusion_pytorch_model.safetensors").stat().st_mtime_ns


# ---- models are trained only where the removed set is new


def test_a_model_lacks_exactly_the_top_images(made):
    for n, gone in ((0.1, 3), (8, 8)):
        found = read_attributes(made.folder(f"without/pixel_a_t{STEP}_n{n}"))
        assert found["images"] == N - gone and found["rows_sha256"] == rows_hash(np.arange(N - gone))


def test_two_methods_that_remove_the_same_images_train_once(copied):
    score = np.where(np.arange(N) >= N - 8, 5.0 + np.arange(N)[::-1], 0)  # the same eight on top, in another order
    folder, log = copied.train_without("trak", 8, score)
    assert "nothing to train" in log and "epochs" not in log
    same = copied.folder(f"without/pixel_a_t{STEP}_n8")
    assert read_attributes(folder)["weights"] == read_attributes(same)["weights"]
    assert read_attributes(folder)["same_as"] == same.name
    assert read_attributes(folder)["spec"]["item"]["images"]["method"] == "trak"


def test_changed_scores_retrain_only_where_the_removed_set_changed(copied):
    """Another damping gives other scores: here the same top 8, but another top 3."""
    score = np.arange(N, dtype=float)
    score[N - 8 :] = score[N - 8 :][::-1]
    before = {n: weights_time(copied.folder(f"without/pixel_a_t{STEP}_n{n}")) for n in (0.1, 8)}
    folder, log = copied.train_without("pixel", 8, score)
    assert "epochs" not in log and weights_time(folder) == before[8]
    folder, log = copied.train_without("pixel", 0.1, score)
    assert "epochs" in log and weights_time(folder) != before[0.1]
    rows = np.setdiff1d(np.arange(N), [N - 8, N - 7, N - 6])
    assert read_attributes(folder)["rows_sha256"] == rows_hash(rows)


def attributes(folder):
    """A model's attributes without the paths of what it read, which are the copy's own."""
    return {name: value for name, value in read_attributes(folder).items() if name != "reads"}


def asked_anew(spec):
    """A rule's request with the same spec and another identity: the scores came about in another way."""
    return json.dumps({**json.loads(spec), "identity": "another"})


def test_a_model_says_that_it_is_also_what_is_asked_for_now(copied):
    """Other scores that remove the same images change the model's identity, not the model."""
    name = f"without/pixel_a_t{STEP}_n8"
    before, at = attributes(copied.folder(name)), weights_time(copied.folder(name))
    spec = copied.plan.asked("train_without", method="pixel", target="a", step=str(STEP), n_remove="8")
    log = copied.train(name, asked_anew(spec), scores=copied.scores("pixel", np.arange(N)))
    assert "nothing to train" in log and weights_time(copied.folder(name)) == at
    assert attributes(copied.folder(name)) == {**before, "identity": "another"}
    checkpoints.load(copied.folder(name))


def test_somebody_elses_model_is_copied_and_stays_as_it_is(copied):
    name = f"without/pixel_a_t{STEP}_n8"
    theirs, mine = copied.root / "theirs", copied.folder(name)
    mine.rename(theirs)
    mine.symlink_to(theirs, target_is_directory=True)
    before = attributes(theirs)
    spec = copied.plan.asked("train_without", method="pixel", target="a", step=str(STEP), n_remove="8")
    log = copied.train(name, asked_anew(spec), scores=copied.scores("pixel", np.arange(N)))
    assert "nothing to train" in log and attributes(theirs) == before
    assert not mine.is_symlink() and attributes(mine) == {**before, "identity": "another"}
    checkpoints.load(mine)


def test_models_of_one_removal_differ_from_the_full_sets_only_in_images_and_seed(made):
    full, without = (read_attributes(made.folder(name)) for name in ("full/0", f"without/pixel_a_t{STEP}_n8"))
    assert {k: v for k, v in without["spec"].items() if k != "item"} == full["spec"]
    assert without["weights"] != full["weights"]


# ---- counterfactual


def test_originals_hold_features_and_the_baselines_distances(made):
    found = open_store(made.original)
    assert found["feature"].shape == (20, FEATURES) and found["sample"].shape == (8, 1, 8, 8)
    assert list(found["baseline"][:]) == ["full/1", "full/2"] and (found["fid_baseline"][:] > 0).all()
    assert found.attrs["features"] == "classifier" and found.attrs["train_images"] == N


def test_features_are_those_of_the_images(made, stub):
    found = open_store(made.original)
    expected = stub.features(torch.from_numpy(found["sample"][:])).numpy()
    assert np.allclose(found["feature"][:8], expected, atol=1e-5)


def test_swapping_in_the_original_weights_gives_distance_zero(made, tmp_path):
    own = made.folder("full/0")
    found = made.originals(tmp_path / "same.zarr", models=[own, own])
    trace = np.trace(np.cov(found["feature"][:].astype(float), rowvar=False))
    assert np.abs(found["fid_baseline"][:]).max() < 1e-6 * trace
    assert np.array_equal(found["feature"][:], open_store(made.original)["feature"][:])


def test_images_do_not_depend_on_the_batch(made, tmp_path, monkeypatch):
    monkeypatch.setattr("waypoint.workflow.jobs.removals.BATCH", 9)
    found, before = made.originals(tmp_path / "nine.zarr"), open_store(made.original)
    for name in ("feature", "fid_baseline"):
        assert np.allclose(found[name][:], before[name][:], rtol=1e-3, atol=1e-4 * np.abs(before[name][:]).max())


def test_distances_after_removal(made, tmp_path):
    pixel, random = (made.without(method, tmp_path / f"{method}.zarr") for method in ("pixel", "random"))
    assert pixel["fid"].shape == (2, 1) and random["fid"].shape == (2, 3)
    for found in (pixel, random):
        assert found["removed"][:].tolist() == [removal_count(n, N) for n in (0.1, 8)] == [3, 8]
        assert (found["fid"][:] > 0).all() and found["sample"].shape[2:] == (8, 1, 8, 8)
    assert len(set(random["fid"][:].ravel())) == 6


def test_a_model_of_other_images_than_the_scores_name_now_is_refused(copied, tmp_path, capsys):
    copied.scores("pixel", -np.arange(N))
    for script in (copied.without, lambda *a: copied.evaluate("forgetting", *a)):
        with pytest.raises(SystemExit):
            script("pixel", tmp_path / "out.zarr")
        message = capsys.readouterr().err
        assert (
            "trained on different images than the configuration asks for" in message and "pixel_a_t500_n0.1" in message
        )
    assert not (tmp_path / "out.zarr").exists()


def test_a_random_removal_in_the_wrong_place_is_refused(copied, tmp_path, capsys):
    models = copied.models("counterfactual", "random")
    with pytest.raises(SystemExit):
        copied.without("random", tmp_path / "out.zarr", models=[models[1], models[0], *models[2:]])
    assert "trained on different images" in capsys.readouterr().err


def test_a_baseline_without_some_images_is_refused(copied, tmp_path, capsys):
    wrong = copied.folder(f"without/pixel_a_t{STEP}_n8")
    with pytest.raises(SystemExit):
        copied.originals(tmp_path / "out.zarr", models=[copied.folder("full/1"), wrong])
    assert "trained on different images" in capsys.readouterr().err


def test_scores_of_another_method_are_refused(copied, tmp_path, capsys):
    path = copied.scores("norm", np.arange(N))
    with pytest.raises(SystemExit):
        copied.without("pixel", tmp_path / "out.zarr", scores=path)
    assert "norm" in capsys.readouterr().err


def test_originals_of_other_weights_are_refused(copied, tmp_path, capsys):
    marker = copied.original / "zarr.json"
    found = json.loads(marker.read_text())
    found["attributes"]["weights"] = "others"
    marker.write_text(json.dumps(found))
    with pytest.raises(SystemExit):
        copied.without("pixel", tmp_path / "out.zarr")
    assert "sampled from other weights" in capsys.readouterr().err


def test_originals_of_another_network_are_refused(made, tmp_path, capsys, monkeypatch):
    other = types.SimpleNamespace(features=lambda images: images.flatten(1)[:, :FEATURES])
    monkeypatch.setattr("waypoint.workflow.jobs.removals.load_classifier", lambda folder, device: other)
    with pytest.raises(SystemExit):
        made.without("pixel", tmp_path / "out.zarr")
    assert "features of another network" in capsys.readouterr().err


# ---- forgetting


def test_the_original_weights_make_the_original_image_again(made, tmp_path):
    own = made.folder("full/0")
    found = made.evaluate("forgetting", "none", tmp_path / "same.zarr", models=[own, own])
    assert np.array_equal(found["image"][0, 0], open_store(made.trajectory)["image"][:])
    assert found["l2"][:].tolist() == [[0, 0]]


def test_l2_is_taken_in_pixel_space(made, tmp_path):
    image = open_store(made.trajectory)["image"][:]
    for method, shape in (("pixel", (2, 1)), ("random", (2, 3)), ("none", (1, 2))):
        found = made.evaluate("forgetting", method, tmp_path / f"{method}.zarr")
        assert found["l2"].shape == shape and found["image"].shape == (*shape, 1, 8, 8)
        assert found["removed"][:].tolist() == ([0] if method == "none" else [3, 8])
        for place in np.ndindex(shape):
            expected = np.linalg.norm(found["image"][place].astype(float) - image)
            assert found["l2"][place] == pytest.approx(expected, rel=1e-9) and expected > 0


# ---- tables


def test_tables_average_over_removals_and_baselines(made, tmp_path):
    methods = {"pixel": "", "random": "mean of 3 removals"}
    without = [made.without(method, tmp_path / f"c-{method}.zarr") for method in methods]
    kept = [made.evaluate("forgetting", method, tmp_path / f"f-{method}.zarr") for method in (*methods, "none")]
    stores = {"originals": [made.original], "without": [tmp_path / f"c-{method}.zarr" for method in methods]}
    run_script("counterfactual_table", spec=made.plan.asked("counterfactual_table"), **stores, out=tmp_path / "fid.csv")
    run_script(
        "forgetting_table",
        spec=made.plan.asked("forgetting_table"),
        stores=[tmp_path / f"f-{method}.zarr" for method in (*methods, "none")],
        out=tmp_path / "forgetting.csv",
    )
    fid = pd.read_csv(tmp_path / "fid.csv", keep_default_na=False)
    columns = "method target step delta n_remove features fid fid_baseline fid_increase images note"
    assert list(fid) == columns.split() and len(fid) == 4
    baseline = open_store(made.original)["fid_baseline"][:].mean()
    for (method, note), store in zip(methods.items(), without):
        rows = fid[fid.method == method]
        assert rows.n_remove.tolist() == [3, 8] and set(rows.note) == {note} and set(rows.images) == {20}
        assert np.allclose(rows.fid, store["fid"][:].mean(1), rtol=1e-4)
        assert np.allclose(rows.fid_increase, store["fid"][:].mean(1) - baseline, rtol=1e-3, atol=1e-5 * baseline)
        assert set(rows.step) == {STEP} and set(rows.delta) == {200} and set(rows.features) == {"classifier"}
    forgetting = pd.read_csv(tmp_path / "forgetting.csv")
    assert list(forgetting) == ["method", "target", "step", "n_remove", "l2"]
    assert forgetting.n_remove.tolist() == [3, 8, 3, 8, 0]
    assert np.allclose(forgetting.l2, np.concatenate([store["l2"][:].mean(1) for store in kept]), rtol=1e-4)
    for name, table in (("counterfactual", "fid"), ("forgetting", "forgetting")):
        pictured = {} if name == "counterfactual" else {"stores": sorted(tmp_path.glob("f-*.zarr"))}
        out = tmp_path / f"{name}.png"
        run_script(f"plot_{name}", spec={}, table=tmp_path / f"{table}.csv", **pictured, out=out)
        assert out.stat().st_size > 10_000


def compared(folder, evaluation, table):
    """The comparison that is made of a table."""
    with atomic_file(folder / f"{evaluation}.csv", lambda: {"spec": staged({"seed": 4})}) as tmp:
        pd.DataFrame(table).to_csv(tmp, index=False)
    given = {"evaluation": evaluation, "table": folder / f"{evaluation}.csv", "out": folder / "comparison.csv"}
    run_script("compare_removals", spec={"seed": 4}, **given)
    return pd.read_csv(folder / "comparison.csv")


def removals_table(methods, targets, column, count=3, **values):
    rows = [{"method": m, "target": f"t{k}", "step": STEP, "n_remove": count} for m in methods for k in range(targets)]
    return [{**row, column: values[row["method"]][int(row["target"][1:])]} for row in rows]


def test_methods_are_compared_over_the_same_targets(tmp_path):
    """The targets differ much more than the methods do: only pairs tell."""
    base = 100 * np.random.default_rng(0).standard_normal(8)
    values = {"ekfac": base + 2 + np.random.default_rng(1).standard_normal(8) / 10, "random": base}
    table = removals_table(["ekfac", "random"], 8, "fid_increase", **values)
    (row,) = compared(tmp_path, "counterfactual_fid", table).to_dict("records")
    assert (row["method"], row["versus"], row["n_remove"], row["targets"]) == ("ekfac", "random", 3, 8)
    assert np.isclose(row["difference"], (values["ekfac"] - base).mean(), rtol=1e-5)
    error = (values["ekfac"] - base).std(ddof=1) / np.sqrt(8)
    assert row["low"] < row["difference"] < row["high"] and row["low"] > 1.8
    assert 2 * error < row["high"] - row["low"] < 6 * error


def test_models_of_the_full_set_stand_beside_every_number_of_removals(tmp_path):
    none = removals_table(["none"], 2, "l2", count=0, none=[1, 2])
    table = none + [row for n in (3, 8) for row in removals_table(["pixel"], 2, "l2", count=n, pixel=[n, n + 2])]
    found = compared(tmp_path, "forgetting", table)
    assert found["n_remove"].tolist() == [3, 8] and found["difference"].tolist() == [2.5, 7.5]


def test_one_target_has_no_interval(tmp_path):
    table = removals_table(["pixel", "random"], 1, "l2", pixel=[3], random=[1])
    (row,) = compared(tmp_path, "forgetting", table).to_dict("records")
    assert row["difference"] == 2 and np.isnan(row["low"]) and np.isnan(row["high"])


@pytest.mark.parametrize("removed", [[3, 3], [3, 8]])
def test_two_spellings_of_one_number_are_one_row(tmp_path, removed):
    """30 images: 0.1 and 3 remove the same ones, with the same model."""
    attributes = {"spec": staged({"forgetting": {"step": STEP}}), "method": "pixel", "target": "a", "train_images": N}
    with create_store(tmp_path / "a.zarr", lambda: attributes) as store:
        store.write("removed", ["n_remove"], np.array(removed))
        store.write("l2", ["n_remove", "removal"], np.ones((2, 1)))
    run_script("forgetting_table", spec={}, stores=[tmp_path / "a.zarr"], out=tmp_path / "t.csv")
    assert pd.read_csv(tmp_path / "t.csv").n_remove.tolist() == sorted(set(removed))
