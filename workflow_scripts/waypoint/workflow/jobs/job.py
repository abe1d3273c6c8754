"""One run of a script: its arguments, log, progress, provenance, and error messages for people."""

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
from waypoint.store.networks.training_rows import require_own_images, require_rows
from waypoint.store.zarr.reader import open_store
from waypoint.workflow.jobs.devices import own_gpu
from waypoint.workflow.plan.specs import require_agreement, settings_of

FULL = (errno.ENOSPC, errno.EDQUOT)


class Checkpoint:
    """The folder of a model whose settings agree with the job's; an adapter's base is stored beside it.

    Attributes:
        attributes: the model's attributes. weights: SHA-256 of its weights.
    """

    def __init__(self, path, attributes):
        self.path, self.attributes, self.weights = path, attributes, attributes["weights"]

    def load(self, device="cpu"):
        """Load the denoiser after verifying the checksums of its files.

        Raises:
            WaypointError: a damaged file.
        """
        if "base" in self.attributes:
            from waypoint.store.networks import adapters

            return adapters.load(self.path, device)
        from waypoint.store.networks import checkpoints

        return checkpoints.load(self.path, device)

    def alpha_bars(self):
        """Return ᾱ_t of every training step, float64 (T,), after verifying checksums; no network is loaded.

        Raises:
            WaypointError: a damaged file.
        """
        from waypoint.store.networks import checkpoints

        return checkpoints.alpha_bars(base_of(self.path) if "base" in self.attributes else self.path)


class Job:
    """One run of a script: its arguments, its spec and its log. All artifacts are verified when opened.

    Attributes:
        args: the command line's values. stage: the stage whose artifact this job makes.
        spec: keyed by stage (``workflow/plan/stages``). settings: the spec merged into one mapping of sections.
    """

    def __init__(self, args, log):
        request = json.loads(args.spec)
        self.args, self.stage, self.spec, self.log = args, request["stage"], request["spec"], log
        self.settings = settings_of(self.spec)
        self.provenance = Provenance(self.stage, self.spec, request["identity"])
        self._last_progress = self._start = time.monotonic()

    def attributes(self, path):
        """Return the attributes of an artifact whose settings agree with this job's.

        Raises:
            WaypointError: there is none, or it has another setting or stage version.
        """
        attributes = require_agreement(path, read_attributes(path), self.spec)
        self.provenance.has_read(name_of(path), attributes)
        return attributes

    def open(self, path, generator=None, source_of=None):
        """Open a Zarr store, whose settings must agree with this job's, for reading.

        Args:
            generator: the folder of the model from whose weights the store must have been sampled.
            source_of: an open store that was made from this one, whose settings must agree too.

        Raises:
            WaypointError: another setting or stage version, an incomplete store, or one of other weights.
        """
        self.attributes(path)
        store = open_store(path)
        if source_of is not None:
            require_agreement(path, store.attrs, source_of.attrs["spec"])
        if generator is not None and store.attrs["weights"] != self.checkpoint(generator).weights:
            raise WaypointError(f"{path} was sampled from other weights than {generator} holds; run snakemake again")
        return store

    def checkpoint(self, path, data=None, rows=None):
        """Return a ``Checkpoint`` whose settings agree with this job's; an adapter's base must be unchanged.

        Args:
            data: the path of the data/train.zarr that the model must have been trained on, if it was trained here.
            rows: (n,) the rows of it that the model must have been trained on.

        Raises:
            WaypointError: there is none, or another setting or stage version, or another base, or other images.
        """
        attributes = self.attributes(path)
        if "base" in attributes and self.attributes(base_of(path))["weights"] != attributes["base"]:
            raise WaypointError(
                f"{path} is an adapter of another base than {base_of(path)} is now; delete {path} and rerun"
            )
        checkpoint = Checkpoint(path, attributes)
        if data is not None:
            require_own_images(checkpoint, self.attributes(data)["sha256"], data)
        if rows is not None:
            require_rows(checkpoint, rows)
        return checkpoint

    def curvature(self, path, checkpoint):
        """Open the curvature of a ``Checkpoint``; return None if there is no path.

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
        """Return the path of an intact folder or file whose settings agree with this job's.

        Raises:
            WaypointError: another setting or stage version, or a damaged or lost file.
        """
        self.attributes(path)
        require_intact(path)
        return path

    def table(self, path):
        """Return a table as a DataFrame, and its attributes.

        Raises:
            WaypointError: another setting or stage version, or a damaged file.
        """
        import pandas as pd

        return pd.read_csv(self.folder(path)), self.attributes(path)

    def device(self):
        """Return this job's torch device: the CPU, or a GPU that no other job uses while this one runs."""
        import torch

        # TF32, with a mantissa of ten bits, would give results that differ from the CPU's
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
        """Write a progress line with rate and remaining time, at most one a second."""
        now = time.monotonic()
        if now - self._last_progress < 1 and done != total:
            return
        self._last_progress = now
        rate = done / max(now - self._start, 1e-9)
        remaining = (total - done) / max(rate, 1e-9)
        self.say(f"progress {done}/{total} {unit} rate={rate:.3g}/s eta={remaining:.0f}s {note}".rstrip())


