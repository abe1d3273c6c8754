"""Artifacts are compared with a plan by what they say of themselves: identity, parts, and hashes of what was read."""

import copy
import json
import os
import shutil
import time
from dataclasses import replace
from types import SimpleNamespace

import pytest
from support import UNET, store

from waypoint.errors import WaypointError
from waypoint.store.artifacts import source_files
from waypoint.store.artifacts.checksums import write_marker
from waypoint.store.artifacts.source_files import source_record
from waypoint.workflow.config.complete import complete
from waypoint.workflow.plan import reruns, start
from waypoint.workflow.plan.plan import Plan
from waypoint.workflow.plan.reruns import LocalStore, dear, duration, examine, replacement_message, summary
from waypoint.workflow.plan.specs import Difference, differences, require_agreement, settings_of
from waypoint.workflow.plan.stages import STAGES

BASE = {
    "experiment": "test",
    "store": "store",
    "data": {"source": "digits"},
    "model": {"unet": UNET},
    "checkpoints": {"count": 1},
    "targets": [{"id": "a", "seed": 1}],
}
KERNEL = {"method": "trak", "checkpoint": "full/0"}
FEATURES = {"basis": "plain", "checkpoint": "full/0"}


def plan(change=lambda c: None):
    made = copy.deepcopy(BASE)
    change(made)
    return Plan(complete(made))


def damped(value):
    return plan(lambda c: c.update(kernel={"damping": value}))


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def attributes(of, stage, seconds=60.0, reads=None, **wildcards):
    return {**json.loads(of.asked(stage, **wildcards)), "reads": reads or {}, "seconds": seconds}


def kernel(of=None, **more):
    """A kernel's store in the experiment, as a job of this plan makes it."""
    made = attributes(of or plan(), "factor_kernel", **KERNEL) | more
    return store("store/test/kernels/trak/full/0.zarr", made, gram=(["row", "column"], [[1.0, 0.0], [0.0, 1.0]]))


def model(of=None, weights="w0", **more):
    """A model's folder in the experiment."""
    os.makedirs("store/test/checkpoints/full/0/unet", exist_ok=True)
    with open("store/test/checkpoints/full/0/unet/config.json", "w") as file:
        file.write("{}")
    made = attributes(of or plan(), "train", checkpoint="full/0") | {"weights": weights} | more
    write_marker("store/test/checkpoints/full/0", made)
    return "store/test/checkpoints/full/0"


def compared(path, of=None, stage="factor_kernel", sources=(), **wildcards):
    of = of or plan()
    return examine(LocalStore(of.root), path, json.loads(of.asked(stage, **(wildcards or KERNEL))), sources)


# ---- identity


def test_an_artifact_of_these_settings_is_current():
    assert compared(kernel()) is None
    assert compared(model(), stage="train", checkpoint="full/0") is None


def test_what_is_not_there_is_left_to_snakemake():
    assert compared("store/test/kernels/trak/full/0.zarr") is None


def test_other_settings_are_named_by_key_with_both_values():
    stale = compared(kernel(damped(0.1)), damped(0.2))
    assert stale.name == "kernels/trak/full/0.zarr" and stale.replaced and stale.seconds == 60
    assert stale.changes == [Difference("kernel.damping", 0.1, 0.2)]
    assert stale.why == "kernel.damping was 0.1 and is now 0.2"


def test_a_setting_that_several_stages_have_is_named_once():
    def of(fraction):
        return plan(
            lambda c: c.update(evaluation={"lds": {"subsets": 2, "models_per_subset": 1, "fraction": fraction}})
        )

    path = store("store/test/evaluation/outputs/a.zarr", attributes(of(0.5), "subset_outputs", target="a"))
    assert compared(path, of(0.25), "subset_outputs", target="a").why == "lds.fraction was 0.5 and is now 0.25"


def test_a_raised_version_is_named_by_stage(monkeypatch):
    path = kernel()
    monkeypatch.setitem(STAGES, "featurize", replace(STAGES["featurize"], version=99))
    assert compared(path).why == "the version of stage featurize was 2 and is now 99"


