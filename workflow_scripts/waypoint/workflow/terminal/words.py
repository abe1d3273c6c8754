"""The words and lines of the terminal."""

import re

NAME = 40  # columns of a job's name
OF_SNAKEMAKE = re.compile(  # lines that say nothing about the experiment
    "Assuming unrestricted|Building DAG|Using shell|Provided |Rules claiming|Conda environments: ignored|"
    "Singularity containers|Group jobs: inactive|Select jobs|Execute [0-9]+ jobs|Complete log|Elapsed time|"
    "Shutting down|Exiting because a job|Reasons:|Removing temporary output|Touching output|Job rate limit|"
    "Terminating processes|Trying to restart|Some jobs were triggered|Rules with |[0-9]+ jobs have |This was a dry-run|"
    "Storing output in storage|Removing local copy"
)
FAILED_ELSEWHERE = re.compile(r"CalledProcessError|SpawnedJobError|At least one job did not complete successfully")
TRACE = re.compile(r'^  File ".*", line \d+, in .*\n?', re.M)
PLACE = re.compile(r'\A\s*\w*(?:Error|Exception)(?: in file "?(?P<file>[^\n"]+)"?, line \d+)?:\s*\n')


def job_name(rule, wildcards):
    """A rule and its item: values of wildcards that are words stand alone, numbers behind their names."""
    items = []
    for name, value in (wildcards or {}).items():
        if _number(value):
            items.append(f"{name}={value}")
        elif not rule.endswith(f"_{value}".replace("-", "_")):  # score_trak says its method already
            items.append(value)
    return " ".join([rule, *items])


def _number(value):
    return re.fullmatch(r"[0-9.e-]+", str(value)) is not None


def clock(seconds):
    """Seconds in hours, minutes and seconds, as people read them."""
    seconds = round(seconds)
    if seconds < 60:
        return f"{seconds} s"
    if seconds < 3600:
        return f"{seconds // 60} min {seconds % 60:02d} s"
    return f"{seconds // 3600} h {seconds % 3600 // 60:02d} min"


def rounded(seconds):
    """Seconds to come, rounded to what an estimate can tell."""
    if seconds < 55:
        return "less than a minute"
    if seconds < 5400:
        return f"about {max(round(seconds / 60), 1)} min"
    return f"about {seconds / 3600:.1f} h"


def about(seconds):
    """Words on how much of a run is left."""
    return f"{rounded(seconds)} left"


def percent(share):
    return f"{int(100 * share):>3} %"


def job_line(share, name, seconds, eta=None):
    """The line of a job that has ended; with the rest of the run behind it where no display shows that."""
    line = f"{percent(share)}  {name:<{NAME}}{clock(seconds):>12}"
    return line if eta is None else f"{line}   {about(eta)}"


def running_line(name, seconds, progress=None):
    """The line of a job that runs: for how long, and how far it is if it says so.

    Args:
        progress: ``job_log.progress``'s.
    """
    return f"       {name:<{NAME - 1}}{clock(seconds):>12}   {progress[0] if progress else ''}".rstrip()


def jobs(n):
    return f"{n:,} job{'s' * (n != 1)}"


def dry_table(counts):
    """Rules and how many jobs each of them would run; without rules that only collect.

    Args:
        counts: {rule: jobs}, in the order in which they run.
    """
    width = max(map(len, [*counts, "total"]))
    rows = [f"{rule:<{width}}{n:>8}" for rule, n in counts.items()]
    return "\n".join([f"{'rule':<{width}}{'jobs':>8}", *rows, f"{'total':<{width}}{sum(counts.values()):>8}"])


def refusal(message, repository):
    """An error of Snakemake's as people should read it; None where it only repeats that a job failed.

    Args:
        message: as Snakemake logs it. repository: Waypoint's folder: what is raised there is Waypoint's own word.
    """
    if FAILED_ELSEWHERE.search(message):
        return None
    place = PLACE.match(message)
    if not place:
        return message.strip()
    words = TRACE.sub("", message[place.end() :]).strip()
    ours = place["file"] and place["file"].startswith(f"{repository}/")
    if words.startswith("Waypoint: "):
        return words
    return f"Waypoint: {words}" if ours and message.lstrip().startswith("WorkflowError") else message.strip()


def without_a_word(name, log, killed):
    """The sentence for a job whose log has none."""
    why = " It was killed, as happens where memory runs out: run fewer jobs at once (--cores)." if killed else ""
    place = f" Its log: {log}" if log else ""
    return f"Waypoint: {name} ended without saying why.{why}{place}"
