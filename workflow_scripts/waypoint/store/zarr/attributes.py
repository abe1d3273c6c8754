"""Attributes of a Zarr store, stored in a form that netCDF accepts.

netCDF attributes are texts, numbers and lists of numbers; xarray's ``to_netcdf`` fails on anything else. Other values
(mappings, null, booleans, lists of texts) are therefore stored as JSON text, and one attribute lists their names.
Stores of earlier versions lack that attribute and are read as they are.
"""

import json
from collections.abc import Sequence
from typing import cast

from waypoint.store.types import Attributes, MutableAttributes

TEXTS = "json_attributes"  # names of the attributes that are JSON text, separated by spaces
LARGEST = 2**31  # netCDF's older format has 32-bit integers


def as_stored(attributes: Attributes) -> MutableAttributes:
    """Encode attributes for storage."""
    json_names = [name for name, value in attributes.items() if not _netcdf_accepts(value)]
    encoded: MutableAttributes = {
        name: json.dumps(value) if name in json_names else value for name, value in attributes.items()
    }
    return {**encoded, TEXTS: " ".join(json_names)} if json_names else encoded


def as_given(attributes: Attributes) -> MutableAttributes:
    """Decode stored attributes.

    Raises:
        ValueError: an attribute that should be JSON is not.
    """
    json_names: list[str] = attributes.get(TEXTS, "").split()
    decoded = {name: json.loads(attributes[name]) for name in json_names if isinstance(attributes.get(name), str)}
    return {name: value for name, value in {**attributes, **decoded}.items() if name != TEXTS}


def _netcdf_accepts(value: object) -> bool:
    """Whether netCDF accepts a value."""
    return isinstance(value, str) or _is_number(value) or _is_list_of_numbers(value)


def _is_number(value: object) -> bool:
    return isinstance(value, float) or (isinstance(value, int) and not isinstance(value, bool) and abs(value) < LARGEST)


def _is_list_of_numbers(value: object) -> bool:
    if not isinstance(value, list | tuple):
        return False
    entries = cast(Sequence[object], value)
    return len(entries) > 0 and all(map(_is_number, entries))
