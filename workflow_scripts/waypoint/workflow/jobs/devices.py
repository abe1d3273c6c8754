"""A GPU of its own for every job of a machine, by a lock per GPU.

Snakemake counts GPUs but assigns none to a job; Slurm shows each job only its own. So a job takes the first of the
GPUs that it sees whose lock is free. The kernel gives a lock back when its process ends, however it ends.
"""

import fcntl
import getpass
import os
import tempfile
import time
from pathlib import Path

_held = {}  # {GPU's name: its lock file}, for as long as this process lives


def own_gpu(names, say=lambda text: None, folder=None, wait=1.0):
    """Index of a GPU that no other job has; waits until there is one.

    Args:
        names: what tells the visible GPUs apart on this machine whatever their order is, their UUIDs.
        say: told once that the job waits. folder: of the locks; default one in the temporary folder for this user.
        wait: seconds between two looks.
    """
    for index, name in enumerate(names):
        if name in _held:
            return index
    folder = Path(folder or Path(tempfile.gettempdir(), f"waypoint-gpus-{getpass.getuser()}"))
    folder.mkdir(parents=True, exist_ok=True)
    has_said = False
    while True:
        for index, name in enumerate(names):
            if _lock(folder / f"{name}.lock", name):
                return index
        if not has_said:
            say(
                f"waits: all {len(names)} GPUs have a job (locks in {folder}); --resources gpu={len(names)} avoids this"
            )
            has_said = True
        time.sleep(wait)


def _lock(path, name):
    file = open(path, "a")  # never removed: another process may be about to lock it
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        return False
    file.truncate(0)
    file.write(f"{os.getpid()}\n")
    file.flush()
    _held[name] = file
    return True
