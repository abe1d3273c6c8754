"""The configuration: defaults from the schema, and every mistake found before the first job.

Needs no torch and no model library: the Snakefile reads it at every start.
"""

import copy
import csv
import difflib
import functools
import hashlib
import json
import math
from pathlib import Path

import jsonschema

from ..errors import WaypointError
from ..science.grid import check_steps, sampling_grid
from ..store.emoji import require_emoji
from ..store.packages import PREFIX, located
from . import masks
from .encoders import check_encoders, leave_out_missing
from .evaluation_checks import check_evaluation, chosen_targets
from .given_models import refuse_what_needs_data

TEXT_ONLY = {  # keys of UNet2DConditionModel alone
    "conv_in_kernel",
    "conv_out_kernel",
    "cross_attention_dim",
    "only_cross_attention",
    "resnet_out_scale_factor",
    "time_embedding_act_fn",
    "transformer_layers_per_block",
    "use_linear_projection",
}
IMAGE_ONLY = {  # keys of UNet2DModel alone
    "add_attention",
    "attn_norm_num_groups",
    "downsample_type",
    "num_class_embeds",
    "num_train_timesteps",
    "upsample_type",
}
TEXT_BLOCKS = {"CrossAttnDownBlock2D", "CrossAttnUpBlock2D", "UNetMidBlock2DCrossAttn"}
IMAGE_BLOCKS = {"AttnDownBlock2D", "AttnUpBlock2D", "AttnSkipDownBlock2D", "AttnSkipUpBlock2D"}
SCHEMA = Path(__file__).parents[3] / "schemas" / "config.schema.json"


def complete(config):
    """A copy of ``config`` with every default filled in, checked; without methods whose encoder's files are missing.

    Raises:
        WaypointError: one message that names the first wrong key and what is wrong with it.
    """
    schema = json.loads(SCHEMA.read_text(encoding="utf-8"))
    config = copy.deepcopy(dict(config))
    _check_keys(config, [])
    if isinstance(config.get("targets"), str):
        config["targets"] = read_targets(config["targets"])
    _check_schema(config, schema)
    if config.get("data") is None:
        refuse_what_needs_data(config)
    _fill(config, schema)
    if config["data"] is None:
        config["methods"] = []
    places = masks.expand(config)
    data = Path(config["store"], config["experiment"], "data")
    _check_data(config["data"], stored=any((data / name).exists() for name in ("train.zarr", "images.zarr")))
    _check_checkpoints(config)
    _check_model(config)
    _check_vae(config)
    _check_clipping(config)
    _check_captions(config)
    check_encoders(config)
    leave_out_missing(config)
    _check_targets(config, places)
    check_evaluation(config, _known_grid(config))
    return config


def _is_integer(_, value):
    return isinstance(value, int) and not isinstance(value, bool)


def _is_number(_, value):
    return _is_integer(_, value) or (isinstance(value, float) and math.isfinite(value))


# YAML's 16.0 is no integer here, and .nan no number
_TYPES = jsonschema.Draft202012Validator.TYPE_CHECKER.redefine_many({"integer": _is_integer, "number": _is_number})
_Validator = jsonschema.validators.extend(jsonschema.Draft202012Validator, type_checker=_TYPES)


