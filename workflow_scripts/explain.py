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

import yaml

from waypoint.errors import WaypointError
from waypoint.workflow.closing import found_in_words, noise_in_words
from waypoint.workflow.config.complete import complete
from waypoint.workflow.config.explained import NAMED, configuration, target_of
from waypoint.workflow.config.read_config import read_config
from waypoint.workflow.methods import METHODS

REPOSITORY = Path(__file__).parents[1]
STORE = "results"
TOP = 5  # images that are listed


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in (*NAMED, "prompt", "captions"):
        parser.add_argument(f"--{name}")
    parser.add_argument("--label", type=int)
    parser.add_argument("--cores", default="1")
    args = parser.parse_args()
    try:
        file, target = write_configuration(args)
        print(f"Waypoint: the configuration is {file}", flush=True)
        if (status := run(file, args.cores)) != 0:
            sys.exit(status)
        config = complete(read_config(file))
        print(answer(config, target))
    except (WaypointError, OSError) as error:
        sys.exit(f"Waypoint: {error}")


def write_configuration(args):
    """Add the picture to the configuration's file; return the file and the picture's id.

    Raises:
        WaypointError: names the first argument that is missing.
    """
    for name, example in NAMED.items():
        if not getattr(args, name):
            raise WaypointError(f"{name.upper()} is missing: make explain {' '.join(NAMED.values())} ({example})")
    target = target_of(args.image, args.label, args.prompt)
    config = configuration(args.model, args.data, args.captions)
    file = Path(STORE, f"{config['experiment']}.yaml")
    if file.exists():
        config = read_config(file)
    earlier = []
    for row in config.get("targets", []):
        if row["id"] != target["id"] and "image" in row and not Path(row["image"]).exists():
            print(
                f"Waypoint: {row['image']} no longer exists, so {row['id']} is left out; its results stay",
                file=sys.stderr,
            )
        elif row["id"] != target["id"]:
            earlier.append(row)
    config["targets"] = [*earlier, target]
    complete(config)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(yaml.safe_dump(config, sort_keys=False, allow_unicode=True), encoding="utf-8")
    return file, target["id"]


def run(file, cores):
    """Run the configuration and return the exit status. Jobs find this interpreter as `python`."""
    command = [sys.executable, "-m", "snakemake", "-s", str(REPOSITORY / "Snakefile"), "--configfile", str(file)]
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return subprocess.run([*command, "--cores", cores], env={**os.environ, "PATH": path}).returncode


def answer(config, target):
    """Return the answer as text."""
    root, method = Path(config["store"], config["experiment"]), next(iter(config["methods"]))
    rows = [row for row in table(root / "tables/given_images.csv") if row["target"] == target]
    summary = next(row["words"] for row in rows if row["what"] == "summary")
    noise = noise_in_words(root, ["full/0"])
    lines = ["", *([f"Warning: {noise}.", ""] if noise else []), summary]
    lines.append(f"Beyond chance: {found_in_words(root / 'tables/top_influences.csv', method, target)}.")
    lines.append("How well these scores predict retraining was not measured: a finished model cannot be trained again.")
    if any(row["what"] == "loss" and row["step"] == "all" and row["words"] == "worse" for row in rows):
        lines.append("The model hardly knows such pictures, so the list below says little.")
    lines += ["", "The training images that pushed most towards it, over all steps:", *top_images(config, root, target)]
    lines += ["", f"Panel: {root}/figures/{target}/{method}.png", "How to read it: docs/reading.md", ""]
    return "\n".join(lines)


def table(path):
    """Read a table's rows."""
    with open(path, newline="", encoding="utf-8") as handle:
        return list(csv.DictReader(handle))


def top_images(config, root, target):
    """Return lines on the images with the highest scores over all steps, and the steps at which each is found."""
    rows = [row for row in table(root / "tables/top_influences.csv") if row["target"] == target and row["sign"] == "+"]
    ranked = {name: METHODS[settings["method"]].per_step for name, settings in config["methods"].items()}
    method = next(iter(ranked))
    overall = next((name for name, per_step in ranked.items() if not per_step and name.startswith(method)), method)
    steps_found = {}
    for row in rows:
        if row["method"] == method and row["found"] == "True":
            steps_found.setdefault(row["train"], []).append(row["step"])
    first = next(row["step"] for row in rows if row["method"] == overall)
    lines = []
    for row in [row for row in rows if row["method"] == overall and row["step"] == first][:TOP]:
        alike = f", one of {row['alike']} that show the same" if int(row["alike"]) > 1 else ""
        places = ["over all steps"] * (row["found"] == "True" and overall != method)
        places += [f"at t = {t}" for t in sorted(steps_found.get(row["train"], []), key=int)]
        verdict = f"found {', '.join(places)}" if places else "not told from noise"
        lines.append(f"  {row['rank']}. {row['file']} (image {row['train']}{alike}): {verdict}")
    return lines


if __name__ == "__main__":
    main()
