"""Targets that share a pass over the features get the scores that each would have got alone."""

import hashlib
import json
import os
import shutil
import subprocess
import sys

import numpy as np
import pytest
from support import SCRIPTS, asked, run_script, script_arguments, script_path, store

from waypoint.store.zarr.reader import open_store
from waypoint.store.zarr.writer import COLUMN_BYTES, create_store

N, D, STEPS = 20, 6, [100, 500]
RNG = np.random.default_rng(0)
PHI = RNG.standard_normal((2, N, D)).astype(np.float32)
G = {target: RNG.standard_normal((2, len(STEPS), D)).astype(np.float32) for target in "abc"}
IMAGES = {"version": 1, "data": {"subset": N}}
SPEC = {"kernel": {"damping": 0.1}, "scores": {"keep_checkpoints": True}}


def asked_of(target, **changes):
    """The spec of a target's scores: they share the images' stage with whatever is opened."""
    own = {"version": 1, **SPEC, "target": {"seed": ord(target)}, **changes}
    return {"seed": 0, "prepare_data": IMAGES, "score_trak": own}


class Experiment:
    """Features, kernels and gradients of three targets; every score is made by its own job."""

    def __init__(self, root):
        self.root = root
        self.features, self.kernels = [], []
        for m in (0, 1):
            made = {"weights": f"w{m}"}
            self.features.append(
                store(root / f"features/plain/full/{m}.zarr", made, phi=(["train", "feature"], PHI[m]))
            )
            self.kernels.append(root / f"kernels/trak/full/{m}.zarr")
            run_script("factor_kernel", spec=SPEC, features=self.features[m], out=self.kernels[m])
        for target in G:
            self.gradients(target, G[target])

    def gradients(self, target, g, **attributes):
        dims = ["checkpoint", "step", "feature"]
        arrays = {"g": (dims, g), "step": (["step"], STEPS), "checkpoint": (["checkpoint"], ["full/0", "full/1"])}
        made = {"weights": ["w0", "w1"], "spec": {"target": {"seed": ord(target)}}, **attributes}
        return store(self.root / f"targets/{target}/gradients/plain.zarr", made, **arrays)

    def score(self, target, **changes):
        spec = asked_of(target, **changes)
        out = self.root / f"scores/trak/{target}.zarr"
        run_script(
            "score_trak",
            spec=spec,
            gradients=self.root / f"targets/{target}/gradients/plain.zarr",
            features=self.features,
            kernels=self.kernels,
            method="trak",
            target=target,
            targets=list("abc"),
            waiting=self.root / "resume/scores/trak",
            out=out,
        )
        return open_store(out)

    @property
    def waiting(self):
        return sorted(path.stem for path in (self.root / "resume/scores/trak").glob("*.zarr"))


@pytest.fixture
def experiment(tmp_path):
    return Experiment(tmp_path)


def explicit(target, damping=0.1):
    """Line 17 for every checkpoint: (checkpoint, step, train)."""
    found = []
    for m in (0, 1):
        phi = PHI[m].astype(float)
        kernel = phi.T @ phi
        kernel += damping * np.trace(kernel) / D * np.eye(D)
        found.append(G[target][m] @ np.linalg.inv(kernel) @ phi.T)
    return np.array(found)


def agrees(found, target, damping=0.1):
    each = explicit(target, damping)
    close = np.allclose(found["score"][:], each.mean(0), rtol=1e-4, atol=1e-6)
    error = np.allclose(found["score_se"][:], each.std(0, ddof=1) / 2**0.5, rtol=1e-4, atol=1e-6)
    return close and error and np.allclose(found["score_by_checkpoint"][:], each, rtol=1e-4, atol=1e-6)


def test_the_first_job_scores_for_all_that_wait(experiment, capsys):
    assert agrees(experiment.score("b"), "b")
    assert experiment.waiting == ["a", "c"]
    assert "one pass over the features for b, a, c" in capsys.readouterr().err
    for path in experiment.features:
        (path / "phi/c/0/0").unlink()  # nobody reads the features again
    for target in ("a", "c"):
        assert agrees(experiment.score(target), target)
    assert experiment.waiting == []


def test_attributes_are_those_of_the_targets_own_job(experiment):
    experiment.score("b")
    found = experiment.score("a")
    assert found.attrs["target"] == "a" and found.attrs["method"] == "trak"
    own = json.loads(asked("score_trak", asked_of("a")))
    assert found.attrs["spec"] == own["spec"] == asked_of("a") and found.attrs["identity"] == own["identity"]


