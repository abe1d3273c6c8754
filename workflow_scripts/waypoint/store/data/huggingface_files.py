"""Files of data sets of Hugging Face on this machine: folders of ``save_to_disk``, and parquet, by split.

All of them are opened at planning for their columns and the number of their rows, which their footers or headers hold.
"""

# datasets and pyarrow have no type hints
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false, reportAttributeAccessIssue=false
# the rule by which the hub finds splits is private
# pyright: reportPrivateUsage=false
import json
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from waypoint.errors import WaypointError
from waypoint.store.data.faults import refuse, some
from waypoint.store.data.huggingface_columns import Features, type_name
from waypoint.store.data.patterns import expanded
from waypoint.store.data.source import DataSection, places
from waypoint.store.types import StrPath

SAVED, SAVED_SPLITS = ("dataset_info.json", "state.json"), "dataset_dict.json"
CARD = "README.md"  # it may name the files of each split
NAME_OF_SPLIT = re.compile(r"\s*([\w.-]+)")  # before a slice, as in train[:100]
ALIKE = (("int", "uint"), ("string", "large_string"), ("binary", "large_binary"))  # types that fit each other


@dataclass(frozen=True)
class LocalFiles:
    """The columns of a data set on this machine, and the number of its rows."""

    features: Features
    rows: int


def saved_folder(section: DataSection) -> Path | None:
    """Return the folder of one split that ``save_to_disk`` wrote, or None for parquet.

    Raises:
        WaypointError: none of several splits is chosen, the chosen one is missing, or the folder is incomplete.
    """
    if not isinstance(section["path"], str):
        return None
    root, split = Path(section["path"]), section.get("split")
    if (root / SAVED_SPLITS).is_file():
        try:
            splits: list[str] = list(json.loads((root / SAVED_SPLITS).read_text(encoding="utf-8"))["splits"])
        except (OSError, ValueError, LookupError, TypeError) as error:
            raise WaypointError(f"data.path: {root / SAVED_SPLITS} cannot be read ({error})") from error
        root /= chosen_split(splits, split, root)
    elif not any((root / name).is_file() for name in SAVED):
        return None
    elif split is not None:
        raise WaypointError(f"data.split: {root} was saved as one split; leave the key out")
    if missing := [name for name in SAVED if not (root / name).is_file()]:
        raise WaypointError(f"data.path: {root} is not whole, {missing[0]} is missing; save the data set again")
    return root


def chosen_split(splits: Sequence[str], requested: str | None, location: StrPath) -> str:
    """Return the split to read: the requested one, train, or the only one.

    Raises:
        WaypointError: there is no such split; lists the splits.
    """
    if requested is not None and requested in splits:
        return requested
    if requested is None and "train" in splits:
        return "train"
    if requested is None and len(splits) == 1:
        return splits[0]
    problem = f"there is no {requested}" if requested is not None else "name the one to read"
    raise WaypointError(f"data.split: {problem} in {location}; the splits are {', '.join(splits)}")


def parquet_files(section: DataSection) -> list[str]:
    """List the parquet files that a path, a pattern, a list of these or a folder names.

    Raises:
        WaypointError: there are none, or some are not parquet.
    """
    files: list[str] = []
    for place in places(section["path"]):
        if os.path.isdir(place):
            inner_files = sorted(str(file) for file in Path(place).rglob("*.parquet") if not _is_hidden(file, place))
            if not inner_files:
                raise WaypointError(
                    f"data.path: {place} is neither a folder of save_to_disk nor one with parquet files; "
                    "for a folder of images use source imagefolder, for tar files webdataset"
                )
            files += inner_files
        else:
            files += expanded(place)
    if others := [file for file in files if not file.endswith(".parquet")]:
        raise WaypointError(f"data.path: {some(others)}: source huggingface reads parquet, a saved folder, or a hub id")
    return files


def _is_hidden(file: Path, root: StrPath) -> bool:
    return any(part.startswith(".") for part in file.relative_to(root).parts)


def saved_parts(folder: Path) -> list[str]:
    """List the Arrow files of a folder of ``save_to_disk``."""
    state = json.loads((folder / SAVED[1]).read_text(encoding="utf-8"))
    return [str(folder / part["filename"]) for part in state["_data_files"]]


def chosen_files(section: DataSection) -> tuple[dict[str, list[str]], Any]:
    """Return the parquet files to read by split, and the types of their columns if a dataset card gives them.

    Raises:
        WaypointError: there are no files, none of several splits is chosen, or the chosen one is missing.
    """
    path, split = section["path"], section.get("split")
    if isinstance(path, str) and os.path.isdir(path):
        splits, features = _splits_of_folder(path, parquet_files(section))
    else:
        splits, features = {"train": parquet_files(section)}, None
    location = some(places(path))
    if split is None:
        name = chosen_split(list(splits), None, location)
        return {name: splits[name]}, features
    found = [NAME_OF_SPLIT.match(part) for part in split.split("+")]
    names = [match[1] if match else split for match in found]
    if names == ["all"]:
        return splits, features
    return {name: splits[chosen_split(list(splits), name, location)] for name in names}, features