def test_what_it_is_made_from_may_have_changed_beyond_its_own_spec():
    """A table's spec says nothing of the scores' settings, which its identity holds."""
    made = attributes(damped(0.1), "top_influences")
    path = store("store/test/tables/top.zarr", made)
    stale = compared(path, damped(0.2), "top_influences")
    assert stale.changes == [] and stale.why == "its inputs have changed"


def test_an_artifact_of_an_earlier_version_or_of_something_else_is_refused():
    path = store("store/test/kernels/trak/full/0.zarr", {"spec": {"versions": {"kernel": 1}, "seed": 0}})
    rewritten(path, spec={"versions": {"kernel": 1}, "seed": 0})
    with pytest.raises(WaypointError, match="earlier version of Waypoint.*make adopt"):
        compared(path)
    rewritten(path, spec=None)
    with pytest.raises(WaypointError, match="0.zarr was not made by this workflow"):
        compared(path)


def rewritten(path, **changes):
    """Other attributes of a store; what is None is left out."""
    file = os.path.join(path, "zarr.json")
    with open(file) as handle:
        group = json.load(handle)
    made = {key: value for key, value in (group["attributes"] | changes).items() if value is not None}
    with open(file, "w") as handle:
        json.dump({**group, "attributes": made}, handle)


# ---- damage


@pytest.mark.parametrize(
    "lost, words",
    [
        ("zarr.json", "zarr.json is missing"),
        ("gram/zarr.json", "gram/zarr.json is missing"),
        ("gram/c/0/0", "a chunk of gram is missing"),
        ("gram", "gram/zarr.json is missing"),
    ],
)
def test_a_missing_part_of_a_store_is_noticed(lost, words):
    path = kernel()
    lost = os.path.join(path, lost)
    shutil.rmtree(lost) if os.path.isdir(lost) else os.remove(lost)
    stale = compared(path)
    assert words in stale.why and not stale.replaced and not stale.changes


def test_a_chunk_that_is_half_written_is_none():
    path = kernel()
    os.rename(f"{path}/gram/c/0/0", f"{path}/gram/c/0/0.1234.partial")
    assert "a chunk of gram" in compared(path).why


@pytest.mark.parametrize("text", ["", "{", "[]", '{"attributes": {'])
def test_damaged_metadata_is_noticed_and_made_again(text):
    path = kernel()
    with open(f"{path}/zarr.json", "w") as file:
        file.write(text)
    stale = compared(path)
    assert "zarr.json is damaged" in stale.why and not stale.replaced


def test_a_folder_that_lacks_a_file_or_its_marker_is_noticed():
    path = model()
    os.remove(f"{path}/unet/config.json")
    assert compared(path, stage="train", checkpoint="full/0").why == "unet/config.json is missing"
    os.remove(f"{path}/waypoint.json")
    assert "waypoint.json is missing" in compared(path, stage="train", checkpoint="full/0").why


def test_a_store_that_only_has_new_dates_is_current():
    path = kernel()
    for folder, _, files in os.walk(path):
        for name in files:
            os.utime(os.path.join(folder, name), (0, 0))
    assert compared(path) is None


# ---- recorded hashes


def features(weights="w0", images="i0"):
    made = attributes(plan(), "featurize", **FEATURES)
    made |= {"reads": {"checkpoints/full/0": weights, "data/train.zarr": images}}
    return store("store/test/features/plain/full/0.zarr", made, phi=(["train"], [1.0]))


def test_features_of_these_weights_and_images_are_current():
    model()
    store("store/test/data/train.zarr", attributes(plan(), "prepare_data") | {"sha256": "i0"})
    assert compared(features(), stage="featurize", **FEATURES) is None


def test_features_of_other_weights_or_images_are_made_again():
    model(weights="w1")
    stale = compared(features(), stage="featurize", **FEATURES)
    assert stale.why == "checkpoints/full/0 has another content than when it was read" and stale.replaced
    store("store/test/data/train.zarr", attributes(plan(), "prepare_data") | {"sha256": "i1"})
    assert "data/train.zarr" in compared(features("w1"), stage="featurize", **FEATURES).why


