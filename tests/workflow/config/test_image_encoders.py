"""Image encoders in the configuration: mistakes by key, missing files switch a method off, weights enter by content."""

import copy
import shutil
import warnings
from pathlib import Path

import pytest
from test_config import BASE, config, message

from waypoint.errors import WaypointWarning
from waypoint.store.networks import hub
from waypoint.workflow.config.complete import complete
from waypoint.workflow.config.method_settings import step_methods
from waypoint.workflow.evaluations.likelihood import judged
from waypoint.workflow.evaluations.removals import methods_of
from waypoint.workflow.plan.plan import Plan
from waypoint.workflow.plan.specs import differences

CLIP = {"kind": "clip", "path": "models/clip"}
LITE = {"kind": "timm", "name": "tf_efficientnet_lite0", "weights": "lite.pth"}
RESNET = {"kind": "torchvision", "name": "resnet18", "weights": "resnet.pth"}
ENCODERS = {"image_encoders": {"clip": CLIP, "lite": LITE, "res-18": RESNET}}
USED = {**ENCODERS, "methods": ["clip", "pixel", "lite", "res-18"]}
CAPTIONS = {
    **ENCODERS,
    "evaluation.samples": {},
    "evaluation.caption_likelihood": {"encoder": "clip", "captions": {"a": ["a dog", "a cat"]}},
}


@pytest.fixture(autouse=True)
def files(tmp_path, monkeypatch):
    """A working directory with a CLIP folder and two weights files; planning reads their bytes alone."""
    monkeypatch.chdir(tmp_path)
    Path("models/clip").mkdir(parents=True)
    Path("models/clip/config.json").write_text("{}")
    Path("models/clip/model.safetensors").write_bytes(b"weights")
    for name in ("lite.pth", "resnet.pth"):
        Path(name).write_bytes(name.encode())


