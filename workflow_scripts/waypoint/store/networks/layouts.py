"""Recognises a model's folder or file: which network is meant, where its noise schedule lies, or why it is refused.

Judged from names, configurations and the heads of files, so that planning can do it: no model library is imported.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn, cast

from waypoint.errors import WaypointError
from waypoint.science.networks.known import NAMES
from waypoint.store.networks.places import local_place
from waypoint.store.networks.weight_files import LORA, SUFFIXES, header, require_whole
from waypoint.store.types import Config, StrPath

RAW, AVERAGED = "unet", "unet_ema"  # folders of the trained weights and of their exponential average
WEIGHTS = {"raw": RAW, "ema": AVERAGED}  # of the key checkpoints.weights
SCHEDULE = "scheduler_config.json"
LORA_FILE = "pytorch_lora_weights.safetensors"
NETWORKS = ("transformer", "prior", "decoder", "unet")  # parts of pipelines that denoise
VAES = ("vae", "vqvae", "vq_model", "movq")


class NoModel(WaypointError):
    """A folder that holds nothing of a diffusion model."""


@dataclass(frozen=True)
class Layout:
    """Where the parts of one model lie.

    Attributes:
        network: folder of the network's config.json and weights, or None for a state dict.
        file: a state dict, or None.
        scheduler: the file of its noise schedule, or None where it has none.
        said: sentences on what was chosen, to be told.
    """

    network: Path | None
    file: Path | None
    scheduler: Path | None
    said: tuple[str, ...]

    @property
    def config(self) -> Config | None:
        """The network's configuration, a mapping; None for a state dict."""
        return None if self.network is None else read_json(self.network / "config.json")

    @property
    def schedule(self) -> Config | None:
        """The scheduler's configuration, a mapping, or None."""
        return None if self.scheduler is None else read_json(self.scheduler)


def examine(source: StrPath, weights: str | None = None) -> Layout:
    """The ``Layout`` of a model.

    Args:
        source: a local folder or file. weights: "raw" or "ema" where a model may have both, or None.

    Raises:
        WaypointError: it is something else (``NoModel`` where it is nothing at all); says what, and what to do.
    """
    source = Path(source)
    if source.is_file():
        _require_state_dict(source)
        return Layout(None, source, None, ())
    network, said = _network(source, weights)
    scheduler, where = _scheduler(source, network)
    return Layout(network, None, scheduler, (*said, *where))


def taken_from(path: str, weights: str | None = None) -> list[str]:
    """The folders and files outside the store that a model is taken from: [] for a hub id.

    Args:
        path, weights: as the configuration has them.
    """
    place = local_place(path)
    if not Path(place).exists():
        return []
    try:
        scheduler = examine(place, weights).scheduler
    except WaypointError:  # it was taken once, and is something else now
        return [place]
    above = scheduler is not None and Path(place).absolute() not in scheduler.absolute().parents
    return [place, str(scheduler)] if above else [place]


def read_json(file: StrPath) -> Config:
    """A configuration.

    Raises:
        WaypointError: it is damaged.
    """
    try:
        found: object = json.loads(Path(file).read_text())
    except (ValueError, OSError) as error:
        raise WaypointError(f"cannot be loaded: {file} is damaged ({error})") from error
    if not isinstance(found, dict):
        raise WaypointError(f"cannot be loaded: {file} is damaged (it holds no mapping)")
    return cast(Config, found)


def unnamed_vae(source: StrPath, layout: Layout) -> str | None:
    """The name under which a pipeline's model_index.json lists an autoencoder, or None: its network sees latents."""
    for folder in dict.fromkeys([Path(source), *_above(Path(source), layout.network)]):
        index = folder / "model_index.json"
        if index.is_file():
            named = read_json(index)
            for part in VAES:
                if isinstance(named.get(part), list) and any(named[part]):
                    return part
    return None


