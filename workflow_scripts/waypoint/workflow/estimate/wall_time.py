"""A lower bound on the wall time of a run, which no order of its jobs can beat."""

import re
from functools import cache

# keys that shorten a rule's jobs, or make them fewer
SHORTENED_BY = {
    "train": ["training.epochs", "model.unet.block_out_channels", "checkpoints.count"],
    "train_subset": ["evaluation.lds.subsets", "evaluation.lds.models_per_subset", "training.epochs"],
    "train_without": ["n_remove and targets of the evaluations", "training.epochs"],
    "featurize": ["attribution.train_draws", "methods (those with gradients)", "checkpoints.count"],
    "fisher_rows": ["kernel.rows of the method"],
    "curvature": ["curvature.rows"],
    "target_gradients": ["attribution.target_draws", "attribution.steps", "targets"],
    "sample_from_x_t": ["attribution.steps", "targets"],
}
LONG, SHOWN = 0.1, 3  # share of all hours, and how many rules


def edges_of(dot):
    """Return [(rule, rule that reads its outputs)] of a rule graph as Snakemake prints it."""
    names = dict(re.findall(r'^\s*(\d+)\[label = "(\w+)"', dot, re.M))
    return [(names[a], names[b]) for a, b in re.findall(r"^\s*(\d+) -> (\d+)", dot, re.M)]


def longest_chain(seconds, edges):
    """Return (seconds, rules) of the longest chain of jobs in which each waits for the one before it.

    Args:
        seconds: {rule: seconds of one job} of the rules that have jobs to run. edges: as returned by ``edges_of``.
    """
    readers = {rule: [b for a, b in edges if a == rule and b in seconds and b != rule] for rule in seconds}

    @cache
    def chain_from(rule):
        rest, chain = max(map(chain_from, readers[rule]), default=(0.0, ()))
        return seconds[rule] + rest, (rule, *chain)

    return max(map(chain_from, seconds), default=(0.0, ()))


def at_least(counts, seconds, edges, cores, on_gpu=(), gpus=0):
    """Return (seconds, reason): the largest of three lower bounds on the time of any schedule of the jobs.

    Args:
        counts: {rule: jobs}. seconds: {rule: seconds of one job}. edges: as in ``longest_chain``.
        cores: jobs at a time. on_gpu: rules whose jobs take one GPU each. gpus: number of GPUs.
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


def lengthy(hours):
    """Return {rule: keys that shorten it} of the rules that take most of the time, the longest first.

    Args:
        hours: {rule: time of all its jobs}, in any unit.
    """
    whole = sum(hours.values())
    rules = sorted((rule for rule in hours if hours[rule] >= LONG * whole), key=lambda rule: -hours[rule])
    keys = {rule: SHORTENED_BY.get(rule.removesuffix("_together").removesuffix("_shard")) for rule in rules}
    return {rule: names for rule, names in list(keys.items())[:SHOWN] if names}
