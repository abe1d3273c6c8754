"""Kernel and scores hold one block of features at a time: a hard limit on memory that the whole Φ would break."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest
from support import SCRIPTS, script_arguments, script_path

from waypoint.store.zarr.writer import CHUNK_BYTES, create_store

D, ROWS = 256, {"few": 4_000, "many": 500_000}  # 4 MB and 512 MB of features
ROOM = 64 << 20  # more than a run over few rows takes
WRAPPER = """
import os, resource, runpy, sys
limit = int(sys.argv[1])
if limit:
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
sys.argv = sys.argv[2:]
sys.path.insert(0, os.path.dirname(sys.argv[0]))
runpy.run_path(sys.argv[0], run_name="__main__")
peak = next(line for line in open("/proc/self/status") if line.startswith("VmPeak"))
print(int(peak.split()[1]) * 1024)
"""


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """Features of few and of many rows, and gradients of one step."""
    root, rng = tmp_path_factory.mktemp("memory"), np.random.default_rng(0)
    for name, n in ROWS.items():
        with create_store(root / f"{name}.zarr", lambda: {"spec": {}, "weights": "w"}) as store:
            phi = store.create("phi", ["train", "feature"], (n, D))
            rows = rng.standard_normal((phi.chunks[0], D), dtype=np.float32)
            for start in range(0, n, phi.chunks[0]):
                phi[start : start + phi.chunks[0]] = rows[: n - start]
    with create_store(root / "g.zarr", lambda: {"spec": {}, "weights": ["w"]}) as store:
        store.write("g", ["checkpoint", "step", "feature"], rng.standard_normal((1, 1, D)).astype(np.float32))
        store.write("step", ["step"], np.array([100]))
        store.write("checkpoint", ["checkpoint"], np.array(["full/0"]))
    return root


def command(place, script, rows):
    """The script's command line for few or many rows."""
    phi, kernel = place / f"{rows}.zarr", place / f"{rows}-kernel.zarr"
    spec = {"kernel": {"damping": 0.1}, "scores": {"keep_checkpoints": False}}
    if script == "factor_kernel":
        return script_arguments(script, spec=spec, features=phi, out=kernel)
    to = {
        "method": "trak",
        "target": "a",
        "targets": ["a"],
        "waiting": place / "resume/scores",
        "out": place / f"{rows}-scores.zarr",
    }
    return script_arguments(script, spec=spec, gradients=place / "g.zarr", features=[phi], kernels=[kernel], **to)


def run(words, limit=0):
    """Run a script under a limit of its address space; the finished process."""
    return subprocess.run(
        [sys.executable, "-c", WRAPPER, str(limit), *words],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(SCRIPTS)},
    )


@pytest.mark.parametrize("script", ["factor_kernel", "score_trak"])
def test_memory_does_not_grow_with_the_number_of_images(place, script):
    path = str(script_path(script))
    few = run([path, *command(place, script, "few")])
    assert few.returncode == 0, few.stderr
    limit = int(few.stdout) + ROOM
    many = run([path, *command(place, script, "many")], limit)
    assert many.returncode == 0, many.stderr
    whole = ROWS["many"] * D * 4
    assert whole > ROOM + CHUNK_BYTES  # the limit is one that the features in one piece would break
    assert json.loads(many.stdout) < int(few.stdout) + ROOM


def test_the_limit_can_fail(place, tmp_path):
    """Reading Φ in one piece under the same limit runs out of memory."""
    script = tmp_path / "whole.py"
    script.write_text(
        "import sys, zarr\n"
        f"sys.path.insert(0, {str(SCRIPTS)!r})\n"
        "import waypoint.store.zarr.quantised, waypoint.science.kernel, waypoint.workflow.jobs.job\n"
        "phi = zarr.open_group(sys.argv[1], mode='r')['phi'][:]\n"
    )
    few = run([str(script), str(place / "few.zarr")])
    assert few.returncode == 0, few.stderr
    many = run([str(script), str(place / "many.zarr")], int(few.stdout) + ROOM)
    assert many.returncode != 0
