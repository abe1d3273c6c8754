"""A folder of images, or a zip archive of one; captions and labels come from tables, side files or folder names."""

import posixpath
import shlex
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from waypoint.errors import WaypointError, WaypointWarning
from waypoint.store.data.containers import Container, Folder, open_container
from waypoint.store.data.faults import some
from waypoint.store.data.labels import labels_of
from waypoint.store.data.listed import Listed, images_in_tables, require_all
from waypoint.store.data.listing import TEXTS, conversion, counts_by_suffix, is_idx, readable, require_utf8, suffix_of
from waypoint.store.data.side_files import metadata, side_captions, warn_of_unread
from waypoint.store.data.source import DataSection, Source, path_of
from waypoint.store.data.tables import rows_of

if TYPE_CHECKING:
    from waypoint.store.data.image_files import EncodedImages
    from waypoint.store.data.images import ImageOptions

JSON_LINES = (".jsonl", ".ndjson")
GZIP = b"\x1f\x8b"  # first bytes of a compressed file
SPLITS = {"train", "training", "test", "testing", "val", "valid", "validation", "dev", "eval"}


def imagefolder(section: DataSection) -> "EncodedImages":
    """Return the image files under a folder or in a zip archive, in path order.

    If ``data.captions`` names a table with columns file (relative to the folder) and caption and/or label, the images
    are the files that it lists, in the order of their first rows. A file listed several times has several captions, and
    a column group names the image's group. Without ``data.captions``, metadata.csv and metadata.jsonl below the folder
    are read, and captions in 1.txt beside 1.png; first-level folders are the classes, if there are any and no table has
    labels.

    Raises:
        WaypointError: there are no images, or a table has mistakes; lists them by line.
    """
    from waypoint.store.data.image_files import EncodedImages, ImageFiles  # imported lazily: planning opens no images

    container, images = _listed(section)
    options: ImageOptions = {"labels": images.labels, "class_names": images.class_names}
    options |= {"captions": images.captions, "groups": images.groups}
    if isinstance(container, Folder):
        return ImageFiles(section, images.files, list(map(container.location, images.files)), images.beside, **options)

    class Zipped(EncodedImages):
        """Images in a zip archive."""

        def location(self, i: int) -> str:
            return container.location(self.files[i])

        def read_from(self, rows: Sequence[int]) -> list[str]:
            return list(dict.fromkeys([container.path, *images.beside]))

    return Zipped(section, images.files, lambda i: container.file_of(images.files[i]), **options)


def listed(section: DataSection) -> Listed:
    """List the images in a folder or a zip archive, without opening any.

    Raises:
        WaypointError: as ``imagefolder``.
    """
    return _listed(section)[1]


def _listed(section: DataSection) -> tuple[Container, Listed]:
    container = open_container(path_of(section))
    return container, _from_table(container, section["captions"]) if section["captions"] else _without_table(container)


def _without_table(container: Container) -> Listed:
    """List the images of a folder without ``data.captions``."""
    root, suffixes = container.path, readable()
    files = [name for name in container.names if suffix_of(name) in suffixes]
    other_files = [name for name in container.names if suffix_of(name) not in suffixes]
    unreadable = [name for name in other_files if suffix_of(name) not in TEXTS or is_idx(name)]
    if not files:
        contents = f"; it holds {counts_by_suffix(other_files)}" if other_files else ""
        hint = f".{conversion(unreadable)}" if unreadable else ""
        raise WaypointError(f"data.path: no images under {root}{contents}{hint}")
    require_utf8(files, f"data.path: {root}")
    if unreadable:
        warnings.warn(
            f"data.path: {len(unreadable):,} files under {root} are left out, because Pillow cannot read them: "
            f"{counts_by_suffix(unreadable)}.{conversion(unreadable)}",
            WaypointWarning,
            stacklevel=2,
        )
    images = _with_side_data(container, files)
    return _with_folder_classes(images, root) if images.labels is None else images


