"""UNet2DConditionModel: conditioned on embedded captions; SDXL's also on pooled ones (``sdxl.py``)."""

from typing import TYPE_CHECKING

from waypoint.errors import WaypointError
from waypoint.science.networks import sdxl
from waypoint.science.networks.network import Network
from waypoint.science.types import Settings

if TYPE_CHECKING:
    import torch

MORE_CONDITIONS = (  # keys for conditions besides a caption, which Waypoint does not provide
    "class_embed_type",
    "num_class_embeds",
    "addition_embed_type",
    "encoder_hid_dim_type",
    "time_cond_proj_dim",
)


def arguments(config: Settings, x: "torch.Tensor", condition: "torch.Tensor | None") -> dict[str, object]:
    """Return embedded captions (B, token, width) as arguments; for SDXL they come from ``sdxl.pack``."""
    if condition is not None and sdxl.is_sdxl(config):
        return sdxl.arguments(config, x, condition)
    return {"encoder_hidden_states": condition}


def check(config: Settings) -> None:
    """Refuse further conditions, except SDXL's."""
    for key in MORE_CONDITIONS:
        if config.get(key) is not None and not (key == "addition_embed_type" and sdxl.is_sdxl(config)):
            raise WaypointError(f"{key} {config[key]!r} is not supported; captions are")


NETWORK = Network(
    name="UNet2DConditionModel",
    module="models.unets.unet_2d_condition",
    channels=4,
    is_new=lambda unet: "cross_attention_dim" in unet,
    conditioned_by=lambda config: "encoder_hidden_states",
    arguments=arguments,
    pipeline=lambda config: "StableDiffusionXLPipeline" if sdxl.is_sdxl(config) else "StableDiffusionPipeline",
    check=check,
    keys=frozenset(
        {
            "conv_in_kernel",
            "conv_out_kernel",
            "cross_attention_dim",
            "only_cross_attention",
            "resnet_out_scale_factor",
            "time_embedding_act_fn",
            "transformer_layers_per_block",
            "use_linear_projection",
        }
    ),
    blocks=frozenset({"CrossAttnDownBlock2D", "CrossAttnUpBlock2D", "UNetMidBlock2DCrossAttn"}),
    label="text-conditional network",
    qualifier="with cross_attention_dim",
    old_size=64,  # Stable Diffusion's
)