def test_what_was_read_and_is_gone_or_damaged_is_its_own_affair():
    assert compared(features(), stage="featurize", **FEATURES) is None  # neither is there
    path = model(weights="w1")
    os.remove(f"{path}/waypoint.json")
    assert compared(features(), stage="featurize", **FEATURES) is None


def test_every_hash_is_looked_up_once(monkeypatch):
    model()
    known = LocalStore("store/test")
    assert known.content(features(), "checkpoints/full/0") == "w0"
    monkeypatch.setattr(LocalStore, "attributes", lambda self, path: pytest.fail("read again"))
    assert known.content(features(), "checkpoints/full/0") == "w0"


def test_a_store_at_another_place_has_the_same_names():
    known = LocalStore("store/test")
    assert known.name("/somewhere/store/test/data/train.zarr") == "data/train.zarr" and known.name("elsewhere") is None


# ---- raw data


@pytest.fixture
def images(here):
    """A folder of raw images and the store that was read from it."""
    for name in ("cat/a.png", "dog/b.png", "c.png"):
        (here / "raw" / name).parent.mkdir(parents=True, exist_ok=True)
        (here / "raw" / name).write_bytes(name.encode())
    made = attributes(plan(), "prepare_data") | {"source": source_record(["raw"]), "sha256": "i0"}
    return here / "raw", store("store/test/data/train.zarr", made, image=(["train"], [1.0]))


def of_images(path, *sources):
    return compared(path, stage="prepare_data", sources=sources, of=plan(), basis=None)


def test_untouched_raw_data_is_not_even_read(images, monkeypatch):
    monkeypatch.setattr(source_files, "content_hash", lambda sources: pytest.fail("read"))
    assert of_images(images[1], "raw") is None  # reading all images at every start would take minutes


def test_raw_data_that_was_touched_moved_copied_or_linked_is_the_same(images):
    raw, path = images
    os.utime(raw / "c.png")
    os.utime(raw)
    assert of_images(path, "raw") is None
    shutil.copytree("raw", "copy")
    os.rename("raw", "moved")
    os.symlink("moved", "linked")
    for place in ("copy", "moved", "linked", str(raw.parent / "moved")):
        assert of_images(path, place) is None, place


def test_raw_data_that_is_gone_is_no_change(images):
    assert of_images(images[1]) is None


@pytest.mark.parametrize(
    "change",
    [
        lambda raw: (raw / "cat/new.png").touch(),
        lambda raw: (raw / "new.png").touch(),
        lambda raw: (raw / "cat/a.png").write_bytes(b"longer than before"),
        lambda raw: (raw / "cat/a.png").write_bytes(b"cat/b.png"),
        lambda raw: (raw / "cat/a.png").unlink(),
        lambda raw: (raw / "c.png").unlink(),
        lambda raw: (raw / "c.png").rename(raw / "d.png"),
        lambda raw: (raw / "cat/a.png").rename(raw / "dog/a.png"),
    ],
    ids=["added in class", "added", "rewritten", "same size", "deleted in class", "deleted", "renamed", "moved"],
)
def test_changed_raw_data_is_noticed(images, change):
    time.sleep(0.03)  # longer than a tick of the file system's clock
    change(images[0])
    stale = of_images(images[1], "raw")
    assert stale.why == "raw changed since it was read" and dear([stale])


def test_a_file_replaced_by_an_older_one_is_noticed(here):
    (here / "raw.npz").write_bytes(b"content")
    made = attributes(plan(), "prepare_data") | {"source": source_record(["raw.npz"])}
    path = store("store/test/data/train.zarr", made)
    (here / "other.npz").write_bytes(b"contenT")
    os.utime("other.npz", (0, 0))
    os.replace("other.npz", "raw.npz")  # mv keeps the modification time
    assert "raw.npz changed" in of_images(path, "raw.npz").why


def test_a_file_under_another_name_is_the_same(here):
    (here / "raw.npz").write_bytes(b"content")
    path = store(
        "store/test/data/train.zarr", attributes(plan(), "prepare_data") | {"source": source_record(["raw.npz"])}
    )
    os.rename("raw.npz", "renamed.npz")
    assert of_images(path, "renamed.npz") is None
    (here / "renamed.npz").write_bytes(b"contenT")
    assert "renamed.npz changed" in of_images(path, "renamed.npz").why


