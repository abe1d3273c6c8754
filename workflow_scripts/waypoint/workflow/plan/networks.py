"""Checks before the first job that an experiment's networks can be built and fit each other and the data.

Planning imports no model library. If models, a VAE or a text encoder are about to be trained or imported, a separate
process builds them without values and compares existing ones by their configurations and by the names and shapes of
their weights. Models at the hub are left to the jobs that fetch them.
"""

import contextlib
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

from waypoint.errors import WaypointError
from waypoint.store.networks.places import local_place, may_be_hub_id
from waypoint.workflow.config.given_models import known_cells
from waypoint.workflow.plan.stages import STAGES

SCRIPTS = Path(__file__).parents[3]
TRAININGS = {name for name, stage in STAGES.items() if stage.entry == "train"}
IMPORTS = {"import_checkpoint", "import_base", "import_adapter", "import_vae", "import_text_encoder"}
MAKERS = {*TRAININGS, *IMPORTS, "train_vae"}  # stages that make networks
KEEPERS = {"featurize", "fisher_rows"}  # stages that store gradients, which may be too large without a projection
REFUSED = 3  # exit status of a refusal, whose reason is on standard output


def to_examine(plan, jobs):
    """Return those of the jobs [(stage, wildcards)] whose networks are checked before the first job runs."""
    stages = MAKERS | (KEEPERS if plan.config["projection"]["kind"] == "none" else set())
    return [(stage, wildcards) for stage, wildcards in jobs if stage in stages]


