"""Files of adapters: one adapter in every style of names gives the same network bit by bit, and every refusal."""

import json
import struct

import numpy as np
import pytest
import torch
from diffusers import DDPMScheduler
from diffusers.loaders.lora_conversion_utils import _convert_non_diffusers_lora_to_diffusers
from safetensors.torch import save_file
from support import unet_with_text

from waypoint.errors import WaypointError
from waypoint.science.networks import lora
from waypoint.science.processes.ddpm import Denoiser
from waypoint.store.networks import adapters
from waypoint.store.networks.adapter_files import FILE, read_adapter_file
from waypoint.store.networks.adapter_settings import METADATA

RANK, ALPHA = 2, 4.0
ATTENTION = ["to_q", "to_k", "to_v", "to_out.0"]


def values(targets=ATTENTION, seed=0):
    """A trained adapter: {layer: (A, B)}."""
    unet, stream = unet_with_text(), torch.Generator().manual_seed(seed)
    shapes = {name: unet.get_submodule(name).weight.shape for name in lora.layers_named(unet, targets)}
    return {
        name: (torch.randn(RANK, into, generator=stream), torch.randn(out, RANK, generator=stream))
        for name, (out, into) in shapes.items()
    }


def named(pairs, down, up, layer=lambda name: name):
    state = {}
    for name, (A, B) in pairs.items():
        state |= {down.format(layer(name)): A.contiguous(), up.format(layer(name)): B.contiguous()}
    return state


def diffusers(pairs):
    return named(pairs, "unet.{}.lora.down.weight", "unet.{}.lora.up.weight")


def peft(pairs, prefix="unet."):
    return named(pairs, prefix + "{}.lora_A.weight", prefix + "{}.lora_B.weight")


def underscored(name):
    return name.replace(".", "_")


def kohya(pairs, alpha=ALPHA, dtype=torch.float32):
    found = named(pairs, "lora_unet_{}.lora_down.weight", "lora_unet_{}.lora_up.weight", underscored)
    alphas = {f"lora_unet_{underscored(name)}.alpha": torch.tensor(alpha, dtype=dtype) for name in pairs}
    return found | (alphas if alpha is not None else {})


def metadata(**config):
    return {"format": "pt", METADATA: json.dumps({f"unet.{key}": value for key, value in config.items()})}


def outputs(unet):
    """What a network gives, always on the same input."""
    stream = torch.Generator().manual_seed(9)
    x, texts = torch.randn(2, 1, 8, 8, generator=stream), torch.randn(2, 5, 12, generator=stream)
    with torch.no_grad():
        return unet.eval()(x, torch.tensor([10, 700]), texts).sample


def taken(place, alpha=None):
    denoiser = Denoiser(unet_with_text(), DDPMScheduler())
    adapters.add_existing(denoiser, place, alpha)
    return denoiser.unet


STYLES = {
    "diffusers": (diffusers, None, ALPHA),
    "peft": (peft, None, ALPHA),
    "peft, bare": (lambda pairs: peft(pairs, ""), None, ALPHA),
    "peft, adapter_model": (lambda pairs: peft(pairs, "base_model.model."), None, ALPHA),
    "peft, head": (peft, metadata(r=RANK, lora_alpha=ALPHA), None),
    "kohya": (kohya, None, None),
    "kohya, bfloat16 alpha": (lambda pairs: kohya(pairs, dtype=torch.bfloat16), None, None),
    "kohya, float16 alpha": (lambda pairs: kohya(pairs, dtype=torch.float16), None, ALPHA),
}


@pytest.mark.parametrize("style", STYLES)
def test_one_adapter_in_every_style_gives_the_same_network_bit_by_bit(tmp_path, style):
    write, head, alpha = STYLES[style]
    save_file(write(values()), tmp_path / "a.safetensors", head)
    expected = unet_with_text()
    lora.put_factors(expected, {name: lora.Factors(A, B, ALPHA) for name, (A, B) in values().items()})
    assert torch.equal(outputs(taken(tmp_path / "a.safetensors", alpha)), outputs(expected))
    assert not torch.equal(outputs(expected), outputs(unet_with_text()))


@pytest.mark.parametrize("write", [diffusers, peft])
def test_without_alpha_anywhere_it_is_the_rank_as_diffusers_takes_it(tmp_path, write):
    save_file(write(values()), tmp_path / FILE)
    theirs = unet_with_text()
    theirs.load_lora_adapter(str(tmp_path), prefix="unet", weight_name=FILE)
    torch.testing.assert_close(outputs(taken(tmp_path)), outputs(theirs))
    assert {each.alpha for each in lora.factors(taken(tmp_path)).values()} == {RANK}