def _check_keys(value, path):
    """YAML keys such as 1 or yes are no text; JSON schema has no words for them."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, part in items:
        if isinstance(value, dict) and not isinstance(key, str):
            raise WaypointError(f"config: key {join(key_path(path), str(key))} is not text; quote it")
        _check_keys(part, [*path, key])


def _check_schema(config, schema):
    errors = list(_Validator(schema).iter_errors(config))
    if not errors:
        return
    error = min(errors, key=lambda e: (len(e.absolute_path), str(e.absolute_path)))
    where = key_path(error.absolute_path)
    if error.validator == "additionalProperties":
        known = error.schema["properties"]
        unknown = sorted(set(error.instance) - set(known))[0]
        close = difflib.get_close_matches(unknown, known, n=1)
        hint = f"did you mean {close[0]!r}?" if close else f"known keys: {', '.join(sorted(known))}"
        raise WaypointError(f"config: unknown key {join(where, unknown)!r}; {hint}")
    if error.validator == "required":
        missing = sorted(set(error.validator_value) - set(error.instance))[0]
        raise WaypointError(f"config: {join(where, missing)} is missing: {_description(error.schema, missing)}")
    raise WaypointError(f"config: {where or 'the configuration'}: {_sentence(error)}")


def _sentence(error):
    value, limit = error.instance, error.validator_value
    shown = json.dumps(value, ensure_ascii=False)
    if error.validator == "type":
        kinds = [limit] if isinstance(limit, str) else limit
        return f"{shown} is not {' or '.join(_article(kind) for kind in kinds)}"
    if error.validator == "enum":
        return f"{shown} is not one of {', '.join(map(json.dumps, limit))}"
    if error.validator == "minimum":
        return f"{shown} is too small; at least {limit}"
    if error.validator == "exclusiveMinimum":
        return f"{shown} is too small; more than {limit}"
    if error.validator == "exclusiveMaximum":
        return f"{shown} is too large; less than {limit}"
    if error.validator == "pattern":
        return f"{shown} does not match {limit}"
    if error.validator == "uniqueItems":
        return f"{shown} lists something twice"
    return error.message


def _article(kind):
    return {"null": "null", "integer": "an integer", "array": "a list", "object": "a mapping"}.get(kind, f"a {kind}")


def _description(schema, key):
    return schema["properties"].get(key, {}).get("description", "")


def key_path(parts):
    """data.subset, targets[2].seed: a key as people write it."""
    text = ""
    for part in parts:
        text = f"{text}[{part}]" if isinstance(part, int) else join(text, part)
    return text


def join(where, key):
    """``where.key``, or ``key`` at the top."""
    return f"{where}.{key}" if where else key


def _fill(value, schema):
    if isinstance(value, dict):
        for key, part in schema.get("properties", {}).items():
            if key not in value and "default" in part:
                value[key] = copy.deepcopy(part["default"])
            if key in value:
                _fill(value[key], part)
        if isinstance(every := schema.get("additionalProperties"), dict):
            for part in value.values():
                _fill(part, every)
    elif isinstance(value, list) and isinstance(schema.get("items"), dict):
        for item in value:
            _fill(item, schema["items"])


def read_targets(path):
    """The rows of a targets CSV, as in ``targets:``; empty cells are left out, steps are separated by spaces.

    Raises:
        WaypointError: no such file, or a cell that is no number where one is needed; names file and line.
    """
    try:
        with open(path, newline="", encoding="utf-8-sig") as handle:
            reader = csv.DictReader(handle)
            rows = [(reader.line_num, row) for row in reader]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise WaypointError(f"config: targets: cannot read {path} ({error})") from error
    if not rows:
        raise WaypointError(f"config: targets: {path} has no rows")
    read = {"seed": int, "label": int, "steps": lambda cell: [int(step) for step in cell.split()]}
    read["mask"] = lambda cell: [int(edge) for edge in cell.split()] if cell[0].isdigit() and " " in cell else cell
    targets = []
    for line, row in rows:
        if None in row or None in row.values():
            raise WaypointError(f"config: targets: {path} line {line} has more or fewer cells than the header")
        target = {}
        for key, cell in row.items():
            try:
                if cell.strip():
                    target[key] = read.get(key, str)(cell.strip())
            except ValueError as error:
                raise WaypointError(f"config: targets: {path} line {line}: {key} {cell!r} ({error})") from error
        targets.append(target)
    return targets


def _check_data(data, stored):
    if data is None:
        return
    source = data["source"]
    if source in ("imagefolder", "npz", "coco") and data["path"] is None:
        raise WaypointError(f"config: data.path is missing; source {source} needs it")
    if source == "digits" and data["path"] is not None:
        raise WaypointError("config: data.path: source digits comes with scikit-learn; leave the key out")
    if source == "coco" and data["captions"] is None:
        raise WaypointError("config: data.captions is missing; source coco needs captions_train2017.json or alike")
    if source == "coco" and data["size"] is None:
        raise WaypointError("config: data.size is missing; source coco has images of many sizes")
    if data["captions"] is not None and source not in ("imagefolder", "coco"):
        raise WaypointError("config: data.captions is for sources imagefolder and coco")
    if stored:  # what is in the store needs no raw data any more
        return
    for key in ("path", "captions"):
        if data[key] is not None:
            _readable(data[key], f"data.{key}")
    if data["path"] is not None and source in ("imagefolder", "coco", "emoji") and not Path(data["path"]).is_dir():
        raise WaypointError(f"config: data.path: {data['path']} is not a folder")
    if data["captions"] is not None and Path(data["captions"]).is_dir():
        raise WaypointError(f"config: data.captions: {data['captions']} is a folder; name the file in it")
    if source == "emoji":
        try:
            require_emoji(data)
        except WaypointError as error:
            raise WaypointError(f"config: {error}") from error


def _readable(path, key):
    path = Path(path)
    try:
        if path.is_dir():
            next(path.iterdir(), None)
        else:
            open(path, "rb").close()
    except OSError as error:
        raise WaypointError(f"config: {key}: cannot read {path} ({error.strerror})") from error


def _check_checkpoints(config):
    given = config["checkpoints"]
    for key in ("sampler", "timestep_spacing"):
        if key in given and "paths" not in given:
            raise WaypointError(f"config: checkpoints.{key} is for existing models; use model.scheduler for new ones")
    if ("count" in given) == ("paths" in given):
        raise WaypointError("config: checkpoints needs either count (train that many) or paths (use existing ones)")
    if "count" in given and config["model"] is None:
        raise WaypointError("config: model is missing; training needs model.unet")
    for i, path in enumerate(given.get("paths", [])):
        if not Path(path).exists() and (path.startswith((".", "/", "~")) or path.count("/") != 1):
            raise WaypointError(f"config: checkpoints.paths[{i}]: no folder {path}, and it is no hub id")


def _check_model(config):
    if config["model"] is None:
        return
    data = config["data"] or {}
    unet, size = config["model"]["unet"], data.get("size")
    _check_kind(config, unet)
    if unet["in_channels"] != unet["out_channels"]:
        raise WaypointError("config: model.unet: in_channels and out_channels must be equal: both are the image's")
    groups = unet.get("norm_num_groups", 32)  # diffusers' default
    if any(channels % groups for channels in unet["block_out_channels"]):
        raise WaypointError(f"config: model.unet.norm_num_groups: {groups} does not divide every block_out_channels")
    levels = {len(unet[key]) for key in ("block_out_channels", "down_block_types", "up_block_types")}
    if len(levels) > 1:
        raise WaypointError(
            "config: model.unet: block_out_channels, down_block_types and up_block_types differ in length"
        )
    latent = config["vae"] is not None  # its VAE says what the network sees
    if size is not None and not latent and unet["sample_size"] not in (size, [size, size]):
        raise WaypointError(f"config: data.size: {size} is not model.unet.sample_size {unet['sample_size']}")
    n, d = data.get("subset"), config["projection"]["dim"]
    n = len(n) if isinstance(n, list) else n
    if config["kernel"]["damping"] == 0 and n is not None and n < d:
        raise WaypointError(
            f"config: kernel.damping: 0 needs at least projection.dim ({d}) training images; data.subset leaves {n}"
        )


def _check_kind(config, unet):
    """Refuse keys and blocks of the other kind of network, and captions where the network does not see any."""
    text = "cross_attention_dim" in unet
    for key in sorted(unet.keys() & (IMAGE_ONLY if text else TEXT_ONLY)):
        other = "without" if text else "with"
        raise WaypointError(f"config: model.unet.{key} belongs to a network {other} cross_attention_dim")
    for key in ("down_block_types", "mid_block_type", "up_block_types"):
        blocks = [unet[key]] if isinstance(unet.get(key), str) else unet.get(key) or []
        for block in blocks:
            if block in (IMAGE_BLOCKS if text else TEXT_BLOCKS):
                kind = "text-conditional network" if text else "network without cross_attention_dim"
                raise WaypointError(f"config: model.unet.{key}: {block} is no block of a {kind}")
    if text and config["text_encoder"] is None:
        raise WaypointError("config: text_encoder is missing; model.unet.cross_attention_dim attends to its vectors")
    if config["text_encoder"] is not None and not text:
        raise WaypointError("config: text_encoder: model.unet has no cross_attention_dim, so it sees no captions")


def _check_captions(config):
    """Refuse guidance and captions' settings where there are no captions."""
    if config["text_encoder"] is not None:
        _check_folder(config["text_encoder"]["path"], "text_encoder.path")
        if config["data"] and config["data"]["flip"]:
            raise WaypointError("config: data.flip: a flipped image may not be what its caption says; set it to false")
        return
    if config["training"]["caption_dropout"]:
        share = config["training"]["caption_dropout"]
        raise WaypointError(f"config: training.caption_dropout: {share} needs captions: the section text_encoder")
    for section in ("sampling", "attribution"):
        if config[section]["guidance"] != 1:
            raise WaypointError(f"config: {section}.guidance needs captions: the section text_encoder")


