"""Checks of the section ``data``: its keys for the chosen source, and the files. Sources add checks of their own."""

import warnings
from pathlib import Path

from waypoint.errors import WaypointError, WaypointWarning
from waypoint.store.artifacts.provenance import DamagedArtifact, consolidated, read_attributes
from waypoint.store.data.kinds import refuse_other_kind
from waypoint.store.data.patterns import covers, is_pattern
from waypoint.store.data.source import KEYS, PLACES, places
from waypoint.store.data.sources import SOURCES, require_subset


def check_data(data, stored_path):
    """Refuse a section whose source cannot be read.

    Args:
        data: the section, or None. stored_path: the path of stored training images, which need no raw data, or None.

    Raises:
        WaypointError: names the key, and what to do.
    """
    if data is None:
        return
    name, source = data["source"], SOURCES[data["source"]]
    for key, need in source.needs.items():
        if data[key] is None:
            raise WaypointError(f"config: data.{key} is missing; source {name} needs {need}")
    for key in KEYS:
        if data[key] is not None and key not in source.keys:
            takers = [other for other in SOURCES if key in SOURCES[other].keys]
            raise WaypointError(
                f"config: data.{key} is not for source {name}, but for {', '.join(sorted(takers))}; leave it out"
            )
    if isinstance(data["path"], list) and not source.several:
        raise WaypointError(f"config: data.path: source {name} is read from one path, not from a list")
    if data["fit"] != "crop" and data["size"] is None:
        raise WaypointError(f"config: data.fit: {data['fit']} says how images come to data.size, which is missing")
    if stored_path:  # stored images need no raw data
        _check_moved(data, stored_path)
        return
    if not source.remote(data):
        for key in PLACES:
            for path in places(data[key]):
                if not (source.several and is_pattern(path)):
                    readable(path, f"data.{key}")
    if data["captions"] is not None and Path(data["captions"]).is_dir():
        raise WaypointError(f"config: data.captions: {data['captions']} is a folder; name the file in it")
    try:
        for path in places(data["path"]):
            refuse_other_kind(path, source, SOURCES)
        checked = source.check(data)
        n = checked if type(checked) is int else source.images
        if n is not None:  # not all sources know it at planning
            require_subset(data, n, f"the source has {n}")
    except WaypointError as error:
        raise WaypointError(f"config: {error}") from error


def check_captioned(config, stored_path):
    """Refuse a text encoder if the images have no captions.

    Raises:
        WaypointError: says how to provide captions.
    """
    data = config["data"]
    if config["text_encoder"] is None or data is None:
        return
    source = SOURCES[data["source"]]
    try:
        with warnings.catch_warnings():  # ``check_data`` has issued these warnings before
            warnings.simplefilter("ignore", WaypointWarning)
            captioned = "caption" in consolidated(stored_path) if stored_path else source.captioned(data)
    except DamagedArtifact:  # reported by the checks at the start of the run
        return
    if captioned is False:
        advice = source.caption_help or f"source {data['source']} has none"
        raise WaypointError(f"config: text_encoder: the images have no captions for it; {advice}")


def _check_moved(data, stored_path):
    """Refuse a missing path if the stored images were read from another one, since it is probably a typing error."""
    try:
        recorded = ((read_attributes(stored_path) or {}).get("source") or {}).get("paths")
    except WaypointError:  # reported by the checks at the start of the run
        return
    for key in PLACES:
        for configured_path in places(data[key]):
            if (
                recorded
                and not Path(configured_path).exists()
                and not any(covers(configured_path, path) for path in recorded)
            ):
                raise WaypointError(
                    f"config: data.{key}: there is no {configured_path}; the images in {stored_path} were read from "
                    f"{', '.join(recorded[:3])}{', …' if len(recorded) > 3 else ''}. Where the raw data are gone, "
                    "leave the key as it was"
                )


def readable(path, key):
    """Refuse a file or folder that cannot be read.

    Args:
        key: the config key that names it.

    Raises:
        WaypointError: says why.
    """
    path = Path(path)
    try:
        if path.is_dir():
            next(path.iterdir(), None)
        else:
            open(path, "rb").close()
    except ValueError as error:  # a zero in the name
        raise WaypointError(f"config: {key}: {str(path)!r} is no name of a file ({error}); correct it") from error
    except OSError as error:
        raise WaypointError(f"config: {key}: cannot read {path} ({error.strerror})") from error
