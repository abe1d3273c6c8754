"""What a source of training images declares. Each source is one file of this folder, named as configurations name it.

The file holds ``SOURCE``, and nothing else names the source: the list in the schema, the checks of configurations, what
is hashed and what prepare_data opens follow from it.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from waypoint.store.artifacts.source_files import files_record

PLACES = ("path", "captions")  # where raw data lie: no setting, for what they hold is hashed
OPTIONS = ("columns", "split", "configuration")  # what is read of them
KEYS = (*PLACES, *OPTIONS)  # keys of ``data`` that not every source takes


def named(section):
    """The files and folders that ``data.path`` and ``data.captions`` name, in that order."""
    return [place for key in PLACES for place in places(section.get(key))]


def places(value):
    """``data.path`` or another place as a list: it may be left out, one, or a list already."""
    return [value] if isinstance(value, str) else list(value or [])


@dataclass(frozen=True)
class Source:
    """One kind of training data.

    What ``open`` gives is an ``images.Images``.

    Attributes:
        open: the config section ``data`` → an image source; may raise ``WaypointError``.
        keys: those of ``KEYS`` that it takes.
        needs: {key of ``data``: what for}; a configuration without one of them is refused with these words.
        folder: whether ``data.path`` may be a folder of images. reads: suffixes of files that it may be, or hold, and
            keys of ``kinds.MARKS`` for folders; files of other known kinds are refused by what they are.
        several: whether ``data.path`` may be a list.
        remote: the section → whether its path lies elsewhere, and is nothing to look for on this machine.
        paths: the section → files and folders that are read, to be hashed; None in place of what is not installed.
        check: refuses by ``WaypointError`` what can be seen without opening every image; told at planning.
        record: (section, what ``open`` gave) → what train.zarr keeps of data without files on this machine; None for
            files, of which it keeps those below ``paths`` that ``read_from`` of the images names.
        captioned: the section → whether the images have captions; None where only reading all of them tells.
        caption_help: what gives them captions, for people who need them and have none.
        images: how many there are, where that is known without the data.
    """

    open: Callable[[Mapping[str, Any]], Any]
    keys: tuple[str, ...] = ("path",)
    needs: Mapping[str, str] = field(default_factory=dict)
    folder: bool = False
    reads: tuple[str, ...] = ()
    several: bool = False
    remote: Callable[[Mapping[str, Any]], bool] = lambda section: False
    paths: Callable[[Mapping[str, Any]], list] = named
    check: Callable[[Mapping[str, Any]], None] = lambda section: None
    record: Callable[[Mapping[str, Any], Any], Any] | None = None
    captioned: Callable[[Mapping[str, Any]], bool | None] = lambda section: False
    caption_help: str | None = None
    images: int | None = None

    def __call__(self, section):
        """The section's images."""
        return self.open(section)

    def recorded(self, section, opened, rows):
        """What train.zarr keeps to notice other raw data later, or None.

        Args:
            opened: what ``open`` gave. rows: which of its images were read.
        """
        if record := self.record and self.record(section, opened):
            return record
        found = [path for path in self.paths(section) if path]
        return files_record(found, opened.read_from(rows)) if found else None  # none: what a library brings or fetched

    def there(self, section):
        """Files and folders that are read, where all of them still exist; else none."""
        found = self.paths(section)
        return found if all(path and Path(path).exists() for path in found) else []