def _check_vae(config):
    if config["vae"] is None:
        return
    if ("path" in config["vae"]) == ("train" in config["vae"]):
        raise WaypointError("config: vae needs either path (use an existing one) or train (train one on the images)")
    if config["data"] and config["data"]["flip"]:
        raise WaypointError(
            "config: data.flip: images are encoded once, and a flipped latent is no flipped image's; set it to false"
        )
    if "path" in config["vae"]:
        _check_folder(config["vae"]["path"], "vae.path")
        return
    where, given, size = "config: vae.train.autoencoder", config["vae"]["train"]["autoencoder"], config["data"]["size"]
    if len({len(given[key]) for key in ("block_out_channels", "down_block_types", "up_block_types")}) > 1:
        raise WaypointError(f"{where}: block_out_channels, down_block_types and up_block_types differ in length")
    groups = given.get("norm_num_groups", 32)  # diffusers' default
    if any(channels % groups for channels in given["block_out_channels"]):
        raise WaypointError(f"{where}.norm_num_groups: {groups} does not divide every block_out_channels")
    factor = 2 ** (len(given["block_out_channels"]) - 1)
    if size is not None and size % factor:
        raise WaypointError(
            f"config: data.size: {size} is no multiple of {factor}, the side of a latent cell with the "
            f"{len(given['block_out_channels'])} blocks of vae.train.autoencoder"
        )
    if size is not None and given.get("sample_size", size) != size:
        raise WaypointError(f"{where}.sample_size: {given['sample_size']} is not data.size {size}")
    unet = (config["model"] or {}).get("unet")
    cells = None if size is None else size // factor
    if unet and cells and unet["sample_size"] not in (cells, [cells, cells]):
        raise WaypointError(f"config: model.unet.sample_size: {unet['sample_size']}, but the VAE's latents are {cells}")
    if unet and unet["in_channels"] != given.get("latent_channels", 4):
        raise WaypointError(
            f"config: model.unet.in_channels: {unet['in_channels']}, but {where[8:]}.latent_channels is "
            f"{given.get('latent_channels', 4)}"
        )


