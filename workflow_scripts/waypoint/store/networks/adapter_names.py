"""Names of tensors in LoRA adapter files, and of the layers that they belong to.

kohya's scripts train SDXL on the network of its own code, whose blocks are numbered through: diffusers'
``down_blocks.1.attentions.0`` is ``input_blocks.4.1`` there. Such names are computed from those of the base.
"""

import re
from collections.abc import Iterable

WRAPPERS = ("base_model.model.", "module.", "unet.")  # of PEFT, DataParallel, and diffusers' pipelines
COMPILED = "_orig_mod."  # torch.compile may wrap the whole network, or parts of it
PAIR = re.compile(
    r"(?P<layer>.+?)\.(?:lora\.|lora_)(?P<side>down|up|A|B)(?:\.default(?:_0)?)?\.weight"
    # diffusers before 0.22: LoRA as a processor of the attention
    r"|(?P<attention>.+)\.processor\.(?P<part>to_[qkv]|to_out)_lora\.(?P<old_side>down|up)\.weight"
)
KOHYA = re.compile(r"lora_unet_(?P<layer>\w+)\.(?:lora_(?P<side>down|up)\.weight|(?P<alpha>alpha))")
SIDES = {"A": "down", "B": "up"}
OTHER_STYLES = {  # LyCORIS' and others' changes of the weights, by a part of the names
    "hada_": "LoHa",
    "lokr_": "LoKr",
    "lora_mid": "LoCon with a third factor",
    "oft_": "OFT",
    "boft_": "BOFT",
    "lycoris_": "LyCORIS",
}
FIXED = {  # layers outside the blocks
    "conv_in": "input_blocks.0.0",
    "conv_out": "out.2",
    "time_embedding.linear_1": "time_embed.0",
    "time_embedding.linear_2": "time_embed.2",
    "add_embedding.linear_1": "label_emb.0.0",
    "add_embedding.linear_2": "label_emb.0.2",
}
RESNET = {  # layers of a residual block
    "conv1": "in_layers.2",
    "conv2": "out_layers.3",
    "time_emb_proj": "emb_layers.1",
    "conv_shortcut": "skip_connection",
}
MIDDLE = {("resnets", 0): 0, ("attentions", 0): 1, ("resnets", 1): 2}  # part's number of the block in the middle
BLOCK = re.compile(r"(?P<way>down|up)_blocks\.(?P<block>\d+)\.(?P<kind>\w+)\.(?P<i>\d+)\.(?P<rest>.+)")
MID = re.compile(r"mid_block\.(?P<kind>resnets|attentions)\.(?P<i>\d+)\.(?P<rest>.+)")


def read_name(name: str, underscored: bool) -> tuple[str | None, str]:
    """Return the layer of a tensor, or None, and "down", "up" or "alpha".

    Args:
        underscored: whether the file has kohya's names, whose layers have _ for every dot.
    """
    if underscored:
        match = KOHYA.fullmatch(name)
        return (match["layer"], match["side"] or match["alpha"]) if match else (None, "")
    name = name.replace(COMPILED, "")
    while wrapper := next((wrapper for wrapper in WRAPPERS if name.startswith(wrapper)), None):
        name = name.removeprefix(wrapper)
    match = PAIR.fullmatch(name)
    if match is None:
        return None, ""
    if match["attention"]:
        part = "to_out.0" if match["part"] == "to_out" else match["part"]
        return f"{match['attention']}.{part}", match["old_side"]
    return match["layer"], SIDES.get(match["side"], match["side"])


def underscored_names(layers: Iterable[str]) -> dict[str, str]:
    """Return {name of a layer in kohya's files: its name in the base}, in both of kohya's ways.

    Args:
        layers: names of all layers of the base.
    """
    layers = list(layers)
    numbered = _numbered_names(layers)
    return {name.replace(".", "_"): name for name in layers} | {
        other.replace(".", "_"): name for name, other in numbered.items()
    }


def _numbered_names(layers: list[str]) -> dict[str, str]:
    """Return {layer: its name in the original code of Stable Diffusion and SDXL}."""
    blocks = [match for name in layers if (match := BLOCK.fullmatch(name))]
    first = {int(m["i"]) for m in blocks if (m["way"], m["block"], m["kind"]) == ("down", "0", "resnets")}
    size = len(first) + 1  # numbers of one block: its residual blocks, and the change of size
    attending = {m["block"] for m in blocks if (m["way"], m["kind"]) == ("up", "attentions")}
    names: dict[str, str] = {}
    for name in layers:
        if name in FIXED:
            names[name] = FIXED[name]
        elif match := MID.fullmatch(name):
            number = MIDDLE.get((match["kind"], int(match["i"])))
            if number is not None:
                names[name] = f"middle_block.{number}.{RESNET.get(match['rest'], match['rest'])}"
        elif match := BLOCK.fullmatch(name):
            number, rest = int(match["block"]) * size + int(match["i"]), match["rest"]
            part = {"resnets": 0, "attentions": 1}.get(match["kind"])
            if match["kind"] == "downsamplers":
                names[name] = f"input_blocks.{(int(match['block']) + 1) * size}.0.op"
            elif match["kind"] == "upsamplers":  # after the attention, where there is one
                number = (int(match["block"]) + 1) * size - 1
                names[name] = f"output_blocks.{number}.{1 + (match['block'] in attending)}.{rest}"
            elif part is not None:
                inner = RESNET.get(rest, rest) if part == 0 else rest
                side = f"input_blocks.{number + 1}" if match["way"] == "down" else f"output_blocks.{number}"
                names[name] = f"{side}.{part}.{inner}"
    return names