def _network(source: Path, weights: str | None) -> tuple[Path, tuple[str, ...]]:
    """The folder of the network that is meant, and what to say about it."""
    both = [name for name in (RAW, AVERAGED) if (source / name).is_dir()]
    if not both and (source / "config.json").is_file():
        return _bare(source, weights), ()
    if not both:
        _refuse(source)
    if len(both) == 2 and weights is None:
        raise WaypointError(
            f"holds {RAW} (the trained weights) and {AVERAGED} (their exponential average); say which is meant: "
            "checkpoints.weights: ema or raw"
        )
    name = WEIGHTS[weights] if weights else both[0]
    if name not in both:
        raise WaypointError(
            f"checkpoints.weights: {weights} means its {name}, but it holds only {both[0]}"
            + ("" if name == RAW else "; name the folder unet itself if that holds averaged weights")
        )
    if not (source / name / "config.json").is_file():
        _refuse_adapters(source / name)
        raise WaypointError(f"cannot be loaded: there is no config.json in {source / name}")
    kind = {RAW: "the trained weights", AVERAGED: "their exponential average"}[name]
    return source / name, (f"its network is {name}, {kind}",) * (both != [RAW])


def _bare(source: Path, weights: str | None) -> Path:
    """A network's own folder."""
    if weights and source.name in WEIGHTS.values() and source.name != WEIGHTS[weights]:
        raise WaypointError(f"checkpoints.weights: {weights} means {WEIGHTS[weights]}, but the path names another")
    return source


def _above(source: Path, network: Path | None) -> list[Path]:
    """Folders above a model that may belong to the same training: one, or two above a network's own folder."""
    whole = source.absolute()
    return [whole.parent, whole.parent.parent] if source == network else [whole.parent]


def _scheduler(source: Path, network: Path) -> tuple[Path | None, tuple[str, ...]]:
    """The file of the noise schedule, and what to say about it."""
    for file in (source / "scheduler" / SCHEDULE, source / SCHEDULE):
        if file.is_file():
            return file, ()
    for folder in _above(source, network):
        for file in (folder / "scheduler" / SCHEDULE, folder / SCHEDULE):
            if file.is_file():
                return file, (f"its noise schedule is that of {file}",)
    return None, ()


def _require_state_dict(file: Path) -> None:
    if file.suffix not in SUFFIXES:
        raise WaypointError(
            f"is a file, but no weights ({', '.join(SUFFIXES)}); name a folder of diffusers or a state dict"
        )
    require_whole(file)
    if file.suffix == ".safetensors":
        _refuse_lora(file)


def _refuse_lora(file: Path) -> None:
    if any(LORA.search(name) for name in header(file)):
        raise WaypointError(
            f"{file.name} holds LoRA weights alone; fuse them into their base model (fuse_lora of diffusers) and store "
            "that as a pipeline, or give both as they are: checkpoints.base and checkpoints.adapters"
        )


def _refuse_adapters(folder: Path) -> None:
    for file in sorted(folder.glob("*.safetensors")):
        require_whole(file)
        _refuse_lora(file)
    if (folder / "adapter_config.json").is_file():
        raise WaypointError(
            "holds a PEFT adapter alone (adapter_config.json); merge it into its base model (merge_and_unload) and "
            "store that as a pipeline"
        )


def _refuse(source: Path) -> NoReturn:
    """Say what a folder without a network of ours is."""
    _refuse_adapters(source)
    for part in NETWORKS:
        if (source / part / "config.json").is_file():
            name = read_json(source / part / "config.json").get("_class_name", part)
            raise WaypointError(f"network {name} (its folder {part}) is not supported; {NAMES} are")
    if (source / "model_index.json").is_file():
        kind = read_json(source / "model_index.json").get("_class_name", "pipeline")
        raise WaypointError(f"cannot be loaded: it is a {kind}, but holds no unet")
    inner = sorted((path for path in source.iterdir() if path.is_dir()), key=lambda path: path.name)
    models = [path.name for path in inner if any((path / name).is_dir() for name in (RAW, AVERAGED))]
    if models:
        every = "checkpoint-*" if all(name.startswith("checkpoint-") for name in models) else "*"
        raise WaypointError(
            f"holds models in folders of its own ({', '.join(models[:3])}); name one, or all: {source / every}"
        )
    files = sorted(path for path in source.iterdir() if path.suffix in SUFFIXES and path.is_file())
    if files:
        raise WaypointError(
            f"holds {files[0].name} without a config.json. If that is a state dict, name the file itself "
            f"(checkpoints.paths: [{source / ('*' + files[0].suffix)}]), and give its network in the section model"
        )
    raise NoModel(
        "cannot be loaded: it is no folder of a diffusion model; there is no unet/config.json and no config.json"
    )
