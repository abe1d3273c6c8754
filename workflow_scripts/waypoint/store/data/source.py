"""Declarations of sources of training images. Each source has one file in this folder, of the same name.

The file assigns ``SOURCE``, and nothing else names the source: the list in the schema, the checks of configurations,
the files to hash and the images that prepare_data opens all follow from it.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, NotRequired, TypedDict

from waypoint.store.artifacts.source_files import SourceRecord, files_record

if TYPE_CHECKING:  # it imports Pillow, which planning does not need
    from waypoint.store.data.images import Images

PLACES = ("path", "captions")  # locations of raw data; not settings, as their contents are hashed
OPTIONS = ("columns", "split", "configuration")  # the part of the raw data to read
KEYS = (*PLACES, *OPTIONS)  # keys of ``data`` that not every source accepts


class DataSection(TypedDict):
    """The section ``data`` of the configuration; the schema describes its keys."""

    source: str
    path: str | Sequence[str] | None
    captions: str | None
    subset: int | Sequence[int] | None
    size: NotRequired[int | None]
    fit: NotRequired[str | None]
    channels: NotRequired[int | None]
    near_duplicates: NotRequired[float | None]
    columns: NotRequired[Mapping[str, str | None] | None]
    split: NotRequired[str | None]
    configuration: NotRequired[str | None]


def configured_paths(section: DataSection) -> list[str]:
    """Return the files and folders that ``data.path`` and ``data.captions`` name, in that order."""
    return [*places(section.get("path")), *places(section.get("captions"))]


def path_of(section: DataSection) -> str:
    """Return ``data.path`` for a source that takes a single file or folder."""
    return str(section["path"])


def places(value: str | Sequence[str] | None) -> list[str]:
    """Return ``data.path`` or another place as a list; in the configuration it may be missing, a text or a list."""
    return [value] if isinstance(value, str) else list(value or [])


@dataclass(frozen=True)
class Source:
    """One kind of training data.

    Attributes:
        open: opens the images that the section ``data`` describes; may raise ``WaypointError``.
        keys: the keys among ``KEYS`` that it accepts.
        needs: for each required key of ``data``, words for the message that refuses a configuration without it.
        folder: whether ``data.path`` may be a folder of images. reads: suffixes of files that it may be or contain, and
            keys of ``kinds.MARKS`` for folders; files of other known kinds are refused with the name of their kind.
        several: whether ``data.path`` may be a list.
        remote: whether the section's path is an address rather than a file or folder on this machine.
        paths: the files and folders to read and hash; None in place of one that is not installed.
        check: raises ``WaypointError`` at planning for mistakes that show without opening every image; may return the
            number of images.
        record: the record that train.zarr keeps of data without files on this machine; None for files, of which those
            below ``paths`` that the images' ``read_from`` names are recorded.
        captioned: whether the images have captions; None if this is only known after reading all of them.
        caption_help: advice for users who need captions and have none.
        images: the number of images, if known without the data.
    """

    open: "Callable[[DataSection], Images]"
    keys: tuple[str, ...] = ("path",)
    needs: Mapping[str, str] = field(default_factory=dict[str, str])
    folder: bool = False
    reads: tuple[str, ...] = ()
    several: bool = False
    remote: Callable[[DataSection], bool] = lambda section: False
    paths: Callable[[DataSection], Sequence[str | None]] = configured_paths
    check: Callable[[DataSection], object] = lambda section: None
    record: "Callable[[DataSection, Images], SourceRecord | None] | None" = None
    captioned: Callable[[DataSection], bool | None] = lambda section: False
    caption_help: str | None = None
    images: int | None = None

    def __call__(self, section: DataSection) -> "Images":
        """Open the images that the section describes."""
        return self.open(section)

    def recorded(self, section: DataSection, images: "Images", rows: Sequence[int]) -> SourceRecord | None:
        """Return the record by which train.zarr later notices changed raw data, or None.

        Args:
            images: from ``open``. rows: indices of the images that were read.
        """
        if record := self.record and self.record(section, images):
            return record
        paths = [path for path in self.paths(section) if path]
        return files_record(paths, images.read_from(rows)) if paths else None  # none if a library provides them

    def there(self, section: DataSection) -> list[str]:
        """Return the files and folders to read if all of them still exist, else an empty list."""
        paths = self.paths(section)
        existing = [path for path in paths if path and Path(path).exists()]
        return existing if len(existing) == len(paths) else []
