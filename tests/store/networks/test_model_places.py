"""Where a model is: links, folders that look like the hub's cache, damaged indices, and parts beside a network."""

import json
import shutil

import pytest
import torch
from diffusers import DDPMScheduler, UNet2DModel
from safetensors.torch import save_file
from support import UNET, images, tiny_config

from waypoint.errors import WaypointError
from waypoint.store.networks import checkpoints
from waypoint.store.networks.adapter_files import FILE, file_of
from waypoint.store.networks.layouts import examine, taken_from
from waypoint.store.networks.places import local_place
from waypoint.workflow.config.complete import complete

WEIGHTS = "diffusion_pytorch_model.safetensors"


def pipeline(folder, seed=0, beta_end=0.02):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = UNet2DModel(**UNET).eval()
    network.save_pretrained(folder / "unet")
    DDPMScheduler(beta_end=beta_end).save_pretrained(folder / "scheduler")
    return network


def gives(place, network):
    with torch.no_grad():
        x, t = images(3), torch.tensor([0, 500, 999])
        return torch.equal(checkpoints.load(place).output(x, t, None), network(x, t).sample)


def planned(path):
    return complete(tiny_config(None, checkpoints={"paths": [str(path)]}))


def refused(words, path):
    with pytest.raises(WaypointError, match=words):
        planned(path)


# ---- the hub's cache


@pytest.mark.parametrize("name", ["run", "models--a--b"])
def test_snapshots_inside_a_run_are_not_another_model(tmp_path, name):
    network = pipeline(tmp_path / name, seed=1)
    pipeline(tmp_path / name / "snapshots/step_100", seed=2)
    (tmp_path / name / "refs").mkdir()
    assert local_place(str(tmp_path / name)) == str(tmp_path / name)
    assert gives(tmp_path / name, network)
    planned(tmp_path / name)


@pytest.mark.parametrize("pictures", [True, False])
def test_a_run_with_a_folder_of_pictures_named_snapshots_is_taken(tmp_path, pictures):
    network = pipeline(tmp_path / "run")
    (tmp_path / "run/snapshots/step_100").mkdir(parents=True)
    if pictures:
        (tmp_path / "run/snapshots/step_100").rmdir()
        (tmp_path / "run/snapshots/a.png").touch()
    assert gives(tmp_path / "run", network)
    planned(tmp_path / "run")


@pytest.mark.parametrize("part", ["refs", "blobs"])
def test_a_repository_in_the_cache_is_resolved_also_through_a_link(tmp_path, part):
    root = tmp_path / "models--a--b"
    network = pipeline(root / "snapshots" / ("0" * 8))
    (root / part).mkdir()
    (tmp_path / "mine").symlink_to(root)
    assert gives(root, network) and gives(tmp_path / "mine", network)
    planned(tmp_path / "mine")


# ---- links


def test_the_schedule_of_a_link_is_that_of_the_run_it_leads_to(tmp_path):
    pipeline(tmp_path / "run/checkpoint-5")
    shutil.rmtree(tmp_path / "run/checkpoint-5/scheduler")
    DDPMScheduler(beta_end=0.03).save_pretrained(tmp_path / "run/scheduler")
    link = tmp_path / "latest"
    link.symlink_to(tmp_path / "run/checkpoint-5")

    def beta_end(place):
        return checkpoints.load(place).scheduler.config.beta_end

    assert beta_end(link) == 0.03
    DDPMScheduler(beta_end=0.05).save_pretrained(tmp_path / "scheduler")  # of something else
    assert beta_end(link) == beta_end(link / "unet") == beta_end(link / "unet/..") == 0.03
    real = tmp_path / "run/scheduler/scheduler_config.json"
    assert examine(link).notes == (f"its noise schedule is that of {real}",)
    assert taken_from(str(link)) == [str(link), str(real)]
    real.unlink()
    assert beta_end(link) == 0.05  # the folder in which the link lies


def test_a_schedule_above_is_named_by_the_path_that_was_given(tmp_path):
    pipeline(tmp_path / "disk/run/checkpoint-5")
    shutil.move(tmp_path / "disk/run/checkpoint-5/scheduler", tmp_path / "disk/run/scheduler")
    (tmp_path / "home").symlink_to(tmp_path / "disk")
    given = tmp_path / "home/run"
    assert examine(given / "checkpoint-5").scheduler == given / "scheduler/scheduler_config.json"


def test_weights_behind_a_link_to_nothing_and_folders_of_their_name_are_refused(tmp_path):
    pipeline(tmp_path)
    weights = tmp_path / "unet" / WEIGHTS
    weights.unlink()
    weights.symlink_to("/nowhere/blob")
    refused(rf"{WEIGHTS} is a link to a file that is not there \(/nowhere/blob\); fetch it again", tmp_path)
    weights.unlink()
    weights.mkdir()
    refused(rf"{WEIGHTS} is a folder, not a file of weights", tmp_path)


def test_an_adapter_behind_a_link_to_nothing_is_refused(tmp_path):
    (tmp_path / FILE).symlink_to("/nowhere/blob")
    for place in (tmp_path, tmp_path / FILE):
        with pytest.raises(WaypointError, match="is a link to a file that is not there"):
            file_of(place)


# ---- indices of shards


@pytest.mark.parametrize(
    "text",
    [
        "[]",
        "{",
        "{}",
        '{"weight_map": []}',
        '{"weight_map": {"a": 1}}',
        '{"weight_map": {"a": ["b"]}}',
        '{"weight_map": {}}',
    ],
)
def test_a_damaged_index_of_shards_is_refused(tmp_path, text):
    pipeline(tmp_path)
    (tmp_path / f"unet/{WEIGHTS}.index.json").write_text(text)
    planned(tmp_path)  # without a traceback; the process that builds networks refuses it
    with pytest.raises(WaypointError, match=rf"{WEIGHTS}.index.json is damaged .*; fetch it again"):
        checkpoints.outline(tmp_path)


def test_a_shard_behind_a_link_to_nothing_is_named(tmp_path):
    pipeline(tmp_path)
    save_file({"a": torch.zeros(1)}, tmp_path / "unet/other.safetensors")
    (tmp_path / "unet/shard.safetensors").symlink_to("/nowhere/blob")
    (tmp_path / f"unet/{WEIGHTS}.index.json").write_text(json.dumps({"weight_map": {"a": "shard.safetensors"}}))
    with pytest.raises(WaypointError, match="shard.safetensors is a link to a file that is not there"):
        checkpoints.outline(tmp_path)


# ---- parts beside the network


@pytest.mark.parametrize("named", ["", "unet"])
def test_a_controlnet_is_said_to_be_left_out(tmp_path, named):
    network = pipeline(tmp_path)
    index = {
        "unet": ["diffusers", "UNet2DModel"],
        "controlnet": ["diffusers", "ControlNetModel"],
        "adapter": [None, None],
    }
    (tmp_path / "model_index.json").write_text(json.dumps(index))
    _, notes = checkpoints.take(tmp_path / named)
    assert (
        "its model_index.json names controlnet (ControlNetModel), which is left out: the network works without it"
        in notes
    )
    assert not any("adapter" in note for note in notes) and gives(tmp_path / named, network)
