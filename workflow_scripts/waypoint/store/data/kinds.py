"""Names the kind of data that a source cannot read, and the source or command that can."""

import os
import shlex
from collections.abc import Mapping

from waypoint.errors import WaypointError
from waypoint.store.data.listing import idx_command, is_idx
from waypoint.store.data.source import Source
from waypoint.store.types import StrPath

NPZ = "python -c \"import numpy as np; {load}; np.savez('images.npz', image=images)\""
IDX = "idx3-ubyte"
DESCRIPTIONS = {  # by suffix, or by a file that marks a folder
    ".npz": "an npz file",
    ".npy": "a single array of numpy",
    ".zip": "a zip archive",
    ".tar": "a tar file",
    ".tar.gz": "a compressed tar file",
    ".tgz": "a compressed tar file",
    ".parquet": "a parquet file",
    ".arrow": "an Arrow file of the library datasets",
    ".h5": "an HDF5 file",
    ".hdf5": "an HDF5 file",
    ".lmdb": "an LMDB database",
    "data.mdb": "an LMDB database",
    ".mat": "a file of MATLAB",
    ".pt": "a file of PyTorch",
    ".pth": "a file of PyTorch",
    ".tfrecord": "a file of TensorFlow",
    ".rar": "a RAR archive",
    ".7z": "a 7-Zip archive",
    ".csv": "a table",
    ".json": "a JSON file",
    ".jsonl": "a table",
    "dataset_info.json": "a folder of save_to_disk",
    "dataset_dict.json": "a folder of save_to_disk",
    ".heic": "a photograph in HEIC",
    ".heif": "a photograph in HEIC",
    ".gz": "a compressed file",
    IDX: "a file of MNIST in the format idx",
}
# files that mark a kind of folder, if the second file lies beside them
MARKS = {"dataset_dict.json": "dataset_dict.json", "dataset_info.json": "state.json", "data.mdb": "data.mdb"}
LMDB = (
    "mkdir images; python -c \"import lmdb; [open('images/' + key.hex(), 'wb').write(value) for key, value in "
    'lmdb.open({quoted}, subdir={is_dir}, readonly=True, lock=False).begin().cursor()]"'
)
HELP = {  # commands that convert such files to images, by suffix
    ".npy": NPZ.format(load="images = np.load({quoted})"),
    ".h5": NPZ.format(load="import h5py; images = h5py.File({quoted})['images'][:]"),
    ".mat": NPZ.format(load="from scipy.io import loadmat; images = loadmat({quoted})['images']"),
    ".pt": NPZ.format(load="import torch; images = torch.load({quoted}, weights_only=True).numpy()"),
    ".tar.gz": "mkdir images; tar -xzf {path} -C images",
    ".rar": "7z x {path} -oimages",
    ".7z": "7z x {path} -oimages",
    ".heic": "magick mogrify -format png {path}",
    ".lmdb": LMDB,
}
ALIKE = {".hdf5": ".h5", ".pth": ".pt", ".tgz": ".tar.gz", ".heif": ".heic", "data.mdb": ".lmdb"}
NOT_ALONE = {".csv", ".json", ".jsonl"}  # common beside images, so not a sign of a kind


def kind_of(path: StrPath) -> str | None:
    """Return the sign of a kind of data: a file's suffix; for a folder, a marker file or the suffix of all files.

    Returns:
        a key of ``DESCRIPTIONS``, another suffix, or None for a mixed folder or a path that does not exist.
    """
    if not os.path.isdir(path):
        return suffix_of(path) if os.path.isfile(path) else None
    names = {entry.name for entry in os.scandir(path) if not entry.name.startswith(".")}
    for mark, companion in MARKS.items():
        if {mark, companion} <= names:
            return mark
    suffixes = set(map(suffix_of, names)) - {".md"}
    return next(iter(suffixes)) if len(suffixes) == 1 and suffixes <= DESCRIPTIONS.keys() - NOT_ALONE else None


def suffix_of(path: StrPath) -> str:
    """Return a file's suffix in lower case; both suffixes of a compressed tar file, and ``IDX`` for MNIST's images."""
    name = os.path.basename(path).lower()
    if is_idx(name):
        return IDX
    stem, suffix = os.path.splitext(name)
    return ".tar" + suffix if stem.endswith(".tar") else suffix


def refuse_other_kind(path: str, source: Source, sources: Mapping[str, Source]) -> None:
    """Refuse data of a kind that another source reads, or that a command converts.

    Args:
        source: the configured source. sources: all sources by name.

    Raises:
        WaypointError: names the kind, and the source or command.
    """
    kind, is_dir = kind_of(path), os.path.isdir(path)
    if kind is None or kind in source.reads:
        return
    # a source of one fixed set of images cannot read others
    readers = [name for name in sorted(sources) if kind in sources[name].reads and sources[name].images is None]
    if is_dir and kind not in MARKS and not readers:
        return  # the source itself reports the contents of the folder
    if kind in DESCRIPTIONS:
        is_single = not is_dir or kind in MARKS
        description = (
            f"is {DESCRIPTIONS[kind]}" if is_single else f"holds nothing but files that are each {DESCRIPTIONS[kind]}"
        )
    elif kind in _image_suffixes():
        raise WaypointError(f"data.path: {path} is one image and not a folder; name {os.path.dirname(path) or '.'}")
    elif source.folder and not is_dir:
        raise WaypointError(f"data.path: {path} is not a folder")
    else:
        return  # the source has its own message
    text = f"data.path: {path} {description}{' and not a folder' if source.folder and not is_dir else ''}"
    if kind == ".zip" and source.folder:  # a source of other data than a plain folder of images
        raise WaypointError(
            f"{text}; `unzip {shlex.quote(str(path))} -d images` unpacks it, and data.path names images"
        )
    if readers:
        raise WaypointError(f"{text}; source {' or '.join(readers)} reads it")
    if kind == ".gz":
        raise WaypointError(f"{text}; `gunzip {shlex.quote(str(path))}` unpacks it")
    if kind == IDX:
        raise WaypointError(f"{text}; `{idx_command(str(path))}` makes images.npz of it, which source npz reads")
    if command := HELP.get(ALIKE.get(kind, kind)):
        command_line = command.format(path=shlex.quote(str(path)), quoted=repr(str(path)), is_dir=is_dir)
        raise WaypointError(f"{text}; `{command_line}` converts it to images that a source can read")
    raise WaypointError(f"{text}; export its images as files, or as npz")


def _image_suffixes() -> set[str]:
    from PIL import Image  # imported lazily: most plans do not need it

    Image.init()
    return set(Image.registered_extensions())
