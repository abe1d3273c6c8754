"""The cost of an experiment on this machine: jobs, hours, memory and storage, before anything runs.

    python workflow_scripts/estimate.py [--configfile CONFIG] [--images N] [--cores N]

Plans the jobs that are missing, does a little of every kind of work, and multiplies (docs/scaling.md has the formulas).
"""

import argparse
import os
import re
import resource
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import torch

from waypoint.errors import WaypointError
from waypoint.science.curvature import factor_numbers, factored_matrices, sides_of
from waypoint.science.networks import sdxl
from waypoint.store.data.sources import SOURCES
from waypoint.store.networks import adapters, checkpoints
from waypoint.store.types import array_of
from waypoint.store.zarr.reader import open_store
from waypoint.workflow.config.complete import complete, known_image_size, stored_images
from waypoint.workflow.config.given_models import known_cells
from waypoint.workflow.config.read_config import read_config
from waypoint.workflow.estimate.calibration import Calibration
from waypoint.workflow.estimate.costs import Costs, Sizes, storage
from waypoint.workflow.estimate.memory import Memory, hungry
from waypoint.workflow.estimate.nominal import nominal
from waypoint.workflow.estimate.wall_time import at_least, edges_of, lengthy
from waypoint.workflow.evaluations.lds import interval
from waypoint.workflow.plan.plan import GIVEN_KEYS, Plan
from waypoint.workflow.plan.stages import STAGES
from waypoint.workflow.terminal.words import clock, jobs, rounded

REPOSITORY = Path(__file__).parents[1]
WITH_MODEL = "waypoint.store.networks.checkpoints, waypoint.science.gradients.engine, waypoint.workflow.jobs.job"
WITHOUT = "waypoint.store.zarr.quantised, waypoint.workflow.figures.style"


def main():
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--configfile", default=str(REPOSITORY / "config.yaml"))
    parser.add_argument("--images", type=int, help="number of training images, where they are not at hand")
    parser.add_argument("--cores", type=int, default=os.cpu_count(), help="jobs at a time, as Snakemake's --cores")
    args = parser.parse_args()
    try:
        print(report(args.configfile, args.images, args.cores))
    except WaypointError as error:
        sys.exit(f"Waypoint: {error}")


def report(configfile, images=None, cores=1):
    """Return the estimate as text, with the wall time of ``cores`` jobs at a time."""
    torch.set_num_threads(1)  # as Snakemake runs jobs
    config = complete(read_config(configfile))
    plan, device = Plan(config), torch.device("cuda" if torch.cuda.is_available() else "cpu")
    counts, planning = planned(configfile)
    gpu = gpu_rules()
    print(rough(plan, counts, gpu, cores), file=sys.stderr, flush=True)
    denoiser = model_of(config, device)
    caption = caption_of(config, denoiser)
    sizes = sizes_of(config, denoiser, caption, images)
    starts = [job_start(modules) for modules in (WITH_MODEL, WITHOUT)]
    calibration = Calibration(config, denoiser, caption)
    memory = (
        Memory(plan, sizes, *calibration.memory(), device, *(size for _, size in starts)) if config["data"] else None
    )
    costs = Costs(plan, sizes, calibration.rates(*(seconds for seconds, _ in starts)), gpu)
    total_seconds = {rule: count * costs.seconds(rule) for rule, count in counts.items()}
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else "this machine's CPU, one thread a job"
    lines = [
        f"{config['experiment']}: {sum(counts.values()):,} jobs to run, planned in {planning:.1f} s",
        f"{sizes.images:,} images, {sizes.parameters:,} parameters; calibrated on {name}",
        "",
        f"{'rule':<26}{'jobs':>8}{'one takes':>14}{'hours':>10}{'one holds':>12}",
    ]
    memory_of = {rule: size for rule in total_seconds if memory and (size := memory.bytes(rule))}
    for rule, seconds in sorted(total_seconds.items(), key=lambda item: -item[1]):
        line = f"{rule:<26}{counts[rule]:>8,}{seconds / counts[rule]:>12.1f} s{seconds / 3600:>10.2f}"
        lines.append(f"{line}{human(memory_of[rule]) if rule in memory_of else '':>12}".rstrip())
    on_gpu = sum(seconds for rule, seconds in total_seconds.items() if rule in gpu) / 3600
    lines += [
        "",
        f"jobs that ask for a GPU  {on_gpu:,.2f} {'GPU' if device.type == 'cuda' else 'core'} hours",
        f"other jobs               {sum(total_seconds.values()) / 3600 - on_gpu:,.2f} core hours",
    ]
    if counts:
        gpus = torch.cuda.device_count() if device.type == "cuda" else 0
        seconds_of = {rule: costs.seconds(rule) for rule in counts}
        shortest, reason = at_least(counts, seconds_of, edges_of(rule_graph(configfile)), cores, gpu, gpus)
        lines.append(f"wall time, --cores {cores:<6} at least {clock(shortest)}: {reason}")
    lines += [f"time of {rule} falls with {', '.join(keys)}" for rule, keys in lengthy(total_seconds).items()]
    lines += [f"memory of {rule} falls with {', '.join(keys)}" for rule, keys in hungry(memory_of).items()]
    if uncounted := costs.uncounted(counts):
        lines.append(f"not in it: {', '.join(uncounted)} (their jobs count as their start alone)")
    if unknown := costs.unknown(counts):
        lines.append(f"rules without a cost formula, counted as their start alone: {', '.join(unknown)}")
    if plan.evaluation["lds"]:
        lines += ["", interval(plan)]
    sizes_of_stages = storage(plan, sizes)
    lines += ["", f"{'stage':<26}{'storage':>14}"]
    lines += [f"{stage:<26}{human(size):>14}" for stage, size in sizes_of_stages.items() if size]
    lines.append(f"{'in all':<26}{human(sum(sizes_of_stages.values())):>14}")
    return "\n".join(lines)


