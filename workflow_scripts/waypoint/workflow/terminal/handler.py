"""Readable lines for Snakemake's events, through its interface for logger plugins.

On a terminal, the bottom lines show the progress of the run and of its jobs. Elsewhere only whole lines are written,
for long jobs also while they run, at growing intervals.
"""

import os
import re
import sys
import threading
import time
from pathlib import Path

from snakemake_interface_logger_plugins.base import LogHandlerBase
from snakemake_interface_logger_plugins.common import LogEvent

from waypoint.workflow.terminal import job_log, words
from waypoint.workflow.terminal.pace import Pace

REPOSITORY = Path(__file__).resolve().parents[4]
MAX_SHOWN = 8  # running jobs listed below the bar
FIRST_REPORT, MAX_INTERVAL = 60.0, 1800.0  # seconds before the first line on a running job; at most between two lines
POLL_INTERVAL = 10.0  # seconds between two checks of the running jobs
KILLED = re.compile(r"exit status 137|SIGKILL")


class LogHandler(LogHandlerBase):
    """The display of one run.

    Attributes:
        expect: {rule: jobs} → ({rule: seconds of one job}, rules whose seconds were measured earlier).
        collects: name of a rule → whether its job only collects the outputs of others.
    """

    def __post_init__(self):
        self.expect = lambda counts: ({}, ())
        self.collects = lambda rule: rule == "all"
        self.stream = sys.stdout if self.common_settings.stdout else sys.stderr
        quiet = {kind.name for kind in self.common_settings.quiet or ()}
        self.silent, self.quiet = "ALL" in quiet, bool(quiet & {"ALL", "RULES", "PROGRESS"})
        self.cores, self.pace, self.planned = None, Pace({}, {}), False
        self.running, self.failed = {}, {}  # {jobid: Running}
        self.refusals, self.shown_warnings = [], set()
        self.killed = self.interrupted = False
        self.console = self.live = None
        self.closed, self.watch = threading.Event(), None
        if self.stream.isatty() and os.environ.get("TERM") != "dumb":
            from rich.console import Console  # imported lazily: it takes a quarter of a second

            self.console = Console(file=self.stream, highlight=False, no_color=self.common_settings.nocolor or None)

    writes_to_stream = property(lambda self: True)
    writes_to_file = property(lambda self: False)
    has_filter = property(lambda self: True)
    has_formatter = property(lambda self: True)
    needs_rulegraph = property(lambda self: False)

    def emit(self, record):
        """Write a line for an event; most events are not shown."""
        event = getattr(record, "event", None)
        handle = {
            LogEvent.RUN_INFO: self._planned,
            LogEvent.RESOURCES_INFO: self._resources,
            LogEvent.JOB_INFO: self._started,
            LogEvent.JOB_FINISHED: self._finished,
            LogEvent.JOB_ERROR: self._failed,
            LogEvent.ERROR: self._refused,
            None: self._message,
        }.get(event)
        try:
            if handle:
                handle(record)
        except Exception:  # reported as by logging itself; a display error must not end the run
            self.handleError(record)

    def _planned(self, record):
        if self.planned:  # a dry run emits it twice
            return
        self.planned = True
        counts = {rule: n for rule, n in record.stats.items() if rule != "total" and not self.collects(rule)}
        self.began = record.created
        self.pace = Pace(counts, {}, cores=self.cores)
        self.pace = Pace(counts, *self.expect(counts), self.cores)
        if self.common_settings.dryrun:
            self._write(f"{words.dry_table(counts)}\n\nThis was a dry run: nothing was made.")
        elif not self.quiet and counts:
            cores = f" on {self.cores} core{'s' * (self.cores > 1)}" if self.cores else ""
            self._write(f"{words.jobs(sum(counts.values()))} to run{cores}, {words.about(self.pace.eta())}")

    def _resources(self, record):
        self.cores = getattr(record, "cores", self.cores)

    def _started(self, record):
        if self.common_settings.dryrun or self.collects(record.rule_name):
            return
        self.failed.pop(record.jobid, None)  # it is being retried
        name = words.job_name(record.rule_name, record.wildcards)
        log = next((str(path) for path in record.log or ()), None)
        self.running[record.jobid] = Running(record.rule_name, name, log, record.created)
        if self.quiet:
            return
        if self.console is None and self.watch is None:
            self.watch = threading.Thread(target=self._watch, daemon=True)
            self.watch.start()
        elif self.console is not None and self.live is None:
            self._begin()

    def _finished(self, record):
        job = self.running.pop(record.job_id, None)
        if job is None:
            return
        seconds = record.created - job.began
        self.pace.finished(job.rule, seconds)
        state = self._state(record.created)
        if self.live is not None:
            self.live.refresh()  # otherwise its state of a second ago would be drawn below the line
        if not self.quiet:
            eta = None if self.live is not None or not self.running else self.pace.eta(state)
            self._write(words.job_line(self.pace.share(state), job.name, seconds, eta))
        for warning in job.warnings():
            self._warn(f"Waypoint: warning: {warning}")
        if self.pace.done.total() == self.pace.counts.total():
            self._end()
            if not self.quiet:
                self._write(f"{words.jobs(self.pace.done.total())} in {words.clock(record.created - self.began)}")

    def _failed(self, record):
        log = next((str(path) for path in record.log or ()), None)
        job = self.running.pop(record.jobid, None) or Running(record.rule_name, record.rule_name, log, record.created)
        job.sentence = job_log.sentence(job.tail())
        job.seconds = record.created - job.began
        self.failed[record.jobid] = job
        if job.sentence:  # an interrupted job has left none
            self._report(job)

    def _report(self, job):
        log = f" Log: {job.log}" if job.log and os.path.exists(job.log) else ""
        self._write(f"{job.name} failed after {words.clock(job.seconds)}.{log}", "red")
        job.reported = True

    def _refused(self, record):
        message = record.getMessage()
        self.killed = self.killed or KILLED.search(message) is not None
        if refusal := words.refusal(message, REPOSITORY):
            self.refusals.append(refusal)

    def _message(self, record):
        message = record.getMessage()
        self.interrupted = self.interrupted or message.startswith("Terminating processes")
        if words.OF_SNAKEMAKE.match(message) or message in ("", "None") or record.levelno < self._lowest_level():
            return
        if record.levelname == "ERROR":
            self.refusals.append(message.strip())
        elif record.levelname == "WARNING" or message.startswith("Will exit after finishing"):  # both may repeat
            self._warn(message)
        else:
            self._write(message)

    def _lowest_level(self):
        return 30 if self.silent else 20

    def _warn(self, message):
        """Write a warning once, however many jobs repeat it."""
        if message not in self.shown_warnings and not self.silent:
            self.shown_warnings.add(message)
            self._write(message, "yellow")

    def _write(self, text, style=""):
        if self.console is None:
            print(text, file=self.stream, flush=True)
        else:
            from rich.text import Text

            self.console.print(Text(text, style=style), soft_wrap=True)

    def _begin(self):
        from rich.live import Live

        self.live = Live(
            console=self.console,
            get_renderable=self._below,
            refresh_per_second=1,
            transient=True,
            redirect_stdout=sys.stdout.isatty(),
        )
        self.live.start()

    def _watch(self):
        """Without a live display, report on long jobs after one minute, two, four and so on."""
        while not self.closed.wait(POLL_INTERVAL):
            for line in self.reports(time.time()):
                self._write(line)

    def reports(self, now):
        """Return lines on the running jobs that are due for a report at ``now``, in seconds since the epoch.

        The last one also says how much of the run is left.
        """
        lines, jobs = [], list(self.running.items())
        if all(now - job.began < job.next_report for _, job in jobs):
            return lines
        progress = {jobid: job_log.progress(job.tail()) for jobid, job in jobs}
        for jobid, job in jobs:
            if now - job.began >= job.next_report:
                job.next_report += min(job.next_report, MAX_INTERVAL)
                lines.append(words.running_line(job.name, now - job.began, progress[jobid]))
        left = self.pace.eta(self._state(now, {jobid: done and done[1] for jobid, done in progress.items()}))
        return [*lines[:-1], f"{lines[-1]}   {words.about(left)}"]

    def _end(self):
        self.closed.set()
        if self.live is not None:
            self.live.stop()

    def _state(self, now, seconds_left=None):
        """Return the state of every running job in the form that ``Pace`` takes."""
        seconds_left = seconds_left or {}
        return [(job.rule, now - job.began, seconds_left.get(jobid)) for jobid, job in list(self.running.items())]

    def _below(self):
        """Return the run's progress and running jobs; takes no lock, as the live display's thread calls it."""
        from rich.text import Text

        now, lines, seconds_left = time.time(), [], {}
        for jobid, job in list(self.running.items()):
            progress = job_log.progress(job.tail())
            seconds_left[jobid] = progress and progress[1]
            lines.append(words.running_line(job.name, now - job.began, progress))
        if len(lines) > MAX_SHOWN:
            lines[MAX_SHOWN:] = [f"       and {len(lines) - MAX_SHOWN} more"]
        state = self._state(now, seconds_left)
        share, total = self.pace.share(state), self.pace.counts.total()
        filled = int(20 * share)
        bar = f"{'━' * filled}{'─' * (20 - filled)}"
        head = f"{words.percent(share)}  {bar}  {self.pace.done.total():,} of {words.jobs(total)}"
        return Text(
            "\n".join([f"{head}, {words.about(self.pace.eta(state))}", *lines]), no_wrap=True, overflow="ellipsis"
        )

    def close(self):
        """Report failed jobs not yet reported, and write why jobs failed or the run was refused."""
        self._end()
        failed, refusals = self.failed.values(), self.refusals
        if self.interrupted:
            refusals = [
                f"Waypoint: stopped after {words.jobs(self.pace.done.total())}. Run the same command to continue"
            ]
            failed = []
        for job in failed:
            if not job.reported:
                self._report(job)
        sentences = [job.sentence or words.without_a_word(job.name, job.log, self.killed) for job in failed]
        sentences = dict.fromkeys([*refusals, *sentences])
        if sentences:
            self._write("")
        for sentence in sentences:
            self._write(sentence)
        self.failed, self.refusals, self.interrupted = {}, [], False  # Snakemake may close it more than once
        super().close()


class Running:
    """A job between its start and its end."""

    def __init__(self, rule, name, log, began):
        self.rule, self.name, self.log, self.began = rule, name, log, began
        self.next_report = FIRST_REPORT  # seconds after its start
        self.sentence: str | None = None  # why it failed
        self.seconds, self.reported = 0.0, False

    def tail(self):
        return job_log.tail(self.log, self.began) if self.log else ""

    def warnings(self):
        return job_log.warnings(self.log, self.began) if self.log else []
