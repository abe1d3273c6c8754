"""Attributes of a Zarr store, which holds them in a form that netCDF accepts.

netCDF's attributes are texts, numbers and lists of numbers: xarray's ``to_netcdf`` fails over any other. All
other values (mappings, null, true and false, lists of texts) are stored as JSON text, and one attribute lists their
names. Stores of earlier versions have no such attribute and are read as they are.
"""

import json
from collections.abc import Sequence
from typing import cast

from waypoint.store.types import Attributes, MutableAttributes

TEXTS = "json_attributes"  # names of the attributes that are JSON text, with spaces between them
LARGEST = 2**31  # netCDF's older form has 32 bits for whole numbers


def as_stored(attributes: Attributes) -> MutableAttributes:
    """Attributes in the form in which a store holds them."""
    texts = [name for name, value in attributes.items() if not _takes(value)]
    encoded: MutableAttributes = {
        name: json.dumps(value) if name in texts else value for name, value in attributes.items()
    }
    return {**encoded, TEXTS: " ".join(texts)} if texts else encoded


def as_given(attributes: Attributes) -> MutableAttributes:
    """Attributes in the form that they had before they were stored.

    Raises:
        ValueError: an attribute that should be JSON is not.
    """
    texts: list[str] = attributes.get(TEXTS, "").split()
    decoded = {name: json.loads(attributes[name]) for name in texts if isinstance(attributes.get(name), str)}
    return {name: value for name, value in {**attributes, **decoded}.items() if name != TEXTS}


def _takes(value: object) -> bool:
    """Whether netCDF accepts a value."""
    return isinstance(value, str) or _is_number(value) or _is_list_of_numbers(value)


def _is_number(value: object) -> bool:
    return isinstance(value, float) or (isinstance(value, int) and not isinstance(value, bool) and abs(value) < LARGEST)


def _is_list_of_numbers(value: object) -> bool:
    if not isinstance(value, list | tuple):
        return False
    entries = cast(Sequence[object], value)
    return len(entries) > 0 and all(map(_is_number, entries))
