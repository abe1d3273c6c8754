"""MS COCO's caption annotations: which images there are, and the captions of each."""

import json
from pathlib import Path

from waypoint.errors import WaypointError
from waypoint.store.data.image_files import ImageFiles
from waypoint.store.data.paths import require_inside
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
    for _, name in images:
        require_inside(name, f"data.captions: {annotations}")
    if len(ids) < len(images):
        numbers = [i for i, _ in images]
        twice = next(i for i in ids if numbers.count(i) > 1)
        raise WaypointError(f"data.captions: {annotations}: two images have the id {twice}")
    for i, text in texts:
        if i not in captions:
            raise WaypointError(f"data.captions: {annotations}: a caption is for image {i}, which is not listed")
        if text:
            captions[i].append(text)
    for i in ids:
        if not captions[i]:
            raise WaypointError(f"data.captions: {annotations}: image {i} ({files[i].name}) has no caption")
    return [files[i] for i in ids], [captions[i] for i in ids]


def coco(section):
    """MS COCO's images in the order of their ids, several captions each, from its official annotations.

    Raises:
        WaypointError: annotations that are missing or malformed.
    """
    files, captions = captioned_files(section["captions"], section["path"])
    return ImageFiles(section["size"], files, captions=captions, mode="RGB")


SOURCE = Source(
    coco,
    keys=("path", "captions"),
    needs={"path": "it", "captions": "captions_train2017.json or alike", "size": "one, for its images have many"},
    folder=True,
)