def test_kohya_is_read_as_diffusers_reads_it(tmp_path):
    save_file(kohya(values()), tmp_path / FILE)
    state, alphas = _convert_non_diffusers_lora_to_diffusers(kohya(values()))
    theirs = unet_with_text()
    theirs.load_lora_adapter(state, prefix="unet", network_alphas=alphas)
    torch.testing.assert_close(outputs(taken(tmp_path)), outputs(theirs))


def test_what_is_stored_is_read_by_diffusers_with_its_alpha(tmp_path):
    mine = unet_with_text()
    lora.put_factors(mine, {name: lora.Factors(A, B, ALPHA) for name, (A, B) in values().items()})
    (folder := tmp_path / "full").mkdir()
    adapters.save(mine, folder)
    theirs = unet_with_text()
    theirs.load_lora_adapter(str(folder), prefix="unet", weight_name=FILE)
    assert torch.equal(outputs(theirs), outputs(mine))
    assert torch.equal(outputs(taken(folder)), outputs(mine))
    assert (folder / FILE).stat().st_mode & 0o666 == folder.stat().st_mode & 0o666  # others may read the store


def test_layers_with_ranks_and_alphas_of_their_own_are_stored_as_they_are(tmp_path):
    pairs = values()
    first = next(iter(pairs))
    mine = unet_with_text()
    factors = {name: lora.Factors(A, B, 1.5 if name == first else ALPHA) for name, (A, B) in pairs.items()}
    factors[first] = lora.Factors(factors[first].A[:1], factors[first].B[:, :1], 1.5)
    lora.put_factors(mine, factors)
    adapters.save(mine, tmp_path)
    assert torch.equal(outputs(taken(tmp_path)), outputs(mine))
    found = lora.factors(taken(tmp_path))
    assert (found[first].rank, found[first].alpha) == (1, 1.5)


def test_convolutions_may_have_adapters_too(tmp_path):
    unet, stream = unet_with_text(), torch.Generator().manual_seed(0)
    layer = unet.down_blocks[0].resnets[0].conv1
    A = torch.randn(RANK, layer.in_channels, 3, 3, generator=stream)
    B = torch.randn(layer.out_channels, RANK, 1, 1, generator=stream)
    save_file(kohya({"down_blocks.0.resnets.0.conv1": (A, B)}), tmp_path / FILE)
    with torch.no_grad():
        layer.weight += ALPHA / RANK * torch.einsum("or,rikl->oikl", B[..., 0, 0], A)
    torch.testing.assert_close(outputs(taken(tmp_path)), outputs(unet))


def test_half_precision_is_computed_with_in_float32(tmp_path):
    halves = {name: (A.half(), B.half()) for name, (A, B) in values().items()}
    save_file(peft(halves), tmp_path / FILE)
    assert all(each.A.dtype == torch.float32 for each in lora.factors(taken(tmp_path)).values())


# ---- refusals


def changed(change, write=peft):
    """A file's tensors after a change of them."""
    state = write(values())
    return change(state) or state


def without(part):
    return lambda state: {name: tensor for name, tensor in state.items() if part not in name}


def renamed(before, after):
    return lambda state: {name.replace(before, after): tensor for name, tensor in state.items()}


def more(name, shape=(2, 8)):
    return lambda state: {**state, name: torch.ones(shape)}


def zero(part):
    return lambda state: {name: tensor * 0 if part in name else tensor for name, tensor in state.items()}


