"""A tiny experiment, and a working directory in which tests run Snakemake on it."""

import copy
import os
import re
import subprocess
import sys
from pathlib import Path

import warm
import yaml
from support import UNET

REPOSITORY = Path(__file__).parents[1]
CONFIG = {
    "experiment": "tiny",
    "store": "store",
    "data": {"source": "digits", "subset": 40},
    "model": {"unet": UNET},
    "training": {"epochs": 2, "batch_size": 20, "learning_rate": 1e-3},
    "checkpoints": {"count": 2},
    "sampling": {"steps": 20},
    "attribution": {"steps": [100, 500], "train_draws": 3, "target_draws": 3},
    "projection": {"dim": 16},
    "scores": {"keep_checkpoints": True},
    "targets": [{"id": "a", "seed": 1}, {"id": "b", "seed": 2, "mask": [0, 0, 4, 8]}],
}


class Workspace:
    """A working directory with a configuration, in which Snakemake is run.

    Args:
        warm: whether jobs are forks of an interpreter with its libraries loaded, for tests not about starting jobs.
    """

    def __init__(self, folder, config, warm=False):
        self.folder, self.config, self.warm = folder, config, warm
        folder.mkdir(exist_ok=True)

    def snakemake(self, *arguments, cores="1"):
        (self.folder / "experiment.yaml").write_text(yaml.safe_dump(self.config, sort_keys=False))
        command = [sys.executable, "-m", "snakemake", "-s", str(REPOSITORY / "Snakefile")]
        command += ["--configfile", "experiment.yaml", "--cores", cores, *arguments]
        # makes `python` in the rules the interpreter that runs the tests
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        if self.warm:
            path = f"{warm.folder()}{os.pathsep}{path}"
        return subprocess.run(
            command, cwd=self.folder, capture_output=True, text=True, env={**os.environ, "PATH": path}
        )

    def planned(self, *arguments):
        """Return the jobs that a dry run plans as a sorted list of 'rule wildcards'."""
        process = self.snakemake("-n", *arguments)
        text = process.stdout + process.stderr
        assert process.returncode == 0, text
        blocks = re.findall(r"^(?:local)?rule (\w+):\n((?:    .*\n)*)", text, re.M)
        jobs = [f"{rule} {' '.join(re.findall('wildcards: (.*)', body))}".strip() for rule, body in blocks]
        return sorted(job for job in jobs if job != "all")

    def changed(self, **sections):
        """Return a workspace in the same working directory with other settings."""
        return Workspace(self.folder, {**copy.deepcopy(self.config), **sections}, self.warm)

    @property
    def store(self):
        return self.folder / self.config["store"] / self.config["experiment"]


def panels(target, methods=("pixel", "random", "trak")):
    return [f"trajectory_panel target={target}, method={method}" for method in methods]


def scores(target, methods=("pixel", "random", "trak")):
    return [f"score_{method.replace('-', '_')} method={method}, target={target}" for method in methods]


def of_checkpoint(m):
    """Return the jobs between a model of the full set and its kernel."""
    return [f"featurize basis=plain, checkpoint=full/{m}", f"factor_kernel method=trak, checkpoint=full/{m}"]


def own_jobs(target):
    """Return the jobs of an attributed target before its scores."""
    parts = [f"sample_trajectory target={target}", f"sample_from_x_t target={target}"]
    return [*parts, f"target_gradients target={target}, basis=plain"]
