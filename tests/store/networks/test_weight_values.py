"""Values of weights: NaN, infinity and quantised ones are refused by the name of the tensor, in every kind of file."""

import json

import pytest
import torch
from diffusers import DDPMScheduler, UNet2DModel
from pipelines import sdxl, stable_diffusion
from safetensors.torch import load_file, save_file
from support import UNET, tiny_config

from waypoint.errors import WaypointError
from waypoint.store.networks import checkpoints, text_encoder, vae
from waypoint.workflow.config.complete import complete
from waypoint.workflow.plan import networks
from waypoint.workflow.plan.plan import Plan

STEM = "diffusion_pytorch_model"
MODEL = {"unet": UNET, "scheduler": {"num_train_timesteps": 1000}}


def state(change=lambda name, q: q):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return {name: change(name, q) for name, q in UNet2DModel(**UNET).state_dict().items()}


def stored(folder, tensors, kind):
    """A model with these weights; returns its path, and the section ``model`` that it needs."""
    if kind == "pt":
        torch.save({"unet": tensors}, folder / "a.pt")
        return str(folder / "a.pt"), MODEL
    UNet2DModel(**UNET).save_pretrained(folder / "unet")
    DDPMScheduler().save_pretrained(folder / "scheduler")
    (folder / f"unet/{STEM}.safetensors").unlink()
    save = save_file if kind == "safetensors" else torch.save
    save(tensors, folder / f"unet/{STEM}.{kind}")
    return str(folder), None


def planned(path, model):
    plan = Plan(complete(tiny_config(model, checkpoints={"paths": [path]})))
    jobs = [("import_checkpoint", {"checkpoint": "full/0"})]
    return networks.answer(**json.loads(json.dumps(networks.question(plan, jobs, None))))


KINDS = ["safetensors", "bin", "pt"]


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize("kind", KINDS)
def test_weights_that_are_not_finite_are_refused_by_the_import(tmp_path, kind, value):
    path, model = stored(
        tmp_path,
        state(lambda name, q: q.index_fill(0, torch.tensor([1]), value) if name == "conv_in.bias" else q),
        kind,
    )
    with pytest.raises(WaypointError, match="not finite: conv_in.bias holds NaN or infinity"):
        checkpoints.load(path, model=model)


def test_large_weights_whose_sum_overflows_are_taken(tmp_path):
    large = torch.finfo(torch.float32).max
    path, _ = stored(tmp_path, state(lambda name, q: q.fill_(large) if name == "conv_in.bias" else q), "safetensors")
    assert checkpoints.load(path).unet.conv_in.bias.eq(large).all()


def test_float64_beyond_float32_is_refused(tmp_path):
    path, _ = stored(
        tmp_path, state(lambda name, q: q.double().fill_(1e300) if name == "conv_in.bias" else q), "safetensors"
    )
    with pytest.raises(WaypointError, match="not finite: conv_in.bias"):
        checkpoints.load(path)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "dtype, name",
    [
        ("int8", "I8"),
        ("uint8", "U8"),
        ("int32", "I32"),
        ("int64", "I64"),
        ("bool", "BOOL"),
        ("float8_e4m3fn", r"F\w+"),
    ],
)
def test_quantised_weights_are_refused_before_the_first_job(tmp_path, kind, dtype, name):
    path, model = stored(
        tmp_path, state(lambda key, q: (100 * q).to(getattr(torch, dtype)) if key == "conv_in.weight" else q), kind
    )
    with pytest.raises(WaypointError, match=rf"its weights are quantised \(conv_in.weight is {name}\)"):
        planned(path, model)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_other_floats_are_taken(tmp_path, kind, dtype):
    path, model = stored(tmp_path, state(lambda name, q: q.to(dtype)), kind)
    planned(path, model)
    taken = checkpoints.load(path, model=model).unet.state_dict()
    assert all(torch.equal(taken[name], q.to(dtype).float()) for name, q in state().items())


# ---- encoders


def spoil(file, name):
    tensors = load_file(file)
    tensors[name].view(-1)[0] = torch.nan
    save_file(tensors, file, metadata={"format": "pt"})
    return name


def test_an_autoencoder_that_is_not_finite_is_refused(tmp_path):
    path = stable_diffusion(tmp_path)
    vae.load_vae(path)
    spoil(tmp_path / f"vae/{STEM}.safetensors", "decoder.conv_in.bias")
    with pytest.raises(WaypointError, match="^vae .*not finite: decoder.conv_in.bias"):
        vae.load_vae(path)


@pytest.mark.parametrize("write, part", [(stable_diffusion, "text_encoder"), (sdxl, "text_encoder_2")])
def test_a_text_encoder_that_is_not_finite_is_refused(tmp_path, write, part):
    path = write(tmp_path)
    text_encoder.load_text_encoder(path)
    file = tmp_path / part / "model.safetensors"
    spoil(file, next(name for name in load_file(file) if name.endswith("final_layer_norm.bias")))
    with pytest.raises(
        WaypointError, match=rf"^text_encoder: .*{part if part[-1] == '2' else ''}: .*final_layer_norm.bias"
    ):
        text_encoder.load_text_encoder(path)