LAYER = next(iter(values()))
REFUSED = {
    "no lora": (
        lambda s: {"conv_in.weight": torch.ones(1)},
        r"holds no LoRA weights \(conv_in.weight\); a",
    ),
    "dora": (
        more(f"unet.{LAYER}.lora_magnitude_vector"),
        r"is a DoRA adapter \(unet.*vector\), which is not",
    ),
    "text encoder": (more("text_encoder.layers.0.q_proj.lora_A.weight"), r"also changes the text encoder"),
    "kohya's text encoder": (more("lora_te1_x.lora_down.weight"), r"also changes the text encoder \(lora_te1_x"),
    "transformer": (renamed("unet.", "transformer."), "is an adapter of a transformer"),
    "unknown": (
        more("unet.mid_block.lora_C.weight"),
        "holds unet.mid_block.lora_C.weight, which is not a known part",
    ),
    "half": (without("to_q.lora_B"), "holds unet.*to_q.lora_A.weight, but not the other factor"),
    "never trained": (zero("lora_B"), "was never trained: B is 0 in every layer"),
    "no product": (
        lambda s: {**s, f"unet.{LAYER}.lora_A.weight": torch.ones(3, 8)},
        r"have the shapes \(3, 8\) and \(8, 2\), which do not multiply",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_no_plain_adapter_of_a_unet_is_refused_by_name(tmp_path, name):
    change, words = REFUSED[name]
    save_file(changed(change), tmp_path / FILE)
    with pytest.raises(WaypointError, match=words):
        read_adapter_file(tmp_path)


@pytest.mark.parametrize("key, words", [("use_rslora", "rank-stabilised LoRA"), ("use_dora", "DoRA")])
def test_other_scales_are_refused_as_the_head_names_them(tmp_path, key, words):
    save_file(peft(values()), tmp_path / FILE, metadata(r=2, lora_alpha=2, **{key: True}))
    with pytest.raises(WaypointError, match=words):
        read_adapter_file(tmp_path)


def test_names_that_match_nothing_are_an_error_that_shows_one(tmp_path):
    save_file(changed(renamed("attn1", "attention")), tmp_path / FILE)
    with pytest.raises(WaypointError, match=r"holds unet\..*attention\S* and \d+ more, which is for no layer"):
        taken(tmp_path)
    save_file(changed(renamed("attn1", "attention"), kohya), tmp_path / FILE)
    with pytest.raises(WaypointError, match=r"holds lora_unet_.*attention.*for no layer of the base"):
        taken(tmp_path)


def test_factors_of_another_network_are_refused_with_both_shapes(tmp_path):
    pairs = values()
    pairs[LAYER] = (torch.ones(2, 320), torch.ones(320, 2))
    save_file(diffusers(pairs), tmp_path / FILE)
    with pytest.raises(WaypointError, match=r"\(2, 320\) and \(320, 2\), and the base wants \(2, 8\) and \(8, 2\)"):
        taken(tmp_path)


def test_alpha_of_the_configuration_and_of_the_file_must_not_differ(tmp_path):
    save_file(kohya(values()), tmp_path / FILE)
    with pytest.raises(WaypointError, match="adapter.alpha: 8, but .* states alpha = 4; leave"):
        taken(tmp_path, alpha=8.0)
    assert torch.equal(outputs(taken(tmp_path, alpha=4.0)), outputs(taken(tmp_path)))


@pytest.mark.parametrize("alpha", [0.0, -1.0, float("nan")])
def test_an_alpha_that_is_none_is_refused(tmp_path, alpha):
    save_file(kohya(values(), alpha), tmp_path / FILE)
    with pytest.raises(WaypointError, match="alpha is a number above 0"):
        read_adapter_file(tmp_path)


def test_values_that_are_not_finite_are_refused_before_they_are_stored(tmp_path):
    pairs = values()
    pairs[LAYER][0][0, 0] = torch.inf
    save_file(peft(pairs), tmp_path / FILE)
    with pytest.raises(WaypointError, match="are not finite"):
        taken(tmp_path)


def test_places_without_an_adapter_are_refused_with_what_lies_there(tmp_path):
    with pytest.raises(WaypointError, match="there is no such file or folder"):
        read_adapter_file(tmp_path / "nowhere")
    with pytest.raises(WaypointError, match=f"the folder holds no {FILE}"):
        read_adapter_file(tmp_path)
    save_file(peft(values()), tmp_path / "style.safetensors")
    with pytest.raises(WaypointError, match="holds style.safetensors, but no .*; name the file itself: .*style"):
        read_adapter_file(tmp_path)
    torch.save(peft(values()), tmp_path / "a.bin")
    with pytest.raises(WaypointError, match="a.bin is not a safetensors file; load it with diffusers"):
        read_adapter_file(tmp_path / "a.bin")
    whole = (tmp_path / "style.safetensors").read_bytes()
    (tmp_path / "style.safetensors").write_bytes(whole[:-10])
    with pytest.raises(WaypointError, match="is cut short"):
        read_adapter_file(tmp_path / "style.safetensors")


def test_zero_is_told_by_its_bytes_whatever_its_sign_and_type(tmp_path):
    for dtype in (torch.float32, torch.float16, torch.bfloat16):
        state = {
            name: (-0.0 * tensor if "lora_B" in name else tensor).to(dtype) for name, tensor in peft(values()).items()
        }
        save_file(state, tmp_path / FILE)
        with pytest.raises(WaypointError, match="never trained"):
            read_adapter_file(tmp_path)
    assert np.frombuffer(struct.pack("<f", -0.0), np.uint8).tolist() == [0, 0, 0, 128]