def told(changes):
    """The complete configuration, and its warnings."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        done = complete(config(copy.deepcopy(changes)))
    assert all(issubclass(warning.category, WaypointWarning) for warning in caught)
    return done, [str(warning.message) for warning in caught]


# ---- mistakes


@pytest.mark.parametrize(
    "changes, words",
    [
        ({"methods": ["trak", "clop"]}, ["methods[1]", "'clop'", "did you mean 'clip'?"]),
        ({"methods": ["unheard-of"]}, ["methods[0]", "'unheard-of'", "image_encoders", "trak-sum"]),
        ({"methods": ["CLIP"]}, ["methods[0]", "CLIP"]),
        (
            {"evaluation.counterfactual.methods": ["clop"], "checkpoints.count": 3},
            ["evaluation.counterfactual.methods[0]", "clop"],
        ),
        ({"evaluation.forgetting.methods": ["clop"]}, ["evaluation.forgetting.methods[0]", "clop"]),
        ({"image_encoders.Clip": CLIP}, ["image_encoders", "Clip", "[a-z0-9-]+"]),
        ({"image_encoders.my_clip": CLIP}, ["image_encoders", "my_clip"]),
        *(
            ({f"image_encoders.{name}": CLIP}, [f"image_encoders.{name}", "taken"])
            for name in ("trak", "random", "none", "ceiling", "standard")
        ),
        ({"image_encoders.x": {}}, ["image_encoders.x.kind", "missing"]),
        ({"image_encoders.x": {"kind": "dino"}}, ["image_encoders.x.kind", "dino", "torchvision"]),
        ({"image_encoders.x": {**CLIP, "pat": "x"}}, ["image_encoders.x.pat", "did you mean 'path'?"]),
        ({"image_encoders.x": {"kind": "clip"}}, ["image_encoders.x.path is missing", "clip"]),
        ({"image_encoders.x": {"kind": "timm", "name": "a"}}, ["image_encoders.x.weights is missing", "timm"]),
        ({"image_encoders.x": {"kind": "torchvision", "weights": "a"}}, ["image_encoders.x.name is missing"]),
        ({"image_encoders.x": {**CLIP, "mean": 0.5}}, ["image_encoders.x.mean", "clip", "leave it out"]),
        ({"image_encoders.x": {**CLIP, "weights": "a"}}, ["image_encoders.x.weights", "clip"]),
        ({"image_encoders.x": {**LITE, "path": "a"}}, ["image_encoders.x.path", "timm"]),
        ({"image_encoders.x": {**LITE, "std": 0}}, ["image_encoders.x.std", "too small"]),
        ({"image_encoders.x": {**LITE, "mean": [0.5, 0.5]}}, ["image_encoders.x.mean"]),
        ({"image_encoders.x": {**LITE, "size": 0}}, ["image_encoders.x.size", "too small"]),
        # captions
        ({**CAPTIONS, "evaluation.samples": None}, ["evaluation.caption_likelihood", "evaluation.samples"]),
        (
            {**CAPTIONS, "evaluation.caption_likelihood.encoder": "lite"},
            ["evaluation.caption_likelihood.encoder", "lite", "kind clip"],
        ),
        (
            {**CAPTIONS, "evaluation.caption_likelihood.encoder": "nothing"},
            ["evaluation.caption_likelihood.encoder", "nothing", "image_encoders"],
        ),
        (
            {**CAPTIONS, "evaluation.samples.targets": ["b"]},
            ["evaluation.caption_likelihood.captions", "'a'", "evaluation.samples"],
        ),
        ({**CAPTIONS, "evaluation.caption_likelihood.captions": {}}, ["evaluation.caption_likelihood.captions"]),
        *(
            (
                {**CAPTIONS, "evaluation.caption_likelihood.captions": {"a": pair}},
                ["evaluation.caption_likelihood.captions.a"],
            )
            for pair in (["one"], ["one", "one"], ["one", ""], ["one", "two", "three"], "one")
        ),
        # steps
        (
            {**USED, "methods": ["clip", "norm"], "evaluation.step_correlation": {}},
            ["evaluation.step_correlation", "clip and norm", "add another method"],
        ),
    ],
)
def test_a_mistake_is_refused_by_key(changes, words):
    text = message({**copy.deepcopy(ENCODERS), **copy.deepcopy(changes)})
    for word in words:
        assert word in text


def test_what_is_right_is_accepted_without_a_word():
    for changes in (USED, CAPTIONS, {**CAPTIONS, "evaluation.likelihood": {}}):
        assert told(changes)[1] == []
    done, _ = told({**USED, "evaluation.step_correlation": {}})
    assert step_methods(done) == ["pixel"]
    own = [0.5, 0.4, 0.3]
    assert told({**USED, "image_encoders.lite": {**LITE, "mean": own, "std": own, "size": 160}})[1] == []


# ---- missing files


@pytest.mark.parametrize(
    "method, key, place, gone",
    [
        ("clip", "path", "models/clip", "models/clip"),
        ("lite", "weights", "lite.pth", "lite.pth"),
        ("res-18", "weights", "resnet.pth", "resnet.pth"),
    ],
)
def test_a_method_whose_weights_are_missing_is_off_with_one_warning(method, key, place, gone):
    shutil.rmtree(gone) if Path(gone).is_dir() else Path(gone).unlink()
    done, (text,) = told(USED)
    for word in (f"method {method} is off", f"image_encoders.{method}.{key}", place, "Everything else runs"):
        assert word in text
    assert list(done["methods"]) == [name for name in USED["methods"] if name != method]


def test_removals_of_such_a_method_are_off_too():
    Path("lite.pth").unlink()
    removals = {"checkpoints.count": 3, "attribution.steps": [300, 400]}
    for given, left in ((["lite", "pixel"], ["pixel", "random"]), (["lite"], ["random"]), (None, ["clip", "random"])):
        changes = {**ENCODERS, "methods": ["clip", "lite", "pixel"] if given else ["clip", "lite"], **removals}
        for section in ("counterfactual", "forgetting"):
            done, (text,) = told({**changes, f"evaluation.{section}.methods": given})
            assert methods_of(Plan(done), section) == left and "method lite is off" in text


def test_captions_need_their_model_but_nothing_else_does():
    shutil.rmtree("models/clip")
    done, (text,) = told({**CAPTIONS, "methods": ["trak", "clip"]})
    assert "method clip and evaluation.caption_likelihood are off" in text and "models/clip" in text
    assert done["evaluation"]["caption_likelihood"] is None and done["evaluation"]["samples"]
    assert "evaluation.caption_likelihood is off" in told(CAPTIONS)[1][0]


def test_what_is_not_used_is_not_looked_for():
    shutil.rmtree("models")
    assert told({**ENCODERS, "methods": ["lite"]})[1] == []


def test_with_no_method_left_the_run_is_refused():
    Path("lite.pth").unlink()
    text = message({**ENCODERS, "methods": ["lite"]})
    assert "methods" in text and "image_encoders.lite.weights" in text and "lite.pth" in text


def test_a_folder_of_something_else_is_refused():
    Path("models/clip/config.json").unlink()
    text = message(copy.deepcopy(USED))
    assert "image_encoders.clip.path" in text and "models/clip holds no config.json" in text


def hub_gives(monkeypatch, answer):
    """The hub answers every question so, or raises it; nothing of it lies in the cache."""

    def model_info(self, name, timeout):
        assert timeout < 60
        if isinstance(answer, Exception):
            raise answer
        return answer

    hub.not_to_be_had.cache_clear()
    monkeypatch.setattr(hub.constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(hub, "try_to_load_from_cache", lambda *_: None)
    monkeypatch.setattr(hub.HfApi, "model_info", model_info)


def test_a_hub_id_that_the_hub_knows_is_taken_as_given(monkeypatch):
    hub_gives(monkeypatch, "its files")
    done, told_ = told({**USED, "image_encoders.clip.path": "somebody/clip"})
    assert told_ == [] and "clip" in done["methods"]
    assert embeddings(Plan(done), "clip")["image_encoder"] == {"kind": "clip", "hub": "somebody/clip"}


def test_a_hub_id_whose_weights_were_fetched_before_needs_no_network(monkeypatch):
    hub_gives(monkeypatch, OSError("no network"))
    monkeypatch.setattr(hub, "try_to_load_from_cache", lambda name, file: "/cache/x" if "bin" in file else None)
    done, told_ = told({**USED, "image_encoders.clip.path": "somebody/clip"})
    assert told_ == [] and "clip" in done["methods"]


@pytest.mark.parametrize("answer", [OSError("401: no such repository"), TimeoutError("no network")])
def test_a_path_that_does_not_exist_and_that_the_hub_does_not_know_is_off(monkeypatch, answer):
    hub_gives(monkeypatch, answer)
    done, told_ = told({**CAPTIONS, "methods": ["clip", "pixel"], "image_encoders.clip.path": "missing/clip"})
    assert len(told_) == 1 and "method clip and evaluation.caption_likelihood are off" in told_[0]
    assert "there is no folder missing/clip" in told_[0] and str(answer) in told_[0]
    assert list(done["methods"]) == ["pixel"] and "clip" not in done["image_encoders"]


def test_where_the_hub_must_not_be_asked_it_is_not(monkeypatch):
    hub_gives(monkeypatch, AssertionError("asked"))
    monkeypatch.setattr(hub.constants, "HF_HUB_OFFLINE", True)
    assert "HF_HUB_OFFLINE" in told({**USED, "image_encoders.clip.path": "missing/clip"})[1][0]


def test_a_folder_without_weights_is_off():
    Path("models/clip/model.safetensors").unlink()
    assert "models/clip holds no weights" in told(copy.deepcopy(USED))[1][0]


def test_an_encoder_that_only_a_removal_names_is_off_too():
    Path("lite.pth").unlink()
    changes = {**USED, "methods": ["pixel"], "checkpoints.count": 3}
    changes["evaluation.counterfactual"] = {"targets": ["a"], "step": 500, "n_remove": [2], "methods": ["lite"]}
    done, told_ = told(changes)
    assert "method lite is off" in told_[0] and done["evaluation"]["counterfactual"]["methods"] == ["random"]


def test_jobs_take_what_was_found_where_they_were_planned():
    """On another machine they may see other files."""
    changes = config(copy.deepcopy(USED))
    with pytest.warns(WaypointWarning, match="method lite is off"):
        assert "lite" not in complete(changes, ["lite"])["methods"]
    Path("lite.pth").unlink()
    assert "lite" in complete(changes, [])["methods"]


@pytest.mark.parametrize("path", ["./clip", "/nowhere/clip", "~/clip", "a/b/clip", "clip", "models/other"])
def test_other_paths_are_no_hub_ids(path):
    assert "method clip is off" in told({**USED, "image_encoders.clip.path": path})[1][0]


def test_completing_twice_changes_nothing():
    Path("lite.pth").unlink()
    done, _ = told(USED)
    assert complete({**done, "methods": list(done["methods"])}) == done


# ---- specs


def embeddings(plan, name):
    return plan.spec("embed_images", encoder=name)["embed_images"]


def specs(encoders):
    done = complete({**copy.deepcopy(BASE), "image_encoders": encoders, "methods": list(encoders)})
    plan = Plan(done)
    return {
        name: [plan.spec("embed_images", encoder=name), plan.spec("score_encoder", method=name, target="a")]
        for name in plan.encoders
    }


@pytest.mark.parametrize("kind, given", [("clip", CLIP), ("timm", LITE)])
def test_weights_enter_by_content_not_by_place(kind, given):
    key, before = "path" if kind == "clip" else "weights", specs({"e": given})
    shutil.copytree("models", "copies")
    shutil.copy("lite.pth", "copies/lite.pth")
    place = {"clip": "copies/clip", "timm": "copies/lite.pth"}[kind]
    assert specs({"e": {**given, key: place}}) == before
    shutil.copytree("copies", "others")
    for file in ("others/clip/model.safetensors", "others/lite.pth"):
        Path(file).write_bytes(b"other")
    changed = specs({"e": {**given, key: place.replace("copies", "others")}})
    for stored, expected in zip(before["e"], changed["e"]):
        assert [difference.key for difference in differences(stored, expected)] == ["image_encoder.sha256"]


def test_settings_of_an_encoder_enter_and_those_of_others_do_not():
    before = specs({"lite": LITE, "res": RESNET})
    for more in ({"mean": 0.4}, {"std": [0.5, 0.5, 0.4]}, {"size": 99}, {"name": "resnet18"}):
        after = specs({"lite": {**LITE, **more}, "res": RESNET})
        assert after["lite"] != before["lite"] and after["res"] == before["res"]


def test_a_table_of_captions_alone_depends_on_no_classifier():
    done = complete(config(copy.deepcopy(CAPTIONS)))
    plan = Plan(done)
    found = plan.spec("feature_likelihood")["feature_likelihood"]
    assert "likelihood" not in found
    assert not [stage for stage, _ in plan.recipe("feature_likelihood").reads if stage == "train_classifier"]
    assert found["caption_likelihood"] == done["evaluation"]["caption_likelihood"]
    assert found["image_encoder"] == embeddings(plan, "clip")["image_encoder"]
    assert judged(plan) == ["a"]


def test_a_table_of_classes_alone_depends_on_both_classifiers_and_no_encoder():
    plan = Plan(complete(config({"evaluation.samples": {}, "evaluation.likelihood": {}})))
    assert set(plan.spec("feature_likelihood")) == {"seed", "prepare_data", "feature_likelihood"}
    found = plan.spec("feature_likelihood")["feature_likelihood"]
    assert set(found) == {"version", "samples", "likelihood", "labels"} and judged(plan) == ["a", "b"]
    read = plan.recipe("feature_likelihood").reads
    assert [own["kind"] for stage, own in read if stage == "train_classifier"] == ["standard", "robust"]
