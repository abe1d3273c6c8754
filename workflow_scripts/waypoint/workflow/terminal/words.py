"""The words and lines shown in the terminal."""

import re

NAME = 40  # width of the column of job names
OF_SNAKEMAKE = re.compile(  # lines that say nothing about the experiment
    "Assuming unrestricted|Building DAG|Using shell|Provided |Rules claiming|Conda environments: ignored|"
    "Singularity containers|Group jobs: inactive|Select jobs|Execute [0-9]+ jobs|Complete log|Elapsed time|"
    "Shutting down|Exiting because a job|Reasons:|Removing temporary output|Touching output|Job rate limit|"
    "Terminating processes|Trying to restart|Some jobs were triggered|Rules with |[0-9]+ jobs have |This was a dry-run|"
    "Storing output in storage|Removing local copy"
)
FAILED_ELSEWHERE = re.compile(r"CalledProcessError|SpawnedJobError|At least one job did not complete successfully")
TRACE = re.compile(r'^  File ".*", line \d+, in .*\n?', re.M)
ERROR_HEADER = re.compile(r'\A\s*\w*(?:Error|Exception)(?: in file "?(?P<file>[^\n"]+)"?, line \d+)?:\s*\n')


def job_name(rule, wildcards):
    """Return a rule with its wildcards: words alone, numbers after the wildcard's name."""
    items = []
    for name, value in (wildcards or {}).items():
        if _is_number(value):
            items.append(f"{name}={value}")
        elif not rule.endswith(f"_{value}".replace("-", "_")):  # the name of score_trak already contains its method
            items.append(value)
    return " ".join([rule, *items])


def _is_number(value):
    return re.fullmatch(r"[0-9.e-]+", str(value)) is not None


def clock(seconds):
    """Return a time in hours, minutes and seconds."""
    seconds = round(seconds)
    if seconds < 60:
        return f"{seconds} s"
    if seconds < 3600:
        return f"{seconds // 60} min {seconds % 60:02d} s"
    return f"{seconds // 3600} h {seconds % 3600 // 60:02d} min"


def rounded(seconds):
    """Return an estimated time in words, rounded to its accuracy."""
    if seconds < 55:
        return "less than a minute"
    if seconds < 5400:
        return f"about {max(round(seconds / 60), 1)} min"
    return f"about {seconds / 3600:.1f} h"


def about(seconds):
    """Return words for the remaining time of a run."""
    return f"{rounded(seconds)} left"


def percent(share):
    return f"{int(100 * share):>3} %"


def job_line(share, name, seconds, eta=None):
    """Return the line of a finished job, followed by the run's remaining time unless a live display shows it."""
    line = f"{percent(share)}  {name:<{NAME}}{clock(seconds):>12}"
    return line if eta is None else f"{line}   {about(eta)}"


def running_line(name, seconds, progress=None):
    """Return the line of a running job: its time so far, and its progress if known.

    Args:
        progress: result of ``job_log.progress``.
    """
    return f"       {name:<{NAME - 1}}{clock(seconds):>12}   {progress[0] if progress else ''}".rstrip()


def jobs(n):
    return f"{n:,} job{'s' * (n != 1)}"


def dry_table(counts):
    """Return a table of rules and their numbers of jobs.

    Args:
        counts: {rule: jobs} in the order in which they run, without rules that only collect.
    """
    width = max(map(len, [*counts, "total"]))
    rows = [f"{rule:<{width}}{n:>8}" for rule, n in counts.items()]
    return "\n".join([f"{'rule':<{width}}{'jobs':>8}", *rows, f"{'total':<{width}}{sum(counts.values()):>8}"])


def refusal(message, repository):
    """Return a readable form of an error of Snakemake's, or None if it only repeats that a job failed.

    Args:
        message: as logged by Snakemake. repository: Waypoint's folder; errors raised there are Waypoint's own.
    """
    if FAILED_ELSEWHERE.search(message):
        return None
    header = ERROR_HEADER.match(message)
    if not header:
        return message.strip()
    words = TRACE.sub("", message[header.end() :]).strip()
    ours = header["file"] and header["file"].startswith(f"{repository}/")
    if words.startswith("Waypoint: "):
        return words
    return f"Waypoint: {words}" if ours and message.lstrip().startswith("WorkflowError") else message.strip()


def without_a_word(name, log, killed):
    """Return the sentence for a failed job whose log has none."""
    reason = " It was killed, probably because memory ran out: run fewer jobs at once (--cores)." if killed else ""
    log_path = f" Its log: {log}" if log else ""
    return f"Waypoint: {name} ended without an error message.{reason}{log_path}"
