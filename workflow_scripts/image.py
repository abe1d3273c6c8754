"""One training image's scores over all targets, methods and steps, on the screen and as a CSV. The store is only read.

python workflow_scripts/image.py NAME --configfile mine.yaml [--out table.csv]
"""

import argparse
import re
import sys
import warnings
from pathlib import Path

import pandas as pd

from waypoint.errors import WaypointError, WaypointWarning
from waypoint.store.data.image_names import ImageNames, find_one
from waypoint.store.zarr.reader import open_store
from waypoint.workflow.config.complete import complete
from waypoint.workflow.config.read_config import read_config
from waypoint.workflow.image_scores import COLUMNS, rows_of
from waypoint.workflow.plan.plan import Plan
from waypoint.workflow.plan.reruns import LocalStore, examine


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", nargs="?", default="", help="the image's name, the end of it after a '/', or its index")
    parser.add_argument("--configfile", default="config.yaml", help="the experiment's configuration")
    parser.add_argument("--out", help="the CSV; default: scores_of_{experiment}_{name}.csv in the working directory")
    args = parser.parse_args()
    warnings.simplefilter("ignore", WaypointWarning)  # omitted methods have no scores here
    try:
        show(Plan(complete(read_config(args.configfile))), args.file, args.out)
    except WaypointError as error:
        sys.exit(f"Waypoint: {error}")


def show(plan, query, out=None):
    """Print one image's scores and write them to a CSV.

    Args:
        plan: a ``Plan``. query: as for ``image_names.find_one``. out: the CSV's path; default: named after the image.

    Raises:
        WaypointError: no such image, no scores, or another file at ``out``.
    """
    if not query:
        raise WaypointError("which training image? `make image FILE=name`: its name, or its index in data/train.zarr")
    if not plan.attributed:
        raise WaypointError(f"{plan.config['experiment']} has no training images: no section data")
    data = f"{plan.root}/data/train.zarr"
    if not Path(data).exists():
        raise WaypointError(f"there is no {data} yet; run the experiment first")
    if reason := stale(plan, data, *plan.data()[0]):
        raise WaypointError(f"{data} is not what the config asks for: {reason}; run the experiment first")
    names = ImageNames(open_store(data))
    i = find_one(names.files, query, data)
    table = pd.DataFrame(rows(plan, i, names), columns=COLUMNS)
    stem = re.sub(r"[^\w.-]+", "_", names.files[i])[-100:]
    out = Path(out or f"scores_of_{plan.config['experiment']}_{stem}.csv")
    require_own_table(out)
    try:
        table.to_csv(out, index=False)
    except OSError as error:
        reason = error.strerror or error
        raise WaypointError(f"{out} cannot be written ({reason}); name another file with OUT=") from error
    print(heading(names, i))
    print(table.drop(columns=["file", "train"]).set_index(["target", "method", "step"]).sort_index().to_string())
    print(f"\nrank 1 of {len(names)}: the largest score, the strongest push towards the target\nwritten to {out}")


def rows(plan, i, names):
    """Return the image's rows in all scores that are current, and name the other scores on standard error.

    Raises:
        WaypointError: no scores are current.
    """
    lines, skipped = [], {}
    for method in plan.methods:
        for target in plan.targets:
            path = f"{plan.root}/scores/{method}/{target}.zarr"
            reason = stale(plan, path, *plan.score(method, target)) if Path(path).exists() else "not made yet"
            if reason:
                skipped.setdefault(reason, []).append(f"{method}/{target}")
            else:
                lines += rows_of(open_store(path), [i], names)
    for reason, scores in skipped.items():
        print(f"Waypoint: left out: {', '.join(scores)} ({reason})", file=sys.stderr)
    if not lines:
        raise WaypointError(f"{plan.root} holds no scores of this config; run the experiment first")
    return lines


def stale(plan, path, stage, wildcards):
    """Return why an artifact does not agree with the plan, or None."""
    expected = {"spec": plan.spec(stage, **wildcards), "identity": plan.identity(stage, **wildcards)}
    difference = examine(LocalStore(plan.root), path, expected)
    return difference and difference.why


def require_own_table(out):
    """Refuse to replace a file that is not a table of scores.

    Raises:
        WaypointError: says how to name another file.
    """
    header = ",".join(COLUMNS).encode()
    try:
        if not out.exists():
            return
        with open(out, "rb") as handle:
            is_table = handle.read(len(header)) == header
    except OSError:
        is_table = False
    if not is_table:
        raise WaypointError(f"{out} is there already and is not a table of scores; name another file with OUT=")


def heading(names, i):
    """Describe the image in one line."""
    of_class = f", class {names.class_of(i)}" if names.labelled else ""
    return f"training image {i} of {len(names)}" + (f": {names.files[i]}" if names.named else "") + of_class


if __name__ == "__main__":
    main()
