"""Which training images made a model able to make a picture: writes a configuration, runs it, and says what came out.

    make explain IMAGE=made.png MODEL=models/a DATA=photos/ [LABEL=3] [PROMPT="a dog" CAPTIONS=captions.csv]

The configuration lies beside the results, in results/{experiment}.yaml: all pictures of one model and one folder of
images share it, and with it everything but what is the picture's own. What is changed in it by hand stays.
"""

import argparse
import csv
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import yaml

from waypoint.errors import WaypointError
from waypoint.store.data.image_names import ImageNames
from waypoint.store.data.near_duplicates import distances
from waypoint.store.zarr.reader import Rows, blocks, open_store, read
from waypoint.workflow.config.complete import complete
from waypoint.workflow.config.explained import NAMED, configuration, target_of

REPOSITORY = Path(__file__).parents[1]
STORE = "results"
TOP = 5  # images that are named
RELIABLE, POOR = 0.8, 0.5  # of the rank correlation of one set of scores with another made with other draws


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in (*NAMED, "prompt", "captions"):
        parser.add_argument(f"--{name}")
    parser.add_argument("--label", type=int)
    parser.add_argument("--cores", default="1")
    args = parser.parse_args()
    try:
        file, target = written(args)
        print(f"Waypoint: the configuration is {file}", flush=True)
        if (status := run(file, args.cores)) != 0:
            sys.exit(status)
        config = complete(yaml.safe_load(file.read_text(encoding="utf-8")))
        print(told(config, target))
    except (WaypointError, OSError, yaml.YAMLError) as error:
        sys.exit(f"Waypoint: {error}")


def written(args):
    """The configuration's file, which lists the picture now, and the picture's id.

    Raises:
        WaypointError: the first thing that is missing.
    """
    for name, example in NAMED.items():
        if not getattr(args, name):
            raise WaypointError(f"{name.upper()} is missing: make explain {' '.join(NAMED.values())} ({example})")
    target = target_of(args.image, args.label, args.prompt)
    config = configuration(args.model, args.data, args.captions)
    file = Path(STORE, f"{config['experiment']}.yaml")
    if file.exists():
        config = yaml.safe_load(file.read_text(encoding="utf-8"))
    kept = []
    for row in config.get("targets", []):
        if row["id"] != target["id"] and "image" in row and not Path(row["image"]).exists():
            print(
                f"Waypoint: {row['image']} is gone, so that {row['id']} is left out; its results stay", file=sys.stderr
            )
        elif row["id"] != target["id"]:
            kept.append(row)
    config["targets"] = [*kept, target]
    complete(config)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(yaml.safe_dump(config, sort_keys=False, allow_unicode=True), encoding="utf-8")
    return file, target["id"]


def run(file, cores):
    """Run the configuration; the exit status. Jobs find this interpreter as `python`."""
    command = [sys.executable, "-m", "snakemake", "-s", str(REPOSITORY / "Snakefile"), "--configfile", str(file)]
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return subprocess.run([*command, "--cores", cores], env={**os.environ, "PATH": path}).returncode


def told(config, target):
    """What came out, in lines."""
    root = Path(config["store"], config["experiment"])
    rows = [row for row in table(root / "tables/given_images.csv") if row["target"] == target]
    said = next(row["words"] for row in rows if row["what"] == "summary")
    limit = next(float(row["limit"]) for row in rows if row["what"] == "pixels")
    lines = ["", said, noise(root, target)]
    if any(row["what"] == "loss" and row["step"] == "all" and row["words"] == "worse" for row in rows):
        lines.append("The model hardly knows such pictures, so that the list below says little.")
    lines += ["", "The training images that pushed most towards it, over all steps:"]
    lines += [f"  {rank}. {name}" for rank, name in enumerate(top_images(config, root, target, limit), 1)]
    return "\n".join([*lines, "", f"Panel: {root}/figures/{target}/trak.png", ""])


def table(path):
    """A table's rows."""
    with open(path, newline="", encoding="utf-8") as handle:
        return list(csv.DictReader(handle))


def top_images(config, root, target, limit):
    """Names of the images with the highest scores; those that show the same stand once, with their number."""
    data = open_store(root / "data/train.zarr")
    images, names = data["image"], names_of(data)
    order = np.argsort(-read(open_store(root / f"scores/trak-sum/{target}.zarr")["score"], 0), kind="stable")
    found, seen = [], set()
    for i in map(int, order):
        if len(found) == TOP:
            break
        if i in seen:
            continue
        like = np.flatnonzero(distances(Rows(images)[[i]][0], blocks(images)) <= limit)
        seen |= set(like.tolist())
        found.append(names(i) + (f", one of {len(like)} that show the same" if len(like) > 1 else ""))
    return found


def names_of(data):
    """A function from a training image's number to its name."""
    files = ImageNames(data).files
    return lambda i: f"{files[i]} (image {i})"


def noise(root, target):
    """How far the scores are above their own noise, a sentence."""
    rows = [
        row for row in table(root / "tables/split_half.csv") if row["target"] == target and row["halves"] == "draws"
    ]
    # halves that do not agree say nothing
    agree = float(np.mean([float(row["full"] or 0) for row in rows]))
    if agree >= RELIABLE:
        word = "the order of the images is reliable"
    elif agree >= POOR:
        word = "the upper ranks are more than noise, their exact order is not"
    else:
        word = "most of it is noise: raise attribution.train_draws and attribution.target_draws in the configuration"
    return f"Noise: with other random draws the scores would correlate with these by about {agree:.2f}; {word}."


if __name__ == "__main__":
    main()
