"""The cost of the default experiment besides its own work, in core-seconds: Snakemake, interpreters, imports.

Runs an experiment in a new folder and subtracts the CPU time that each job's log gives for its work from the
CPU time of the whole tree of processes.

    python benchmarks/overhead.py [CONFIG] [FOLDER]
"""

import contextlib
import os
import re
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import yaml

REPOSITORY = Path(__file__).parents[1]


def main(config="config.yaml", folder=None):
    experiment = yaml.safe_load((REPOSITORY / config).read_text())["experiment"]
    with contextlib.ExitStack() as stack:
        store = Path(folder or stack.enter_context(tempfile.TemporaryDirectory()))
        store.mkdir(parents=True, exist_ok=folder is None)
        command = [sys.executable, "-m", "snakemake", "--cores", str(os.cpu_count()), "--directory", store]
        command += ["--snakefile", REPOSITORY / "Snakefile", "--configfile", REPOSITORY / config]
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        began = time.monotonic()
        subprocess.run(command, check=True, capture_output=True, env={**os.environ, "PATH": path})
        wall = time.monotonic() - began
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        logs = [log.read_text() for log in Path(store, "results", experiment, "logs").rglob("*.log")]
    times = [re.search(r"cpu startup=([\d.]+)s work=([\d.]+)s", log) for log in logs]
    startup, work = (sum(float(match[part]) for match in times) for part in (1, 2))
    total = used.ru_utime + used.ru_stime
    print(
        f"{len(times)} jobs, {wall:.0f} s on {os.cpu_count()} cores, {total:.0f} core-s, of it work {work:.0f} core-s"
    )
    print(f"overhead {total - work:.0f} core-s ({(total - work) / total:.0%}), of it imports {startup:.0f} core-s")


if __name__ == "__main__":
    main(*sys.argv[1:3])