# ---- the guard


def stale_model(before, after):
    return compared(model(before), after, "train", checkpoint="full/0")


def test_models_features_and_images_are_dear_and_others_are_not():
    more_epochs = plan(lambda c: c.update(training={"epochs": 7}))
    found = stale_model(plan(), more_epochs)
    assert dear([found, compared(kernel(damped(1)), damped(2))]) == [found]


def test_what_is_damaged_is_lost_already(monkeypatch):
    path = model()
    os.remove(f"{path}/unet/config.json")
    assert dear([compared(path, stage="train", checkpoint="full/0")]) == []


def test_somebody_elses_model_behind_a_link_is_not_lost(here):
    path = model()
    shutil.move(path, "theirs")
    os.symlink(here / "theirs", path)
    stale = compared(path, plan(lambda c: c.update(seed=1)), "train", checkpoint="full/0")
    assert stale.changes and not stale.replaced and dear([stale]) == []


def test_the_guard_says_what_why_how_long_and_what_to_do():
    changes = [Difference("training.epochs", 2, 7), Difference("seed", 0, 1)]
    lost = [reruns.Stale(f"checkpoints/full/{k}", "", 5400.0, True, changes) for k in range(7)]
    lost.append(reruns.Stale("data/train.zarr", "", 0.0, True, ["raw changed since it was read"]))
    text = replacement_message(lost, "store/test")
    for part in (
        "would replace 7 models, 1 stored images in store/test that took 10.5 hours to make",
        "(checkpoints/full/0, checkpoints/full/1, checkpoints/full/2, checkpoints/full/3, checkpoints/full/4, …)",
        "because training.epochs was 2 and is now 7; seed was 0 and is now 1; raw changed since it was read",
        "Nothing was changed",
        "another experiment name",
        "--config replace=true",
        "store/test/replaced/",
    ):
        assert part in text, part


@pytest.mark.parametrize(
    "seconds, words", [(0.4, "0 seconds"), (59, "59 seconds"), (90, "1.5 minutes"), (5400, "1.5 hours")]
)
def test_durations_are_words(seconds, words):
    assert duration(seconds) == words


def test_a_summary_has_a_line_for_each_reason():
    found = [reruns.Stale(str(k), why) for k, why in enumerate(["x", "y", "x"])]
    assert summary(found) == ["2 results made again: x", "1 result made again: y"]
    drawn = [reruns.Stale(name, "x") for name in ("figures/a/trak.png", "tables/lds.csv", "scores/trak/a.zarr")]
    assert summary(drawn) == ["2 figures and tables made again: x", "1 result made again: x"]
    assert summary(drawn[:1]) == ["1 figure or table made again: x"]


# ---- the pass at start


def job(of, stage, output, **wildcards):
    spec = SimpleNamespace(spec=of.asked(stage, **wildcards))
    return Job(output=[output], params=spec, wildcards_dict=wildcards)


class Job(SimpleNamespace):
    """The part of one of Snakemake's jobs that the pass reads."""

    __hash__ = object.__hash__


def pass_(of, dry=False, forced=(), downstream=None):
    readers = downstream or {}
    return start.Start(of, False, lambda: dry, lambda job: job in forced, lambda job: readers.get(job, []))


def decide(of, jobs, **settings):
    return pass_(of, **settings).decide(jobs)


def retrained(replace_=False):
    """A plan of more epochs, and its job for the model that is there with fewer."""
    path = model()
    of = plan(lambda c: c.update(training={"epochs": 7}, replace=replace_))
    return of, job(of, "train", path, checkpoint="full/0")


def test_jobs_whose_outputs_are_current_or_missing_are_not_named():
    of = plan()
    jobs = [job(of, "train", model(), checkpoint="full/0"), job(of, "factor_kernel", "store/test/kernels/x", **KERNEL)]
    assert decide(of, jobs) == {}


