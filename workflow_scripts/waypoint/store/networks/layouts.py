"""Recognise a model's folder or file: its network and its noise schedule, or the reason to refuse it.

Only names, configurations and file headers are read and no model library is imported, so planning can do this.
"""

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn, cast

from waypoint.errors import WaypointError
from waypoint.science.networks.known import NAMES
from waypoint.store.networks.places import local_place
from waypoint.store.networks.weight_files import LORA, SUFFIXES, header, refuse_other_kinds, require_whole
from waypoint.store.types import Config, StrPath

RAW, AVERAGED = "unet", "unet_ema"  # folders of the trained weights and of their exponential average
WEIGHTS = {"raw": RAW, "ema": AVERAGED}  # folder by value of checkpoints.weights
SCHEDULE = "scheduler_config.json"
BESIDE = re.compile(r"(optimizer|scheduler|random_states|scaler|sampler)(_\d+)?\.")  # accelerate's, beside a network
NETWORKS = ("transformer", "prior", "decoder", "unet")  # parts of pipelines that denoise
EMBEDDINGS = 4  # tensors of a textual inversion's file at most
VAES = ("vae", "vqvae", "vq_model", "movq")
STEERING = ("controlnet", "adapter", "motion_adapter")  # parts that change what a pipeline's network generates


class NoModel(WaypointError):
    """The folder holds no part of a diffusion model."""


@dataclass(frozen=True)
class Layout:
    """The files of one model.

    Attributes:
        network: folder of the network's config.json and weights, or None for a state dict.
        file: a state dict, or None.
        scheduler: the file of its noise schedule, or None if it has none.
        notes: sentences for the user about what was chosen.
    """

    network: Path | None
    file: Path | None
    scheduler: Path | None
    notes: tuple[str, ...]

    @property
    def config(self) -> Config | None:
        """The network's configuration; None for a state dict."""
        return None if self.network is None else read_json(self.network / "config.json")

    @property
    def schedule(self) -> Config | None:
        """The scheduler's configuration, or None."""
        return None if self.scheduler is None else read_json(self.scheduler)


def examine(source: StrPath, weights: str | None = None) -> Layout:
    """Return the ``Layout`` of a model.

    Args:
        source: a local folder or file. weights: "raw" or "ema" where a model may have both, or None.

    Raises:
        WaypointError: it is something else (``NoModel`` if it is nothing known); says what it is and what to do.
    """
    source = Path(source)
    if source.is_file():
        _require_state_dict(source)
        return Layout(None, source, None, ())
    network, notes = _network(source, weights)
    scheduler, schedule_notes = _scheduler(source, network)
    return Layout(network, None, scheduler, (*notes, *schedule_notes, *_left_out(source, network)))


def taken_from(path: str, weights: str | None = None) -> list[str]:
    """Return the folders and files outside the store that a model is imported from; [] for a hub id.

    Args:
        path, weights: as in the configuration.
    """
    place = local_place(path)
    if not Path(place).exists():
        return []
    try:
        scheduler = examine(place, weights).scheduler
    except WaypointError:  # it was imported once, but has changed since
        return [place]
    above = scheduler is not None and Path(place).absolute() not in scheduler.absolute().parents
    return [place, str(scheduler)] if above else [place]


def read_json(file: StrPath) -> Config:
    """Read a configuration.

    Raises:
        WaypointError: the file is damaged.
    """
    try:
        content: object = json.loads(Path(file).read_text())
    except (ValueError, OSError) as error:
        raise WaypointError(f"cannot be loaded: {file} is damaged ({error})") from error
    if not isinstance(content, dict):
        raise WaypointError(f"cannot be loaded: {file} is damaged (it holds no mapping)")
    return cast(Config, content)


def unnamed_vae(source: StrPath, layout: Layout) -> str | None:
    """Return the name of the autoencoder in a pipeline's model_index.json, or None if its network sees pixels.

    Raises:
        WaypointError: the autoencoder is of an unsupported kind.
    """
    part, kind = next(_named_parts(Path(source), layout.network, VAES), (None, None))
    if kind == "VQModel":
        raise WaypointError(
            f"its latents are those of {kind} (its folder {part}), which is not supported; AutoencoderKL is"
        )
    return part


def _left_out(source: Path, network: Path) -> tuple[str, ...]:
    """Return notes on parts of a pipeline that steer its network and are not used."""
    found = dict(_named_parts(source, network, STEERING))
    return tuple(
        f"its model_index.json names {part} ({name}), which is left out: the network works without it"
        for part, name in found.items()
    )


