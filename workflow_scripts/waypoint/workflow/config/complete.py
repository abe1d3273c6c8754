"""Completion of the configuration with defaults from the schema, and all checks before the first job.

It needs neither torch nor a model library, since the Snakefile runs it at every start.
"""

import copy
import functools
import math
import os

from waypoint.errors import WaypointError
from waypoint.science.timesteps import check_steps
from waypoint.store.artifacts import fingerprint
from waypoint.workflow.config import given_images, regions
from waypoint.workflow.config.adapters import refuse_unused_keys
from waypoint.workflow.config.command_line import typed
from waypoint.workflow.config.data import check_captioned, check_data, readable
from waypoint.workflow.config.evaluated import chosen_targets
from waypoint.workflow.config.fragments import full_schema
from waypoint.workflow.config.given_models import expand_globs
from waypoint.workflow.config.groups import check_groups
from waypoint.workflow.config.image_encoders import check_encoders, leave_out_missing
from waypoint.workflow.config.kept_parts import check_halves, resolve_halves
from waypoint.workflow.config.method_settings import check_lists, named_methods
from waypoint.workflow.config.models import (
    check_captions,
    check_checkpoints,
    check_clipping,
    check_model,
    check_vae,
    checkpoint_names,
    known_grid,
    known_of_model,
)
from waypoint.workflow.config.own_scores import check_own_scores
from waypoint.workflow.config.paths import check_places, expand_paths, expanded, tidied_store
from waypoint.workflow.config.sampling_only import refuse_what_needs_data
from waypoint.workflow.config.schema import check_keys, check_schema, fill
from waypoint.workflow.config.shared_stores import stored_images
from waypoint.workflow.config.steps_without_gradient import check_steps_with_gradient
from waypoint.workflow.config.targets_table import read_targets
from waypoint.workflow.evaluations.registry import check_evaluations
from waypoint.workflow.types import Config


def complete(config: Config, missing=None, command_line=None) -> Config:
    """Return a checked copy of ``config`` with all defaults, without image encoders whose files are missing.

    Args:
        missing: names of those encoders as found by another process; default: look for their files.
        command_line: the part of ``config`` that came from the command line, where numbers may still be strings.

    Raises:
        WaypointError: one message that names the first wrong key and what is wrong with it.
    """
    schema = full_schema()
    config = typed(copy.deepcopy(dict(config)), command_line or {}, schema)
    check_keys(config, [])
    if config.get("replace") in ("true", "false"):  # Snakemake passes values of --config as strings
        config["replace"] = config["replace"] == "true"
    if isinstance(config.get("targets"), str):
        target_keys = schema["properties"]["targets"]["items"]["properties"]
        config["targets"] = read_targets(expanded(config["targets"], ["targets"]), list(target_keys))
    check_schema(config, schema)
    config = expand_paths(config, schema)
    if "store" in config:
        config["store"] = tidied_store(config["store"])
    expand_globs(config)
    refuse_unused_keys(config)
    check_places(config)
    if config.get("data") is None:
        refuse_what_needs_data(config)
    fill(config, schema)
    given_images.fill(config["targets"])
    indices = regions.expand(config)
    stored_path = stored_images(config)
    check_data(config["data"], stored_path)
    check_checkpoints(config)
    resolve_halves(config)
    check_model(config)
    _check_shards(config)
    check_vae(config)
    check_clipping(config)
    check_captions(config)
    check_encoders(config)
    config["methods"] = named_methods(config) if config["data"] else {}
    check_lists(config)
    leave_out_missing(config, missing)
    _check_targets(config, indices)
    check_steps_with_gradient(config)
    check_captioned(config, stored_path)
    _check_gaussian(config)
    check_groups(config)
    check_halves(config)
    check_evaluations(config, known_grid(config))
    check_own_scores(config)
    return config


def _check_shards(config):
    subset, shards = config["data"] and config["data"]["subset"], config["features"]["shards"]
    n = len(subset) if isinstance(subset, list) else subset
    if n is not None and shards > n:
        raise WaypointError(f"config: features.shards: {shards} is more than the {n} training images")


