"""MS COCO: images, and their captions from the official annotations."""

import json
import os
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

from waypoint.errors import WaypointError
from waypoint.store.data.captions import is_missing, one_or_several
from waypoint.store.data.faults import refuse, some
from waypoint.store.data.paths import outside
from waypoint.store.data.source import DataSection, Source, path_of
from waypoint.store.data.tables import ESCAPE, require_whole
from waypoint.store.types import StrPath

if TYPE_CHECKING:
    from waypoint.store.data.image_files import ImageFiles


def captioned_files(annotations: StrPath, root: StrPath) -> tuple[list[Path], list[list[str]]]:
    """List the images in the order of their ids, with all their captions in the order of the file.

    Args:
        annotations: official JSON such as captions_train2017.json, with ``images`` (id, file_name) and
            ``annotations`` (image_id, caption).
        root: folder of the images, which are not opened here.

    Returns:
        files (n), captions (n lists of texts).

    Raises:
        WaypointError: the file is unreadable or malformed, an id or a file is used twice, an id is unknown, or an image
            has no caption.
    """
    try:
        raw = Path(annotations).read_text(encoding="utf-8")
        contents = json.loads(raw)
        images: list[tuple[int, str]] = [(entry["id"], entry["file_name"]) for entry in contents["images"]]
        texts: list[tuple[int, str]] = [
            (entry["image_id"], " ".join(entry["caption"].split())) for entry in contents["annotations"]
        ]
        files = {i: Path(root, name) for i, name in images}
        captions: dict[int, list[str]] = {i: [] for i, _ in images}
        ids = sorted(files)
    except OSError as error:
        raise WaypointError(f"data.captions: cannot read {annotations} ({error.strerror})") from error
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        reason = f"no {error}" if isinstance(error, KeyError) else error
        raise WaypointError(
            f"data.captions: {annotations} is not in the format of COCO's captions ({reason}); it needs images "
            "(id, file_name) and annotations (image_id, caption), as captions_train2017.json has them"
        ) from error
    if not images:
        raise WaypointError(f"data.captions: {annotations} lists no images")
    if ESCAPE.search(raw):
        for i, text in [*images, *texts]:
            require_whole(str(text), f"data.captions: {annotations}: image {i}")
    faults = [f"{name} leads out of the folder data.path" for _, name in images if outside(name)]
    if len(ids) < len(images):
        counts = Counter(i for i, _ in images)
        faults += [f"two images have the id {i}" for i in ids if counts[i] > 1]
    by_name: dict[Path, int] = {}
    for i in ids:
        if by_name.setdefault(files[i], i) != i:
            faults.append(f"the images {by_name[files[i]]} and {i} have the same file_name {files[i].name}")
    unlisted = dict.fromkeys(i for i, _ in texts if i not in captions)
    faults += [f"a caption is for image {i}, which is not listed" for i in unlisted]
    for i, text in texts:
        if i in captions and not is_missing(text):
            captions[i].append(text)
    faults += [f"image {i} ({files[i].name}) has no caption" for i in ids if not captions[i]]
    refuse(f"data.captions: {annotations}", faults)
    return [files[i] for i in ids], [captions[i] for i in ids]


def coco(section: DataSection) -> "ImageFiles":
    """Return MS COCO's images in the order of their ids, with several captions each, from its official annotations.

    Raises:
        WaypointError: the annotations are missing or malformed.
    """
    from waypoint.store.data.image_files import ImageFiles  # imported lazily: planning opens no images

    annotations, root = str(section["captions"]), path_of(section)
    paths, texts = captioned_files(annotations, root)
    files = [path.relative_to(root).as_posix() for path in paths]
    captions = [one_or_several(image_texts) for image_texts in texts]
    return ImageFiles(section, files, paths, [annotations], captions=captions, channels=3)


def check_coco(section: DataSection) -> int:
    """Refuse annotations with mistakes, and missing files if all are to be read; returns the number of images.

    Raises:
        WaypointError: as ``coco``.
    """
    paths, _ = captioned_files(str(section["captions"]), path_of(section))
    if section["subset"] is None:
        absent = [path.name for path in paths if not os.path.isfile(path)]
        if absent:
            raise WaypointError(
                f"data.path: {len(absent):,} of the {len(paths):,} images that {section['captions']} lists are not in "
                f"{section['path']}: {some(absent)}"
            )
    return len(paths)


SOURCE = Source(
    coco,
    keys=("path", "captions"),
    needs={"path": "it", "captions": "captions_train2017.json or similar", "size": "one, for its images have many"},
    folder=True,
    check=check_coco,
    captioned=lambda section: True,
)
