"""The classes of diffusers that Waypoint uses, without transformers, scipy and PEFT: jobs with a model start earlier.

diffusers imports them wherever they are installed, which takes seconds, and none of these classes needs them. So they
are hidden from it while it is imported; jobs with adapters import PEFT themselves. Whoever wants a pipeline with a
text encoder, or a scheduler that needs scipy, in the same process imports diffusers first, and has all of it.

Written for diffusers 0.42.1; any other version is imported as it is. This file imports nothing of Waypoint.
"""

import sys
from importlib.metadata import version
from types import ModuleType
from typing import cast

WRITTEN_FOR = "0.42.1"

alone = version("diffusers") == WRITTEN_FOR and not {"diffusers", "peft", "transformers"} & sys.modules.keys()
hidden = {name: sys.modules.get(name) for name in ("peft", "scipy", "transformers")} if alone else {}
sys.modules.update(cast("dict[str, ModuleType]", dict.fromkeys(hidden)))  # None: as if not installed
try:
    from diffusers import __version__
    from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
    from diffusers.models.modeling_utils import no_init_weights
    from diffusers.models.unets.unet_2d import UNet2DModel
    from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
    from diffusers.schedulers.scheduling_ddpm import DDPMScheduler
finally:
    for name in hidden:
        del sys.modules[name]
    sys.modules.update({name: module for name, module in hidden.items() if module})

__all__ = [
    "AutoencoderKL",
    "DDPMScheduler",
    "UNet2DConditionModel",
    "UNet2DModel",
    "__version__",
    "no_init_weights",
]
