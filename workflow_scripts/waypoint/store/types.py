"""Types shared by several parts of the store. Imports nothing slow."""

import os
from collections.abc import Mapping, MutableMapping
from typing import TYPE_CHECKING, Any, TypeAlias, cast

from numpy.typing import NDArray

if TYPE_CHECKING:  # planning does not import zarr
    from zarr import Group
    from zarr.types import AnyArray

StrPath: TypeAlias = str | os.PathLike[str]

# an artifact's attributes, or a section of the configuration: JSON whose keys depend on the stage
Attributes: TypeAlias = Mapping[str, Any]
MutableAttributes: TypeAlias = MutableMapping[str, Any]
Config: TypeAlias = dict[str, Any]  # a model's config.json

# contents of a stored array: numbers of any type, or texts
Values: TypeAlias = NDArray[Any]


def array_of(group: "Group", name: str) -> "AnyArray":
    """Return the array of this name from an open group, which may also contain groups."""
    return cast("AnyArray", group[name])