def test_cheap_jobs_are_named_with_their_reason(capsys):
    of = damped(0.2)
    stale = job(of, "factor_kernel", kernel(damped(0.1)), **KERNEL)
    assert decide(of, [stale]) == {stale: "kernel.damping was 0.1 and is now 0.2"}
    assert "Waypoint: 1 result made again: kernel.damping was 0.1 and is now 0.2" in capsys.readouterr().err


def test_a_plan_that_replaces_a_model_stops():
    of, stale = retrained()
    with pytest.raises(WaypointError, match="would replace 1 model .* training.epochs was 200 and is now 7"):
        decide(of, [stale])


def test_a_dry_run_only_warns(capsys):
    of, stale = retrained()
    assert list(decide(of, [stale], dry=True)) == [stale]
    assert "Waypoint: warning: this run would replace 1 model" in capsys.readouterr().err


def test_the_list_of_subset_models_is_not_dear():
    """It changes whenever models are added to a set."""
    assert (
        dear([reruns.Stale("checkpoints/subset/models.json", "", 1.0, True, [Difference("lds.subsets", 2, 3)])]) == []
    )


@pytest.mark.parametrize("allowed", [True, "true", "delete"])
def test_with_permission_it_goes_on(allowed):
    of, stale = retrained(allowed)
    assert list(decide(of, [stale])) == [stale]


def test_what_the_command_line_forces_needs_no_permission():
    of, stale = retrained()
    assert list(decide(of, [stale], forced=[stale])) == [stale]


def of_other_images():
    """Jobs of features that were made from other images than are there, and of a kernel that was made from them."""
    store("store/test/data/train.zarr", attributes(plan(), "prepare_data") | {"sha256": "i1"})
    made = job(plan(), "featurize", features(), **FEATURES), job(plan(), "factor_kernel", kernel(), **KERNEL)
    return made


def test_other_images_spread_to_everything_that_is_made_from_them():
    read, reader = of_other_images()
    why = "data/train.zarr has another content than when it was read"
    found = decide(plan(lambda c: c.update(replace=True)), [read, reader], downstream={read: [reader]})
    assert found == {read: why, reader: why}


def test_what_spreads_to_features_is_dear():
    read, reader = of_other_images()
    with pytest.raises(WaypointError, match="would replace 1 train features .* data/train.zarr has another content"):
        decide(plan(), [read, reader], downstream={read: [reader]})


def test_what_a_run_left_stale_is_said_at_its_end():
    read, reader = of_other_images()
    store("store/test/data/train.zarr", attributes(plan(), "prepare_data") | {"sha256": "i0"})
    run = pass_(plan(), downstream={read: [reader]})
    assert run.decide([read, reader]) == {} and run.afterwards() == ""
    store("store/test/data/train.zarr", attributes(plan(), "prepare_data") | {"sha256": "i2"})
    assert "features/plain/full/0.zarr: data/train.zarr has another content" in run.afterwards()
    assert "Run the same command again" in run.afterwards()


def test_markers_beside_outputs_are_no_outputs_of_their_own():
    assert reruns.artifacts_of(SimpleNamespace(output=["a/t.csv", "a/.t.csv.json"])) == ["a/t.csv"]


# ---- specs in words


