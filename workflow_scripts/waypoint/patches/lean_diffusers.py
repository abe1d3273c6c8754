"""What Waypoint uses of diffusers, without transformers and scipy, which none of it needs: every job starts earlier.

Whoever wants a pipeline with a text encoder, or a scheduler that needs scipy, in the same process imports diffusers
first, and has all of it.
"""

import sys

alone = not {"diffusers", "transformers"} & sys.modules.keys()
hidden = {name: sys.modules.get(name) for name in ("scipy", "transformers")} if alone else {}
sys.modules.update(dict.fromkeys(hidden))  # None: as if not installed, for as long as diffusers looks around
try:
    from diffusers import AutoencoderKL, DDPMScheduler, UNet2DConditionModel, UNet2DModel, __version__
finally:
    for name in hidden:
        del sys.modules[name]
    sys.modules.update({name: module for name, module in hidden.items() if module})

__all__ = ["AutoencoderKL", "DDPMScheduler", "UNet2DConditionModel", "UNet2DModel", "__version__"]
