"""The supported noise schedules, checked from their configuration alone, without a model library."""

import math
from collections.abc import Iterable
from numbers import Integral, Real
from typing import cast

from waypoint.errors import WaypointError
from waypoint.science.types import Settings

PREDICTIONS = ("epsilon", "v_prediction")
BETWEEN = ("linear", "scaled_linear", "sigmoid")  # schedules from beta_start to beta_end
# schedulers of diffusers that clip x̂0 unless their configuration says otherwise; a test compares them with diffusers
CLIPPING = {
    "DDPMScheduler",
    "DDPMParallelScheduler",
    "DDIMScheduler",
    "DDIMParallelScheduler",
    "DDIMInverseScheduler",
    "RePaintScheduler",
}
UNLIKE = {  # schedulers whose betas are not those of ancestral sampling, and why
    "IPNDMScheduler": "its steps are not of betas",
    "CogVideoXDDIMScheduler": "it shifts the signal (snr_shift_scale)",
    "CogVideoXDPMScheduler": "it shifts the signal (snr_shift_scale)",
}


def check_schedule(config: Settings) -> None:
    """Refuse, by name, schedules that ancestral sampling does not support here.

    Args:
        config: of a DDPMScheduler, as a mapping; missing keys have diffusers' defaults.

    Raises:
        WaypointError: another prediction than ε or v, ε where ᾱ_T is 0, learned or undefined variance, thresholding,
            betas that are no numbers above 0 and at most 1.
    """
    prediction, variance = config.get("prediction_type", "epsilon"), config.get("variance_type", "fixed_small")
    if config.get("predict_epsilon") is False and prediction == "epsilon":  # from diffusers before 0.10
        raise WaypointError(
            "scheduler.predict_epsilon false, an old name of prediction_type 'sample', is not supported; "
            f"{' and '.join(PREDICTIONS)} are"
        )
    if prediction not in PREDICTIONS:
        raise WaypointError(
            f"scheduler.prediction_type {prediction!r} is not supported; {' and '.join(PREDICTIONS)} are"
        )
    if variance in ("learned", "learned_range"):
        raise WaypointError(f"scheduler.variance_type {variance!r} (learned variance) is not supported")
    if variance == "fixed_large_log":
        raise WaypointError(
            "scheduler.variance_type 'fixed_large_log' is not supported: its steps take the square root of a "
            "logarithm, which is undefined; use fixed_large"
        )
    _check_numbers(config)
    if prediction == "epsilon" and ends_without_signal(config):
        raise WaypointError(
            "scheduler: its last step has no signal (rescale_betas_zero_snr, or a last beta of 1: ᾱ_T = 0), where an "
            "image cannot be told from epsilon; a model of v_prediction can have such a schedule, or set it to false"
        )
    if config.get("thresholding", False):
        raise WaypointError("scheduler.thresholding (dynamic thresholding) is not supported; set it to false")


def _check_numbers(config: Settings) -> None:
    """Refuse steps and betas that are no numbers, or of which there are too few or too many."""
    steps, betas = config.get("num_train_timesteps", 1000), config.get("trained_betas")
    if isinstance(steps, bool) or not isinstance(steps, Integral) or int(steps) < 1:
        raise WaypointError(
            f"scheduler.num_train_timesteps: {steps!r} is no number of steps; write a whole number above 0"
        )
    if betas is not None:
        _check_betas(betas, int(steps))
    elif config.get("beta_schedule", "linear") in BETWEEN:
        for key, default in (("beta_start", 0.0001), ("beta_end", 0.02)):
            value = config.get(key, default)
            if not _is_beta(value):
                raise WaypointError(f"scheduler.{key}: {value!r} is no beta; write a number above 0 and at most 1")


def _check_betas(betas: object, steps: int) -> None:
    values = [] if isinstance(betas, str) or not isinstance(betas, Iterable) else list(cast(Iterable[object], betas))
    if len(values) != steps:
        raise WaypointError(
            f"scheduler.trained_betas holds {len(values)} numbers, but scheduler.num_train_timesteps is {steps}; there "
            "must be one for every step"
        )
    for i, value in enumerate(values):
        if not _is_beta(value):
            raise WaypointError(
                f"scheduler.trained_betas[{i}]: {value!r} is no beta; write numbers above 0 and at most 1"
            )


def _is_beta(value: object) -> bool:
    if isinstance(value, bool) or not isinstance(value, Real):
        return False
    return math.isfinite(number := float(value)) and 0 < number <= 1


def ends_without_signal(config: Settings) -> bool:
    """Whether ᾱ at the last step of a schedule is 0 according to its configuration."""
    betas = config.get("trained_betas")
    if betas is not None:
        return max(betas) >= 1
    linear = config.get("beta_schedule", "linear") in ("linear", "scaled_linear")
    return bool(config.get("rescale_betas_zero_snr")) or linear and config.get("beta_end", 0.02) >= 1


def require_ancestral(config: Settings, sampler: str | None = None) -> None:
    """Refuse a stored scheduler configuration that does not allow ancestral sampling.

    Args:
        config: as stored. sampler: "ddpm" uses only the noise schedule of any scheduler.

    Raises:
        WaypointError: another scheduler than DDPM, or one without a schedule of betas, or with other steps.
    """
    name = config.get("_class_name", "DDPMScheduler")
    if sampler == "ddpm":
        _require_discrete(config, name)
        missing = {"beta_schedule", "beta_start", "beta_end", "num_train_timesteps"} - config.keys()
        if missing and config.get("trained_betas") is None:
            label, key = config.get("_class_name", "without a name"), sorted(missing)[0]
            raise WaypointError(f"scheduler {label} has no {key}: it is not one of betas over training steps")
    elif name != "DDPMScheduler":
        raise WaypointError(
            f"scheduler {name} is not supported: p(·|x_t) needs ancestral sampling; set checkpoints.sampler: ddpm "
            "to sample ancestrally with its noise schedule, or store a DDPMScheduler with the model's own betas"
        )


def _require_discrete(config: Settings, name: str) -> None:
    """Refuse a scheduler whose network was trained on other steps or other noise than its betas say."""
    reason = UNLIKE.get(name)
    if config.get("use_flow_sigmas"):
        reason = "its network was trained on a flow (use_flow_sigmas)"
    elif config.get("snr_shift_scale") not in (None, 1, 1.0):
        reason = f"it shifts the signal (snr_shift_scale {config['snr_shift_scale']})"
    elif config.get("timestep_type") == "continuous" and config.get("prediction_type") == "v_prediction":
        reason = "its network takes continuous steps (timestep_type), not those of betas"
    if reason:
        raise WaypointError(
            f"scheduler {name} is not supported: {reason}; use a model that was trained with DDPM's betas"
        )


def clips(config: Settings) -> bool:
    """Whether a stored scheduler clips x̂0: as its configuration says, else as its class does by default."""
    default = config.get("_class_name", "DDPMScheduler") in CLIPPING
    return bool(config.get("clip_sample", default))


def without_gradient(step: int, owner: str) -> str:
    """Say why a step of a v-model where ᾱ_t is 0 is refused.

    Args:
        owner: whose step it is, for the message.
    """
    return (
        f"{owner}: step {step} has no ranking: the model predicts v, and its schedule has no signal left there "
        "(ᾱ_t = 0), so that f_t does not depend on the weights and every score would be 0. Leave the step out"
    )
