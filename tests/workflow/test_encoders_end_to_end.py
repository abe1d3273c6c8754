"""Image encoders through Snakemake, on images without labels: their scores, tables and figures, and what reruns."""

import copy
import shutil

import numpy as np
import pandas as pd
import pytest
import torch
import torchvision
import xarray as xr
from support import tiny_clip
from workspace import CONFIG, Workspace, scores

from waypoint.store.data.digits import digits

NETWORK = "shufflenet_v2_x0_5"
PAIR = ["a white {nought}", "a dark one: 'it''s'"]  # braces and quotes pass through the shell
METHODS = ["pixel", "clip", "shuffle-net"]
CONFIGURED = {
    **CONFIG,
    "data": {"source": "npz", "path": "images.npz"},
    "methods": METHODS,
    "image_encoders": {
        "clip": {"kind": "clip", "path": "clip model"},
        "shuffle-net": {"kind": "torchvision", "name": NETWORK, "weights": "shuffle.pth", "size": 32},
    },
    "evaluation": {
        "samples": {"number": 4},
        "caption_likelihood": {"encoder": "clip", "captions": {"a": PAIR}},
        "top_overlap": {"top_k": [5]},
    },
}
FILES = ["tables/feature_likelihood.csv", "tables/steepest_intervals.csv", "figures/likelihood-a.png"]
FILES += ["tables/top_overlap.csv", "figures/top_overlap.png", "tables/top_influences.csv", "figures/a/clip.png"]
ASKED = ["scores", *(f"store/tiny/{file}" for file in FILES)]


@pytest.fixture(scope="module")
def encoded(tmp_path_factory):
    folder = tmp_path_factory.mktemp("encoded") / "work"
    workspace = Workspace(folder, CONFIGURED)
    np.savez(folder / "images.npz", image=np.stack(digits({}).images[:30]))
    tiny_clip(folder / "clip model")
    torch.save(torchvision.models.get_model(NETWORK).state_dict(), folder / "shuffle.pth")
    done = workspace.snakemake(*ASKED)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "warning" not in done.stdout + done.stderr
    return workspace


def planned(workspace):
    return [job for job in workspace.planned(*ASKED) if job != "scores"]


@pytest.fixture
def copied(encoded, tmp_path):
    """A copy that a test may change; times and records are kept."""
    shutil.copytree(encoded.folder, tmp_path / "work", symlinks=True, copy_function=shutil.copy2)
    return Workspace(tmp_path / "work", copy.deepcopy(CONFIGURED))


def test_every_encoder_has_scores_of_every_target(encoded):
    for method in METHODS[1:]:
        embedding = xr.open_zarr(encoded.store / f"embeddings/{method}.zarr")["embedding"]
        assert embedding.dims == ("train", "feature") and embedding.shape[0] == 30
        for target in "ab":
            score = xr.open_zarr(encoded.store / f"scores/{method}/{target}.zarr")["score"]
            assert score.dims == ("step", "train") and list(score["step"].values) == [100, 500]
            assert np.isfinite(score).all() and (score[0].values == score[1].values).all() and float(score.std()) > 0


def test_tables_and_figures_treat_encoders_as_methods(encoded):
    for name in ("top_influences", "top_overlap"):
        assert set(pd.read_csv(encoded.store / f"tables/{name}.csv")["method"]) == set(METHODS)
    assert all((encoded.store / file).stat().st_size > 0 for file in FILES)


def test_captions_need_no_labels_and_no_classifier(encoded):
    table = pd.read_csv(encoded.store / "tables/feature_likelihood.csv")
    assert set(table["classifier"]) == {"clip"} and set(table["target"]) == {"a"} and set(table["feature"]) == {PAIR[0]}
    assert list(table["step"]) == [100, 500] and set(table["samples"]) == {4}
    assert not (encoded.store / "evaluation/classifiers").exists()


def test_a_second_run_plans_nothing(encoded):
    assert planned(encoded) == []


def test_an_added_target_embeds_no_training_image_again(encoded):
    found = planned(encoded.changed(targets=[*CONFIG["targets"], {"id": "c", "seed": 3}]))
    scored = [f"score_encoder method={name}, target=c" for name in METHODS[1:]] + scores("c", ["pixel"])
    tables = ["plot_top_overlap", "top_influences", "top_overlap"]
    assert found == sorted(["sample_trajectory target=c", *scored, *tables])


def test_removals_retrain_without_an_encoders_top_images(encoded):
    removed = {"forgetting": {"targets": ["a"], "step": 100, "n_remove": [5]}}
    found = encoded.changed(evaluation=removed, checkpoints={"count": 3}).planned("store/tiny/tables/forgetting.csv")
    for method in METHODS:
        assert f"train_without method={method}, target=a, step=100, n_remove=5" in found
        assert f"forgetting method={method}, target=a" in found


def test_an_added_step_embeds_no_training_image_again(encoded):
    rows = copy.deepcopy(CONFIG["targets"])
    rows[0]["steps"] = [100, 300, 500]
    found = planned(encoded.changed(targets=rows))
    assert {job.split()[0] for job in found if "encoder" in job} == {"score_encoder"}
    assert not [job for job in found if job.startswith("embed_images") or "target=b" in job]


def test_other_weights_embed_again_and_what_reads_them_follows(copied):
    tiny_clip(copied.folder / "clip model", seed=1)
    found = planned(copied)
    assert "embed_images encoder=clip" in found and "feature_likelihood" in found
    assert {job for job in found if job.startswith(("embed_images", "score_encoder"))} == {
        "embed_images encoder=clip",
        *(f"score_encoder method=clip, target={target}" for target in "ab"),
    }


def test_weights_that_moved_are_no_reason_to_rerun(copied):
    (copied.folder / "clip model").rename(copied.folder / "elsewhere")
    encoders = copy.deepcopy(CONFIGURED["image_encoders"])
    encoders["clip"]["path"] = "elsewhere"
    assert planned(copied.changed(image_encoders=encoders)) == []


def test_without_records_embeddings_of_other_weights_are_replaced_only_with_permission(copied):
    shutil.rmtree(copied.folder / ".snakemake")
    tiny_clip(copied.folder / "clip model", seed=1)
    done = copied.snakemake(*ASKED)
    text = done.stdout + done.stderr
    assert done.returncode != 0 and "would replace 1 embeddings" in text and "image_encoder.sha256 was" in text


def test_without_weights_the_method_is_off_with_one_warning_and_the_rest_runs(copied):
    shutil.rmtree(copied.folder / "clip model")
    (copied.folder / "shuffle.pth").unlink()
    done = copied.snakemake("tables")
    text = done.stdout + done.stderr
    assert done.returncode == 0, text
    off = "method clip and evaluation.caption_likelihood are off"
    for words in (
        f"{off}: image_encoders.clip.path: there is no folder clip model",
        "method shuffle-net is off: image_encoders.shuffle-net.weights: shuffle.pth cannot be read",
    ):
        assert text.count(words) == 1
    assert set(pd.read_csv(copied.store / "tables/top_overlap.csv")["method"]) == {"pixel"}
