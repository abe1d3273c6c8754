"""Golden outputs of image encoders: a tiny CLIP model with weights from a formula."""

import json

import numpy as np
import torch
from inputs import STEPS, N, arrays_of, numbers, store
from support import run_script, tiny_clip
from transformers import CLIPModel

from waypoint.store.networks.image_encoder import weights_hash


def clip(folder):
    """The folder of the model, and what specs and scripts say of it."""
    tiny_clip(folder)
    model = CLIPModel.from_pretrained(folder)
    with torch.no_grad():
        for k, q in enumerate(model.parameters()):
            q.copy_(torch.from_numpy(np.asarray(0.3 * numbers(*q.shape, seed=300 + k))))
    model.save_pretrained(folder)
    settings = {"kind": "clip", "sha256": weights_hash(folder)}
    return settings, {"encoder": "clip", "places": json.dumps({"clip": str(folder)})}


def embed_images_stage(tmp_path, data):
    settings, named = clip(tmp_path / "clip")
    run_script("embed_images", spec={"image_encoder": settings}, data=data, **named, out=tmp_path / "out.zarr")
    return arrays_of(tmp_path / "out.zarr", "embedding")


def score_encoder_stage(tmp_path, trajectory):
    settings, named = clip(tmp_path / "clip")
    embedded = store(tmp_path / "embedded.zarr", embedding=(["train", "feature"], numbers(N, 8, seed=7)))
    spec = {"image_encoder": settings, "target": {"steps": STEPS}}
    given = {"embeddings": embedded, "trajectory": trajectory, "target": "a"}
    given |= {"method": "clip", "places": named["places"]}
    run_script("score_encoder", spec=spec, **given, out=tmp_path / "out.zarr")
    found = arrays_of(tmp_path / "out.zarr", "score", "step")
    assert found["score"].shape == (len(STEPS), N) and np.array_equal(*found["score"])
    return found


GOLDEN = {"embed_images": embed_images_stage, "score_encoder": score_encoder_stage}
