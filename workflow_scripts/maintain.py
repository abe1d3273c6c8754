"""Look after an experiment's store: verify every checksum, remove what was replaced, adopt a store of an earlier form.

python workflow_scripts/maintain.py verify|clean-replaced|adopt --configfile mine.yaml
"""

import argparse
import os
import shutil
import sys
from pathlib import Path

import yaml

from waypoint.errors import WaypointError
from waypoint.store.artifacts.checksums import require_checksums
from waypoint.store.artifacts.inventory import artifacts, damage, size
from waypoint.store.artifacts.replaced import FOLDER, ROOT, replaced_bytes, set_aside
from waypoint.workflow.config.complete import complete
from waypoint.workflow.plan import adoption
from waypoint.workflow.plan.plan import Plan


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("command", choices=["verify", "clean-replaced", "adopt"])
    parser.add_argument("--configfile", default="config.yaml", help="the experiment's configuration")
    args = parser.parse_args()
    commands = {"verify": verify, "clean-replaced": clean_replaced, "adopt": adopt}
    try:
        plan = Plan(complete(yaml.safe_load(Path(args.configfile).read_text(encoding="utf-8"))))
        adoption.require_root(plan.root)
        commands[args.command](plan)
    except (OSError, yaml.YAMLError) as error:
        sys.exit(f"Waypoint: {args.configfile}: {error}")
    except WaypointError as error:
        sys.exit(f"Waypoint: {error}")


def verify(plan):
    """Compare every file and chunk of the experiment with its checksum.

    Raises:
        WaypointError: lists what is damaged.
    """
    found = artifacts(plan.root)
    bad = [sentence for path in found if (sentence := damage(path))]
    if bad:
        raise WaypointError("\n  ".join([f"{len(bad)} of {len(found)} results are damaged:", *bad]))
    print(f"{len(found)} results, {sum(map(size, found)) / 1e6:,.1f} MB: every checksum matches")


def clean_replaced(plan):
    """Remove the earlier results that were moved aside."""
    folder, freed = Path(plan.root, FOLDER), replaced_bytes(plan.root)
    if folder.exists():
        shutil.rmtree(folder)
    print(f"{freed / 1e6:,.1f} MB of earlier results removed from {plan.root}")


def adopt(plan):
    """Take over the images and models of an experiment of the earlier form; the rest is moved aside.

    Raises:
        WaypointError: nothing there is of that form.
    """
    root, names = Path(plan.root), adoption.planned(plan)
    old = {path: attributes for path in artifacts(root) if (attributes := adoption.read_old(path))}
    if not old:
        raise WaypointError(f"{root} holds nothing that an earlier version of Waypoint made")
    os.environ[ROOT] = plan.root  # so that it is moved aside within the experiment
    taken = 0
    for path, attributes in old.items():
        name = str(path.relative_to(root))
        if name in names:
            why = damage_of(path, attributes) or adoption.adopt(plan, name, path, attributes)
        else:
            why = "it is made again"
        if why is None:
            taken += 1
        else:
            if name in names:
                print(f"{name} is not taken over: {why}")
            marker = path.with_name(f".{path.name}.json")
            set_aside(path, *([marker] if marker.exists() else []))
    print(f"{taken} of {len(old)} results taken over; the others lie in {root}/{FOLDER}")


def damage_of(path, attributes):
    """What is wrong with an artifact of the earlier form, or None."""
    from waypoint.store.zarr.reader import open_store, verify

    try:
        if path.suffix == ".zarr":
            for _, array in open_store(path).arrays():
                verify(array)
        else:
            require_checksums(path, attributes["files"])
    except WaypointError as error:
        return str(error)
    return None


if __name__ == "__main__":
    main()