def keep_freed_memory():
    """Make malloc keep freed memory: returning every activation's pages costs a tenth of exact featurizing."""
    libc = ctypes.CDLL(None)
    if hasattr(libc, "mallopt"):  # glibc
        mmap_max, trim_threshold = -4, -1
        libc.mallopt(mmap_max, 0)
        libc.mallopt(trim_threshold, -1)  # never


def run(main, arguments):
    """Parse the command line, run ``main(job)``, and turn errors into one clear message.

    Args:
        arguments: names of options; those ending in '*' take any number of values, those ending in '?' are optional.
    """
    run_jobs(lambda jobs: main(*jobs), arguments, lambda args, log: [Job(args, log)])


def run_jobs(main, arguments, jobs_of):
    """Do the same as ``run`` with ``main(jobs)``, where ``jobs`` are those of ``jobs_of(args, log)``."""
    startup = time.process_time()
    parser = argparse.ArgumentParser(description=sys.modules["__main__"].__doc__)
    parser.add_argument("--spec", required=True, help="JSON of the config keys that the result depends on")
    parser.add_argument("--log", help="log file; default: standard error")
    for name in arguments:
        nargs = "*" if "*" in name else "?" if name.endswith("?") else None
        parser.add_argument(f"--{name.rstrip('*?')}", required=not name.endswith("?"), nargs=nargs)
    args = parser.parse_args()
    log = open_log(args.log) if args.log else sys.stderr
    jobs = jobs_of(args, log)
    stage = jobs[0].stage
    _show_warnings(log)
    try:
        main(jobs)
    except WaypointError as error:
        _fail(log, f"Waypoint: {error}")
    except KeyboardInterrupt:  # after Ctrl-C nobody needs a traceback from every job
        sys.exit(130)
    except Exception as error:
        if _is_full_disk(error):
            _fail(log, f"Waypoint: {stage}: the disk is full; nothing was left half written. Make room and rerun")
        traceback.print_exc(file=log)
        if isinstance(error, OSError):
            _fail(log, f"Waypoint: {stage}: {error}")
        if isinstance(error, MemoryError) or "memory" in str(error):  # torch raises a RuntimeError
            _fail(log, f"Waypoint: out of memory in {stage}; run fewer jobs at once (--cores) or on a larger machine")
        _fail(log, f"Waypoint: {stage} failed unexpectedly: {traceback.format_exc(limit=-1).strip()}")
    work = time.process_time() - startup
    jobs[0].say(f"cpu startup={startup:.2f}s work={work:.2f}s")


def open_log(path):
    """Open a new log, replacing one of another user if the folder's permissions allow it."""
    try:
        try:
            return open(path, "w", encoding="utf-8")
        except PermissionError:
            os.remove(path)
            return open(path, "w", encoding="utf-8")
    except OSError as error:
        _fail(sys.stderr, f"Waypoint: the log {path} cannot be written ({error.strerror})")


def _show_warnings(log):
    """Send Waypoint's own warnings to the same streams as its errors."""
    show = warnings.showwarning

    def show_warning(message, category, *location, **options):
        if not issubclass(category, WaypointWarning):
            return show(message, category, *location, **options)
        for stream in {log, *_listeners(log)}:
            print(f"Waypoint: warning: {message}", file=stream, flush=True)

    warnings.showwarning = show_warning
    warnings.simplefilter("always", WaypointWarning)


def _is_full_disk(error):
    """Return whether an error was caused by a full disk, for which torch and safetensors raise their own errors."""
    while error is not None:
        if isinstance(error, OSError) and error.errno in FULL:
            return True
        if any(f"(os error {code})" in str(error) for code in FULL):  # safetensors
            return True
        error = error.__cause__ or error.__context__
    return False


def _listeners(log):
    """Return the streams besides the log that get a job's messages: none if the terminal reads them from the log."""
    return [sys.stderr] if log is sys.stderr or not os.environ.get("WAYPOINT_LOG_ONLY") else []


def _fail(log, message):
    streams = _listeners(log)
    if log is not sys.stderr:
        try:
            print(message, file=log, flush=True)
        except OSError:  # the log may be on the full disk
            streams = [sys.stderr]
    for stream in streams:
        print(message, file=stream, flush=True)
    sys.exit(1)
