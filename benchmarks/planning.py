"""How long Snakemake plans: large experiments from nothing, and a finished one with one more target.

    python benchmarks/planning.py          prints Markdown tables; docs/scaling.md has them

A finished experiment is pretended: every artifact of experiments/cifar10.yaml is a folder or file with the attributes
that its job would have written, and `snakemake --touch` records it.
"""

import csv
import json
import os
import re
import resource
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path

import yaml
from measuring import REPOSITORY, table

SIZES = [(100, 500, 250), (100, 500, 500), (100, 500, 1000), (50, 500, 1000), (100, 100, 1000)]


class Folder:
    """A working directory with the CIFAR-10 experiment and an empty archive in the dataset's place: none is read."""

    def __init__(self, place, **changes):
        self.place = Path(place)
        self.config = yaml.safe_load((REPOSITORY / "experiments/cifar10.yaml").read_text()) | changes
        (self.place / "data").mkdir()
        (self.place / self.config["data"]["path"]).touch()

    def snakemake(self, *arguments):
        """(What it says, CPU seconds of the process)."""
        (self.place / "config.yaml").write_text(yaml.safe_dump(self.config))
        command = [sys.executable, "-m", "snakemake", "-s", REPOSITORY / "Snakefile", "--configfile", "config.yaml"]
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        run = subprocess.run(
            [*command, *arguments], cwd=self.place, capture_output=True, text=True, env={**os.environ, "PATH": path}
        )
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        if run.returncode:
            sys.exit(run.stdout + run.stderr)
        return run.stdout, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main():
    print(table(["checkpoints", "subset models", "targets", "jobs", "edges", "planned in"], planned_sizes()))
    print(table(["finished CIFAR-10 experiment", "jobs", "planned in"], finished()))


def planned_sizes():
    """A row for each of SIZES."""
    return map(planned, SIZES)


def planned(sizes):
    """One row: every method's scores and panels and the LDS of a large experiment, from nothing."""
    checkpoints, models, targets = sizes
    with tempfile.TemporaryDirectory() as place:
        folder = Folder(
            place,
            checkpoints={"count": checkpoints},
            evaluation={"lds": {"subsets": models // 5, "models_per_subset": 5}},
            targets=[{"id": f"image-{i:04}", "seed": i} for i in range(targets)],
        )
        said, seconds = folder.snakemake("--dry-run")
    jobs = re.findall(r"^    input: (.*)$", said, re.M)
    return [*sizes, f"{len(jobs):,}", f"{sum(1 + line.count(', ') for line in jobs):,}", f"{seconds:.0f} s"]


def finished():
    """Rows: nothing to do, and one target added."""
    targets = REPOSITORY / "experiments/cifar10_targets.csv"
    with open(targets, newline="") as file:
        rows = [{"id": row["id"], "seed": int(row["seed"])} for row in csv.DictReader(file)]
    with tempfile.TemporaryDirectory() as place:
        folder = Folder(place, targets=rows)
        for job in re.split(r"^rule ", folder.snakemake("--dry-run", "--printshellcmds")[0], flags=re.M)[1:]:
            pretend(folder.place, job)
        folder.snakemake("--touch", "--cores", "1")
        said, seconds = folder.snakemake("--dry-run")
        yield ["as it is", jobs_of(said), f"{seconds:.1f} s"]
        folder.config["targets"] = [*rows, {"id": "one-more", "seed": 12345}]
        said, seconds = folder.snakemake("--dry-run")
        yield ["with one more target", jobs_of(said), f"{seconds:.1f} s"]


def pretend(place, job):
    """Make a job's outputs as far as planning looks at them."""
    outputs, command = re.search(r"^    output: (.*)$", job, re.M), re.search(r"^Shell command: (.*)$", job, re.M)
    if not outputs or not command:
        return
    words = shlex.split(command[1])
    attributes = {"spec": json.loads(words[words.index("--spec") + 1])}
    for output in outputs[1].split(", "):
        path = place / output.removesuffix(" (update)")
        if path.suffix == ".zarr":
            path.mkdir(parents=True)
            (path / "zarr.json").write_text(json.dumps({"attributes": attributes}))
        elif path.suffix in (".csv", ".png", ".json"):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
            path.with_name(f".{path.name}.json").write_text(json.dumps(attributes))
        else:
            path.mkdir(parents=True)
            (path / "waypoint.json").write_text(json.dumps(attributes))


def jobs_of(said):
    """Jobs that a dry run says it would do, the named target aside."""
    total = re.search(r"^total +(\d+)$", said, re.M)
    return int(total[1]) - 1 if total else 0


if __name__ == "__main__":
    main()