def _check_targets(config, indices):
    names, owners = checkpoint_names(config), {}
    for i, target in zip(indices, config["targets"]):
        prefix = f"config: targets[{i}] ({target['id']})"
        for name in (target["id"], target.get("whole", target["id"])):
            if owners.setdefault(name, i) != i:
                raise WaypointError(f"{prefix}: the id {name} is used twice")
        if sum(key in target for key in ("seed", "trajectory", "image")) != 1:
            raise WaypointError(f"{prefix}: give one of seed, trajectory and image")
        given_images.check(target, prefix)
        if target["checkpoint"] not in names:
            raise WaypointError(f"{prefix}: checkpoint {target['checkpoint']} is not one of {', '.join(names)}")
        unet, grid = known_of_model(config, "unet", target["checkpoint"]), known_grid(config, target["checkpoint"])
        classes = None if unet is None else unet.get("num_class_embeds")
        prompted = config["text_encoder"] is not None
        if ("prompt" in target) != prompted:
            problem = "is text-conditional and needs one" if prompted else "has no text_encoder"
            raise WaypointError(f"{prefix}: prompt: the model {problem}")
        if unet is not None and (classes is None) != ("label" not in target):
            problem = "is not class-conditional" if classes is None else "is class-conditional and needs one"
            raise WaypointError(f"{prefix}: label: the model {problem} (model.unet.num_class_embeds)")
        if classes is not None and target["label"] >= classes:
            raise WaypointError(f"{prefix}: label: {target['label']} is not below num_class_embeds {classes}")
        steps = target.get("steps", config["attribution"]["steps"])
        steps_key = prefix if "steps" in target else f"{prefix}: attribution.steps"
        if "trajectory" in target:
            readable(target["trajectory"], f"targets[{i}].trajectory")
            # imported lazily: planning opens no other array
            from waypoint.store.data.trajectories import GivenTrajectory

            trajectory = GivenTrajectory(target["trajectory"], prefix)
            available, shape = trajectory.steps, trajectory.x_t.shape
            check_steps(steps, available, f"{steps_key}: trajectory")
            for section, settings in config["evaluation"].items():
                if settings and "steps" in settings and target["id"] in chosen_targets(config, section):
                    evaluated_steps = settings["steps"] or []
                    check_steps(evaluated_steps, available, f"{prefix}: evaluation.{section}.steps: trajectory")
            input_shape = _image_shape(unet)
            if input_shape is not None and shape != (len(available), *input_shape):
                raise WaypointError(
                    f"{prefix}: trajectory: x_t has shape {shape}; {(len(available), *input_shape)} is needed"
                )
            pixels = known_image_size(config)
            if trajectory.image is not None and pixels is not None and trajectory.image.shape[1:] != tuple(pixels):
                actual = trajectory.image.shape
                raise WaypointError(
                    f"{prefix}: trajectory: image has shape {actual}; the model makes {pixels[1]} × {pixels[0]}"
                )
        elif grid is not None and (config["data"] or _restarted_at_steps(config, target)):
            check_steps(steps, grid, steps_key)
        if "mask" in target:
            shape = _image_shape(unet)
            regions.check(target["mask"], known_image_size(config), shape and shape[1:], prefix)
            if config["figures"]["mask_step"] not in (None, *steps):
                raise WaypointError(
                    f"config: figures.mask_step: {config['figures']['mask_step']} is not among the attributed steps "
                    f"of target {target['id']}, which has a mask"
                )


def _check_gaussian(config):
    """Refuse the method wiener if its covariance would be too large, and at steps without signal."""
    kinds = {settings["method"] for settings in config["methods"].values()}
    for section in filter(None, config["evaluation"].values()):
        kinds |= set(section.get("methods") or [])
    if "wiener" not in kinds:
        return
    from waypoint.science.wiener import LARGEST  # imported lazily: the import takes a moment

    shape = _image_shape(known_of_model(config, "unet"))
    if shape is not None and math.prod(shape) > LARGEST:
        raise WaypointError(
            f"config: methods: wiener fits a covariance to what the model sees, here {math.prod(shape)} numbers an "
            f"image; more than {LARGEST} do not fit. Leave wiener out, or use latents"
        )
    scheduler = known_of_model(config, "scheduler") or {}
    last = scheduler.get("num_train_timesteps", 1000) - 1
    for target in config["targets"]:
        if scheduler.get("rescale_betas_zero_snr") and last in target.get("steps", config["attribution"]["steps"]):
            raise WaypointError(
                f"config: methods: wiener has no scores of target {target['id']} at step {last}, where "
                "rescale_betas_zero_snr makes ᾱ_t 0, so that f_t does not depend on the training images. Leave out "
                "the step, or wiener"
            )


def _restarted_at_steps(config, target):
    """Return whether samples of p(·|x_t) are generated at the attributed steps of a target."""
    samples = config["evaluation"]["samples"]
    return bool(samples) and samples["steps"] is None and target["id"] in chosen_targets(config, "samples")


def _image_shape(unet):
    """Return (C, H, W) of the model's inputs, images or latents, or None if planning cannot know it."""
    if unet is None or unet.get("sample_size") is None:
        return None
    size = unet["sample_size"]
    return (unet.get("in_channels", 3), *([size] * 2 if isinstance(size, int) else size))


def known_image_size(config):
    """Return (H, W) of the images in pixels, not of latents, or None if planning cannot know it."""
    if config.get("vae"):
        size = config["data"] and config["data"]["size"]
        return None if size is None else (size, size)
    shape = _image_shape(known_of_model(config, "unet"))
    return None if shape is None else shape[1:]


def file_hash(path):
    """Return the SHA-256 of a file that a target names; each file is read once per start."""
    return _file_hash(os.path.abspath(path))


_file_hash = functools.cache(fingerprint.file_hash)
