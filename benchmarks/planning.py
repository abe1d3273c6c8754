"""How long Snakemake plans: large experiments from nothing, finished ones, and a finished one with one more target.

    python benchmarks/planning.py          prints Markdown tables; docs/scaling.md has them

A finished experiment is pretended: every artifact is a folder or file with the attributes, identity and (empty) files
that its job would have written. CPU seconds of a dry run, which also prints every job; until the first job, which a
real run would then begin; and of the pass that compares every artifact with the plan at start.
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
LARGEST = (100, 500, 1000)
MODEL = ("model_index.json", "unet/config.json", "unet/diffusion_pytorch_model.safetensors")
TIMED = f"""
import sys, time
sys.path.insert(0, {str(REPOSITORY / "workflow_scripts")!r})
from snakemake.cli import main
from snakemake.scheduling.job_scheduler import JobScheduler
from waypoint.workflow.plan.start import Start

decide = Start.decide

def timed(self, jobs):
    began = time.process_time()
    found = decide(self, jobs)
    print(f"pass: {{time.process_time() - began:.2f}}")
    return found

def first_job(self):
    print(f"planned: {{time.process_time():.2f}}")
    return schedule(self)

Start.decide, schedule, JobScheduler.schedule = timed, JobScheduler.schedule, first_job
main()
"""


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
        command = [sys.executable, "-c", TIMED, "-s", REPOSITORY / "Snakefile", "--configfile", "config.yaml"]
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        run = subprocess.run(
            [*command, *arguments],
            cwd=self.place,
            capture_output=True,
            text=True,
            env={**os.environ, "PATH": path, "WAYPOINT_LOGGER": "snakemake"},
        )
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        if run.returncode:
            sys.exit(run.stdout + run.stderr)
        return run.stdout, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime

    def finish(self):
        """Pretend that everything was run."""
        for job in re.split(r"^rule ", self.snakemake("--dry-run", "--printshellcmds")[0], flags=re.M)[1:]:
            pretend(self.place, job)

    def planned(self):
        """Cells of a table: jobs that a dry run would do, its seconds, and those of the pass."""
        said, seconds = self.snakemake("--dry-run")
        in_pass = float(re.search(r"^pass: (.*)$", said, re.M)[1])
        return [jobs_of(said), f"{seconds:.1f} s", f"{in_pass:.1f} s"]


def main():
    sizes = ["checkpoints", "subset models", "targets", "jobs", "edges"]
    print(table([*sizes, "dry run", "until the first job"], planned_sizes()))
    print(table(["finished experiment", "jobs", "planned in", "of it the pass"], finished()))


def planned_sizes():
    """A row for each of SIZES."""
    return map(planned, SIZES)


def planned(sizes):
    """One row: every method's scores and panels and the LDS of a large experiment, from nothing."""
    with tempfile.TemporaryDirectory() as place:
        said, seconds = large(place, sizes).snakemake("--dry-run")
    jobs = re.findall(r"^    input: (.*)$", said, re.M)
    edges, planned = sum(1 + line.count(", ") for line in jobs), float(re.search(r"^planned: (.*)$", said, re.M)[1])
    return [*sizes, f"{len(jobs):,}", f"{edges:,}", f"{seconds:.0f} s", f"{planned:.0f} s"]


def large(place, sizes):
    """A ``Folder`` with so many checkpoints, subset models and targets."""
    checkpoints, models, targets = sizes
    return Folder(
        place,
        checkpoints={"count": checkpoints},
        evaluation={"lds": {"subsets": models // 5, "models_per_subset": 5}},
        targets=[{"id": f"image-{i:04}", "seed": i} for i in range(targets)],
    )


def finished():
    """Rows: nothing to do, and one target added; nothing to do in the largest of SIZES."""
    targets = REPOSITORY / "experiments/cifar10_targets.csv"
    with open(targets, newline="") as file:
        rows = [{"id": row["id"], "seed": int(row["seed"])} for row in csv.DictReader(file)]
    with tempfile.TemporaryDirectory() as place:
        folder = Folder(place, targets=rows)
        folder.finish()
        yield ["CIFAR-10", *folder.planned()]
        folder.config["targets"] = [*rows, {"id": "one-more", "seed": 12345}]
        yield ["with one more target", *folder.planned()]
    with tempfile.TemporaryDirectory() as place:
        folder = large(place, LARGEST)
        folder.finish()
        yield ["{} checkpoints, {} subset models, {:,} targets".format(*LARGEST), *folder.planned()]


def pretend(place, job):
    """Make a job's outputs as far as planning looks at them."""
    outputs, command = re.search(r"^    output: (.*)$", job, re.M), re.search(r"^Shell command: (.*)$", job, re.M)
    if not outputs or not command:
        return
    words = shlex.split(command[1])
    attributes = {**json.loads(words[words.index("--spec") + 1]), "reads": {}, "seconds": 1.0}
    for output in outputs[1].split(", "):
        path = place / output
        if path.suffix == ".zarr":
            pretend_arrays(path, attributes)
        elif path.suffix in (".csv", ".png", ".json"):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
            made = {**attributes, "files": {path.name: "0" * 64}}
            path.with_name(f".{path.name}.json").write_text(json.dumps(made))
        else:
            for file in MODEL:
                (path / file).parent.mkdir(parents=True, exist_ok=True)
                (path / file).touch()
            made = {**attributes, "files": dict.fromkeys(MODEL, "0" * 64), "weights": "0" * 64}
            (path / "waypoint.json").write_text(json.dumps(made))


def pretend_arrays(path, attributes):
    """A Zarr store of two arrays with one chunk each."""
    array = {"node_type": "array", "shape": [1], "chunk_grid": {"configuration": {"chunk_shape": [1]}}}
    metadata = dict.fromkeys(("score", "step"), array)
    for name in metadata:
        (path / name / "c").mkdir(parents=True)
        (path / name / "c/0").touch()
        (path / name / "zarr.json").write_text(json.dumps(array))
    group = {"attributes": attributes, "consolidated_metadata": {"metadata": metadata}}
    (path / "zarr.json").write_text(json.dumps(group))


def jobs_of(said):
    """Jobs that a dry run says it would do, the named target aside."""
    total = re.search(r"^total +(\d+)$", said, re.M)
    return int(total[1]) - 1 if total else 0


if __name__ == "__main__":
    main()
