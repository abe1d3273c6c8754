"""A model's contact sheet: what is sampled from which noises, what is written on it, with and without a loss curve."""

import json
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure
from PIL import Image
from support import TEXT_UNET, run_script, store, tiny_denoiser

from waypoint.science.processes import ddpm
from waypoint.science.processes.ddpm import generate
from waypoint.science.processes.guidance import guided
from waypoint.science.random_streams import torch_stream
from waypoint.store.artifacts.provenance import read_attributes
from waypoint.store.networks import checkpoints
from waypoint.store.zarr.reader import open_store, read

N, COUNT, STEPS = 6, 9, 5
DIMS = ["train", "channel", "y", "x"]


def saved(folder, denoiser, losses=None):
    checkpoints.save(denoiser.unet, denoiser.scheduler, folder)
    (folder / "waypoint.json").write_text(json.dumps({"spec": {}, "weights": "w"}))
    if losses is not None:
        curve = "".join(f"{epoch},{loss}\n" for epoch, loss in enumerate(losses, 1))
        (folder / "loss.csv").write_text(f"epoch,loss\n{curve}")
    return folder


def training_set(tmp_path, **arrays):
    image = (["train", "channel", "y", "x"], np.random.default_rng(1).uniform(-0.5, 0.5, (N, 1, 8, 8)).astype("f4"))
    return store(tmp_path / "train.zarr", {"sha256": "d"}, image=image, **arrays)


@pytest.fixture
def seen(monkeypatch):
    """The pictures of a figure, in order, and all its text."""
    found = SimpleNamespace(images=[], text="")
    save = Figure.savefig

    def looked(figure, *place, **options):
        pictures = [axes.images[0].get_array() for axes in figure.axes if axes.images]
        found.images = [2 * np.asarray(picture) - 1 for picture in pictures]
        words = [text.get_text() for text in figure.texts] + [axes.get_title(loc="center") for axes in figure.axes]
        found.text = "\n".join(words)
        found.curves = sum(bool(axes.lines) for axes in figure.axes)
        return save(figure, *place, **options)

    monkeypatch.setattr(Figure, "savefig", looked)
    return found


def sheet(tmp_path, model, data, guidance=1):
    spec = {"seed": 0, "data": {}, "sampling": {"steps": STEPS, "guidance": guidance}}
    spec["contact_sheet"] = {"samples": COUNT}
    near = store(tmp_path / "near.zarr", first=(["train"], np.arange(N)))
    out = tmp_path / "figures/models/full/0.png"
    run_script("contact_sheet", spec=spec, model=model, data=data, near=near, name="full/0", out=out)
    assert Image.open(out).size[0] > 300
    return out


def expected(theta, number, condition=None):
    image = generate(theta, STEPS, torch_stream(0, "contact sheet", number), condition)[-1].numpy()
    return np.clip(image, -1, 1)[0]


def test_samples_stand_beside_the_loss_curve(tmp_path, tiny_model, seen):
    theta = tiny_denoiser(tiny_model)
    sheet(tmp_path, saved(tmp_path / "model", theta, [3.0] * 8 + [2.0, 1.0]), training_set(tmp_path))
    assert len(seen.images) == COUNT and seen.curves == 1
    for number in range(COUNT):  # each from a stream of its own
        assert np.abs(seen.images[number] - expected(theta, number)).max() < 1e-4
    assert "Model full/0" in seen.text and f"{COUNT} samples\n" in f"{seen.text}\n"
    assert "Still falling: the mean loss of the last epoch is 50.0 % below" in seen.text.replace("\n", " ")


def test_a_model_without_a_loss_curve_gets_its_samples(tmp_path, tiny_model, seen):
    sheet(tmp_path, saved(tmp_path / "model", tiny_denoiser(tiny_model)), training_set(tmp_path))
    assert len(seen.images) == COUNT and seen.curves == 0 and "falling" not in seen.text


def test_a_class_conditional_model_is_asked_for_the_first_images_labels(tmp_path, tiny_model, seen):
    theta = tiny_denoiser(tiny_model, num_class_embeds=3)
    labels = np.array([2, 0, 1, 1, 0, 2])
    sheet(tmp_path, saved(tmp_path / "model", theta), training_set(tmp_path, label=(["train"], labels)))
    for number in (0, 1, 7):  # the seventh is the second image's again
        condition = torch.tensor([labels[number % N]])
        assert np.abs(seen.images[number] - expected(theta, number, condition)).max() < 1e-4
    assert "for the labels of the first training images" in seen.text and "\n2\n0\n1\n1\n0\n2\n2\n0\n1" in seen.text


