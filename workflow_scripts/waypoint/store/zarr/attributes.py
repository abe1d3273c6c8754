"""Attributes of a Zarr store: as netCDF takes them in the store, as they were given to whoever reads them here.

netCDF's attributes are texts, numbers and lists of numbers: xarray's ``to_netcdf`` fails over any other. What else
there is (mappings, null, true and false, lists of texts) is stored as JSON text, and one attribute lists the names of
those. Stores made before that have no such attribute, and are read as they are.
"""

import json

TEXTS = "json_attributes"  # names of the attributes that are JSON text, with spaces between them
LARGEST = 2**31  # netCDF's older form has 32 bits for whole numbers


def stored(attributes):
    """Attributes as a store holds them."""
    texts = [name for name, value in attributes.items() if not _takes(value)]
    found = {name: json.dumps(value) if name in texts else value for name, value in attributes.items()}
    return found | ({TEXTS: " ".join(texts)} if texts else {})


def given(attributes):
    """Attributes as they were before they were stored.

    Raises:
        ValueError: one that should be JSON is not.
    """
    texts = attributes.get(TEXTS, "").split()
    read = {name: json.loads(attributes[name]) for name in texts if isinstance(attributes.get(name), str)}
    found = {**attributes, **read}
    return {name: value for name, value in found.items() if name != TEXTS}


def _takes(value):
    """Whether netCDF takes a value."""
    return isinstance(value, str) or _is_number(value) or (_is_list(value) and all(map(_is_number, value)))


def _is_number(value):
    return isinstance(value, float) or (isinstance(value, int) and not isinstance(value, bool) and abs(value) < LARGEST)


def _is_list(value):
    return isinstance(value, list | tuple) and len(value) > 0
