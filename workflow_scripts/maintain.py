"""Look after an experiment's store: verify every checksum, list what the configuration does not name, remove what was
replaced, adopt a store of an earlier form.

python workflow_scripts/maintain.py verify|tidy|clean-replaced|adopt --configfile mine.yaml
"""

import argparse
import os
import shutil
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

from waypoint.errors import WaypointError
from waypoint.store.artifacts.checksums import require_checksums
from waypoint.store.artifacts.inventory import artifacts, damage, remove_empty_folders, size
from waypoint.store.artifacts.provenance import marker_path
from waypoint.store.artifacts.replaced import FOLDER, ROOT, replaced_bytes, set_aside
from waypoint.workflow.config.complete import complete
from waypoint.workflow.config.read_config import read_config
from waypoint.workflow.plan import adoption
from waypoint.workflow.plan.plan import Plan

SNAKEFILE = Path(__file__).parents[1] / "Snakefile"
SHOWN = 5  # names listed per folder


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("command", choices=["verify", "tidy", "clean-replaced", "adopt"])
    parser.add_argument("--configfile", default="config.yaml", help="the experiment's configuration")
    parser.add_argument("--remove", action="store_true", help="tidy: move what is listed to replaced/")
    args = parser.parse_args()
    commands = {
        "verify": verify,
        "tidy": lambda plan: tidy(plan, args.configfile, args.remove),
        "clean-replaced": clean_replaced,
        "adopt": adopt,
    }
    try:
        plan = Plan(complete(read_config(args.configfile)))
        adoption.require_root(plan.root)
        commands[args.command](plan)
    except (OSError, WaypointError) as error:
        sys.exit(f"Waypoint: {error}")


def verify(plan):
    """Compare every file and chunk of the experiment with its checksum.

    Raises:
        WaypointError: lists the damage.
    """
    paths = artifacts(plan.root)
    problems = [sentence for path in paths if (sentence := damage(path))]
    if problems:
        raise WaypointError("\n  ".join([f"{len(problems)} of {len(paths)} results are damaged:", *problems]))
    print(f"{len(paths)} results, {sum(map(size, paths)) / 1e6:,.1f} MB: every checksum matches")


def tidy(plan, configfile, remove=False):
    """List results that the configuration no longer names: those of removed targets, methods and models.

    Args:
        remove: whether to move them aside; nothing is deleted.

    Raises:
        WaypointError: the configuration cannot be planned.
    """
    root, planned = Path(plan.root), planned_results(plan, configfile)
    unnamed = [path for path in artifacts(root) if str(path.relative_to(root)) not in planned]
    if not unnamed:
        print(f"the configuration names every result in {root}")
        return
    for line in listing(root, unnamed):
        print(line)
    total = f"{len(unnamed)} results, {sum(map(size, unnamed)) / 1e6:,.1f} MB"
    if not remove:
        print(f"The configuration does not name these {total}. To move them to {root}/{FOLDER}: make tidy REMOVE=true")
        return
    os.environ[ROOT] = plan.root  # so that results are moved within the experiment
    for path in unnamed:
        marker = marker_path(path)
        set_aside(path, *([marker] if path.is_file() and marker.exists() else []))
        remove_empty_folders(path.parent, root)
    print(f"{total} moved to {root}/{FOLDER}; make clean-replaced removes them")


def planned_results(plan, configfile):
    """Return the paths, within the experiment, of all results that a configuration names.

    Raises:
        WaypointError: Snakemake cannot plan the experiment; holds its message.
    """
    command = [sys.executable, "-m", "snakemake", "-s", str(SNAKEFILE), "--configfile", configfile, "--cores", "1"]
    result = subprocess.run([*command, "--summary"], capture_output=True, text=True)
    paths = (line.partition("\t")[0].partition(f"{plan.root}/")[2] for line in result.stdout.splitlines())
    names = set(filter(None, paths))
    if result.returncode or not names:
        raise WaypointError(f"the experiment cannot be planned:\n{(result.stdout + result.stderr).strip()}")
    return names


def listing(root, results):
    """Yield a line for every folder with results: their names and size."""
    folders = defaultdict(list)
    for path in results:
        folders[path.parent].append(path)
    for folder, paths in folders.items():
        names = ", ".join(path.name for path in paths[:SHOWN]) + (", …" if len(paths) > SHOWN else "")
        yield f"{folder.relative_to(root)}/  {len(paths)}, {sum(map(size, paths)) / 1e6:,.1f} MB: {names}"


def clean_replaced(plan):
    """Remove the earlier results that were moved aside."""
    folder, freed = Path(plan.root, FOLDER), replaced_bytes(plan.root)
    if folder.exists():
        shutil.rmtree(folder)
    print(f"{freed / 1e6:,.1f} MB of earlier results removed from {plan.root}")


def adopt(plan):
    """Adopt the images and models of an experiment in the earlier format, and move the rest aside.

    Raises:
        WaypointError: nothing is in that format.
    """
    root, planned = Path(plan.root), adoption.planned(plan)
    old = {path: attributes for path in artifacts(root) if (attributes := adoption.read_old(path))}
    if not old:
        raise WaypointError(f"{root} holds nothing that an earlier version of Waypoint made")
    os.environ[ROOT] = plan.root  # so that results are moved within the experiment
    adopted = 0
    for path, attributes in old.items():
        name = str(path.relative_to(root))
        if name in planned:
            reason = damage_of(path, attributes) or adoption.adopt(plan, name, path, attributes)
        else:
            reason = "it is made again"
        if reason is None:
            adopted += 1
        else:
            if name in planned:
                print(f"{name} is not taken over: {reason}")
            marker = path.with_name(f".{path.name}.json")
            set_aside(path, *([marker] if marker.exists() else []))
    print(f"{adopted} of {len(old)} results taken over; the others lie in {root}/{FOLDER}")


def damage_of(path, attributes):
    """Return the damage of an artifact in the earlier format, or None."""
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
