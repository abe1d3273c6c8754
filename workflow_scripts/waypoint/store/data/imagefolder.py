"""A folder of images, or a zip archive of one; captions and labels are in tables, side files or names of folders."""

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from waypoint.errors import WaypointError, WaypointWarning
from waypoint.store.data.containers import Container, Folder, container
from waypoint.store.data.faults import some
from waypoint.store.data.labels import labels_of
from waypoint.store.data.listed import Listed, require_all, tabled
from waypoint.store.data.listing import TEXTS, conversion, readable, require_utf8, suffix_of, told_by_suffix
from waypoint.store.data.side_files import metadata, side_captions
from waypoint.store.data.source import DataSection, Source, path_of
from waypoint.store.data.tables import rows_of

if TYPE_CHECKING:
    from waypoint.store.data.image_files import EncodedImages
    from waypoint.store.data.images import ImageOptions

SPLITS = {"train", "training", "test", "testing", "val", "valid", "validation", "dev", "eval"}


def imagefolder(section: DataSection) -> "EncodedImages":
    """Image files under a folder or in a zip archive, in path order.

    ``data.captions`` names a table with columns file (relative to the folder) and caption and/or label; then the
    files that it lists, in the order of their first rows, are the images. A file listed several times has several
    captions, and a column group names the image's group. Without ``data.captions`` metadata.csv and metadata.jsonl
    below the folder are read, and captions in 1.txt beside 1.png; the first-level folder names are the classes, if
    there are any and no table has labels.

    Raises:
        WaypointError: there are no images, or a table has mistakes; lists them by line.
    """
    from waypoint.store.data.image_files import EncodedImages, ImageFiles  # planning opens no image

    held, images = _listed(section)
    options: ImageOptions = {"labels": images.labels, "class_names": images.class_names}
    options |= {"captions": images.captions, "groups": images.groups}
    if isinstance(held, Folder):
        return ImageFiles(section, images.files, list(map(held.where, images.files)), images.beside, **options)

    class Zipped(EncodedImages):
        """Images in a zip archive."""

        def where(self, i: int) -> str:
            return held.where(self.files[i])

        def read_from(self, rows: Sequence[int]) -> list[str]:
            return list(dict.fromkeys([held.path, *images.beside]))

    return Zipped(section, images.files, lambda i: held.opened(images.files[i]), **options)


def listed(section: DataSection) -> Listed:
    """The images in a folder or a zip archive; opens none of them.

    Raises:
        WaypointError: as ``imagefolder``.
    """
    return _listed(section)[1]


def _listed(section: DataSection) -> tuple[Container, Listed]:
    held = container(path_of(section))
    return held, _tabled(held, section["captions"]) if section["captions"] else _found(held)


def _found(held: Container) -> Listed:
    """The images of a folder without ``data.captions``."""
    root, suffixes = held.path, readable()
    files = [name for name in held.names if suffix_of(name) in suffixes]
    others = [name for name in held.names if suffix_of(name) not in suffixes]
    strange = [name for name in others if suffix_of(name) not in TEXTS]
    if not files:
        there = f"; it holds {told_by_suffix(others)}" if others else ""
        how = f".{conversion(strange)}" if strange else ""
        raise WaypointError(f"data.path: no images under {root}{there}{how}")
    require_utf8(files, f"data.path: {root}")
    if strange:
        warnings.warn(
            f"data.path: {len(strange):,} files under {root} are left out, for they are no images that Pillow reads: "
            f"{told_by_suffix(strange)}.{conversion(strange)}",
            WaypointWarning,
            stacklevel=2,
        )
    images = _with_tables(held, files)
    return _with_classes(images, root) if images.labels is None else images


def _with_tables(held: Container, files: list[str]) -> Listed:
    """The images with labels and captions from files beside them: metadata, or files of their names."""
    tables = metadata(held)
    captions, sides = side_captions(held, files) or (None, [])
    if not tables:
        return Listed(files, captions=captions, beside=tuple(held.read_from(sides)))
    names = [name for name, *_ in tables]
    images = tabled(held, [(f"data.path: {held.where(name)}", folder, rows) for name, folder, rows in tables])
    require_all(images, files, held)
    if captions and images.captions:
        raise WaypointError(
            f"data.path: {held.path} has captions in {some(names)} and in {len(sides):,} files beside images, such as "
            f"{sides[0]}; take the one or the others away, or name a table in data.captions"
        )
    place = {name: k for k, name in enumerate(images.files)}
    order = [place[name] for name in files]
    return Listed(
        files,
        images.labels if images.labels is None else images.labels[order],
        images.class_names,
        [images.captions[k] for k in order] if images.captions else captions,
        [images.groups[k] for k in order] if images.groups else None,
        tuple(held.read_from([*names, *sides])),
    )


def _with_classes(images: Listed, root: str) -> Listed:
    """The images with first-level folders as classes, where all images lie in such folders."""
    tops = [name.split("/", 1)[0] for name in images.files if "/" in name]
    if len(tops) < len(images.files):
        return images
    labels, class_names = labels_of(tops)
    if {name.lower() for name in set(tops)} <= SPLITS:
        warnings.warn(
            f"data.path: the classes of the images under {root} are {', '.join(sorted(set(tops)))}, the first-level "
            "folders, which look like parts of a data set; data.path may name one of them",
            WaypointWarning,
            stacklevel=2,
        )
    return images._replace(labels=labels, class_names=class_names)


def _tabled(held: Container, table: str) -> Listed:
    """The images that ``data.captions`` lists."""
    where = f"data.captions: {table}"
    try:
        raw = Path(table).read_bytes()
    except OSError as error:
        raise WaypointError(f"data.captions: cannot read {table} ({error.strerror})") from error
    columns, rows = rows_of(raw, where, lines=str(table).lower().endswith((".jsonl", ".ndjson")))
    known: set[str] = set(rows[0].cells) if rows else set()
    if "file" not in known or not {"caption", "label"} & known:
        there = f"; it has {', '.join(columns)}" if columns else ""
        raise WaypointError(f"data.captions: {table} needs the columns file and caption and/or label{there}")
    return tabled(held, [(where, "", rows)])._replace(beside=(str(table),))


SOURCE = Source(
    imagefolder,
    keys=("path", "captions"),
    needs={"path": "a folder of images, or a zip archive of one"},
    folder=True,
    reads=(".zip",),
    check=listed,
    captioned=lambda section: listed(section).captions is not None,
    caption_help="data.captions names a table with the columns file and caption; 1.txt beside 1.png is read too",
)