def require_fit(plan, jobs, data):
    """Refuse networks that the coming jobs would refuse; print which parts of existing ones are used.

    Args:
        plan: a ``Plan``. jobs: from ``to_examine``.
        data: the path of data/train.zarr as the models will see it, or None if it does not exist yet.

    Raises:
        WaypointError: names the folder or key, and what does not fit.
    """
    # found on the PATH, like the interpreter of the jobs
    path = os.pathsep.join(filter(None, [str(SCRIPTS), os.environ.get("PYTHONPATH")]))
    environment = {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"}
    arguments, reason = json.dumps(question(plan, jobs, data)), "there is no python"
    with contextlib.suppress(OSError):
        process = subprocess.run(["python", __file__], input=arguments, capture_output=True, text=True, env=environment)
        if process.returncode == REFUSED:
            raise WaypointError(process.stdout.strip())
        if process.returncode in (-signal.SIGINT, 128 + signal.SIGINT):
            raise WaypointError("stopped before the first job; nothing was changed")
        if process.returncode == 0:
            for message in filter(None, process.stdout.splitlines()):
                print(f"Waypoint: {message}", file=sys.stderr)
            return
        reason = (process.stderr.strip().splitlines() or [f"exit status {process.returncode}"])[-1]
    # the jobs may have their own environment, and report any mistake themselves
    print(f"Waypoint: warning: networks are not checked before the first job ({reason})", file=sys.stderr)


def question(plan, jobs, data):
    """Return the arguments of ``answer``, ready for JSON."""
    config, paths = plan.config, plan.config["checkpoints"].get("paths", [])
    vae, text = config["vae"], config["text_encoder"]
    names = {
        wildcards["checkpoint"]
        for stage, wildcards in jobs
        if stage == "import_checkpoint" or paths and stage in KEEPERS
    }
    base, adapter = config["checkpoints"].get("base"), config["adapter"]
    # imported ones too: only the base is built, so checking all of them costs little
    files = config["checkpoints"].get("adapters", []) if base else []
    return {
        "given": [base] if base else [paths[int(name.split("/")[1])] for name in sorted(names)],
        "adapters": {"trained": adapter if "count" in config["checkpoints"] else None, "files": files}
        if base
        else None,
        "reference": paths[0] if paths and plan.attributed else None,
        "trained": not paths and not base and any(stage in TRAININGS | KEEPERS for stage, _ in jobs),
        "model": config["model"],
        "changed": {key: value for key, value in plan.scheduler().items() if key != "size"},
        "vae": vae and {key: vae[key] for key in ("path", "train") if key in vae},
        "text_encoder": text and {key: text[key] for key in ("path", "max_length")},
        "cells": known_cells(config),
        "size": config["data"]["size"] if config["data"] and not vae else None,
        "unprojected": unprojected(plan),
        "data": data,
        "null_class": bool(plan.null_class()),
    }


def unprojected(plan):
    """Return the numbers of train features and of Fisher rows of a checkpoint, or None if they are projected.

    The former is None if planning cannot know it.
    """
    if not plan.attributed or plan.config["projection"]["kind"] != "none":
        return None
    subset = plan.config["data"]["subset"]
    return [
        len(subset) if isinstance(subset, list) else subset,
        max(map(plan.fisher_rows, plan.fisher_bases), default=0),
    ]


def answer(
    given, adapters, reference, trained, model, changed, vae, text_encoder, cells, size, unprojected, data, null_class
):
    """Build and compare all networks whose files are on this machine.

    Returns:
        Sentences that say which parts of existing models are used.

    Raises:
        WaypointError: as ``checkpoints.outline_of``, ``outline``, ``require_same`` and ``require_encoders``,
            ``training_set.require_fit``, ``projection.require_room``, ``vae.latent_channels`` and ``embedding_width``.
    """
    from waypoint.science.gradients.hooks import trainable
    from waypoint.science.networks.unet import require_null_class
    from waypoint.science.projection import require_room
    from waypoint.store.data.training_set import require_fit as require_fit_data
    from waypoint.store.networks import checkpoints
    from waypoint.store.networks.given import fit, wanted
    from waypoint.store.types import array_of
    from waypoint.store.zarr.reader import open_store, read

    encoders_known, width, channels = encoders(vae, text_encoder)

    def compare(denoiser, name):
        if encoders_known:
            checkpoints.require_encoders(denoiser, name, width, channels)
        if vae:
            checkpoints.require_unclipped(denoiser, name)
        p = parameters_of_adapters(denoiser.unet, adapters) if adapters else None
        if unprojected:
            images = unprojected[0] or (array_of(open_store(data), "image").shape[0] if data else 0)
            require_room(images, unprojected[1], p or sum(q.numel() for q in trainable(denoiser.unet)))
        if data:
            require_fit_data(denoiser, open_store(data), name)
            if null_class and denoiser.conditioned_by == "class_labels" and "label" in open_store(data):
                require_null_class(denoiser.unet, read(array_of(open_store(data), "label")), name)
        elif size is not None and denoiser.shape[1:] != (size, size):
            raise WaypointError(
                f"{name} takes images of {list(denoiser.shape[1:])} pixels, but data.size is {size}; fit data.size"
            )

    if trained:
        compare(checkpoints.outline_of(model), "model.unet")
    for path in given:
        require_no_typo(path)
    folders, sentences = list(filter(is_local, given)), []
    changed = {**changed, "model": model, "cells": cells, "latent": bool(vae)}
    expected = wanted(model, reference if reference and is_local(reference) else None, changed) if folders else None
    for path in folders:
        denoiser, notes = checkpoints.outlined(path, **changed)
        notes += fit(denoiser, expected, path, changed)
        compare(denoiser, f"checkpoint {path}")
        sentences += [f"checkpoint {path}: {sentence}" for sentence in notes]
    return sentences


def parameters_of_adapters(unet, adapters):
    """Compare all adapters with the layers of their base and return p of an adapter, the largest if they differ.

    Args:
        adapters: {"trained": the section ``adapter`` or None, "files": paths of existing ones}.

    Raises:
        WaypointError: a target that is not a layer, or a file for another network.
    """
    from waypoint.store.networks.adapter_files import read_adapter_file
    from waypoint.store.networks.adapters import parameters_of, parameters_of_new

    if adapters["trained"]:
        return parameters_of_new(unet, adapters["trained"])
    counts = []
    for i, path in enumerate(adapters["files"]):
        try:
            counts.append(parameters_of(unet, read_adapter_file(path)))
        except WaypointError as error:
            raise WaypointError(f"config: checkpoints.adapters[{i}]: {path}: {error}") from error
    return max(counts)


def require_no_typo(path):
    """Refuse a path that neither exists, although its parent folder does, nor is a model at the hub.

    Raises:
        WaypointError: names both.
    """
    from waypoint.store.networks.hub import not_to_be_had

    if is_local(path) or not Path(path).parent.is_dir() or not may_be_hub_id(path):
        return
    if reason := not_to_be_had(path):
        raise WaypointError(f"checkpoint {path}: no such folder; as a hub id: {reason}")


def encoders(vae, text_encoder):
    """Return whether all encoders are known by their configurations, the captions' width, and the latents' channels.

    Width and channels are None without such an encoder.
    """
    from waypoint.store.networks.text_encoder import embedding_width
    from waypoint.store.networks.vae import latent_channels, outline_of

    width = channels = None
    if text_encoder and is_local(text_encoder["path"]):
        width = embedding_width(local_place(text_encoder["path"], "text_encoder"))
    if vae and "train" in vae:
        channels = outline_of(vae["train"]["autoencoder"]).config["latent_channels"]
    elif vae and is_local(vae["path"]):
        channels = latent_channels(vae["path"])
    return bool(vae) == (channels is not None) and bool(text_encoder) == (width is not None), width, channels


def is_local(path):
    """Return whether a network is in a folder or file, on this machine or in an installed package."""
    try:
        return Path(local_place(path, "config")).exists()
    except WaypointError:  # the package was removed after its network had been imported into the store
        return False


def main():
    """Answer the question on standard input; print the answer or the refusal on standard output."""
    try:
        print(*answer(**json.load(sys.stdin)), sep="\n")
    except WaypointError as error:
        print(error)
        sys.exit(REFUSED)


if __name__ == "__main__":
    main()
