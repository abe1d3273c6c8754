"""Which noise schedules are computed with, judged from their configuration alone, without a model library."""

from waypoint.errors import WaypointError
from waypoint.science.types import Settings

PREDICTIONS = ("epsilon", "v_prediction")


def check_schedule(config: Settings) -> None:
    """Refuse, by name, a noise schedule for which ancestral sampling is not implemented here.

    Args:
        config: a DDPMScheduler's, as a mapping; keys that are left out have diffusers' defaults.

    Raises:
        WaypointError: another prediction than ε or v, learned variance, thresholding.
    """
    prediction, variance = config.get("prediction_type", "epsilon"), config.get("variance_type", "fixed_small")
    if prediction not in PREDICTIONS:
        raise WaypointError(
            f"scheduler.prediction_type {prediction!r} is not supported; {' and '.join(PREDICTIONS)} are"
        )
    if variance in ("learned", "learned_range"):
        raise WaypointError(f"scheduler.variance_type {variance!r} (learned variance) is not supported")
    if config.get("thresholding", False):
        raise WaypointError("scheduler.thresholding (dynamic thresholding) is not supported; set it to false")


def require_ancestral(config: Settings, sampler: str | None = None) -> None:
    """Refuse a stored scheduler's configuration that gives no ancestral sampling.

    Args:
        config: as stored. sampler: "ddpm" takes only the noise schedule of whichever scheduler it is.

    Raises:
        WaypointError: another scheduler than DDPM, or one without a schedule of betas.
    """
    name = config.get("_class_name", "DDPMScheduler")
    if sampler == "ddpm":
        missing = {"beta_schedule", "beta_start", "beta_end", "num_train_timesteps"} - config.keys()
        if missing and config.get("trained_betas") is None:
            named, key = config.get("_class_name", "without a name"), sorted(missing)[0]
            raise WaypointError(f"scheduler {named} has no {key}: it is not one of betas over training steps")
    elif name != "DDPMScheduler":
        raise WaypointError(
            f"scheduler {name} is not supported: p(·|x_t) needs ancestral sampling; set checkpoints.sampler: ddpm "
            "to sample ancestrally with its noise schedule, or store a DDPMScheduler with the model's own betas"
        )
