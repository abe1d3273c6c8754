"""Settings stored beside an adapter's factors: read as PEFT and diffusers read them, or refused by name."""

import json

import pytest
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors.torch import save_file
from support import unet_with_text
from test_adapter_files import outputs, taken

from waypoint.errors import WaypointError
from waypoint.science.networks import lora
from waypoint.store.networks.adapter_files import FILE, read_adapter_file, sources_of
from waypoint.store.networks.adapter_settings import METADATA

RANK = 2
BESIDE, PEFT_FILE = "adapter_config.json", "adapter_model.safetensors"


def layers():
    return lora.layers_named(unet_with_text(), ["to_q", "to_v"])


def factors(prefix="unet.", seed=0, a="lora_A", b="lora_B", dtype=None):
    """The tensors of a file in PEFT's names."""
    unet, stream, state = unet_with_text(), torch.Generator().manual_seed(seed), {}
    for name in layers():
        out, into = unet.get_submodule(name).weight.shape
        state[f"{prefix}{name}.{a}.weight"] = torch.randn(RANK, into, generator=stream)
        state[f"{prefix}{name}.{b}.weight"] = torch.randn(out, RANK, generator=stream)
    return {name: (9 * q).to(dtype) if dtype else q for name, q in state.items()}


def write(folder, state=None, header=None, settings=None, name=FILE):
    head = None if header is None else {"format": "pt", METADATA: header if isinstance(header, str) else unet(header)}
    save_file(factors() if state is None else state, folder / name, head)
    if settings is not None:
        (folder / BESIDE).write_text(settings if isinstance(settings, str) else json.dumps(settings))
    return folder


def unet(header):
    return json.dumps({f"unet.{key}": value for key, value in header.items()})


def refused(words, folder, *arguments, **more):
    with pytest.raises(WaypointError, match=words):
        read_adapter_file(write(folder, *arguments, **more))


# ---- PEFT's own files


@pytest.mark.parametrize(
    "settings",
    [
        {"lora_alpha": 16},
        {"lora_alpha": 3, "rank_pattern": {"to_v": 4}, "alpha_pattern": {"attn2.to_q": 1, "to_v": 8}},
        {"lora_alpha": 6, "init_lora_weights": "gaussian"},
    ],
)
@pytest.mark.parametrize("given", ["folder", "file"])
def test_what_peft_stores_gives_what_peft_computes(tmp_path, settings, given):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        config = LoraConfig(r=RANK, target_modules=["to_q", "to_v"], **settings)
        theirs = get_peft_model(unet_with_text(), config)
        for name, q in theirs.named_parameters():
            if "lora_" in name:
                torch.nn.init.normal_(q)
    theirs.save_pretrained(tmp_path)
    place = tmp_path if given == "folder" else tmp_path / PEFT_FILE
    reloaded = PeftModel.from_pretrained(unet_with_text(), tmp_path)
    torch.testing.assert_close(outputs(taken(place)), outputs(reloaded))
    assert (outputs(reloaded) - outputs(unet_with_text())).abs().max() > 0.1
    assert [path.name for path in sources_of(place)] == [PEFT_FILE, BESIDE]


def test_settings_beside_another_file_than_pefts_are_its_own_unless_pefts_lies_there_too(tmp_path):
    write(tmp_path, settings={"r": RANK, "lora_alpha": 16})
    assert {each.alpha for each in lora.factors(taken(tmp_path)).values()} == {16}
    assert [path.name for path in sources_of(tmp_path)] == [FILE, BESIDE]
    save_file(factors("base_model.model."), tmp_path / PEFT_FILE)
    assert {each.alpha for each in lora.factors(taken(tmp_path / FILE)).values()} == {RANK}
    assert {each.alpha for each in lora.factors(taken(tmp_path / PEFT_FILE)).values()} == {16}
    assert [path.name for path in sources_of(tmp_path / FILE)] == [FILE]


def test_header_and_folder_must_state_one_alpha(tmp_path):
    same = {"r": RANK, "lora_alpha": 16}
    assert {pair.alpha for pair in read_adapter_file(write(tmp_path, None, same, same)).pairs.values()} == {16}
    refused(
        "lora_adapter_metadata states alpha = 4 of .* but .*config.json states 16",
        tmp_path,
        None,
        same | {"lora_alpha": 4},
        same,
    )


def test_alpha_of_the_configuration_must_be_that_of_the_folder(tmp_path):
    write(tmp_path, settings={"r": RANK, "lora_alpha": 16})
    with pytest.raises(WaypointError, match="adapter.alpha: 8, but .* states alpha = 16"):
        taken(tmp_path, 8.0)