def rough(plan, counts, with_model, cores):
    """A first sentence on how long the jobs take, before anything is timed.

    Args:
        counts: {rule: jobs}. with_model: names of the rules whose jobs load a model. cores: jobs at a time.
    """
    costs = nominal(plan, with_model)
    seconds = sum(count * costs.seconds(rule) for rule, count in counts.items()) / cores
    return (
        f"{jobs(sum(counts.values()))}, very roughly: {rounded(seconds)} on {cores} core{'s' * (cores > 1)}. "
        "A little of every kind of work is now timed on this machine, which takes a minute or more …"
    )


def planned(configfile):
    """Return {rule: number of jobs that a run would start now}, and the seconds that planning took.

    Raises:
        WaypointError: the dry run fails; holds its message.
    """
    start = time.perf_counter()
    result = snakemake(configfile, "-n", "-q", "rules")
    if result.returncode:
        raise WaypointError(f"the experiment cannot be planned:\n{(result.stdout + result.stderr).strip()}")
    counts = dict(re.findall(r"^(\w+) +(\d+)$", result.stdout + result.stderr, re.M))
    totals = {"all", "total"}
    return {rule: int(count) for rule, count in counts.items() if rule not in totals}, time.perf_counter() - start


def rule_graph(configfile):
    """Return the graph of rules in Graphviz' language."""
    return snakemake(configfile, "--rulegraph").stdout


def snakemake(configfile, *options):
    """Run Snakemake with options that only plan an experiment, and return the completed process."""
    command = [sys.executable, "-m", "snakemake", "-s", str(REPOSITORY / "Snakefile"), "--configfile", str(configfile)]
    return subprocess.run([*command, *options], capture_output=True, text=True)


def gpu_rules():
    """Return the names of the rules that ask for a GPU."""
    rules = {name for name, row in STAGES.items() if row.slurm == "gpu"}
    for file in (REPOSITORY / "rules").glob("*.smk"):
        parts = re.split(r"^ *rule (\w+):$", file.read_text(encoding="utf-8"), flags=re.M)
        stages = zip(parts[1::2], (re.search(r'submitted_as\("(\w+)"\)', text) for text in parts[2::2]))
        rules |= {rule for rule, stage in stages if stage and STAGES[stage[1]].slurm == "gpu"}
    return rules


