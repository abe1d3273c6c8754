"""How long a run takes at least, by the clock: a bound that no order of its jobs can beat."""

import re
from functools import cache


def edges_of(dot):
    """[(rule, rule that reads what it makes)] of a rule graph as Snakemake prints it."""
    names = dict(re.findall(r'^\s*(\d+)\[label = "(\w+)"', dot, re.M))
    return [(names[a], names[b]) for a, b in re.findall(r"^\s*(\d+) -> (\d+)", dot, re.M)]


def longest_chain(seconds, edges):
    """(seconds, rules) of the longest chain of jobs of which each waits for the one before it.

    Args:
        seconds: {rule: of one of its jobs}, of the rules that have jobs to run. edges: as ``edges_of`` gives them.
    """
    after = {rule: [b for a, b in edges if a == rule and b in seconds and b != rule] for rule in seconds}

    @cache
    def from_here(rule):
        rest, chain = max(map(from_here, after[rule]), default=(0.0, ()))
        return seconds[rule] + rest, (rule, *chain)

    return max(map(from_here, seconds), default=(0.0, ()))


def at_least(counts, seconds, edges, cores, on_gpu=(), gpus=0):
    """(seconds, why): the longest of three times, below which no schedule of the jobs comes.

    Args:
        counts: {rule: jobs}. seconds: {rule: of one job}. edges: as above. cores: jobs at a time.
        on_gpu: rules whose jobs take a GPU each. gpus: how many there are.
    """
    chain, rules = longest_chain(seconds, edges)
    work = {rule: n * seconds[rule] for rule, n in counts.items()}
    times = [
        (sum(work.values()) / cores, f"all work shared by {cores} core{'s' * (cores > 1)}"),
        (chain, f"the longest chain of jobs, {' → '.join(rules)}"),
    ]
    if gpus:
        times.append(
            (sum(work[rule] for rule in work if rule in on_gpu) / gpus, f"work on {gpus} GPU{'s' * (gpus > 1)}")
        )
    return max(times)
