"""One run of a script: its arguments, log, progress, provenance, and errors meant for people."""

import argparse
import ctypes
import errno
import json
import os
import sys
import time
import traceback
import warnings

from waypoint.errors import WaypointError, WaypointWarning
from waypoint.store.artifacts.checksums import require_intact
from waypoint.store.artifacts.provenance import Provenance, read_attributes
from waypoint.store.artifacts.replaced import name_of
from waypoint.store.networks.adapter_files import base_of
from waypoint.store.zarr.reader import open_store
from waypoint.workflow.jobs.devices import own_gpu
from waypoint.workflow.plan.specs import require_agreement, settings_of

FULL = (errno.ENOSPC, errno.EDQUOT)


class Checkpoint:
    """A model's folder that was made with settings that agree with the job's; of an adapter the base lies beside it.

    Attributes:
        attributes: its own. weights: SHA-256 of its weights.
    """

    def __init__(self, path, attributes):
        self.path, self.attributes, self.weights = path, attributes, attributes["weights"]

    def load(self, device="cpu"):
        """The denoiser, after its files' checksums were compared.

        Raises:
            WaypointError: a damaged file.
        """
        if "base" in self.attributes:
            from waypoint.store.networks import adapters

            return adapters.load(self.path, device)
        from waypoint.store.networks import checkpoints

        return checkpoints.load(self.path, device)

    def alpha_bars(self):
        """ᾱ_t of every training step, float64 (T,), after its files' checksums were compared; no network is loaded.

        Raises:
            WaypointError: a damaged file.
        """
        from waypoint.store.networks import checkpoints

        return checkpoints.alpha_bars(base_of(self.path) if "base" in self.attributes else self.path)


class Job:
    """One run of a script: its arguments, its spec and its log. Everything that it opens is verified.

    Attributes:
        args: the command line's values. stage: whose artifact this job makes.
        spec: keyed by stage (``workflow/plan/stages``). settings: the same, merged into one mapping of sections.
    """

    def __init__(self, args, log):
        request = json.loads(args.spec)
        self.args, self.stage, self.spec, self.log = args, request["stage"], request["spec"], log
        self.settings = settings_of(self.spec)
        self.provenance = Provenance(self.stage, self.spec, request["identity"])
        self._told = self._began = time.monotonic()

    def attributes(self, path):
        """The attributes of an artifact that was made with settings that agree with this job's.

        Raises:
            WaypointError: there is none, or it has another setting or stage version.
        """
        attributes = require_agreement(path, read_attributes(path), self.spec)
        self.provenance.has_read(name_of(path), attributes)
        return attributes

    def open(self, path):
        """A Zarr store that agrees with this job's settings, open for reading.

        Raises:
            WaypointError: another setting or stage version, or an incomplete store.
        """
        self.attributes(path)
        return open_store(path)

    def checkpoint(self, path):
        """A ``Checkpoint`` that agrees with this job's settings; an adapter's base must still be the same.

        Raises:
            WaypointError: there is none, or another setting or stage version, or another base.
        """
        found = self.attributes(path)
        if "base" in found and self.attributes(base_of(path))["weights"] != found["base"]:
            raise WaypointError(
                f"{path} is an adapter of another base than {base_of(path)} is now; delete {path} and rerun"
            )
        return Checkpoint(path, found)

    def curvature(self, path, checkpoint):
        """The open store of a ``Checkpoint``'s curvature; None where there is no path.

        Raises:
            WaypointError: as ``open``, or it was made from other weights.
        """
        if not path:
            return None
        store = self.open(path)
        if store.attrs["weights"] != checkpoint.weights:
            raise WaypointError(f"{path} comes from other weights than {checkpoint.path} has; delete it and rerun")
        return store

    def folder(self, path):
        """The path of a folder or file that agrees with this job's settings and is what was written.

        Raises:
            WaypointError: another setting or stage version, or a damaged or lost file.
        """
        self.attributes(path)
        require_intact(path)
        return path

    def table(self, path):
        """A table as a DataFrame, and its attributes.

        Raises:
            WaypointError: another setting or stage version, or a damaged file.
        """
        import pandas as pd

        return pd.read_csv(self.folder(path)), self.attributes(path)

    def device(self):
        """The torch device of this job: a GPU of its own where there are any, for as long as the job runs."""
        import torch

        # float32 means float32: TF32's ten bits would differ from the CPU's arrays
        torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
        keep_freed_memory()
        if not torch.cuda.is_available():
            return torch.device("cpu")
        gpus = [torch.cuda.get_device_properties(i) for i in range(torch.cuda.device_count())]
        index = own_gpu([str(gpu.uuid) for gpu in gpus], self.say)
        torch.cuda.set_device(index)
        self.provenance.device = gpus[index].name
        return torch.device("cuda", index)

    def say(self, text):
        """Write one line to the log."""
        print(text, file=self.log, flush=True)

    def progress(self, done, total, unit, note=""):
        """A progress line, at most one a second, with rate and time left."""
        now = time.monotonic()
        if now - self._told < 1 and done != total:
            return
        self._told = now
        rate = done / max(now - self._began, 1e-9)
        left = (total - done) / max(rate, 1e-9)
        self.say(f"progress {done}/{total} {unit} rate={rate:.3g}/s eta={left:.0f}s {note}".rstrip())