def _splits_of_folder(folder: str, files: Sequence[str]) -> tuple[dict[str, list[str]], Any]:
    """Group the parquet files of a folder into splits as the hub does: by its dataset card, or by their names."""
    from datasets.data_files import DataFilesDict, _get_data_files_patterns, resolve_pattern, sanitize_patterns

    base = Path(folder).resolve().as_posix()
    known = {os.path.realpath(file) for file in files}

    def named_so(pattern: str) -> list[str]:
        return [file for file in resolve_pattern(pattern, base) if os.path.realpath(file) in known]

    try:
        configuration, features = _card(folder)
        patterns = sanitize_patterns(configuration["data_files"]) if "data_files" in configuration else None
        patterns = patterns or _get_data_files_patterns(named_so)
        base = os.path.join(base, configuration.get("data_dir", ""))
        found = DataFilesDict.from_patterns(patterns, base_path=base, allowed_extensions=[".parquet"])
    except WaypointError:
        raise
    except Exception as error:  # datasets raises errors of many kinds
        raise WaypointError(f"data.path: the splits in {folder} cannot be told ({error})") from error
    splits = {str(split): list(map(str, found[split])) for split in found}
    return {split: paths for split, paths in splits.items() if paths}, features


def _card(folder: str) -> tuple[Mapping[str, Any], Any]:
    """Return the only or default configuration in a folder's dataset card, and the types of columns in it or None."""
    card = os.path.join(folder, CARD)
    if not os.path.isfile(card):
        return {}, None
    from datasets.info import DatasetInfosDict
    from datasets.utils.metadata import MetadataConfigs
    from huggingface_hub import DatasetCard

    data: Any = DatasetCard.load(card).data
    configurations, infos = MetadataConfigs.from_dataset_card_data(data), DatasetInfosDict.from_dataset_card_data(data)
    default = configurations.get_default_config_name() if configurations else None
    if len(configurations) > 1 and default is None:
        raise WaypointError(
            f"data.path: the configurations in {card} are {', '.join(configurations)}, and none is the default; name "
            f"the files of one of them, as in {folder}/{next(iter(configurations))}/*.parquet"
        )
    name = default or next(iter(configurations), None)
    info = infos.get(name) if name else next(iter(infos.values()), None) if len(infos) == 1 else None
    return configurations.get(name, {}) if name else {}, info.features if info else None


def local_files(section: DataSection) -> LocalFiles:
    """Read the columns and the number of rows of a data set on this machine, from all files that will be read.

    Raises:
        WaypointError: a file cannot be read, files differ in their columns, or there are no rows.
    """
    folder = saved_folder(section)
    found = _saved(folder) if folder else _parquet(*chosen_files(section))
    if not found.rows:
        raise WaypointError(f"data.path: {folder or some(places(section['path']))} has no rows")
    return found


def _saved(folder: Path) -> LocalFiles:
    import pyarrow
    from datasets import Features as ColumnTypes

    file = folder / SAVED[0]
    try:
        features = ColumnTypes.from_dict(json.loads(file.read_text(encoding="utf-8"))["features"])
        file = folder / SAVED[1]
        parts = saved_parts(folder)
    except Exception as error:  # datasets raises errors of many kinds
        raise WaypointError(f"data.path: {file} cannot be read ({error})") from error
    rows, faults = 0, [f"{part} is missing" for part in parts if not os.path.isfile(part)]
    for part in parts if not faults else []:
        try:
            with pyarrow.memory_map(part) as source:
                rows += sum(batch.num_rows for batch in pyarrow.ipc.open_stream(source))
        except (pyarrow.ArrowException, OSError) as error:
            faults.append(f"{part} cannot be read ({error})")
    if faults:
        refuse("data.path", [*faults[:-1], f"{faults[-1]}; save the data set again, or fetch what is missing"])
    return LocalFiles(features, rows)


def _parquet(splits: Mapping[str, Sequence[str]], features: Any) -> LocalFiles:
    import pyarrow
    import pyarrow.parquet
    from datasets import Features as ColumnTypes

    files = [file for names in splits.values() for file in names]
    shards: list[tuple[str, Features]] = []
    rows, faults = 0, list[str]()
    for file in files:
        try:
            with pyarrow.parquet.ParquetFile(file) as shard:
                rows += shard.metadata.num_rows
                shards.append((file, ColumnTypes.from_arrow_schema(shard.schema_arrow)))
        except Exception as error:  # pyarrow and datasets raise errors of many kinds
            faults.append(f"{file} cannot be read ({error})")
    if faults:
        refuse("data.path", [*faults[:-1], f"{faults[-1]}; write it again, or leave it out"])
    first, expected = shards[0]
    for file, columns in shards[1:]:
        if fault := _difference(expected, columns):
            raise WaypointError(
                f"data.path: {file} has {fault[0]}, but {first} has {fault[1]}; write both with the same columns, or "
                "name only files that fit each other"
            )
    return LocalFiles(features if features is not None and set(features) == set(expected) else expected, rows)


def _difference(expected: Features, columns: Features) -> tuple[str, str] | None:
    """Return how the columns of a file differ from those of the first one, as two clauses; None if they do not."""
    if lacking := [name for name in expected if name not in columns]:
        return f"no column {lacking[0]}", "one"
    if further := [name for name in columns if name not in expected]:
        return f"a column {further[0]}", "none"
    for name, feature in expected.items():
        types = [str(getattr(kind, "dtype", "")) for kind in (feature, columns[name])]
        fit = any(all(kind.startswith(alike) for kind in types) for alike in ALIKE)
        if columns[name] != feature and not (fit and type(feature) is type(columns[name])) and types[1] != "null":
            return f"{type_name(columns[name])} in column {name}", type_name(feature)
        if getattr(feature, "names", None) != getattr(columns[name], "names", None):
            return f"the classes {some(columns[name].names)} in column {name}", some(feature.names)  # pyright: ignore
    return None
