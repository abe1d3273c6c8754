"""Declarations of sources of training images, each in one file of this folder that has the source's name.

The file assigns ``SOURCE``, and nothing else names the source: the list in the schema, the checks of configurations,
the files that are hashed and the images that prepare_data opens follow from it.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, NotRequired, TypedDict

from waypoint.store.artifacts.source_files import SourceRecord, files_record

if TYPE_CHECKING:  # opening images needs Pillow, and planning opens none
    from waypoint.store.data.images import Images

PLACES = ("path", "captions")  # where raw data lie: not settings, for their contents are hashed
OPTIONS = ("columns", "split", "configuration")  # which part of them is read
KEYS = (*PLACES, *OPTIONS)  # keys of ``data`` that not every source takes


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


def named(section: DataSection) -> list[str]:
    """The files and folders that ``data.path`` and ``data.captions`` name, in that order."""
    return [*places(section.get("path")), *places(section.get("captions"))]


def path_of(section: DataSection) -> str:
    """``data.path`` of a source that takes a single file or folder."""
    return str(section["path"])


def places(value: str | Sequence[str] | None) -> list[str]:
    """``data.path`` or another place as a list; in the configuration it is missing, a text or a list."""
    return [value] if isinstance(value, str) else list(value or [])


@dataclass(frozen=True)
class Source:
    """One kind of training data.

    Attributes:
        open: opens the images that the section ``data`` describes; may raise ``WaypointError``.
        keys: the keys among ``KEYS`` that it takes.
        needs: for each key of ``data`` that it needs, words for the message that refuses a configuration without it.
        folder: whether ``data.path`` may be a folder of images. reads: suffixes of files that it may be, or hold, and
            keys of ``kinds.MARKS`` for folders; files of other known kinds are refused with the name of their kind.
        several: whether ``data.path`` may be a list.
        remote: tells whether the section's path is an address, and no file or folder on this machine.
        paths: the files and folders that are read, and hashed; None in place of one that is not installed.
        check: raises ``WaypointError`` at planning for mistakes that show without opening every image.
        record: the record that train.zarr keeps of opened data that has no files on this machine; None for files, of
            which it records those below ``paths`` that ``read_from`` of the images names.
        captioned: tells whether the images have captions; None where only reading all of them tells.
        caption_help: advice for people who need captions and have none.
        images: the number of images, where it is known without the data.
    """

    open: "Callable[[DataSection], Images]"
    keys: tuple[str, ...] = ("path",)
    needs: Mapping[str, str] = field(default_factory=dict[str, str])
    folder: bool = False
    reads: tuple[str, ...] = ()
    several: bool = False
    remote: Callable[[DataSection], bool] = lambda section: False
    paths: Callable[[DataSection], Sequence[str | None]] = named
    check: Callable[[DataSection], object] = lambda section: None
    record: "Callable[[DataSection, Images], SourceRecord | None] | None" = None
    captioned: Callable[[DataSection], bool | None] = lambda section: False
    caption_help: str | None = None
    images: int | None = None

    def __call__(self, section: DataSection) -> "Images":
        """Open the images that the section describes."""
        return self.open(section)

    def recorded(self, section: DataSection, opened: "Images", rows: Sequence[int]) -> SourceRecord | None:
        """The record by which train.zarr notices changed raw data later, or None.

        Args:
            opened: the images that ``open`` returned. rows: indices of the images that were read.
        """
        if record := self.record and self.record(section, opened):
            return record
        paths = [path for path in self.paths(section) if path]
        return files_record(paths, opened.read_from(rows)) if paths else None  # none: a library brings or fetches them

    def there(self, section: DataSection) -> list[str]:
        """The files and folders that are read, if all of them still exist; otherwise none."""
        paths = self.paths(section)
        existing = [path for path in paths if path and Path(path).exists()]
        return existing if len(existing) == len(paths) else []