def keep_freed_memory():
    """Have malloc keep what is freed: handing every activation's pages back costs a tenth of exact featurizing."""
    libc = ctypes.CDLL(None)
    if hasattr(libc, "mallopt"):  # glibc's
        mmap_max, trim_threshold = -4, -1
        libc.mallopt(mmap_max, 0)
        libc.mallopt(trim_threshold, -1)  # never


def run(main, arguments):
    """Parse the command line, run ``main(job)``, and turn errors into one clear message.

    Args:
        arguments: option names; one that ends in '*' takes any number of values, one in '?' may be absent.
    """
    run_jobs(lambda jobs: main(*jobs), arguments, lambda args, log: [Job(args, log)])


def run_jobs(main, arguments, jobs_of):
    """As ``run``, but ``main(jobs)`` gets what ``jobs_of(args, log)`` makes of the command line."""
    startup = time.process_time()
    parser = argparse.ArgumentParser(description=sys.modules["__main__"].__doc__)
    parser.add_argument("--spec", required=True, help="JSON of the config keys that the result depends on")
    parser.add_argument("--log", help="log file; default: standard error")
    for name in arguments:
        nargs = "*" if "*" in name else "?" if name.endswith("?") else None
        parser.add_argument(f"--{name.rstrip('*?')}", required=not name.endswith("?"), nargs=nargs)
    args = parser.parse_args()
    log = opened_log(args.log) if args.log else sys.stderr
    jobs = jobs_of(args, log)
    stage = jobs[0].stage
    _show_warnings(log)
    try:
        main(jobs)
    except WaypointError as error:
        _fail(log, f"Waypoint: {error}")
    except KeyboardInterrupt:  # whoever has pressed Ctrl-C needs no traceback of every job
        sys.exit(130)
    except Exception as error:
        if _full_disk(error):
            _fail(log, f"Waypoint: {stage}: the disk is full; nothing was left half written. Make room and rerun")
        traceback.print_exc(file=log)
        if isinstance(error, OSError):
            _fail(log, f"Waypoint: {stage}: {error}")
        if isinstance(error, MemoryError) or "memory" in str(error):  # torch's is a RuntimeError
            _fail(log, f"Waypoint: out of memory in {stage}; run fewer jobs at once (--cores) or on a larger machine")
        _fail(log, f"Waypoint: {stage} failed unexpectedly: {traceback.format_exc(limit=-1).strip()}")
    work = time.process_time() - startup
    jobs[0].say(f"cpu startup={startup:.2f}s work={work:.2f}s")


def opened_log(path):
    """Open a new log, in place of one that somebody else wrote where the folder allows that."""
    try:
        try:
            return open(path, "w", encoding="utf-8")
        except PermissionError:
            os.remove(path)
            return open(path, "w", encoding="utf-8")
    except OSError as error:
        _fail(sys.stderr, f"Waypoint: the log {path} cannot be written ({error.strerror})")


def _show_warnings(log):
    """Send Waypoint's own warnings to the streams that get its errors."""
    show = warnings.showwarning

    def told(message, category, *place, **named):
        if not issubclass(category, WaypointWarning):
            return show(message, category, *place, **named)
        for stream in {log, *_listeners(log)}:
            print(f"Waypoint: warning: {message}", file=stream, flush=True)

    warnings.showwarning = told
    warnings.simplefilter("always", WaypointWarning)


def _full_disk(error):
    """Whether an error comes from a full disk, for which torch and safetensors raise errors of their own."""
    while error is not None:
        if isinstance(error, OSError) and error.errno in FULL:
            return True
        if any(f"(os error {code})" in str(error) for code in FULL):  # safetensors'
            return True
        error = error.__cause__ or error.__context__
    return False


def _listeners(log):
    """Streams beside the log that hear a job's words: none where the terminal reads them from the log."""
    return [sys.stderr] if log is sys.stderr or not os.environ.get("WAYPOINT_LOG_ONLY") else []


def _fail(log, message):
    streams = _listeners(log)
    if log is not sys.stderr:
        try:
            print(message, file=log, flush=True)
        except OSError:  # the log may be on the disk that is full
            streams = [sys.stderr]
    for stream in streams:
        print(message, file=stream, flush=True)
    sys.exit(1)