def _named_parts(source: Path, network: Path | None, parts: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Yield (part, class) of those of the parts that a pipeline's model_index.json names."""
    for folder in dict.fromkeys([source, *_above(source, network)]):
        index = folder / "model_index.json"
        if index.is_file():
            named = read_json(index)
            for part in parts:
                if isinstance(named.get(part), list) and any(named[part]):
                    yield part, str(named[part][-1])


def _network(source: Path, weights: str | None) -> tuple[Path, tuple[str, ...]]:
    """Return the folder of the network to use, and notes on the choice."""
    folders = [name for name in (RAW, AVERAGED) if (source / name).is_dir()]
    if not folders and (source / "config.json").is_file():
        return _bare(source, weights), ()
    if not folders:
        _refuse(source)
    if len(folders) == 2 and weights is None:
        raise WaypointError(
            f"holds {RAW} (the trained weights) and {AVERAGED} (their exponential average); say which is meant: "
            "checkpoints.weights: ema or raw"
        )
    name = WEIGHTS[weights] if weights else folders[0]
    if name not in folders:
        raise WaypointError(
            f"checkpoints.weights: {weights} means its {name}, but it holds only {folders[0]}"
            + ("" if name == RAW else "; name the folder unet itself if that holds averaged weights")
        )
    if not (source / name / "config.json").is_file():
        _refuse_adapters(source / name)
        raise WaypointError(f"cannot be loaded: there is no config.json in {source / name}")
    kind = {RAW: "the trained weights", AVERAGED: "their exponential average"}[name]
    return source / name, (f"its network is {name}, {kind}",) * (folders != [RAW])


def _bare(source: Path, weights: str | None) -> Path:
    """Return a network's own folder, after checking its name against ``weights``."""
    if weights and source.name in WEIGHTS.values() and source.name != WEIGHTS[weights]:
        raise WaypointError(f"checkpoints.weights: {weights} means {WEIGHTS[weights]}, but the path names another")
    return source


def _above(source: Path, network: Path | None) -> list[Path]:
    """Return the folders above a model that may belong to its training: two for a network's own folder, else one.

    Where the path is a link, the folders above what it leads to come first.
    """
    named, real = (
        [p.parent, p.parent.parent][: 1 + (source == network)] for p in (source.absolute(), source.resolve())
    )
    # as they are named in the configuration, where that is the same folder
    actual = [name if name.resolve() == place else place for name, place in zip(named, real)]
    return list(dict.fromkeys([*actual, *named]))


def _scheduler(source: Path, network: Path) -> tuple[Path | None, tuple[str, ...]]:
    """Return the file of the noise schedule, and notes on the choice."""
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
        _refuse_single_file(file)


def _refuse_single_file(file: Path) -> None:
    """Refuse a file of something else than one network, which no section model could describe."""
    try:
        tensors = header(file)
        refuse_other_kinds(tensors)
    except WaypointError as error:
        raise WaypointError(f"{file.name}: {error}") from error
    shapes = {shape for shape, _ in tensors.values()}
    if (
        tensors
        and len(tensors) <= EMBEDDINGS
        and all(len(shape) <= 2 for shape in shapes)
        and not any(name.endswith((".weight", ".bias")) for name in tensors)
    ):
        raise WaypointError(
            f"{file.name} holds {next(iter(tensors))} alone, as textual inversion stores embeddings of new words: they "
            "belong to a text encoder, not to a network. Load them into a pipeline (load_textual_inversion), and store "
            "its text encoder and tokenizer for text_encoder.path"
        )


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
    """Raise an error that says what a folder without a supported network is."""
    _refuse_adapters(source)
    for part in NETWORKS:
        if (source / part / "config.json").is_file():
            name = read_json(source / part / "config.json").get("_class_name", part)
            raise WaypointError(f"network {name} (its folder {part}) is not supported; {NAMES} are")
    if (source / "model_index.json").is_file():
        kind = read_json(source / "model_index.json").get("_class_name", "pipeline")
        raise WaypointError(f"cannot be loaded: it is a {kind}, but holds no unet")
    subfolders = sorted((path for path in source.iterdir() if path.is_dir()), key=lambda path: path.name)
    models = [path.name for path in subfolders if any((path / name).is_dir() for name in (RAW, AVERAGED))]
    if models:
        pattern = "checkpoint-*" if all(name.startswith("checkpoint-") for name in models) else "*"
        raise WaypointError(
            f"holds models in folders of its own ({', '.join(models[:3])}); name one, or all: {source / pattern}"
        )
    files = sorted(
        path for path in source.iterdir() if path.suffix in SUFFIXES and path.is_file() and not BESIDE.match(path.name)
    )
    for file in files:
        if file.suffix == ".safetensors":
            require_whole(file)
            _refuse_single_file(file)
    if files:
        beside = any(BESIDE.match(path.name) for path in source.iterdir())  # a pattern would take these too
        pattern = files[0].name if beside else f"*{files[0].suffix}"
        raise WaypointError(
            f"holds {files[0].name} without a config.json. If that is a state dict, name the file itself "
            f"(checkpoints.paths: [{source / pattern}]), and give its network in the section model"
        )
    raise NoModel(
        "cannot be loaded: it is not a folder of a diffusion model; there is no unet/config.json and no config.json"
    )
