"""One GPU for each job of a machine, by a lock per GPU.

Snakemake counts GPUs but assigns none to a job; Slurm shows each job only its own. So a job takes the first visible GPU
whose lock is free. The kernel releases a lock when its process ends, however it ends.
"""

import fcntl
import getpass
import os
import tempfile
import time
from pathlib import Path

_locks = {}  # {GPU's name: its lock file}, for as long as this process lives


def own_gpu(names, say=lambda text: None, folder=None, wait=1.0):
    """Return the index of a GPU that no other job uses, waiting until there is one.

    Args:
        names: the visible GPUs' UUIDs, which do not depend on their order.
        say: called once with a message if the job has to wait. folder: for the locks; default: one for this user in the
            temporary folder.
        wait: seconds between two attempts.
    """
    for index, name in enumerate(names):
        if name in _locks:
            return index
    folder = Path(folder or Path(tempfile.gettempdir(), f"waypoint-gpus-{getpass.getuser()}"))
    folder.mkdir(parents=True, exist_ok=True)
    announced = False
    while True:
        for index, name in enumerate(names):
            if _lock(folder / f"{name}.lock", name):
                return index
        if not announced:
            say(
                f"waits: all {len(names)} GPUs have a job (locks in {folder}); --resources gpu={len(names)} avoids this"
            )
            announced = True
        time.sleep(wait)


def _lock(path, name):
    file = open(path, "a")  # never deleted: another process may be about to lock it
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        return False
    file.truncate(0)
    file.write(f"{os.getpid()}\n")
    file.flush()
    _locks[name] = file
    return True