@pytest.mark.parametrize(
    "stored, wanted, found",
    [
        ({}, {}, []),
        ({"seed": 0}, {"seed": 0}, []),
        ({"seed": 0}, {"seed": 1}, [("seed", 0, 1)]),
        ({"train": {"version": 1}}, {"train": {"version": 2}}, [("the version of stage train", 1, 2)]),
        ({"x": {"data": {"size": 8}}}, {"x": {"data": {"size": 16}}}, [("data.size", 8, 16)]),
        ({"x": {"a": {"b": {"c": 1}}}}, {"x": {"a": {"b": {"c": 2}}}}, [("a.b.c", 1, 2)]),
        ({"x": {"t": {"mask": None}}}, {"x": {"t": {"mask": [0, 0, 4, 4]}}}, [("t.mask", None, [0, 0, 4, 4])]),
        ({"x": {"t": {"mask": {"f": "y"}}}}, {"x": {"t": {"mask": None}}}, [("t.mask", {"f": "y"}, None)]),
        ({"x": {"m": {}}}, {"x": {"m": {"new": 1}}}, [("m.new", "nothing", 1)]),
        ({"x": {"m": {"old": 1}}}, {"x": {"m": {}}}, [("m.old", 1, "nothing")]),
        ({"x": {"b": 1, "a": 1}}, {"x": {"b": 2, "a": 2}}, [("a", 1, 2), ("b", 1, 2)]),
        ({"x": {"features": {"flip": 0}}}, {"x": {"features": {"flip": 1}}}, [("data.flip", 0, 1)]),
        ({"x": {"checkpoint": {"path": "a"}}}, {"x": {"checkpoint": {"path": "b"}}}, [("checkpoints.paths", "a", "b")]),
        ({"train": {}}, {"import_checkpoint": {}}, [("import_checkpoint", "nothing", "part of it")]),
    ],
    ids=str,
)
def test_differences_are_keys_as_people_write_them_with_both_values(stored, wanted, found):
    got = [(each.key, each.old, each.new) for each in differences(stored, wanted)]
    assert got[: len(found)] == found and (len(got) == len(found) or "import_checkpoint" in wanted)


def test_settings_are_all_stages_sections_in_one():
    spec = {
        "seed": 3,
        "a": {"version": 1, "target": {"seed": 1}, "paths": None},
        "b": {"version": 2, "target": {"steps": [1]}},
    }
    assert settings_of(spec) == {"seed": 3, "target": {"seed": 1, "steps": [1]}, "paths": None}


def test_a_reader_accepts_what_agrees_where_both_have_a_stage():
    made = attributes(plan(), "train", checkpoint="full/0")
    require_agreement("m", made, plan().spec("featurize", **FEATURES))
    require_agreement("m", made, damped(3).spec("factor_kernel", **KERNEL))
    made["spec"]["item"] = {"images": {"subset": 1}}  # which of several artifacts it is
    require_agreement("m", made, plan().spec("featurize", **FEATURES))


def test_a_reader_refuses_other_settings_and_versions_by_name(monkeypatch):
    made = attributes(plan(), "train", checkpoint="full/0")
    other = plan(lambda c: c.update(training={"epochs": 3})).spec("featurize", **FEATURES)
    with pytest.raises(WaypointError) as caught:
        require_agreement("some/model", made, other)
    for word in ("some/model was made when training.epochs was 200; here it is 3", "another experiment name"):
        assert word in str(caught.value)
    monkeypatch.setitem(STAGES, "train", replace(STAGES["train"], version=99))
    with pytest.raises(WaypointError, match="when the version of stage train was 1; here it is 99"):
        require_agreement("some/model", made, plan().spec("featurize", **FEATURES))
    with pytest.raises(WaypointError, match="some/model: there is no artifact of Waypoint; rerun"):
        require_agreement("some/model", None, other)


# ---- what accidents brought to light


def test_a_list_of_models_is_nothing_dear():
    listed = reruns.Stale("checkpoints/subset/models.json", "", 1.0, True, [Difference("lds.subsets", 2, 3)])
    share = reruns.Stale("checkpoints/without/trak_a_t500_n0.1", "", 1.0, True, [Difference("training.epochs", 2, 3)])
    assert dear([listed, share]) == [share]


@pytest.mark.parametrize("changes", [{"identity": None}, {"reads": None}, {"spec": {"seed": 7}}])
def test_attributes_that_are_not_what_was_written_are_damage(changes):
    path = kernel()
    rewritten(path, **changes)
    stale = compared(path)
    assert stale.why == "its attributes are damaged" and not stale.replaced and dear([stale]) == []


def test_what_was_made_from_a_model_stays_when_its_setting_is_changed_and_undone():
    made = job(plan(), "train", model(plan(lambda c: c.update(training={"epochs": 7})), "w1"), checkpoint="full/0")
    read = job(plan(), "featurize", features(), **FEATURES)
    allowed = plan(lambda c: c.update(replace=True))
    assert list(decide(allowed, [made, read], downstream={made: [read]})) == [made]
