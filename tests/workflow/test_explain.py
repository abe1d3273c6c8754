"""make explain: the configuration that it writes, and one sentence for each missing thing."""

import argparse
import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image
from support import AUTOENCODER, SCRIPTS, TEXT_UNET, UNET

from waypoint.errors import WaypointError
from waypoint.workflow.config.complete import complete
from waypoint.workflow.config.explained import configuration, target_of

SCHEDULER = {"_class_name": "DDPMScheduler", "num_train_timesteps": 1000, "timestep_spacing": "leading"}
PIXELS = {"beta_schedule": "linear", "beta_start": 1e-4, "beta_end": 0.02}


@pytest.fixture(autouse=True)
def folders(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "photos").mkdir()
    for k in range(3):
        Image.new("L", (8, 8), 80 * k).save(f"photos/{k}.png")
    Image.new("RGB", (20, 14), "red").save("her picture.png")
    model("m")


def model(name, unet=UNET, scheduler=SCHEDULER, **parts):
    for part, content in {"unet/config": unet, "scheduler/scheduler_config": scheduler, **parts}.items():
        file = Path(name, f"{part}.json")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(content))
    return name


def refused(*arguments):
    with pytest.raises(WaypointError) as caught:
        configuration(*arguments)
    return str(caught.value)


def test_the_configuration_is_complete_and_has_steps_of_the_models_grid():
    config = configuration("m", "photos")
    config["targets"] = [target_of("her picture.png")]
    done = complete(config)
    assert done["data"]["size"] == 8 and done["attribution"]["steps"] == [100, 300, 500, 700, 900]
    assert done["targets"][0]["id"].startswith("her-picture-") and done["targets"][0]["inversion"] == "ddpm"
    assert config["experiment"].startswith("explain-m-photos-") and "vae" not in config
    odd = configuration(model("odd", scheduler=SCHEDULER | {"steps_offset": 1}), "photos")
    assert odd["attribution"]["steps"] == [101, 301, 501, 701, 901]


def test_the_id_is_the_pictures_content_and_condition():
    one = target_of("her picture.png")
    content = Path("her picture.png").read_bytes() + b"(None, None)"  # and the label and prompt
    assert one["id"] == f"her-picture-{hashlib.sha256(content).hexdigest()[:6]}"
    assert target_of("her picture.png") == one
    assert target_of("her picture.png", 3)["id"] != one["id"] and target_of("her picture.png", 3)["label"] == 3
    Image.new("RGB", (20, 14), "blue").save("her picture.png")
    assert target_of("her picture.png")["id"] != one["id"]


def test_latent_text_models_bring_their_encoders():
    parts = {"vae/config": AUTOENCODER, "text_encoder/config": {}}
    scheduler = SCHEDULER | PIXELS | {"_class_name": "PNDMScheduler"}
    name = model("latent", TEXT_UNET | {"sample_size": 4}, scheduler, **parts)
    words = "CAPTIONS is missing: latent is text-conditional; name a table with columns file and caption"
    assert refused(name, "photos") == words
    with open("captions.csv", "w") as file:
        file.write("file,caption\n0.png,dark\n")
    config = configuration(name, "photos", "captions.csv")
    assert config["data"]["size"] == 8 and config["checkpoints"]["sampler"] == "ddpm"
    assert config["vae"] == config["text_encoder"] == {"path": config["checkpoints"]["paths"][0]}


def test_an_npz_file_is_a_source():
    np.savez("images.npz", image=np.zeros((3, 8, 8), np.uint8))
    assert configuration("m", "images.npz")["data"]["source"] == "npz"


@pytest.mark.parametrize(
    ("change", "arguments", "words"),
    [
        (None, ("nowhere", "photos"), "MODEL: there is no nowhere"),
        (None, ("m", "nowhere"), "DATA: there is no nowhere"),
        (None, ("m", "photos", "nowhere.csv"), "CAPTIONS: there is no nowhere.csv"),
        (None, ("photos", "photos"), "MODEL: photos holds no unet/config.json: it is not a folder of a diff"),
        ({"unet": UNET | {"sample_size": [8, 16]}}, ("x", "photos"), "squares are needed here"),
    ],
)
def test_what_is_missing_is_one_sentence(change, arguments, words):
    if change:
        model("x", **change)
    assert words in refused(*arguments)


def test_a_model_without_a_scheduler_is_named(tmp_path):
    model("x")
    (tmp_path / "x/scheduler/scheduler_config.json").unlink()
    assert refused("x", "photos").startswith("MODEL: x holds no scheduler/scheduler_config.json")


def explain(*arguments):
    command = [sys.executable, str(SCRIPTS / "explain.py"), *arguments]
    return subprocess.run(command, capture_output=True, text=True, env={"PYTHONPATH": str(SCRIPTS)})


def test_the_script_fails_early_and_names_the_first_missing_thing():
    done = explain("--image", "her picture.png", "--model", "m")
    assert done.returncode == 1 and done.stderr.startswith("Waypoint: DATA is missing: make explain IMAGE=made.png")
    done = explain("--image", "gone.png", "--model", "m", "--data", "photos")
    assert done.stderr.strip() == "Waypoint: IMAGE: there is no file gone.png"


def test_pictures_of_one_model_share_a_file_and_what_is_changed_in_it_stays(monkeypatch, capsys):
    monkeypatch.syspath_prepend(str(SCRIPTS))
    import explain as script

    given = argparse.Namespace(model="m", data="photos", label=None, prompt=None, captions=None)
    file, first = script.write_configuration(argparse.Namespace(**vars(given), image="her picture.png"))
    config = yaml.safe_load(file.read_text())
    file.write_text(yaml.safe_dump(config | {"projection": {"dim": 64}}))
    Image.new("RGB", (20, 14), "blue").save("other.png")
    again, second = script.write_configuration(argparse.Namespace(**vars(given), image="other.png"))
    config = yaml.safe_load(file.read_text())
    assert again == file and [row["id"] for row in config["targets"]] == [first, second]
    assert config["projection"] == {"dim": 64}
    os.remove("her picture.png")
    script.write_configuration(argparse.Namespace(**vars(given), image="other.png"))
    assert [row["id"] for row in yaml.safe_load(file.read_text())["targets"]] == [second]
    assert f"no longer exists, so {first} is left out" in capsys.readouterr().err
