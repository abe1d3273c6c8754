"""Timing side by side, and Markdown, for all benchmarks."""

import platform
import statistics
import subprocess
import time
from importlib.metadata import version
from pathlib import Path

REPOSITORY = Path(__file__).parents[1]


def side_by_side(functions, rounds, before=lambda: None):
    """Median seconds of each function, all of them called in turn in every round after one call to warm up.

    Args:
        before: called before every timed call.
    """
    taken = {name: [] for name in functions}
    for function in functions.values():
        function()
    for _ in range(rounds):
        for name, function in functions.items():
            before()
            start = time.perf_counter()
            function()
            taken[name].append(time.perf_counter() - start)
    return {name: statistics.median(times) for name, times in taken.items()}


def seconds(function):
    """Seconds of one call."""
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


def table(columns, rows):
    """A Markdown table."""
    lines = [columns, ["---"] * len(columns), *rows]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines) + "\n"


def verdict(value, bound):
    """A ratio beside what it should not exceed."""
    return f"**{value:.2f}** (at most {bound}: {'met' if value <= bound else 'MISSED'})"


def at_least(value, bound):
    """A factor beside what it should reach."""
    return f"**{value:.1f} ×** (at least {bound}: {'met' if value >= bound else 'MISSED'})"


def machine(*packages):
    """One line on the machine, the commit and the versions."""
    cpu = next((line.split(":")[1].strip() for line in Path("/proc/cpuinfo").open() if "model name" in line), "CPU")
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=REPOSITORY, capture_output=True, text=True)
    versions = ", ".join(f"{package} {version(package)}" for package in packages)
    return f"{cpu}, Python {platform.python_version()}, {versions}, commit {commit.stdout.strip()}"
