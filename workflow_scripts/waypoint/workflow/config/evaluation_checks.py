"""Mistakes in the config section ``evaluation``, found before hours of retraining."""

import math
import os
from pathlib import Path

from waypoint.errors import WaypointError
from waypoint.science.timesteps import check_steps
from waypoint.store.networks.inception import require_weights
from waypoint.workflow.config.evaluated import chosen_targets, number_of_checkpoints, number_of_images
from waypoint.workflow.config.given_images import require_again
from waypoint.workflow.config.method_settings import step_methods
from waypoint.workflow.config.models import known_of_model

INCEPTION = "pt_inception-2015-12-05-6726825d.pth"  # pytorch-fid's file


def check_evaluation(config, grid):
    """Refuse evaluations that contradict the rest of the configuration or each other.

    Args:
        grid: the sampling grid, or None where planning cannot know it.

    Raises:
        WaypointError: names the key.
    """
    evaluation = config["evaluation"]
    for section in ("lds", "counterfactual", "forgetting"):
        if evaluation[section] and "count" not in config["checkpoints"]:
            raise WaypointError(
                f"config: evaluation.{section} retrains models as the ensemble was trained, "
                "so it needs checkpoints.count instead of checkpoints.paths"
            )
    _check_lds(config, grid)
    for section in ("counterfactual", "forgetting"):
        if evaluation[section]:
            _check_removals(config, section, grid)
    if evaluation["samples"]:
        chosen_targets(config, "samples")
        if grid is not None:
            check_steps(evaluation["samples"]["steps"] or [], grid, "config: evaluation.samples.steps")
    _check_likelihood(config)
    _check_captions(config)
    _check_seed_consistency(config)
    if evaluation["split_half"] is not None and not config["scores"]["keep_checkpoints"]:
        raise WaypointError("config: evaluation.split_half needs scores.keep_checkpoints: true")
    if (
        evaluation["split_half"] is not None
        and number_of_checkpoints(config) < 2
        and not config["features"]["keep_halves"]
    ):
        raise WaypointError(
            "config: evaluation.split_half compares halves: it needs two checkpoints or features.keep_halves"
        )
    if config["features"]["keep_halves"]:
        for key in ("train_draws", "target_draws"):
            if config["attribution"][key] < 2:
                raise WaypointError(f"config: features.keep_halves: attribution.{key} is 1, which has no halves")
    _check_steps_and_targets(config)
    for section in ("sign_overlap",):
        n = number_of_images(config)
        if evaluation[section] and n is not None and max(evaluation[section]["top_k"]) > n // 2:
            raise WaypointError(
                f"config: evaluation.{section}.top_k: {max(evaluation[section]['top_k'])} is more than half "
                f"of the {n} training images"
            )


def fid_weights(fid):
    """Where Inception's weights are looked for: evaluation.fid.weights, or torch's own cache."""
    if fid["weights"] is not None:
        return fid["weights"]
    home = os.environ.get("TORCH_HOME", Path(os.environ.get("XDG_CACHE_HOME", "~/.cache"), "torch"))
    return str(Path(home, "hub", "checkpoints", INCEPTION).expanduser())


def _check_steps_and_targets(config):
    evaluation, targets = config["evaluation"], config["targets"]
    for section in ("step_correlation", "sign_overlap"):
        if evaluation[section] is not None and not step_methods(config):
            raise WaypointError(
                f"config: evaluation.{section} compares steps, but {' and '.join(config['methods'])} have the same "
                "scores at every step; add another method"
            )
    steps = [set(target.get("steps", config["attribution"]["steps"])) for target in targets]
    if evaluation["step_correlation"] is not None and max(map(len, steps)) < 2:
        raise WaypointError("config: evaluation.step_correlation compares steps; give a target at least two")
    if evaluation["sign_overlap"] and len(set.intersection(*steps)) < 2:
        raise WaypointError("config: evaluation.sign_overlap needs at least two steps that all targets have")


def _check_lds(config, grid):
    lds, n = config["evaluation"]["lds"], number_of_images(config)
    if not lds:
        return
    if grid is not None:
        check_steps(lds["steps"] or [], grid, "config: evaluation.lds.steps")
    count = config["checkpoints"]["count"]
    for first, last in lds["spans"]:
        if not any(first <= t <= last for t in lds["steps"] or config["attribution"]["steps"]):
            raise WaypointError(f"config: evaluation.lds.spans: no step of lds lies in [{first}, {last}]")
    for m in lds["checkpoints"]:
        if m > count:
            raise WaypointError(f"config: evaluation.lds.checkpoints: {m} is more than checkpoints.count {count}")
    if lds["checkpoints"] and not config["scores"]["keep_checkpoints"]:
        raise WaypointError("config: evaluation.lds.checkpoints needs scores.keep_checkpoints: true")
    if n is not None and not 1 <= math.floor(lds["fraction"] * n) < n:
        raise WaypointError(
            f"config: evaluation.lds.fraction: {lds['fraction']} of {n} training images is no real subset"
        )


