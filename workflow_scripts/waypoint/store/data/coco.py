"""MS COCO's caption annotations: which images there are, and the captions of each."""

import json
import os
from collections import Counter
from pathlib import Path

from waypoint.errors import WaypointError
from waypoint.store.data.captions import missing, one_or_several
from waypoint.store.data.faults import refuse, some
from waypoint.store.data.paths import outside
from waypoint.store.data.source import Source


def captioned_files(annotations, root):
    """Images in the order of their ids, with all their captions in the order of the file.

    Args:
        annotations: official JSON such as captions_train2017.json, with ``images`` (id, file_name) and
            ``annotations`` (image_id, caption).
        root: folder of the images; none of them is opened here.

    Returns:
        files (n), captions (n lists of texts).

    Raises:
        WaypointError: an unreadable or malformed file, an id used twice or unknown, an image without a caption.
    """
    try:
        found = json.loads(Path(annotations).read_text(encoding="utf-8"))
        images = [(entry["id"], entry["file_name"]) for entry in found["images"]]
        texts = [(entry["image_id"], " ".join(entry["caption"].split())) for entry in found["annotations"]]
        files, captions = {i: Path(root, name) for i, name in images}, {i: [] for i, _ in images}
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
    faults = [f"{name} leads out of the folder data.path" for _, name in images if outside(name)]
    if len(ids) < len(images):
        counts = Counter(i for i, _ in images)
        faults += [f"two images have the id {i}" for i in ids if counts[i] > 1]
    unlisted = dict.fromkeys(i for i, _ in texts if i not in captions)
    faults += [f"a caption is for image {i}, which is not listed" for i in unlisted]
    for i, text in texts:
        if i in captions and not missing(text):
            captions[i].append(text)
    faults += [f"image {i} ({files[i].name}) has no caption" for i in ids if not captions[i]]
    refuse(f"data.captions: {annotations}", faults)
    return [files[i] for i in ids], [captions[i] for i in ids]


def coco(section):
    """MS COCO's images in the order of their ids, several captions each, from its official annotations.

    Raises:
        WaypointError: annotations that are missing or malformed.
    """
    from waypoint.store.data.image_files import ImageFiles  # planning opens no image

    paths, captions = captioned_files(section["captions"], section["path"])
    files = [path.relative_to(section["path"]).as_posix() for path in paths]
    captions = [one_or_several(texts) for texts in captions]
    return ImageFiles(section, files, paths, [section["captions"]], captions=captions, channels=3)


def check_coco(section):
    """Refuse annotations with mistakes; and files that are missing, where all of them are read.

    Raises:
        WaypointError: as ``coco``.
    """
    paths, _ = captioned_files(section["captions"], section["path"])
    if section["subset"] is None:
        lost = [path.name for path in paths if not os.path.isfile(path)]
        if lost:
            raise WaypointError(
                f"data.path: {len(lost):,} of the {len(paths):,} images that {section['captions']} lists are not in "
                f"{section['path']}: {some(lost)}"
            )


SOURCE = Source(
    coco,
    keys=("path", "captions"),
    needs={"path": "it", "captions": "captions_train2017.json or alike", "size": "one, for its images have many"},
    folder=True,
    check=check_coco,
    captioned=lambda section: True,
)
