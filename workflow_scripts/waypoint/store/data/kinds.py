"""Data of another kind than a source reads is named for what it is, with the source or the one command that helps."""

import os
import shlex

from waypoint.errors import WaypointError

NPZ = "python -c \"import numpy as np; {load}; np.savez('images.npz', image=images)\""
WHAT = {  # {suffix, or a file that tells a folder: what it is}
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
}
# files that tell what a folder is, each where another one is there too
MARKS = {"dataset_dict.json": "dataset_dict.json", "dataset_info.json": "state.json", "data.mdb": "data.mdb"}
LMDB = (
    "mkdir images; python -c \"import lmdb; [open('images/' + key.hex(), 'wb').write(value) for key, value in "
    'lmdb.open({quoted}, subdir={is_dir}, readonly=True, lock=False).begin().cursor()]"'
)
HELP = {  # {suffix: what makes images of such files}
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
NOT_ALONE = {".csv", ".json", ".jsonl"}  # beside images they tell nothing


def kind_of(path):
    """What tells the kind of data: a file's suffix, or in a folder a file with a name of its own or all files' suffix.

    Returns:
        a key of ``WHAT``, another suffix, or None for a folder of many things and for what is not there.
    """
    if not os.path.isdir(path):
        return suffix_of(path) if os.path.isfile(path) else None
    there = {entry.name for entry in os.scandir(path) if not entry.name.startswith(".")}
    for mark, with_it in MARKS.items():
        if {mark, with_it} <= there:
            return mark
    suffixes = set(map(suffix_of, there)) - {".md"}
    return next(iter(suffixes)) if len(suffixes) == 1 and suffixes <= WHAT.keys() - NOT_ALONE else None


def suffix_of(path):
    """A file's suffix in small letters; of compressed tar files both."""
    name = os.path.basename(path).lower()
    stem, suffix = os.path.splitext(name)
    return ".tar" + suffix if stem.endswith(".tar") else suffix


def refuse_other_kind(path, source, sources):
    """Refuse data that is of a kind which another source or a command is for.

    Args:
        source: the ``Source`` that is to read it. sources: all of them, {name: ``Source``}.

    Raises:
        WaypointError: says what it is, and what reads or converts it.
    """
    kind, is_dir = kind_of(path), os.path.isdir(path)
    if kind is None or kind in source.reads:
        return
    # a source of one fixed set of images is no help with others
    readers = [name for name in sorted(sources) if kind in sources[name].reads and sources[name].images is None]
    if is_dir and kind not in MARKS and not readers:
        return  # its source tells what a folder holds in place of images
    if kind in WHAT:
        alone = not is_dir or kind in MARKS
        what = f"is {WHAT[kind]}" if alone else f"holds nothing but files that are each {WHAT[kind]}"
    elif kind in _image_suffixes():
        raise WaypointError(f"data.path: {path} is one image and not a folder; name {os.path.dirname(path) or '.'}")
    elif source.folder and not is_dir:
        raise WaypointError(f"data.path: {path} is not a folder")
    else:
        return  # the source says what it makes of it
    text = f"data.path: {path} {what}{' and not a folder' if source.folder and not is_dir else ''}"
    if readers:
        raise WaypointError(f"{text}; source {' or '.join(readers)} reads it")
    if command := HELP.get(ALIKE.get(kind, kind)):
        told = command.format(path=shlex.quote(str(path)), quoted=repr(str(path)), is_dir=is_dir)
        raise WaypointError(f"{text}; `{told}` makes images of it that a source reads")
    raise WaypointError(f"{text}; export its images as files, or as npz")


def _image_suffixes():
    from PIL import Image  # most plans need none

    Image.init()
    return set(Image.registered_extensions())