def test_waiting_scores_are_known_by_all_that_they_depend_on(experiment):
    experiment.score("b")
    spec = {stage: {key: part for key, part in entry.items() if key != "target"}
            for stage, entry in asked_of("a").items() if stage != "seed"}  # fmt: skip
    key = json.dumps([spec, [["w0", None], ["w1", None]]], sort_keys=True).encode()
    waiting = open_store(experiment.root / "resume/scores/trak/a.zarr").attrs["identity"]
    assert waiting == hashlib.sha256(key + G["a"].tobytes()).hexdigest()


def test_a_scored_target_is_not_scored_again(experiment):
    for target in "abc":
        experiment.score(target)
    assert agrees(experiment.score("b"), "b")
    assert experiment.waiting == []


def test_changed_gradients_are_scored_anew(experiment):
    experiment.score("b")
    experiment.gradients("a", G["b"])
    assert np.allclose(experiment.score("a")["score"][:], explicit("b").mean(0), rtol=1e-4, atol=1e-6)


def test_other_settings_are_scored_anew(experiment):
    experiment.score("b")
    for m, kernel in enumerate(experiment.kernels):
        run_script("factor_kernel", spec={"kernel": {"damping": 3.0}}, features=experiment.features[m], out=kernel)
    assert agrees(experiment.score("a", kernel={"damping": 3.0}), "a", damping=3.0)


@pytest.mark.parametrize(
    "change", [{"weights": ["w0", "other"]}, {"spec": {"prepare_data": {"version": 1, "data": {"subset": 9}}}}]
)
def test_gradients_of_another_make_are_left_to_their_own_job(experiment, change):
    experiment.gradients("c", G["c"], **change)
    experiment.score("b")
    assert experiment.waiting == ["a"]


def test_a_damaged_result_that_waits_is_made_again(experiment):
    experiment.score("b")
    (experiment.root / "resume/scores/trak/a.zarr/score/c/0/0").unlink()
    assert agrees(experiment.score("a"), "a")


def test_a_pass_takes_no_more_targets_than_fit(experiment, monkeypatch, capsys):
    from waypoint.workflow.jobs import shared_pass

    one = 2 * len(STEPS) * (12 * D + 32 * N) + 3 * COLUMN_BYTES
    monkeypatch.setattr(shared_pass, "PASS_BYTES", 2 * one)
    experiment.score("b")
    assert experiment.waiting == ["a"]
    capsys.readouterr()
    experiment.score("c")  # a's wait: they are not made again
    assert "one pass over the features for c\n" in capsys.readouterr().err
    assert agrees(experiment.score("a"), "a")


def test_features_in_chunks_of_different_sizes_are_scored_together(experiment):
    """As stores of two versions of Waypoint may be."""
    for path, rows, phi in zip(experiment.features, (3, 8), PHI, strict=True):
        made = dict(open_store(path).attrs)
        shutil.rmtree(path)
        with create_store(path, lambda made=made: made) as written:
            written.create("phi", ["train", "feature"], (N, D), rows=rows)
            written.put("phi", slice(None), phi, "image", range(N))
    assert agrees(experiment.score("a"), "a")


def test_weights_that_differ_are_named(experiment, capsys):
    made = json.loads((experiment.features[1] / "zarr.json").read_text())
    made["attributes"]["weights"] = "other"
    (experiment.features[1] / "zarr.json").write_text(json.dumps(made))
    with pytest.raises(SystemExit):
        experiment.score("a")
    assert "different weights of checkpoint full/1" in capsys.readouterr().err
    assert experiment.waiting == []


def test_jobs_at_the_same_time_take_turns_and_leave_nothing(experiment, tmp_path):
    """Three processes at once: right scores, and no lock or folder left."""
    processes, environment = [], {**os.environ, "PYTHONPATH": str(SCRIPTS)}
    for target in "abc":
        values = {
            "spec": asked_of(target),
            "gradients": tmp_path / f"targets/{target}/gradients/plain.zarr",
            "features": experiment.features,
            "kernels": experiment.kernels,
            "method": "trak",
            "target": target,
            "targets": list("abc"),
            "waiting": tmp_path / "resume/scores/trak",
            "out": tmp_path / f"scores/trak/{target}.zarr",
        }
        command = [sys.executable, script_path("score_trak"), *script_arguments("score_trak", **values)]
        processes.append(subprocess.Popen(list(map(str, command)), stderr=subprocess.PIPE, text=True, env=environment))
    said = [process.communicate()[1] for process in processes]
    assert all(process.returncode == 0 for process in processes), said
    assert all(agrees(open_store(tmp_path / f"scores/trak/{target}.zarr"), target) for target in "abc")
    assert sum("one pass over the features for" in text for text in said) == 1
    assert not (tmp_path / "resume").exists()
