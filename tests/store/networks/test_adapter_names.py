"""Adapters under the names of kohya's SDXL code, of wrappers and of older versions are loaded as diffusers does."""

import pytest
import torch
from diffusers import DDPMScheduler, StableDiffusionXLPipeline, UNet2DConditionModel
from pipelines import POOLED, SDXL_UNET, WIDTH
from safetensors.torch import save_file
from support import seeded, unet_with_text
from test_adapter_files import FILE, LAYER, changed, diffusers, kohya, outputs, peft, renamed, taken, values

from waypoint.errors import WaypointError
from waypoint.science.processes.ddpm import Denoiser
from waypoint.store.networks import adapters
from waypoint.store.networks.adapter_files import read_adapter_file
from waypoint.store.networks.adapter_names import underscored_names

RESNETS = ("conv1", "conv2", "time_emb_proj", "conv_shortcut")


def network():
    """A small network with SDXL's blocks: two down with attention, two residual blocks each."""
    blocks = {"block_out_channels": [8, 8, 16], "layers_per_block": 2, "transformer_layers_per_block": 1}
    down = ["DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"]
    up = ["CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"]
    config = {**SDXL_UNET, **blocks, "down_block_types": down, "up_block_types": up}
    return seeded(lambda: UNet2DConditionModel(**config))


def factors(unet, layers):
    """{layer: (A, B)} of rank 2."""
    stream, made = torch.Generator().manual_seed(3), {}
    for name in layers:
        out, into, *kernel = unet.get_submodule(name).weight.shape
        A = torch.randn(2, into, *kernel, generator=stream)
        made[name] = (A, torch.randn(out, 2, *(1 for _ in kernel), generator=stream))
    return made


def numbered(unet, pairs, alpha=1.0):
    """An adapter as kohya's scripts store it for SDXL."""
    names = {layer: name for name, layer in underscored_names(adapters.shapes_of_layers(unet)).items()}
    state = {}
    for layer, (A, B) in pairs.items():
        state |= {f"lora_unet_{names[layer]}.lora_down.weight": A, f"lora_unet_{names[layer]}.lora_up.weight": B}
        state[f"lora_unet_{names[layer]}.alpha"] = torch.tensor(alpha)
    return state


def given(unet):
    """What such a network gives, always on the same input."""
    stream = torch.Generator().manual_seed(9)
    x, texts = torch.randn(2, 4, 8, 8, generator=stream), torch.randn(2, 5, 2 * WIDTH, generator=stream)
    added = {"text_embeds": torch.randn(2, POOLED, generator=stream), "time_ids": torch.ones(2, 6)}
    with torch.no_grad():
        return unet.eval()(x, torch.tensor([10, 700]), texts, added_cond_kwargs=added).sample


def loaded_by_diffusers(unet, state):
    state, alphas = StableDiffusionXLPipeline.lora_state_dict(state, unet_config=unet.config)
    StableDiffusionXLPipeline.load_lora_into_unet(state, alphas, unet)
    return unet


def read(unet, folder, state):
    save_file({name: tensor.contiguous() for name, tensor in state.items()}, folder / FILE)
    adapters.add_existing(Denoiser(unet, DDPMScheduler()), folder, None)
    return unet


def test_names_of_kohyas_sdxl_are_read_as_diffusers_reads_them(tmp_path):
    attention = [name for name in adapters.shapes_of_layers(network()) if "attentions" in name]
    state = numbered(network(), factors(network(), attention))
    assert "lora_unet_input_blocks_4_1_transformer_blocks_0_attn1_to_q.alpha" in state
    assert "lora_unet_middle_block_1_proj_in.alpha" in state
    assert "lora_unet_output_blocks_5_1_transformer_blocks_0_ff_net_0_proj.alpha" in state
    theirs = loaded_by_diffusers(network(), dict(state))
    assert torch.equal(given(read(network(), tmp_path, state)), given(theirs))
    assert not torch.allclose(given(theirs), given(network()))