def test_a_text_model_is_asked_for_the_first_captions_under_guidance(tmp_path, tiny_model, seen):
    theta = tiny_denoiser({**tiny_model, "unet": {}}, **TEXT_UNET)
    width = theta.unet.config.cross_attention_dim
    embedding = np.random.default_rng(0).standard_normal((N, 4, width)).astype(np.float32)
    captions = np.array([f"thing {k} that costs ${k}" for k in range(N)], dtype="T")
    arrays = {"caption": (["train"], captions), "text_embedding": (["train", "token", "width"], embedding)}
    data = training_set(tmp_path, **arrays, null_embedding=(["token", "width"], np.zeros((4, width), np.float32)))
    sheet(tmp_path, saved(tmp_path / "model", theta), data, guidance=3)
    sampler = guided(theta, torch.zeros(4, width), 3)
    for number in (0, 4):
        condition = torch.from_numpy(embedding[number : number + 1])
        assert np.abs(seen.images[number] - expected(sampler, number, condition)).max() < 1e-3
    assert "for the captions of the first training images" in seen.text and "thing 4 that costs\n\\$4" in seen.text


def test_a_model_that_makes_noise_is_said_to(tmp_path, tiny_model, seen):
    """Training images are flat greys; an untrained model knows nothing of that."""
    grey = np.linspace(-0.5, 0.5, N, dtype=np.float32)[:, None, None, None] * np.ones((1, 1, 8, 8), np.float32)
    data = store(tmp_path / "train.zarr", {"sha256": "d"}, image=(["train", "channel", "y", "x"], grey))
    out = sheet(tmp_path, saved(tmp_path / "model", tiny_denoiser(tiny_model)), data)
    kept = read_attributes(out)
    made = np.stack([expected(tiny_denoiser(tiny_model), number) for number in range(COUNT)])
    away = np.sqrt(((made[:, None] - grey[:, 0]) ** 2).mean((2, 3))).min(1)
    assert kept["noise"] and kept["distance"] == pytest.approx(np.median(away) / 0.2, rel=1e-3)
    assert kept["loss"] > 0.8 and "Noise. Samples are" in seen.text


def test_a_model_that_repeats_its_training_images_makes_no_noise(tmp_path, tiny_model, seen, monkeypatch):
    data = training_set(tmp_path)
    images = torch.from_numpy(read(open_store(data)["image"]))
    monkeypatch.setattr(ddpm, "samples", lambda *arguments: images[torch.arange(COUNT) % N])
    monkeypatch.setattr(ddpm.Denoiser, "noise_loss", lambda self, x0, *more: torch.full((len(x0),), 0.01))
    kept = read_attributes(sheet(tmp_path, saved(tmp_path / "model", tiny_denoiser(tiny_model)), data))
    assert not kept["noise"] and kept["distance"] == pytest.approx(0, abs=1e-6) and 0 < kept["loss"] < 0.5
    assert "Samples are" in seen.text and "Noise" not in seen.text


def test_copies_of_training_images_do_not_count_as_their_nearest(tmp_path, tiny_model):
    """Every image is there twice: what is usual among them is no distance of zero."""
    images = np.random.default_rng(1).uniform(-0.5, 0.5, (N, 1, 8, 8)).astype(np.float32)
    twice = store(tmp_path / "twice.zarr", {"sha256": "d"}, image=(DIMS, np.repeat(images, 2, 0)))
    once = store(tmp_path / "once.zarr", {"sha256": "d"}, image=(DIMS, images))
    model, found = saved(tmp_path / "model", tiny_denoiser(tiny_model)), []
    for data, first in ((twice, np.repeat(np.arange(N) * 2, 2)), (once, np.arange(N))):
        near = store(tmp_path / f"near-{data.stem}.zarr", first=(["train"], first))
        spec = {"seed": 0, "data": {}, "sampling": {"steps": STEPS}, "contact_sheet": {"samples": COUNT}}
        out = tmp_path / f"{data.stem}.png"
        run_script("contact_sheet", spec=spec, model=model, data=data, near=near, name="full/0", out=out)
        found.append(read_attributes(out)["distance"])
    assert found[0] == pytest.approx(found[1], rel=1e-6)
