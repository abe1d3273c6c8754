"""Scoring a new target over stored features: speed against numpy, peak memory, what storage types change.

    OMP_NUM_THREADS=2 python benchmarks/scoring.py [FOLDER]

FOLDER takes 10 GB of synthetic features (default: a temporary one). About 6 minutes.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "workflow_scripts"))

import numpy as np
from measuring import machine, side_by_side, table
from threadpoolctl import threadpool_limits

from waypoint.science.kernel import scores
from waypoint.store.artifacts.provenance import read_attributes
from waypoint.store.zarr import quantised, writer
from waypoint.store.zarr.parallel_reader import Readers
from waypoint.store.zarr.reader import blocks, open_store
from waypoint.store.zarr.writer import Columns, create_store

N, D, STEPS, ROWS = 50_000, 4096, 9, 1000
CHUNKS_MB, CHUNK_MB = (1, 2, 4, 8, 16, 32), writer.CHUNK_BYTES >> 20
NUMPY = "numpy over a memory map"
SCRIPTS = Path(__file__).parents[1] / "workflow_scripts"
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(SCRIPTS)}


def synthetic(start, rows, d):
    """Rows of normal features, the same for the same place."""
    return np.random.default_rng(start).standard_normal((rows, d), dtype=np.float32)


def write(path, n, d, dtype, chunk_mb=CHUNK_MB, attributes=None):
    """A store of synthetic features."""
    before, writer.CHUNK_BYTES = writer.CHUNK_BYTES, chunk_mb << 20
    with create_store(path, partial(dict, spec={}, **(attributes or {}))) as store:
        quantised.create(store, "phi", ["train", "feature"], (n, d), dtype)
        step = store.arrays["phi"].chunks[0]
        for start in range(0, n, step):
            rows = synthetic(start, min(step, n - start), d)
            quantised.put(store, "phi", slice(start, start + len(rows)), rows, "row", range(start, n))
    writer.CHUNK_BYTES = before


def kernel(path, d):
    """A kernel's store: the identity's factor costs what any other does."""
    with create_store(path, dict) as store:
        store.create("factor", ["row", "column"], (d, d), "float64", rows=d // 32)
        store.put("factor", slice(None), np.eye(d), "row", range(d))
    return path


def score(path, kernel, g, out):
    """Scores of a new target, as score_trak.py makes them of one checkpoint, into a store."""
    store, lower = open_store(path), partial(blocks, open_store(kernel)["factor"])
    n, d = store["phi"].shape
    with create_store(out, dict) as written, Readers() as readers:
        column = Columns(written, "score", ["step", "train"], (len(g), n), "step", range(len(g)))
        for _, tau in scores(partial(quantised.blocks, store, readers=readers), n, d, lower, g):
            column.append(tau)


def speed(folder, g):
    """Rows of the speed table: numpy over a memory map, every chunk size and storage type."""
    mapped = np.lib.format.open_memmap(folder / "phi.npy", mode="w+", dtype=np.float32, shape=(N, D))
    for start in range(0, N, ROWS):
        mapped[start : start + ROWS] = synthetic(start, ROWS, D)
    mapped.flush()
    del mapped  # pages that something has mapped stay in memory
    right, factor = g.T.copy(), kernel(folder / "kernel.zarr", D)
    functions = {NUMPY: lambda: np.load(folder / "phi.npy", mmap_mode="r") @ right}
    for dtype, chunk in [("float32", chunk) for chunk in CHUNKS_MB] + [("float16", CHUNK_MB), ("int8", CHUNK_MB)]:
        path = folder / f"{dtype}-{chunk}.zarr"
        write(path, N, D, dtype, chunk)
        functions[f"{dtype}, chunks of {chunk} MiB"] = partial(score, path, factor, g, folder / "out.zarr")
    default = {name: functions[name] for name in (NUMPY, f"float32, chunks of {CHUNK_MB} MiB")}

    def from_disk():
        drop_from_cache(folder)
        fall_asleep()

    rows = timed("memory, as written", functions, 7, fall_asleep)
    drop_from_cache(folder)
    rows += timed("memory, read from disk", default, 7, fall_asleep)
    return rows + timed("disk", default, 5, from_disk)


def timed(files, functions, rounds, before):
    """Rows of the table for files that lie ``files``, ``before`` being called before every call."""
    size, rows = {"float32": 4, "float16": 2, "int8": 1}, []
    for threads in (1, 2):
        with threadpool_limits(threads):
            taken = side_by_side(functions, rounds, before)
        for name, value in taken.items():
            nbytes = N * D * size.get(name.split(",")[0], 4)
            speed = f"{nbytes / value / 2**30:.1f} GiB/s"
            rows.append([files, threads, name, f"{value:.2f} s", speed, f"{taken[NUMPY] / value:.0%}"])
            print(rows[-1], file=sys.stderr, flush=True)
    return rows


def fall_asleep():
    """Threads of BLAS spin for a while after their work, in the way of what comes next."""
    time.sleep(0.1)


def drop_from_cache(folder):
    """Have files read from disk when they are wanted next."""
    os.sync()
    for path in folder.rglob("*"):
        if path.is_file():
            with open(path, "rb") as file:
                os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def peak_memory(folder, n):
    """Peak memory in MiB of factor_kernel.py and of score_trak.py over n rows at d = 4,096, and their seconds."""
    phi, peak = folder / f"rows-{n}.zarr", {}
    write(phi, n, D, "float32", attributes={"weights": "w"})
    with create_store(folder / "g.zarr", partial(dict, spec={}, weights=["w"])) as store:
        store.write("g", ["checkpoint", "step", "feature"], synthetic(1, STEPS, D)[None])
        store.write("step", ["step"], np.arange(STEPS))
        store.write("checkpoint", ["checkpoint"], np.array(["full/0"]))
    kernel, tau = folder / "k.zarr", folder / "scores.zarr"
    waiting = ["--waiting", folder / "resume/scores/trak", "--method", "trak", "--target", "a", "--targets", "a"]
    scored = ["--gradients", folder / "g.zarr", "--features", phi, "--kernels", kernel, *waiting]
    own = {"factor_kernel": {"kernel": {"damping": 0.03}}, "score_trak": {"scores": {"keep_checkpoints": False}}}
    for script, words, out in (
        ("features/factor_kernel", ["--features", phi], kernel),
        ("scores/score_trak", scored, tau),
    ):
        stage = Path(script).name
        asked = json.dumps({"stage": stage, "spec": {stage: own[stage]}, "identity": ""})
        command = [sys.executable, SCRIPTS / f"{script}.py", "--spec", asked, *words, "--out", out]
        began = time.monotonic()
        subprocess.run(list(map(str, command)), capture_output=True, check=True, env=ENVIRONMENT)
        peak[Path(script).name] = read_attributes(out)["peak_memory_mb"], time.monotonic() - began
    shutil.rmtree(phi)
    return peak


def main(folder=None):
    g = synthetic(1, STEPS, D)
    with tempfile.TemporaryDirectory(dir=folder) as place:
        rows = speed(Path(place), g)
    print("## Scoring\n")
    print(f"{machine('numpy', 'zarr')}.")
    print(
        f"Scores of a new target with {STEPS} steps over N = {N:,} features of d = {D:,}, checksums verified, kernel\n"
        "factor read and solved, scores written. The share is of numpy's speed on the same features, without the\n"
        "factor's 128 MiB (at least 70 % wanted). Files lie in memory (the page cache) as they were written or as\n"
        "they were read back from disk, or on disk only, numpy's as ours. Every call follows a pause of 0.1 s, in\n"
        "which the threads of BLAS fall asleep: numpy's would take time from ours. Jobs have one thread, unless told\n"
        "otherwise.\n"
    )
    print(table(["files", "threads", "features", "time", "stored bytes read", "share of numpy's speed"], rows))
    rows = []
    for n in (N, 10 * N):
        with tempfile.TemporaryDirectory(dir=folder) as place:
            peak = peak_memory(Path(place), n)
        for script, (mib, taken) in peak.items():
            rows.append([f"{n:,}", script, f"{mib:,.0f} MiB", f"{taken:.0f} s"])
            print(rows[-1], file=sys.stderr, flush=True)
    print("Peak memory of the jobs, whole processes (under 1 GiB, and the same for any N):\n")
    print(table(["N", "job", "peak memory", "time"], rows))


if __name__ == "__main__":
    main(*sys.argv[1:])