KINDS = {
    "rslora": ({"use_rslora": True}, "is an adapter of rank-stabilised LoRA"),
    "dora": ({"use_dora": True}, "is an adapter of DoRA"),
    "bias": ({"lora_bias": True}, "is an adapter of LoRA with biases"),
    "pissa": ({"init_lora_weights": "pissa"}, "init_lora_weights: pissa, which changes the base before training"),
    "pissa_niter": ({"init_lora_weights": "pissa_niter_4"}, "init_lora_weights: pissa_niter_4"),
    "olora": ({"init_lora_weights": "OLoRA"}, "init_lora_weights: OLoRA"),
    "loftq": ({"init_lora_weights": "loftq"}, "init_lora_weights: loftq"),
    "corda": ({"init_lora_weights": "corda"}, "init_lora_weights: corda"),
    "kind": ({"peft_type": "LOHA"}, "of the kind LOHA"),
    "zero": ({"lora_alpha": 0}, "lora_alpha is 0; alpha is a finite number other than 0"),
    "nan": ({"lora_alpha": float("nan")}, "lora_alpha is nan; alpha"),
    "text": ({"lora_alpha": "x"}, "lora_alpha is 'x'; alpha"),
    "truth": ({"lora_alpha": True}, "lora_alpha is True; alpha"),
    "none": ({"lora_alpha": None}, "states r, but no lora_alpha"),
    "pattern": ({"alpha_pattern": {"(": 1}}, r"alpha_pattern: \( is no pattern of layers .*; correct it"),
    "pattern's value": ({"alpha_pattern": {"to_q": "x"}}, "to_q is 'x'; alpha"),
    "patterns": ({"alpha_pattern": [1]}, "alpha_pattern is no mapping"),
    "rank": ({"r": 4}, "states the rank 4 of .*, whose factors have the rank 2"),
    "rank pattern": ({"rank_pattern": {"to_q": 4}}, "states the rank 4 of .*to_q"),
    "no rank": ({"r": "x"}, "r is 'x'; a rank is a whole number above 0"),
}


@pytest.mark.parametrize("place", ["header", "settings"])
@pytest.mark.parametrize("name", KINDS)
def test_settings_of_other_adapters_are_refused_by_name(tmp_path, name, place):
    more, words = KINDS[name]
    config = {"r": RANK, "lora_alpha": 8, **more}
    refused(words, tmp_path, None, **{place: config})


@pytest.mark.parametrize("place", ["header", "settings"])
@pytest.mark.parametrize("text", ["[1]", "{"])
def test_damaged_settings_are_refused(tmp_path, text, place):
    refused("is damaged", tmp_path, None, **{place: text})


def test_a_negative_alpha_is_taken_as_diffusers_takes_it(tmp_path):
    write(tmp_path, None, {"r": RANK, "lora_alpha": -4, "target_modules": list(layers())})
    theirs = unet_with_text()
    theirs.load_lora_adapter(str(tmp_path), prefix="unet", weight_name=FILE)
    torch.testing.assert_close(outputs(taken(tmp_path)), outputs(theirs))


# ---- two adapters in one file


@pytest.mark.parametrize(
    "second",
    [
        {"prefix": ""},
        {"prefix": "base_model.model."},
        {"a": "lora_A.default", "b": "lora_B.default"},
        {"a": "lora.down", "b": "lora.up"},
    ],
)
def test_two_adapters_in_one_file_are_refused_with_both_names(tmp_path, second):
    two = {**factors(), **factors(seed=1, **second)}
    layer = layers()[0]
    refused(rf"holds two adapters of one layer, \S*{layer}\S* and \S*{layer}\S*; save each", tmp_path, two)


# ---- types


@pytest.mark.parametrize(
    "dtype, kind", [("int8", "I8"), ("int32", "I32"), ("int64", "I64"), ("float8_e4m3fn", "F8_E4M3")]
)
def test_factors_that_are_no_floats_are_refused(tmp_path, dtype, kind):
    refused(rf"weights are quantised \(\S+ is {kind}\)", tmp_path, factors(dtype=getattr(torch, dtype)))


@pytest.mark.parametrize("dtype", [torch.int64, torch.int32])
def test_kohyas_alpha_may_be_a_whole_number(tmp_path, dtype):
    state = {}
    for name, q in factors("", a="lora_down", b="lora_up").items():
        layer, part = name.split(".lora_")
        state[f"lora_unet_{layer.replace('.', '_')}.lora_{part}"] = q
        state[f"lora_unet_{layer.replace('.', '_')}.alpha"] = torch.tensor(4, dtype=dtype)
    write(tmp_path, state, settings={"r": 7, "lora_alpha": 9})  # PEFT's settings are not kohya's
    assert {each.alpha for each in lora.factors(taken(tmp_path)).values()} == {4}
    refused("is 0; alpha is a number above 0", tmp_path, {n: q * 0 if "alpha" in n else q for n, q in state.items()})
    layer = next(name for name in state if name.endswith(".alpha"))
    refused(
        "states alpha of some layers, but not of lora_unet", tmp_path, {n: q for n, q in state.items() if n != layer}
    )
