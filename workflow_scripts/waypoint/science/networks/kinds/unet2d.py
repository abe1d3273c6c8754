"""UNet2DModel: unconditional or class-conditional."""

from typing import TYPE_CHECKING

from waypoint.errors import WaypointError
from waypoint.science.networks.network import Keyword, Network
from waypoint.science.types import Settings

if TYPE_CHECKING:
    import torch


def conditioned_by(config: Settings) -> Keyword:
    """Class labels, if the network has class embeddings."""
    return None if config.get("num_class_embeds") is None else "class_labels"


def arguments(config: Settings, x: "torch.Tensor", condition: "torch.Tensor | None") -> dict[str, object]:
    """Return classes (B,) as the argument, or none: an unconditional network ignores its condition."""
    keyword = conditioned_by(config)
    return {} if keyword is None else {keyword: condition}


def check(config: Settings) -> None:
    """Refuse class embeddings other than those of numbered classes, and steps that are continuous noise levels."""
    if config.get("time_embedding_type") == "fourier":  # of UNet2DModel alone: it takes the logarithm of the step
        raise WaypointError(
            "time_embedding_type 'fourier' is not supported: it is for continuous noise levels, and gives NaN at step 0"
        )
    if config.get("class_embed_type") is not None:
        raise WaypointError(f"class_embed_type {config['class_embed_type']!r} is not supported; num_class_embeds is")


NETWORK = Network(
    name="UNet2DModel",
    module="models.unets.unet_2d",
    channels=3,
    is_new=lambda unet: "cross_attention_dim" not in unet,
    conditioned_by=conditioned_by,
    arguments=arguments,
    pipeline=lambda config: "DDPMPipeline",
    check=check,
    keys=frozenset(
        {
            "add_attention",
            "attn_norm_num_groups",
            "downsample_type",
            "num_class_embeds",
            "num_train_timesteps",
            "upsample_type",
        }
    ),
    blocks=frozenset({"AttnDownBlock2D", "AttnUpBlock2D", "AttnSkipDownBlock2D", "AttnSkipUpBlock2D"}),
    label="network without cross_attention_dim",
    qualifier="without cross_attention_dim",
)
