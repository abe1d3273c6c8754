"""Hugging Face data sets: a hub id, a folder of ``save_to_disk``, or parquet, read by the ``datasets`` library."""

# datasets and pyarrow have no type hints
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false, reportAttributeAccessIssue=false
# the fingerprint of a data set is private
# pyright: reportPrivateUsage=false
import contextlib
import importlib.util
import io
import os
import re
from collections.abc import Generator, Mapping, Sequence
from tempfile import TemporaryDirectory
from typing import IO, TYPE_CHECKING, Any, Unpack, cast

from waypoint.errors import WaypointError
from waypoint.store.artifacts.fingerprint import text_hash
from waypoint.store.artifacts.source_files import SourceRecord
from waypoint.store.data.faults import some
from waypoint.store.data.huggingface_columns import captions_in, chosen_columns, labels_in
from waypoint.store.data.huggingface_files import (
    SAVED,
    chosen_files,
    chosen_split,
    local_files,
    parquet_files,
    saved_folder,
    saved_parts,
)
from waypoint.store.data.image_files import EncodedImages
from waypoint.store.data.images import ImageOptions, Images
from waypoint.store.data.patterns import is_pattern
from waypoint.store.data.source import DataSection, Source, places

if TYPE_CHECKING:
    from datasets import Dataset

INSTALL = "pip install -r envs/requirements-huggingface.txt -c envs/constraints.txt"
REMOTE = "hf://datasets/"
HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")
FILE_SUFFIX = re.compile(r"\.[A-Za-z]\w*$")  # a version such as v1.5 is not a suffix
REVISION = re.compile(r"@([0-9a-f]{40})/")


def hub_id(section: DataSection) -> str | None:
    """Return ``data.path`` if it is a hub id; None for a path on this machine.

    A path that does not exist counts as an id only if it looks like one: owner/name without ./ or a file's suffix. If
    there is a folder with the owner's name, it is more likely a mistyped path.
    """
    path = section["path"]
    if not isinstance(path, str):
        return None
    if path.startswith(REMOTE):
        return path.removeprefix(REMOTE)
    looks_like_id = HUB_ID.fullmatch(path) and not FILE_SUFFIX.search(path)
    return path if looks_like_id and not os.path.exists(path) and not os.path.isdir(path.split("/")[0]) else None


def paths(section: DataSection) -> Sequence[str | None]:
    """List the files to be read; none for a hub id."""
    if hub_id(section):
        return []
    try:
        folder = saved_folder(section)
        if folder is None:
            return parquet_files(section)
        return [*(str(folder / name) for name in SAVED), *saved_parts(folder)]
    except (WaypointError, OSError, ValueError, LookupError, TypeError):
        return [None]  # missing or changed; ``check`` names the fault


def check(section: DataSection) -> int | None:
    """Refuse missing packages and wrong files, splits and columns; returns the number of images, None if not known yet.

    Raises:
        WaypointError: names the key.
    """
    _require_library()
    if hub_id(section):
        return None  # no network before a job needs it
    if section.get("configuration") is not None:
        raise WaypointError("data.configuration is for data sets of the hub; leave it out for files")
    path = section["path"]
    if isinstance(path, str) and not os.path.exists(path) and not is_pattern(path):
        raise WaypointError(f"data.path: there is no {path}, and it is not a hub id, which looks like owner/name")
    files = local_files(section)
    chosen_columns(files.features, section)
    return None if "[" in (section.get("split") or "") else files.rows


def _require_library() -> None:
    if importlib.util.find_spec("datasets") is None:
        raise WaypointError(f"data.source: huggingface needs the Python package datasets; run `{INSTALL}`")


def huggingface(section: DataSection) -> "DataSetImages":
    """Return the images, labels and captions in the columns from ``chosen_columns``.

    Raises:
        WaypointError: a package, column, split or cell is missing, or the hub cannot be reached.
    """
    _require_library()
    data, scratch = _load(section)
    if not len(data):
        raise WaypointError(f"data.path: {some(places(section['path']))} has no rows in the part that is read")
    columns = chosen_columns(data.features, section)
    labels, class_names = labels_in(data, columns.label)
    captions = captions_in(data, columns.caption)
    rows, files = _encoded_images(data, columns.image)
    options: ImageOptions = {"labels": labels, "class_names": class_names, "captions": captions}
    return DataSetImages(section, data, rows, columns.image, files, scratch, **options)


class DataSetImages(EncodedImages):
    """Images in the rows of a data set.

    Args:
        dataset: the data set. data: its column of encoded images.
        scratch: the temporary folder of its files, which is removed with this object; or None.
    """

    def __init__(
        self,
        section: DataSection,
        dataset: "Dataset",
        data: "Dataset",
        column: str,
        files: Sequence[str],
        scratch: "TemporaryDirectory[str] | None",
        **options: Unpack[ImageOptions],
    ):
        super().__init__(section, files, self._cell, **options)
        self.dataset, self.data, self.column, self.scratch = dataset, data, column, scratch
        self.raw = [path for path in paths(section) if path]

    def _cell(self, i: int) -> str | IO[bytes]:
        return _file_of(self.data[i][self.column])

    def read_from(self, rows: Sequence[int]) -> list[str]:
        return self.raw


