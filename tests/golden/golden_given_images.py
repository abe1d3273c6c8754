"""Golden outputs of the stages of given images."""

import csv
import json

import numpy as np
from inputs import STEPS, N, arrays_of, numbers, store
from PIL import Image
from support import run_script

DATA = {"source": "digits", "subset": N, "size": None, "captions": False}
PLACES = json.dumps({"path": None, "captions": None})


def invert_image_stage(tmp_path, data, checkpoint):
    """Of a picture in colour that is no square."""
    picture = (127.5 + 60 * numbers(20, 28, 3, seed=60)).clip(0, 255).astype(np.uint8)
    Image.fromarray(picture).save(tmp_path / "made.png")
    found = {}
    for inversion, more in (("ddpm", {"noises": 2}), ("ddim", {})):
        spec = {"seed": 0, "generator": "full/0", "sampling": {"steps": 5}, "attribution": {"clip_x0_hat": "scheduler"}}
        spec["target"] = {"image": "its hash", "inversion": inversion, **more}
        out, given = tmp_path / f"{inversion}.zarr", {"image": tmp_path / "made.png", "data": data}
        run_script("invert_image", spec=spec, checkpoint=checkpoint, **given, out=out)
        names = ["step", "x_t", "x0_hat", "image"] + ["further_x_t", "further_x0_hat"] * bool(more)
        found |= {f"{inversion}_{name}": values for name, values in arrays_of(out, *names).items()}
    return found


def compare_image_stage(tmp_path, trajectory, checkpoint):
    dims, train = ["train", "channel", "y", "x"], np.tanh(numbers(N, 1, 8, 8, seed=1))
    arrays = {"image": (dims, train), "source_index": (["train"], np.arange(N))}
    data = store(tmp_path / "indexed.zarr", {"sha256": "fixed"}, **arrays)
    embeddings = store(tmp_path / "e.zarr", embedding=(["train", "feature"], numbers(N, 5, seed=61)))
    scores = store(tmp_path / "s.zarr", score=(["step", "train"], np.tanh(numbers(2, N, seed=62))))
    spec = {"seed": 0, "generator": "full/0", "data": DATA, "compared": {"encoders": ["clip"]}}
    spec["target"] = {"image": "its hash", "inversion": "ddpm", "noises": 1, "steps": STEPS}
    given = {"data": data, "trajectory": trajectory, "generator": checkpoint, "embeddings": [embeddings]}
    given |= {"scores": [scores], "places": PLACES, "target": "hers"}
    run_script("compare_image", spec=spec, **given, out=tmp_path / "out.zarr")
    names = ["nearest", "distance", "typical", "limit", "alike", "train", "loss", "train_loss", "held_out_loss"]
    return arrays_of(tmp_path / "out.zarr", *names)


def given_images_stage(tmp_path, data):
    arrays = {
        "by": (["by"], np.array(["pixels", "clip"])),
        "nearest": (["by"], np.array([2, 3])),
        "distance": (["by"], np.array([0.01, 0.2])),
        "typical": (["by"], np.array([0.1, 0.6])),
        "limit": (["by"], np.array([0.05, 0.3])),
        "alike": (["by"], np.array([2, 1])),
        "step": (["step"], np.array(STEPS)),
        "loss": (["step"], np.array([0.2, 0.1])),
        "train_loss": (["train", "step"], numbers(6, 2, seed=63) ** 2),
        "held_out_loss": (["held_out", "step"], numbers(5, 2, seed=64) ** 2),
    }
    compared = store(tmp_path / "compared.zarr", {"target": "hers", "inversion": "ddpm"}, **arrays)
    run_script("given_images", spec={}, data=data, compared=[compared], out=tmp_path / "table.csv")
    with open(tmp_path / "table.csv", newline="", encoding="utf-8") as handle:
        rows = list(csv.DictReader(handle))
    columns = ["distance", "typical", "limit", "nearest", "alike", "loss", "train_share", "held_out_share"]
    words = "".join(row["what"] + row["words"] for row in rows)
    table = np.array([[float(row[column] or -1) for column in columns] for row in rows])
    return {"numbers": table, "words": np.frombuffer(words.encode(), np.uint8)}


GOLDEN = {
    "invert_image": invert_image_stage,
    "compare_image": compare_image_stage,
    "given_images": given_images_stage,
}
