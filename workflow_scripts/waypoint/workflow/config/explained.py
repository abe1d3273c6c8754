"""The configuration behind one question: which training images enabled this model to make this picture?"""

import re
from pathlib import Path

from waypoint.errors import WaypointError
from waypoint.science.timesteps import sampling_grid
from waypoint.store.artifacts.fingerprint import Digest, text_hash
from waypoint.store.data.given_image import open_picture
from waypoint.workflow.config.given_models import stored_config, stored_vae

SAMPLING_STEPS = 50
DESIRED_STEPS = (100, 300, 500, 700, 900)  # the nearest steps on the model's grid are used
EXPERIMENT_DATA = "data/train.zarr"  # marks the folder of an experiment
LARGEST_FACTORED = 400e6  # largest weights, in bytes, whose ekfac factors fit a workstation: 100 M parameters
NAMED = {"image": "IMAGE=made.png", "model": "MODEL=models/a", "data": "DATA=photos/"}


def target_of(image, label=None, prompt=None):
    """Return the row of ``targets`` for a picture; its id holds a hash that tells pictures of the same name apart.

    Raises:
        WaypointError: there is no such file, or it is not a picture.
    """
    open_picture(image, "IMAGE")
    key = Digest()
    key.add(Path(image).read_bytes())
    key.add(repr((label, prompt)).encode())
    row = {"id": f"{path_safe(Path(image).stem)}-{key.hex()[:6]}", "image": str(Path(image).absolute())}
    return row | {name: value for name, value in (("label", label), ("prompt", prompt)) if value is not None}


def configuration(model, data, captions=None):
    """Return the configuration for a model and its training images, without targets.

    Args:
        model: a folder written by diffusers. data: a folder of images, an npz file, or the folder of an experiment.
        captions: a table, or None.

    Raises:
        WaypointError: says what is missing, in one sentence.
    """
    for key, path in (("MODEL", model), ("DATA", data), ("CAPTIONS", captions)):
        if path is not None and not Path(path).exists():
            raise WaypointError(f"{key}: there is no {path}")
    unet, scheduler = stored_config(model, "unet"), stored_config(model, "scheduler")
    if unet is None or "in_channels" not in unet:
        raise WaypointError(
            f"MODEL: {model} holds no unet/config.json: it is not a folder of a diffusion model of diffusers"
        )
    if scheduler is None:
        raise WaypointError(f"MODEL: {model} holds no scheduler/scheduler_config.json, which says how noise is added")
    source = "npz" if Path(data).is_file() else "experiment" if Path(data, EXPERIMENT_DATA).exists() else "imagefolder"
    if "cross_attention_dim" in unet and captions is None and source != "experiment":
        raise WaypointError(
            f"CAPTIONS is missing: {model} is text-conditional; name a table with columns file and caption"
        )
    section = {"source": source, "path": str(Path(data).absolute()), "size": size_of(model, unet)}
    checkpoints: dict[str, str | list[str]] = {"paths": [str(Path(model).absolute())]}
    if scheduler.get("_class_name", "DDPMScheduler") != "DDPMScheduler":
        checkpoints["sampler"] = "ddpm"
    best = "ekfac" if weights_of(model) <= LARGEST_FACTORED else "fisher"
    config = {
        "experiment": name_of(model, data),
        "data": section | ({"captions": str(Path(captions).absolute())} if captions else {}),
        "checkpoints": checkpoints,
        "sampling": {"steps": SAMPLING_STEPS},
        "attribution": {"steps": steps_of(scheduler)},
        "methods": {best: {}, f"{best}-sum": {"method": "trak-sum", "of": best}, "pixel": {}},
        # agreement between the scores of both halves of the draws tells influences from noise
        "features": {"keep_halves": True, "draw_scheme": "stratified"},
    }
    for key, part in (("vae", "vae"), ("text_encoder", "text_encoder")):
        if Path(model, part).is_dir():
            config[key] = {"path": checkpoints["paths"][0]}
    if "text_encoder" in config and "cross_attention_dim" not in unet:
        del config["text_encoder"]
    return config


def weights_of(model):
    """Return the size of a model's weights in bytes."""
    files = [file for kind in ("*.safetensors", "*.bin") for file in Path(model, "unet").glob(kind)]
    return max((file.stat().st_size for file in files), default=0)


def name_of(model, data):
    """Return the experiment's name: the names of the model's folder and of the images, and a hash of both paths."""
    key = text_hash(f"{Path(model).absolute()}\0{Path(data).absolute()}")[:6]
    return f"explain-{path_safe(Path(model).absolute().name)}-{path_safe(Path(data).absolute().stem)}-{key}"


def path_safe(name):
    """Return a name with only letters, digits and hyphens."""
    return re.sub(r"[^A-Za-z0-9]+", "-", name).strip("-") or "picture"


def size_of(model, unet):
    """Return the side of the model's images in pixels.

    Raises:
        WaypointError: they are not square, or their size is unknown.
    """
    size = unet.get("sample_size")
    sides = size if isinstance(size, list) else [size, size]
    if sides[0] != sides[1] or sides[0] is None:
        raise WaypointError(f"MODEL: {model} makes images of {size} (unet's sample_size); squares are needed here")
    vae = stored_vae(model) if Path(model, "vae").is_dir() else None
    return sides[0] * 2 ** (len(vae["block_out_channels"]) - 1) if vae else sides[0]


def steps_of(scheduler):
    """Return the attributed steps on the model's sampling grid."""
    grid = sampling_grid(
        scheduler.get("num_train_timesteps", 1000),
        SAMPLING_STEPS,
        scheduler.get("timestep_spacing", "leading"),
        scheduler.get("steps_offset", 0),
    )
    return sorted({min(grid, key=lambda t: abs(t - desired)) for desired in DESIRED_STEPS})
