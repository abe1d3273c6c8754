"""Let a run that ends remove only its own locks.

By itself, Snakemake removes the whole folder of locks when a run ends. Another run in the same working directory then
goes on unlocked, and one that is just starting fails because the folder it wants to write to is gone.

Written for Snakemake 9.27 (the class ``FilePersistence``).
"""

import os
import shutil
from itertools import count

from snakemake.persistence.file import FilePersistence

from waypoint.errors import WaypointError

PATCHED = ("_read_locks", "_write_locks", "_delete_locks", "cleanup_locks")


def keep_the_locks_of_others():
    """Patch Snakemake's locks.

    Raises:
        WaypointError: this version of Snakemake lacks a method that is patched here.
    """
    for name in PATCHED:
        if not callable(getattr(FilePersistence, name, None)):
            raise WaypointError(
                f"this version of Snakemake has no FilePersistence.{name}, which keeps two runs apart; "
                "install the versions that envs/constraints.txt names"
            )
    FilePersistence._read_locks = _read_locks
    FilePersistence._write_locks = _write_locks
    FilePersistence._delete_locks = _delete_locks
    FilePersistence.cleanup_locks = _cleanup_locks


def _read_locks(self):
    """Iterate over (kind of lock, locked path) of all runs; a lock that goes meanwhile is passed over."""
    try:
        names = sorted(os.listdir(self._lockdir))
    except FileNotFoundError:
        return
    for name in names:
        number, _, kind = name.removesuffix(".lock").partition(".")
        if not (name.endswith(".lock") and number.isdigit() and kind in ("input", "output")):
            continue
        try:
            with open(os.path.join(self._lockdir, name)) as lock:
                paths = lock.read().splitlines()
        except FileNotFoundError:
            continue
        for path in paths:
            yield kind, path.strip()


def _write_locks(self, lock_type, keys):
    keys = list(keys)
    if not keys:
        return
    for i in count():
        file = os.path.join(self._lockdir, f"{i}.{lock_type}.lock")
        os.makedirs(self._lockdir, exist_ok=True)
        try:
            with open(file, "x") as lock:
                print(*keys, sep="\n", file=lock)
        except FileExistsError:
            continue
        self._lockfile[lock_type] = file
        return


def _delete_locks(self):
    for file in self._lockfile.values():
        try:
            os.remove(file)
        except FileNotFoundError:
            pass
    self._lockfile.clear()


def _cleanup_locks(self):
    """Remove the locks of all runs: ``snakemake --unlock``."""
    self._lockfile.clear()
    shutil.rmtree(self._lockdir, ignore_errors=True)
