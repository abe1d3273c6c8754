"""Steps at which f_t depends on no weight: neither attribution nor the LDS may use them."""

from waypoint.errors import WaypointError
from waypoint.science.processes.schedules import ends_without_signal, without_gradient
from waypoint.workflow.config.models import known_of_model
from waypoint.workflow.methods import METHODS


def check_steps_with_gradient(config):
    """Refuse, for scores from gradients, the last step of v-models whose schedule ends without signal.

    Raises:
        WaypointError: names the target and the step.
    """
    reads = {part for settings in config["methods"].values() for part in METHODS[settings["method"]].reads}
    lds = config["evaluation"]["lds"] if config["data"] else None
    if not config["data"] or "gradients" not in reads | ({"gradients"} if lds else set()):
        return
    for target in config["targets"]:
        scheduler = known_of_model(config, "scheduler", target["checkpoint"]) or {}
        if scheduler.get("prediction_type", "epsilon") != "v_prediction" or not ends_without_signal(scheduler):
            continue
        last = scheduler.get("num_train_timesteps", 1000) - 1
        has_steps = "steps" in target
        steps_key = f"config: targets ({target['id']})" if has_steps else "config: attribution.steps"
        steps = {steps_key: target["steps"] if has_steps else config["attribution"]["steps"]}
        if lds and lds.get("steps"):
            steps["config: evaluation.lds.steps"] = lds["steps"]
        for owner, key_steps in steps.items():
            if last in key_steps:
                raise WaypointError(without_gradient(last, owner))