def model_of(config, device):
    """Return the experiment's denoiser: a new one, or the first of the existing ones."""
    section = config["checkpoints"]
    if "base" in section or config["model"] is None:
        options: dict[str, Any] = {key: section[key] for key in GIVEN_KEYS if key in section}
        options |= {"cells": known_cells(config)}
        options |= {"model": config["model"], "latent": bool(config["vae"])}
        return with_adapter(config, checkpoints.load(section.get("base") or section["paths"][0], **options), device)
    built = checkpoints.build(config["model"], config["seed"], "full/0")
    return checkpoints.Denoiser(built.unet.to(device), built.scheduler)


def with_adapter(config, denoiser, device):
    """Move an existing model to the device, with an adapter if the experiment is about adapters."""
    section = config["checkpoints"]
    if "adapters" in section:
        adapters.add_existing(denoiser, section["adapters"][0], config["adapter"] and config["adapter"]["alpha"])
    elif "base" in section:
        adapters.add_new(denoiser, config["adapter"], config["seed"], "full/0")
    return checkpoints.Denoiser(denoiser.unet.to(device), denoiser.scheduler)


def caption_of(config, denoiser):
    """Return noise in the shape of an embedded caption, or None."""
    if denoiser.conditioned_by != "encoder_hidden_states":
        return None
    length, unet = (config["text_encoder"] or {}).get("max_length") or 77, denoiser.unet.config
    if sdxl.is_sdxl(unet):
        length += sdxl.rows_for(unet.cross_attention_dim, sdxl.pooled_width(unet))
    widths = unet.cross_attention_dim  # of every level; they are alike
    return torch.randn(length, widths if isinstance(widths, int) else widths[0])


def sizes_of(config, denoiser, caption, images):
    """Return the ``Sizes`` of the experiment; those of the data come from the store or their source."""
    shape, curvature = denoiser.shape, config["curvature"]
    trainable = {name: q for name, q in denoiser.unet.named_parameters() if q.requires_grad}
    tensors = {name: q.shape for name, q in trainable.items()}
    matrices = factored_matrices(tensors, curvature["rows"], curvature["bound"])
    size = known_image_size(config) if config["data"] else None
    pixels = 3 * size[0] * size[1] if config["vae"] and size else shape[0] * shape[1] * shape[2]
    return Sizes(
        images=number_of_images(config, images),
        parameters=sum(q.numel() for q in trainable.values()),
        pixels=pixels,
        inputs=shape[0] * shape[1] * shape[2],
        caption=0 if caption is None else caption.numel(),
        latent=bool(config["vae"]),
        T=denoiser.T,
        factors=factor_numbers(matrices),
        rotations=sum(matrix.size * side for matrix in matrices for side in sides_of(matrix)),
        cubes=sum(side**3 for matrix in matrices for side in sides_of(matrix)),
        frozen=sum(q.numel() for q in denoiser.unet.parameters() if not q.requires_grad),
    )


def number_of_images(config, images=None):
    """Return N: ``images`` if given, else as in the store, the configuration or the source, including near-duplicates.

    Raises:
        WaypointError: N is not known.
    """
    if images is not None or config["data"] is None:
        return images or 0
    if path := stored_images(config):
        return array_of(open_store(path), "image").shape[0]
    section = config["data"]
    subset = section["subset"]
    if subset is not None:
        return subset if isinstance(subset, int) else len(subset)
    source = SOURCES[section["source"]]
    return source.images or source(section).n


def job_start(modules):
    """Measure the CPU seconds and bytes of a process that imports ``modules``."""
    code = f"import {modules}; from waypoint.store.artifacts.provenance import peak_memory; print(peak_memory())"
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    result = subprocess.run(
        [sys.executable, "-c", code], cwd=REPOSITORY / "workflow_scripts", check=True, capture_output=True
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, int(result.stdout)


def human(size):
    """Format a number of bytes for people."""
    for unit in ("B", "kB", "MB", "GB", "TB", "PB"):
        if size < 1000 or unit == "PB":
            return f"{size:,.0f} {unit}" if unit == "B" else f"{size:,.1f} {unit}"
        size /= 1000


if __name__ == "__main__":
    main()
