"""The diffusers classes that Waypoint uses, imported without transformers, SciPy and PEFT so that jobs start faster.

diffusers imports these packages wherever they are installed, which takes seconds, and none of the classes needs them.
They are therefore hidden while diffusers is imported; jobs with adapters import PEFT themselves. Code that needs a
pipeline with a text encoder, or a scheduler that uses SciPy, in the same process must import diffusers first.

Written for diffusers 0.42.1; any other version is imported normally. This file imports nothing of Waypoint.
"""

import sys
from importlib.metadata import version
from types import ModuleType
from typing import cast

WRITTEN_FOR = "0.42.1"

can_hide = version("diffusers") == WRITTEN_FOR and not {"diffusers", "peft", "transformers"} & sys.modules.keys()
hidden = {name: sys.modules.get(name) for name in ("peft", "scipy", "transformers")} if can_hide else {}
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
