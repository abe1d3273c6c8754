"""A latent, text-conditional model through Snakemake to its tables and figures, and what reruns."""

import copy
import csv

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from PIL import Image
from support import AUTOENCODER, TEXT_UNET, tiny_bert
from workspace import CONFIG, Workspace, own_jobs, panels, scores

METHODS = ["trak", "pixel"]
SHARED = {"targets": ["a"], "step": 500, "n_remove": [0.1], "methods": ["pixel"]}
LATENT = {
    **CONFIG,
    "data": {"source": "imagefolder", "path": "images", "captions": "captions.csv", "size": 8},
    "vae": {"train": {"autoencoder": AUTOENCODER, "epochs": 1}},
    "text_encoder": {"path": "bert", "max_length": 6},
    "model": {
        "unet": {**TEXT_UNET, "sample_size": 4, "in_channels": 2, "out_channels": 2},
        "scheduler": {"clip_sample": False},
    },
    "training": {**CONFIG["training"], "caption_dropout": 0.2},
    "sampling": {"steps": 20, "guidance": 2},
    "pixel": {"against": "x0_hat"},
    "methods": METHODS,
    "checkpoints": {"count": 3},
    "targets": [
        {"id": "a", "seed": 1, "prompt": "a red thing"},
        {"id": "b", "seed": 2, "prompt": "a blue thing", "checkpoint": "full/1"},
    ],
    "evaluation": {
        "lds": {"subsets": 2, "models_per_subset": 1, "draws": 2, "bootstrap": 100},
        "samples": {"number": 3, "targets": ["a"], "steps": [500]},
        "seed_consistency": {"targets": ["a"]},
        "fid": {"features": "classifier"},
        "classifier": {"width": 2, "epochs": 1},
        "counterfactual": {**SHARED, "images": 20},
        "forgetting": SHARED,
    },
}
TABLES = ["lds", "lds_summary", "counterfactual_fid", "forgetting", "seed_consistency", "one_step_error"]
TABLES += ["top_influences"]
FIGURES = ["lds", "counterfactual_fid", "forgetting", "seed_consistency", "a/trak", "b/pixel", "models/full/2"]
NO_TRAINING = {"train_vae", "train", "train_subset", "train_without", "encode_data", "featurize", "factor_kernel"}


def captioned_images(folder):
    """32 images of 8 × 8 grey pixels, with a caption and a label each."""
    (folder / "images").mkdir()
    pixels = np.random.default_rng(0).integers(0, 256, (32, 2, 2)).astype(np.uint8).repeat(4, 1).repeat(4, 2)
    with open(folder / "captions.csv", "w", newline="") as handle:
        table = csv.writer(handle)
        table.writerow(["file", "caption", "label"])
        for k, image in enumerate(pixels):
            Image.fromarray(image).save(folder / f"images/{k}.png")
            table.writerow([f"{k}.png", f"a {('red', 'blue')[k % 2]} thing", k % 2])


@pytest.fixture(scope="module")
def latent(tmp_path_factory):
    workspace = Workspace(tmp_path_factory.mktemp("latent") / "work", LATENT, warm=True)
    captioned_images(workspace.folder)
    tiny_bert(workspace.folder / "bert")
    done = workspace.snakemake()
    assert done.returncode == 0, done.stdout + done.stderr
    return workspace


def rules(planned):
    return {job.split()[0] for job in planned}


def test_every_table_and_figure_is_there(latent):
    for name in TABLES:
        assert len(pd.read_csv(latent.store / f"tables/{name}.csv", keep_default_na=False)), name
    for name in FIGURES:
        assert Image.open(latent.store / f"figures/{name}.png").size[0] > 100


def test_stores_hold_latents_captions_and_pixels(latent):
    shapes = {
        "data/train.zarr": {"image": (32, 1, 8, 8), "latent": (32, 2, 4, 4), "text_embedding": (32, 6, 8)},
        "targets/a/trajectory.zarr": {"x_t": (20, 2, 4, 4), "image": (1, 8, 8), "text_embedding": (6, 8)},
        "targets/a/samples.zarr": {"sample": (2, 4, 1, 8, 8), "latent": (2, 4, 2, 4, 4), "x_t_image": (2, 1, 8, 8)},
        "evaluation/forgetting/pixel/a.zarr": {"image": (1, 1, 1, 8, 8), "original": (1, 8, 8)},
        "evaluation/counterfactual/a.zarr": {"sample": (8, 1, 8, 8)},
        "evaluation/seed_consistency.zarr": {"image": (2, 1, 1, 8, 8)},
        "scores/trak/b.zarr": {"score": (2, 32)},
    }
    for path, arrays in shapes.items():
        found = xr.open_zarr(latent.store / path)
        assert {name: found[name].shape for name in arrays} == arrays, path
    same = xr.open_zarr(latent.store / "evaluation/seed_consistency.zarr")["image"][0, 0].values
    image = xr.open_zarr(latent.store / "targets/a/trajectory.zarr")["image"].values
    assert np.allclose(same, image, atol=1e-5)  # full/0 under the same guidance and prompt
    assert (latent.store / "encoders/text/tokenizer.json").exists()


def test_a_second_run_plans_nothing(latent):
    assert latent.planned() == []


def test_a_new_prompt_trains_and_encodes_nothing(latent):
    rows = [*LATENT["targets"], {"id": "c", "seed": 3, "prompt": "round"}]
    planned = latent.changed(targets=rows).planned()
    own = own_jobs("c") + scores("c", METHODS) + panels("c", METHODS) + ["subset_outputs target=c"]
    assert planned == sorted([*own, "lds_tables", "plot_lds", "plot_lds_cross", "plot_lds_panels", "top_influences"])


def test_another_guidance_samples_again_and_trains_nothing_on_all_images(latent):
    planned = latent.changed(sampling={"steps": 20, "guidance": 3}).planned()
    assert {"sample_trajectory target=a", "sample_trajectory target=b", "seed_consistency"} <= set(planned)
    # the images that a method removes may be others
    assert rules(planned) & NO_TRAINING <= {"train_without"}


def test_guidance_of_f_t_changes_gradients_and_outputs_alone(latent):
    attribution = {**LATENT["attribution"], "guidance": 2}
    planned = rules(latent.changed(attribution=attribution).planned())
    assert {"target_gradients", "subset_outputs", "score_trak"} <= planned
    assert not planned & (NO_TRAINING | {"sample_trajectory", "score_pixel", "forgetting"})


def test_another_length_of_captions_encodes_again_but_keeps_the_vae(latent):
    planned = rules(latent.changed(text_encoder={"path": "bert", "max_length": 5}).planned())
    assert {"import_text_encoder", "encode_data", "train"} <= planned and "train_vae" not in planned


def test_a_changed_text_encoder_is_taken_only_with_permission(latent, tmp_path):
    other = Workspace(tmp_path / "other", copy.deepcopy({**LATENT, "store": str(latent.folder / "store")}))
    captioned_images(other.folder)
    tiny_bert(other.folder / "bert", seed=1)
    done = other.snakemake()
    text = done.stdout + done.stderr
    assert done.returncode != 0 and "bert changed since it was read" in text
    for part in ("1 encoder", "1 stored images", "3 train features", "--config replace=true"):
        assert part in text, part