def _check_clipping(config):
    if config["vae"] is not None and config["model"] is not None and config["model"]["scheduler"]["clip_sample"]:
        raise WaypointError("config: model.scheduler.clip_sample: latents must not be clipped; set it to false")


def _check_folder(path, key):
    """Refuse a place that is no folder, here or in an installed package, and cannot be a hub id."""
    folder = Path(located(path, f"config: {key}"))
    if not folder.is_dir() and (path.startswith((PREFIX, ".", "/", "~")) or path.count("/") != 1):
        raise WaypointError(f"config: {key}: no folder {path}, and it is no hub id")


def checkpoint_names(config):
    """full/0 … full/M-1."""
    given = config["checkpoints"]
    return [f"full/{i}" for i in range(given["count"] if "count" in given else len(given["paths"]))]


def known_of_model(config, part, checkpoint="full/0"):
    """The settings of "unet" or "scheduler" as far as planning can know them: None for a hub id's.

    Args:
        checkpoint: matters without data, where each model stands for itself; else all are alike.
    """
    if config["model"] is not None:
        return config["model"][part]
    place = 0 if config["data"] else int(checkpoint.split("/")[1])
    folder = Path(config["checkpoints"]["paths"][place])
    name = {"unet": "config.json"}.get(part, f"{part}_config.json")
    for file in (folder / part / name, folder / name):
        if file.is_file():
            try:
                return json.loads(file.read_text())
            except ValueError as error:
                raise WaypointError(f"config: checkpoints.paths[{place}]: {file} is damaged ({error})") from error
    return None


def _known_grid(config, checkpoint="full/0"):
    """A model's sampling grid, or None where planning cannot know it."""
    scheduler = known_of_model(config, "scheduler", checkpoint)
    if scheduler is None:
        return None
    if "timestep_spacing" in config["checkpoints"]:
        scheduler = {**scheduler, "timestep_spacing": config["checkpoints"]["timestep_spacing"]}
    return sampling_grid(
        scheduler.get("num_train_timesteps", 1000),
        config["sampling"]["steps"],
        scheduler.get("timestep_spacing", "leading"),
        scheduler.get("steps_offset", 0),
    )


