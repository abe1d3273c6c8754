"""Captions and labels in files beside images: Hugging Face's metadata.csv or metadata.jsonl, and 1.txt for 1.png."""

import os
import posixpath
import warnings
from collections.abc import Sequence

from waypoint.errors import WaypointError, WaypointWarning
from waypoint.store.data.captions import is_missing
from waypoint.store.data.containers import Container
from waypoint.store.data.faults import some
from waypoint.store.data.listing import TEXTS, suffix_of
from waypoint.store.data.tables import ROLES, Row, rows_of, text_of

CAPTION_SUFFIXES = (".txt", ".caption")  # of caption files beside images
METADATA = ("metadata.csv", "metadata.jsonl")
TABLES = (".csv", ".tsv", ".jsonl")
TABLE_HINT = "data.captions may name a table that is read instead"


def side_captions(container: Container, images: Sequence[str]) -> tuple[list[str], list[str]] | None:
    """Read the captions in files named like the images; returns them and the files' names, or None if there are none.

    Args:
        images: names in the container.

    Returns:
        captions (n) texts with single spaces, names (n).

    Raises:
        WaypointError: only some images have a caption, one is empty or unreadable, or an image has two.
    """
    files: dict[str, str] = {}
    ambiguous: list[str] = []
    by_stem: dict[str, list[str]] = {}
    for name in container.names:
        if suffix_of(name) in CAPTION_SUFFIXES:
            by_stem.setdefault(os.path.splitext(name)[0], []).append(name)
    for image in images:
        candidates = by_stem.get(os.path.splitext(image)[0], [])
        ambiguous += [image] * (len(candidates) > 1)
        if candidates:
            files[image] = candidates[0]
    if not files:
        return None
    if ambiguous:
        raise WaypointError(
            f"data.path: {len(ambiguous):,} images under {container.path} have two captions: {some(ambiguous)}"
        )
    if uncaptioned := [image for image in images if image not in files]:
        raise WaypointError(
            f"data.path: {len(files):,} of {len(images):,} images under {container.path} have a caption beside them, "
            f"such as {next(iter(files.values()))}; {some(uncaptioned)} "
            f"{'has' if len(uncaptioned) == 1 else 'have'} none. Write the others, or take them away; {TABLE_HINT}"
        )
    if shared := len(images) - len(set(files.values())):
        raise WaypointError(
            f"data.path: {shared:,} images under {container.path} share a caption file with another image of the same "
            f"name and another suffix; rename them; {TABLE_HINT}"
        )
    texts = {i: _text(container, name) for i, name in files.items()}
    if blank := [files[image] for image, text in texts.items() if is_missing(text)]:
        raise WaypointError(
            f"data.path: {len(blank):,} of {len(images):,} captions beside images under {container.path} are empty: "
            f"{some(blank)}. Fill them; {TABLE_HINT}"
        )
    return [texts[image] for image in images], [files[image] for image in images]


def warn_of_unread(container: Container, images: Sequence[str], read: Sequence[str]) -> None:
    """Warn of text files that look like captions or labels of the images, but are not read.

    Args:
        images: names in the container. read: names of the caption files that are read.
    """
    skipped = set(read)
    texts = [name for name in container.names if suffix_of(name) in TEXTS and name not in skipped]
    known = {os.path.splitext(image)[0] for image in images} | set(images) if texts else set[str]()
    unread: list[str] = []
    for name in texts:
        base = posixpath.basename(name)
        is_table = suffix_of(name) in TABLES or base.lower().startswith("metadata.")
        if base not in METADATA and (is_table or os.path.splitext(name)[0] in known):
            unread.append(name)
    if unread:
        warnings.warn(
            f"data.path: {len(unread):,} files under {container.path} that may hold captions or labels are not read: "
            f"{some(unread)}. What is read are {' and '.join(METADATA)}, and 1.txt beside 1.png; data.captions may "
            "name another table",
            WaypointWarning,
            stacklevel=2,
        )


def _text(container: Container, name: str) -> str:
    return " ".join(text_of(container.read(name), f"data.path: {container.location(name)}").split())


def metadata(container: Container) -> list[tuple[str, str, list[Row]]]:
    """Read the metadata tables in a container, skipping with a warning those without captions or labels.

    Returns:
        for each table, its name, its folder and its rows from ``tables.rows_of``.

    Raises:
        WaypointError: a table cannot be read, lacks file_name or is parquet, or a folder has two.
    """
    tables: list[tuple[str, str, list[Row]]] = []
    folders: dict[str, str] = {}
    for name in container.names:
        folder, base = posixpath.split(name)
        if base == "metadata.parquet":
            raise WaypointError(
                f'data.path: {container.location(name)} is not read; `python -c "import pandas; '
                "pandas.read_parquet('metadata.parquet').to_csv('metadata.csv', index=False)\"` in its folder makes a "
                "metadata.csv of it"
            )
        if base not in METADATA:
            continue
        context = f"data.path: {container.location(name)}"
        if folder in folders:
            raise WaypointError(f"{context} lies beside {folders[folder]}; take one of them away")
        folders[folder] = base
        columns, rows = rows_of(container.read(name), context, lines=base.endswith(".jsonl"))
        lower = {column.lower() for column in columns}
        if not rows or not lower & set(ROLES["file"]):
            raise WaypointError(
                f"{context} needs rows and the column file_name; it has {', '.join(columns) or 'nothing'}"
            )
        if not lower & {*ROLES["caption"], *ROLES["label"]}:
            warnings.warn(
                f"{context} has the columns {', '.join(columns)}; only text (or caption) and label are read, so "
                "nothing of it is",
                WaypointWarning,
                stacklevel=2,
            )
            continue
        tables.append((name, folder, rows))
    return tables