def _check_removals(config, section, grid):
    own, n = config["evaluation"][section], number_of_images(config)
    count, controls = config["checkpoints"]["count"], config["evaluation"]["controls"]["full_models"]
    if count <= controls:
        raise WaypointError(
            f"config: evaluation.{section} compares with {controls} models of the full set other than the generating "
            f"one (evaluation.controls.full_models), but checkpoints.count is {count}"
        )
    if grid is not None:
        check_steps([own["step"]], grid, f"config: evaluation.{section}.step")
    for k in own["n_remove"]:
        if isinstance(k, float) and k >= 1:
            raise WaypointError(f"config: evaluation.{section}.n_remove: {k} is neither an integer nor a share below 1")
        if n is not None and not 1 <= (k if isinstance(k, int) else round(k * n)) < n:
            raise WaypointError(f"config: evaluation.{section}.n_remove: {k} of {n} training images")
    for method in own["methods"] or []:
        if method not in config["methods"] and method != "random":
            raise WaypointError(f"config: evaluation.{section}.methods: {method} is not one of methods")
    targets = {target["id"]: target for target in config["targets"]}
    for name in chosen_targets(config, section):
        if own["step"] not in targets[name].get("steps", config["attribution"]["steps"]):
            raise WaypointError(
                f"config: evaluation.{section}.step: {own['step']} is not among the attributed steps of target {name}"
            )
        if section == "forgetting":
            require_again(targets[name], "config: evaluation.forgetting.targets")
    if section == "counterfactual":
        _check_dimensions(config)


def _check_dimensions(config):
    images, fid = config["evaluation"]["counterfactual"]["images"], config["evaluation"]["fid"]
    if fid["features"] == "classifier":
        dims, remedy = 4 * config["evaluation"]["classifier"]["width"], "lower evaluation.classifier.width"
    else:
        dims, remedy = fid["dims"] or 2048, "lower evaluation.fid.dims"
    if images <= dims:
        raise WaypointError(
            f"config: evaluation.counterfactual.images: {images} images cannot give the covariance of {dims} features; "
            f"raise it or {remedy}"
        )


def _check_likelihood(config):
    likelihood = config["evaluation"]["likelihood"]
    if likelihood is None:
        return
    if not config["evaluation"]["samples"]:
        raise WaypointError("config: evaluation.likelihood needs the section evaluation.samples")
    ids = chosen_targets(config, "samples")
    for name in likelihood["features"] or {}:
        if name not in ids:
            raise WaypointError(f"config: evaluation.likelihood.features: {name!r} is no target of evaluation.samples")


def _check_captions(config):
    own, where = config["evaluation"]["caption_likelihood"], "config: evaluation.caption_likelihood"
    if own is None:
        return
    if not config["evaluation"]["samples"]:
        raise WaypointError(f"{where} needs the section evaluation.samples")
    encoder = config["image_encoders"].get(own["encoder"])
    if encoder is None or encoder["kind"] != "clip":
        raise WaypointError(f"{where}.encoder: {own['encoder']} is not in image_encoders with kind clip")
    ids = chosen_targets(config, "samples")
    for name in own["captions"]:
        if name not in ids:
            raise WaypointError(f"{where}.captions: {name!r} is no target of evaluation.samples")


def _check_seed_consistency(config):
    own = config["evaluation"]["seed_consistency"]
    if not own:
        return
    count = number_of_checkpoints(config)
    for name in own["models"]:
        if int(name.split("/")[1]) >= count:
            raise WaypointError(f"config: evaluation.seed_consistency.models: {name} is not one of {count} checkpoints")
        unet = known_of_model(config, "unet", name) or {}
        if own["images"] and (unet.get("num_class_embeds") or unet.get("cross_attention_dim")):
            raise WaypointError(
                f"config: evaluation.seed_consistency.images: {name} is conditional, and further seeds have no "
                "condition; set it to 0 and use more targets"
            )
    chosen = set(chosen_targets(config, "seed_consistency"))
    if isinstance(own["targets"], list):
        for row in config["targets"]:
            if row["id"] in chosen and "image" in row:
                raise WaypointError(
                    f"config: evaluation.seed_consistency.targets: {row['id']} is an image, which no seed makes; "
                    "leave it out"
                )
    if not own["images"] and not any("seed" in row for row in config["targets"] if row["id"] in chosen):
        raise WaypointError(
            "config: evaluation.seed_consistency: no target has a seed; set evaluation.seed_consistency.images"
        )


def require_fid_weights(plan):
    """Refuse missing or other Inception weights before hours of training; nothing where none are needed.

    Raises:
        WaypointError: names key, file and the alternative.
    """
    if plan.fid_weights:
        require_weights(plan.fid_weights, plan.evaluation["fid"]["sha256"])
