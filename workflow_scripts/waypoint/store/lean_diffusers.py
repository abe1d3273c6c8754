"""What Waypoint uses of diffusers, without transformers, which none of it needs: every job starts earlier.

Whoever wants a pipeline with a text encoder in the same process imports diffusers first, and has all of it.
"""

import sys

alone = "diffusers" not in sys.modules and "transformers" not in sys.modules
if alone:
    sys.modules["transformers"] = None  # as if it were not installed, for as long as diffusers looks around
try:
    from diffusers import AutoencoderKL, DDPMScheduler, UNet2DConditionModel, UNet2DModel, __version__
finally:
    if alone:
        del sys.modules["transformers"]

__all__ = ["AutoencoderKL", "DDPMScheduler", "UNet2DConditionModel", "UNet2DModel", "__version__"]