def _with_side_data(container: Container, files: list[str]) -> Listed:
    """List the images with labels and captions from files beside them: metadata tables, or files with their names."""
    tables = metadata(container)
    captions, sides = side_captions(container, files) or (None, [])
    warn_of_unread(container, files, sides)
    if not tables:
        return Listed(files, captions=captions, beside=tuple(container.read_from(sides)))
    names = [name for name, *_ in tables]
    images = images_in_tables(
        container, [(f"data.path: {container.location(name)}", folder, rows) for name, folder, rows in tables]
    )
    require_all(images, files, container)
    if captions and images.captions:
        raise WaypointError(
            f"data.path: {container.path} has captions in {some(names)} and in {len(sides):,} files beside images, "
            f"such as {sides[0]}; remove one or the other, or name a table in data.captions"
        )
    position = {name: k for k, name in enumerate(images.files)}
    order = [position[name] for name in files]
    return Listed(
        files,
        images.labels if images.labels is None else images.labels[order],
        images.class_names,
        [images.captions[k] for k in order] if images.captions else captions,
        [images.groups[k] for k in order] if images.groups else None,
        tuple(container.read_from([*names, *sides])),
    )


def _with_folder_classes(images: Listed, root: str) -> Listed:
    """Use first-level folders as classes, if all images are in such folders."""
    top_folders = [name.split("/", 1)[0] for name in images.files if "/" in name]
    if len(top_folders) < len(images.files):
        return images
    labels, class_names = labels_of(top_folders)
    if {name.lower() for name in set(top_folders)} <= SPLITS:
        warnings.warn(
            f"data.path: the classes of the images under {root} are {', '.join(sorted(set(top_folders)))}, the "
            "first-level folders, which look like parts of a data set; data.path may name one of them",
            WaypointWarning,
            stacklevel=2,
        )
    if class_names == [top_folders[0]]:
        inner = sorted({name.split("/")[1] for name in images.files if name.count("/") > 1})
        if len(inner) > 1:
            warnings.warn(
                f"data.path: all images under {root} are of one class, {top_folders[0]}, the only first-level folder; "
                f"if the folders in it are the classes ({some(inner)}), name {posixpath.join(root, top_folders[0])}",
                WaypointWarning,
                stacklevel=2,
            )
    return images._replace(labels=labels, class_names=class_names)


def _from_table(container: Container, table: str) -> Listed:
    """List the images in the table ``data.captions``."""
    context = f"data.captions: {table}"
    try:
        raw = Path(table).read_bytes()
    except OSError as error:
        raise WaypointError(f"data.captions: cannot read {table} ({error.strerror})") from error
    if raw.startswith(GZIP):
        raise WaypointError(f"{context} is compressed; unpack it with `gunzip {shlex.quote(str(table))}`")
    is_json = raw.lstrip(b"\xef\xbb\xbf \t\r\n")[:1] in (b"{", b"[")
    if is_json and not str(table).lower().endswith(JSON_LINES):
        raise WaypointError(
            f"{context} is JSON and no CSV; name it .jsonl, with one mapping on each line, such as "
            '{"file": "1.png", "caption": "a dog"}'
        )
    columns, rows = rows_of(raw, context, lines=str(table).lower().endswith(JSON_LINES))
    roles: set[str] = set(rows[0].cells) if rows else set()
    if "file" not in roles or not {"caption", "label"} & roles:
        column_list = f"; it has {', '.join(columns)}" if columns else ""
        raise WaypointError(f"data.captions: {table} needs the columns file and caption and/or label{column_list}")
    return images_in_tables(container, [(context, "", rows)])._replace(beside=(str(table),))


SOURCE = Source(
    imagefolder,
    keys=("path", "captions"),
    needs={"path": "a folder of images, or a zip archive of one"},
    folder=True,
    reads=(".zip",),
    check=lambda section: len(listed(section).files),
    captioned=lambda section: listed(section).captions is not None,
    caption_help="data.captions names a table with the columns file and caption; 1.txt beside 1.png is read too",
)