def _load(section: DataSection) -> "tuple[Dataset, TemporaryDirectory[str] | None]":
    """Load the data set; returns it and the temporary folder of its Arrow files, or None."""
    import datasets

    datasets.disable_progress_bars()
    split, dataset_id = section.get("split"), hub_id(section)
    if dataset_id:
        return _load_from_hub(dataset_id, section), None
    if folder := saved_folder(section):
        with _clear_errors(f"data.path: {folder}"):
            return cast("Dataset", datasets.load_from_disk(str(folder))), None
    # not the library's cache: it identifies files by name and time, which a changed file could keep
    scratch = TemporaryDirectory(prefix="waypoint-parquet-", dir=os.environ.get("WAYPOINT_SCRATCH"))
    splits, features = chosen_files(section)
    data_files = {name: [os.path.abspath(file) for file in files] for name, files in splits.items()}
    with _clear_errors(f"data.path: {some(places(section['path']))}"):
        # not the folder itself: of its files, the library would take those of the most frequent suffix
        data = datasets.load_dataset(
            "parquet",
            data_files=data_files,
            split=split or next(iter(splits)),
            features=features,
            cache_dir=scratch.name,
        )
    return _one_split(data, section), scratch


def _load_from_hub(dataset_id: str, section: DataSection) -> "Dataset":
    import datasets

    try:
        data = datasets.load_dataset(dataset_id, section.get("configuration"), split=section.get("split"))
    except datasets.exceptions.DatasetNotFoundError as error:
        raise WaypointError(
            f"data.path: there is no {section['path']} on this machine, and the hub has no data set {dataset_id}, or "
            f"only for those who are logged in (`hf auth login`): {error}"
        ) from error
    except OSError as error:  # ConnectionError, time-outs, offline mode
        raise WaypointError(
            f"data.path: there is no {section['path']} on this machine, and the hub, where data set {dataset_id} may "
            f"be, cannot be reached ({error}). Where there is a network, `hf download {dataset_id} --repo-type dataset "
            "--local-dir FOLDER` fetches it; then name that folder"
        ) from error
    except Exception as error:  # no such split or configuration, files of another kind
        raise WaypointError(f"data.path: data set {dataset_id} cannot be read from the hub ({error})") from error
    return _one_split(data, section)


def _one_split(data: object, section: DataSection) -> "Dataset":
    """Return the data set itself, or the split to read if there are several."""
    if isinstance(getattr(data, "column_names", None), list):
        return cast("Dataset", data)
    splits = cast(Mapping[str, "Dataset"], data)
    return splits[chosen_split(list(splits), None, some(places(section["path"])))]


@contextlib.contextmanager
def _clear_errors(context: str) -> Generator[None]:
    """Turn any error of the libraries into a ``WaypointError`` of one sentence."""
    try:
        yield
    except WaypointError:
        raise
    except Exception as error:  # pyarrow and datasets raise errors of their own, and others
        raise WaypointError(f"{context} cannot be read ({_cause(error)})") from error


def _cause(error: BaseException) -> BaseException:
    """Return the innermost cause; datasets itself only says that an error occurred."""
    while error.__cause__ is not None:
        error = error.__cause__
    return error


def _encoded_images(data: "Dataset", column: str) -> "tuple[Dataset, list[str]]":
    """Return the rows with encoded images, and a name for each."""
    import pyarrow.compute as pc
    from datasets import Image

    rows = data.select_columns([column])
    if isinstance(data.features[column], Image):
        rows = rows.cast_column(column, Image(decode=False))
    column_array = rows.with_format("arrow")[:][column]
    is_struct = isinstance(rows.features[column], Image | dict)
    empty = pc.is_null(column_array)
    if is_struct:
        present = [pc.is_valid(pc.struct_field(column_array, name)) for name in _struct_fields(column_array)]
        empty = pc.or_(empty, pc.invert(pc.or_(*present) if len(present) > 1 else present[0]))
    if missing := [k for k, is_empty in enumerate(empty.to_pylist()) if is_empty]:
        raise WaypointError(f"data.columns: column {column} has no image in {len(missing):,} rows: {some(missing)}")
    paths: list[str | None] = [None] * len(data)
    if is_struct and "path" in _struct_fields(column_array):
        paths = pc.struct_field(column_array, "path").to_pylist()
    names = [name and os.path.basename(name.replace("\\", "/")) for name in paths]
    if None in names or len(set(names)) < len(names):  # then row numbers tell images apart
        return rows, [f"{k}/{name}" if name else str(k) for k, name in enumerate(names)]
    return rows, [str(name) for name in names]


def _struct_fields(column_array: Any) -> list[str]:
    return [field.name for field in column_array.type if field.name in ("bytes", "path")]


def _file_of(value: Any) -> str | IO[bytes]:
    """Return the bytes in a cell as a file, or the path of a file on this machine."""
    if isinstance(value, bytes):
        return io.BytesIO(value)
    return io.BytesIO(value["bytes"]) if value.get("bytes") is not None else value["path"]


def captioned(section: DataSection) -> bool | None:
    """Whether there is a column of captions; None for a hub id, as only jobs contact the hub."""
    return None if hub_id(section) else chosen_columns(local_files(section).features, section).caption is not None


def record(section: DataSection, images: Images) -> SourceRecord | None:
    """Return the fingerprint and revisions of a data set from the hub; None for files."""
    dataset_id = hub_id(section)
    if dataset_id is None or not isinstance(images, DataSetImages):
        return None
    look, urls = images.dataset._fingerprint, images.dataset.info.download_checksums or ()
    revisions = sorted({revision for url in urls for revision in REVISION.findall(url)})
    return {
        "paths": places(section["path"]),
        "look": look,
        "sha256": text_hash(look),
        "hub": dataset_id,
        "revisions": revisions,
    }


SOURCE = Source(
    huggingface,
    keys=("path", "columns", "split", "configuration"),
    needs={"path": "a hub id, a folder of save_to_disk, or parquet files"},
    several=True,
    reads=(".parquet", "dataset_dict.json", "dataset_info.json"),
    remote=lambda section: hub_id(section) is not None,
    paths=paths,
    check=check,
    record=record,
    captioned=captioned,
    caption_help="data.columns names the column that holds them",
)