def _check_targets(config, places):
    names, owners = checkpoint_names(config), {}
    for i, target in zip(places, config["targets"]):
        where = f"config: targets[{i}] ({target['id']})"
        for name in (target["id"], target.get("image", target["id"])):
            if owners.setdefault(name, i) != i:
                raise WaypointError(f"{where}: the id {name} is used twice")
        if ("seed" in target) == ("trajectory" in target):
            raise WaypointError(f"{where}: give either a seed or a trajectory")
        if target["checkpoint"] not in names:
            raise WaypointError(f"{where}: checkpoint {target['checkpoint']} is not one of {', '.join(names)}")
        unet, grid = known_of_model(config, "unet", target["checkpoint"]), _known_grid(config, target["checkpoint"])
        classes = None if unet is None else unet.get("num_class_embeds")
        prompted = config["text_encoder"] is not None
        if ("prompt" in target) != prompted:
            need = "is text-conditional and needs one" if prompted else "has no text_encoder"
            raise WaypointError(f"{where}: prompt: the model {need}")
        if unet is not None and (classes is None) != ("label" not in target):
            need = "is not class-conditional" if classes is None else "is class-conditional and needs one"
            raise WaypointError(f"{where}: label: the model {need} (model.unet.num_class_embeds)")
        if classes is not None and target["label"] >= classes:
            raise WaypointError(f"{where}: label: {target['label']} is not below num_class_embeds {classes}")
        steps = target.get("steps", config["attribution"]["steps"])
        owner = where if "steps" in target else f"{where}: attribution.steps"
        if "trajectory" in target:
            _readable(target["trajectory"], f"targets[{i}].trajectory")
            given, shape = trajectory_header(target["trajectory"], where)
            check_steps(steps, given, f"{owner}: trajectory")
            for section in ("lds", "samples"):  # their steps, where they have any of their own
                if config["evaluation"][section] and target["id"] in chosen_targets(config, section):
                    more = config["evaluation"][section]["steps"] or []
                    check_steps(more, given, f"{where}: evaluation.{section}.steps: trajectory")
            wanted = _image_shape(unet)
            if wanted is not None and shape != (len(given), *wanted):
                raise WaypointError(f"{where}: trajectory: x_t has shape {shape}; {(len(given), *wanted)} is needed")
        elif grid is not None and (config["data"] or _restarted_at_steps(config, target)):
            check_steps(steps, grid, owner)
        if "mask" in target:
            shape = _image_shape(unet)
            masks.check(target["mask"], known_image_size(config), shape and shape[1:], where)
            if config["figures"]["mask_step"] not in (None, *steps):
                raise WaypointError(
                    f"config: figures.mask_step: {config['figures']['mask_step']} is not among the attributed steps "
                    f"of target {target['id']}, which has a mask"
                )


def _restarted_at_steps(config, target):
    """Whether samples of p(·|x_t) are made at a target's own steps."""
    samples = config["evaluation"]["samples"]
    return bool(samples) and samples["steps"] is None and target["id"] in chosen_targets(config, "samples")


def _image_shape(unet):
    """(C, H, W) of what the model works on, images or latents, or None where planning cannot know it."""
    size = None if unet is None else unet.get("sample_size")
    return None if size is None else (unet.get("in_channels", 3), *([size] * 2 if isinstance(size, int) else size))


def known_image_size(config):
    """(H, W) of the images in pixels, or None where planning cannot know it. With a vae, the model's are latents."""
    if config.get("vae"):
        size = config["data"]["size"]
        return None if size is None else (size, size)
    shape = _image_shape(known_of_model(config, "unet"))
    return None if shape is None else shape[1:]


def trajectory_header(path, where):
    """Steps of a user's trajectory file, and the shape of its x_t.

    Raises:
        WaypointError: no npz file, without the keys x_t and step, or steps that are not whole numbers.
    """
    import numpy as np

    from ..store.datasets import NPZ_ERRORS

    try:
        with np.load(path, allow_pickle=False) as found:
            missing = {"x_t", "step"} - set(found.files)
            steps, shape = (None, None) if missing else (found["step"], found["x_t"].shape)
    except NPZ_ERRORS as error:
        raise WaypointError(f"{where}: trajectory: {path} is no readable npz file ({error})") from error
    if missing:
        raise WaypointError(f"{where}: trajectory: {path} has no key {sorted(missing)[0]!r}")
    if steps.ndim != 1 or not len(steps) or steps.dtype.kind not in "iu":
        raise WaypointError(f"{where}: trajectory: step in {path} must be a list of whole training-time steps")
    return steps.tolist(), shape


@functools.cache
def file_hash(path):
    """SHA-256 of a file that a target brings along, read once per start."""
    with open(path, "rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()
