"""The supported noise schedules, checked from their configuration alone, without a model library."""

from waypoint.errors import WaypointError
from waypoint.science.types import Settings

PREDICTIONS = ("epsilon", "v_prediction")


def check_schedule(config: Settings) -> None:
    """Refuse, by name, schedules that ancestral sampling does not support here.

    Args:
        config: of a DDPMScheduler, as a mapping; missing keys have diffusers' defaults.

    Raises:
        WaypointError: another prediction than ε or v, ε where ᾱ_T is 0, learned or undefined variance, thresholding.
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
    if prediction == "epsilon" and ends_without_signal(config):
        raise WaypointError(
            "scheduler: its last step has no signal (rescale_betas_zero_snr, or a last beta of 1: ᾱ_T = 0), where an "
            "image cannot be told from epsilon; a model of v_prediction can have such a schedule, or set it to false"
        )
    if config.get("thresholding", False):
        raise WaypointError("scheduler.thresholding (dynamic thresholding) is not supported; set it to false")


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
        WaypointError: another scheduler than DDPM, or one without a schedule of betas.
    """
    name = config.get("_class_name", "DDPMScheduler")
    if sampler == "ddpm":
        missing = {"beta_schedule", "beta_start", "beta_end", "num_train_timesteps"} - config.keys()
        if missing and config.get("trained_betas") is None:
            label, key = config.get("_class_name", "without a name"), sorted(missing)[0]
            raise WaypointError(f"scheduler {label} has no {key}: it is not one of betas over training steps")
    elif name != "DDPMScheduler":
        raise WaypointError(
            f"scheduler {name} is not supported: p(·|x_t) needs ancestral sampling; set checkpoints.sampler: ddpm "
            "to sample ancestrally with its noise schedule, or store a DDPMScheduler with the model's own betas"
        )


def without_gradient(step: int, owner: str) -> str:
    """Say why a step of a v-model where ᾱ_t is 0 is refused.

    Args:
        owner: whose step it is, for the message.
    """
    return (
        f"{owner}: step {step} has no ranking: the model predicts v, and its schedule has no signal left there "
        "(ᾱ_t = 0), so that f_t does not depend on the weights and every score would be 0. Leave the step out"
    )
