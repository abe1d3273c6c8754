"""Whether given models fit the experiment and each other, before the first job.

Planning imports no model library, and Snakemake's own process keeps it that way: where models, a VAE or a text encoder
are about to be taken into the store, a process of its own compares them by their configurations and by the names and
shapes of their weights. What lies at the hub is left to the jobs that fetch it.
"""

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

from waypoint.errors import WaypointError
from waypoint.store.networks.packages import package_path

SCRIPTS = Path(__file__).parents[3]
IMPORTS = ("import_checkpoint", "import_vae", "import_text_encoder")  # stages
REFUSED = 3  # exit status; standard output says why


def require_fit(plan, names, data):
    """Refuse given models, a VAE or a text encoder that the jobs that import them would refuse.

    Args:
        plan: a ``Plan``. names: of the models that are about to be imported.
        data: the place of data/train.zarr as the models will see it, or None where it is not there yet.

    Raises:
        WaypointError: names the folder, and what about it does not fit.
    """
    if importlib.util.find_spec("torch") is None:  # jobs have an environment of their own
        return
    asked = json.dumps(question(plan, names, data))
    command = [sys.executable, "-c", "from waypoint.workflow.plan.given_models import main; main()"]
    environment = {**os.environ, "PYTHONPATH": str(SCRIPTS), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, input=asked, capture_output=True, text=True, env=environment)
    if done.returncode == REFUSED:
        raise WaypointError(done.stdout.strip())
    if done.returncode:
        raise WaypointError(f"the given models cannot be compared with the configuration:\n{done.stderr.strip()}")


def question(plan, names, data):
    """What ``answer`` is asked, as JSON has it."""
    config, paths = plan.config, plan.config["checkpoints"].get("paths", [])
    vae, text = config["vae"], config["text_encoder"]
    pixels = config["data"] and not vae
    return {
        "models": [paths[int(name.split("/")[1])] for name in names],
        "reference": paths[0] if paths and plan.attributed else None,
        "model": config["model"],
        "changed": plan.scheduler(),
        "vae": vae and {key: vae[key] for key in ("path", "train") if key in vae},
        "text_encoder": text and {key: text[key] for key in ("path", "max_length")},
        "size": config["data"]["size"] if pixels else None,
        "data": data,
    }


def answer(models, reference, model, changed, vae, text_encoder, size, data):
    """Compare everything that lies in a folder.

    Raises:
        WaypointError: as ``checkpoints.outline``, ``given.require_wanted``, ``checkpoints.require_encoders``,
            ``training_set.require_fit``, ``load_vae`` and ``TextEncoder``.
    """
    from waypoint.store.data.training_set import require_fit as require_fit_data
    from waypoint.store.networks import checkpoints
    from waypoint.store.networks.given import require_wanted
    from waypoint.store.zarr.reader import open_store

    known, width, channels = encoders(vae, text_encoder)
    for path in models:
        if not local(path):
            continue
        denoiser, called = checkpoints.outline(path, **changed), f"checkpoint {path}"
        if reference is None or local(reference):
            require_wanted(denoiser, path, model, reference, changed)
        if known:
            checkpoints.require_encoders(denoiser, called, width, channels)
        if vae:
            checkpoints.require_unclipped(denoiser, called)
        if data:
            require_fit_data(denoiser, open_store(data), called)
        elif size not in (None, *denoiser.shape[1:]):
            raise WaypointError(
                f"{called} takes images of {list(denoiser.shape[1:])} pixels, but data.size is {size}; fit data.size"
            )


def encoders(vae, text_encoder):
    """Whether both encoders are known, the width of embedded captions, and the channels of latents.

    Width and channels are None where there is no such encoder.
    """
    from waypoint.store.networks.text_encoder import TextEncoder
    from waypoint.store.networks.vae import load_vae

    width = channels = None
    if text_encoder and local(text_encoder["path"]):
        folder = package_path(text_encoder["path"], "text_encoder")
        width = TextEncoder(folder, text_encoder["max_length"]).width
    if vae and "train" in vae:
        channels = vae["train"]["autoencoder"].get("latent_channels", 4)  # diffusers' default
    elif vae and local(vae["path"]):
        channels = load_vae(vae["path"]).vae.config.latent_channels
    return bool(vae) == (channels is not None) and bool(text_encoder) == (width is not None), width, channels


def local(path):
    """Whether a model lies in a folder, here or in an installed package."""
    return Path(package_path(path, "checkpoints.paths")).is_dir()


def main():
    """Answer the question on standard input; a refusal goes to standard output."""
    try:
        answer(**json.load(sys.stdin))
    except WaypointError as error:
        print(error)
        sys.exit(REFUSED)
