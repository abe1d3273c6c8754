"""Which networks are known, judged from their configuration alone, without a model library."""

from waypoint.errors import WaypointError
from waypoint.science.networks.sdxl import is_sdxl
from waypoint.science.types import Settings

KNOWN = ("UNet2DModel", "UNet2DConditionModel")
# of UNet2DConditionModel: what it would be given besides a caption, which Waypoint does not have
MORE_CONDITIONS = (
    "class_embed_type",
    "num_class_embeds",
    "addition_embed_type",
    "encoder_hid_dim_type",
    "time_cond_proj_dim",
)
# what networks with more channels in than out are for
PURPOSES = {5: "depth to image", 7: "an upscaler", 8: "editing (InstructPix2Pix)", 9: "inpainting"}


def require_known(config: Settings) -> str:
    """The class name of a stored network.

    Args:
        config: its config.json, as a mapping; one without a name is a UNet2DModel's.

    Raises:
        WaypointError: another network.
    """
    name: str = config.get("_class_name", KNOWN[0])
    if name not in KNOWN:
        raise WaypointError(f"network {name} is not supported; {' and '.join(KNOWN)} are")
    return name


def require_supported(config: Settings) -> None:
    """Refuse a stored network that is known, but of a kind that is not computed with.

    Args:
        config: its config.json, as a mapping.

    Raises:
        WaypointError: quantised weights, other channels out than in, further conditions; names which.
    """
    name = require_known(config)
    if config.get("quantization_config") is not None:
        raise WaypointError("its weights are quantised (quantization_config); store them in float32 or float16")
    text = name == KNOWN[1]
    default = 4 if text else 3  # diffusers'
    takes, gives = config.get("in_channels", default), config.get("out_channels", default)
    if takes != gives:
        purpose = PURPOSES.get(takes) if gives in (3, 4) else None
        kind = f": a model for {purpose}, which is not supported" if purpose else ""
        raise WaypointError(
            f"its network takes {takes} channels and gives {gives}{kind}; as many channels as it takes are needed"
        )
    check_conditions({"cross_attention_dim": None, **config} if text else config)


def check_conditions(config: Settings) -> None:
    """Refuse a UNet that wants more than an image, a step, and a class or a caption.

    Raises:
        WaypointError: names the key of its config.
    """
    text = "cross_attention_dim" in config
    for key in MORE_CONDITIONS if text else ("class_embed_type",):
        if config.get(key) is not None and not (key == "addition_embed_type" and is_sdxl(config)):
            instead = "captions are" if text else "num_class_embeds is"
            raise WaypointError(f"{key} {config[key]!r} is not supported; {instead}")