def test_residual_blocks_and_changes_of_size_are_read_as_diffusers_reads_them(tmp_path):
    layers = [
        name
        for name in adapters.shapes_of_layers(network())
        if name.split(".")[-1] in RESNETS or "sampler" in name or name in ("conv_in", "conv_out")
    ]
    state = numbered(network(), factors(network(), layers))
    for name in ("input_blocks_4_0_in_layers_2", "output_blocks_2_2_conv", "input_blocks_3_0_op", "out_2"):
        assert f"lora_unet_{name}.alpha" in state
    theirs = loaded_by_diffusers(network(), dict(state))
    assert torch.equal(given(read(network(), tmp_path, state)), given(theirs))


def test_every_layer_has_one_numbered_name():
    layers = adapters.shapes_of_layers(network())
    both = [name for name, layer in underscored_names(layers).items()]
    assert len(both) == 2 * len(layers)


def test_one_layer_under_two_names_is_refused(tmp_path):
    layer = "mid_block.resnets.0.conv1"
    pair = factors(network(), [layer])
    state = numbered(network(), pair) | kohya(pair)
    state = {name: tensor.clone() for name, tensor in state.items()}
    with pytest.raises(WaypointError, match=r"mid_block\S* and \S*middle_block\S*, which are for the same layer mid_b"):
        read(network(), tmp_path, state)


PREFIXES = ["module.", "module.unet.", "unet._orig_mod.", "_orig_mod.module.", "unet.base_model.model."]


@pytest.mark.parametrize("prefix", PREFIXES)
def test_wrappers_of_names_are_left_out(tmp_path, prefix):
    save_file(peft(values()), tmp_path / "plain.safetensors")
    save_file(peft(values(), prefix), tmp_path / FILE)
    assert torch.equal(outputs(taken(tmp_path)), outputs(taken(tmp_path / "plain.safetensors")))


def test_a_part_that_was_compiled_is_read(tmp_path):
    save_file(peft(values()), tmp_path / "plain.safetensors")
    save_file(changed(renamed(".attn1.", ".attn1._orig_mod.")), tmp_path / FILE)
    assert torch.equal(outputs(taken(tmp_path)), outputs(taken(tmp_path / "plain.safetensors")))


def processors(pairs):
    """The names of diffusers before 0.22."""
    return {
        name.replace(".to_out.0.", ".to_out.").replace(".to_", ".processor.to_").replace(".lora.", "_lora."): tensor
        for name, tensor in diffusers(pairs).items()
    }


@pytest.mark.parametrize(
    "state", [processors(values()), changed(renamed(".weight", ".default_0.weight"))], ids=["processor", "default_0"]
)
def test_older_names_are_read_as_diffusers_reads_them(tmp_path, state):
    save_file(state, tmp_path / FILE)
    theirs = loaded_by_diffusers(unet_with_text(), dict(state))
    torch.testing.assert_close(outputs(taken(tmp_path)), outputs(theirs))
    assert not torch.allclose(outputs(theirs), outputs(unet_with_text()))


@pytest.mark.parametrize("before, after, kind", [
    ("lora_down.weight", "hada_w1_a", "LoHa"),
    ("lora_down.weight", "lokr_w1", "LoKr"),
    ("lora_up.weight", "lora_mid.weight", "LoCon with a third factor"),
    ("lora_unet_", "lycoris_", "LyCORIS"),
])  # fmt: skip
def test_other_kinds_are_named(tmp_path, before, after, kind):
    save_file(changed(renamed(before, after), kohya), tmp_path / FILE)
    with pytest.raises(WaypointError, match=rf"is an adapter of another kind, {kind} \(.*\), which is not supported"):
        read_adapter_file(tmp_path)


def test_an_unknown_part_is_refused_with_the_way_through_diffusers(tmp_path):
    save_file({**peft(values()), f"unet.{LAYER}.lora_C.weight": torch.ones(2, 8)}, tmp_path / FILE)
    with pytest.raises(WaypointError, match="load_lora_weights.*save it again with save_lora_weights"):
        read_adapter_file(tmp_path)
