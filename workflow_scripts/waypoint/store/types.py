"""Names for the structures that several parts of the store hand to each other. Nothing heavy is imported here."""

import os
from collections.abc import Mapping, MutableMapping
from typing import TYPE_CHECKING, Any, TypeAlias, cast

from numpy.typing import NDArray

if TYPE_CHECKING:  # planning imports no zarr
    from zarr import Group
    from zarr.types import AnyArray

StrPath: TypeAlias = str | os.PathLike[str]

# an artifact's attributes, a configuration's section: JSON whose keys depend on the stage
Attributes: TypeAlias = Mapping[str, Any]
MutableAttributes: TypeAlias = MutableMapping[str, Any]
Config: TypeAlias = dict[str, Any]  # of a model, as its config.json holds it

# what an array of a store holds: numbers of any type, or texts
Values: TypeAlias = NDArray[Any]


def array_of(group: "Group", name: str) -> "AnyArray":
    """The array of this name in an open group, which may hold groups too."""
    return cast("AnyArray", group[name])
