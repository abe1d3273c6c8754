"""The formulas of time, memory and storage against small runs, and what large runs cost by them.

    python benchmarks/scaling.py           writes docs/scaling.md

Formulas: workflow_scripts/waypoint/workflow/estimate/costs.py and memory.py. Every number of a small run is one that
its jobs recorded: CPU seconds in their logs, peak memory in their artifacts, bytes on the disk.
"""

import copy
import json
import os
import re
import subprocess
import sys
import tempfile
from collections import defaultdict
from pathlib import Path
from statistics import mean

import numpy as np
import torch
import yaml
from measuring import REPOSITORY, machine, table
from planning import finished, planned_sizes
from torch.utils.flop_counter import FlopCounterMode

sys.path.insert(0, str(REPOSITORY / "workflow_scripts"))

import estimate

from waypoint.science.gradients.checking import graph_bytes
from waypoint.store.artifacts.provenance import read_attributes
from waypoint.store.networks import checkpoints
from waypoint.workflow.config.complete import complete
from waypoint.workflow.estimate.calibration import Calibration
from waypoint.workflow.estimate.costs import Costs, Rates, storage
from waypoint.workflow.estimate.memory import Memory
from waypoint.workflow.plan.plan import Plan

COMMON = {
    "store": "store",
    "methods": ["trak", "pixel", "random"],
    "checkpoints": {"count": 2},
    "scores": {"keep_checkpoints": True},
    "targets": [{"id": "a", "seed": 1}, {"id": "b", "seed": 2}],
}
DIGITS = {
    **COMMON,
    "experiment": "digits",
    "data": {"source": "digits", "subset": 1200},
    "model": yaml.safe_load((REPOSITORY / "config.yaml").read_text())["model"],
    "training": {"epochs": 10, "batch_size": 32, "learning_rate": 1e-3},
    "attribution": {"steps": [100, 300, 500, 700, 900], "train_draws": 10, "target_draws": 40},
    "gradients": {"kind": "factorised"},
    "projection": {"dim": 1024},
    "evaluation": {
        "lds": {"subsets": 3, "models_per_subset": 2, "draws": 500},
        "samples": {"number": 100},
    },
}
COLOUR = {
    **COMMON,
    "experiment": "colour",
    "data": {"source": "npz", "path": "images.npz"},
    "model": {
        "unet": {
            "sample_size": 32,
            "in_channels": 3,
            "out_channels": 3,
            "block_out_channels": [32, 64, 64, 64],
            "down_block_types": ["DownBlock2D", "AttnDownBlock2D", "DownBlock2D", "DownBlock2D"],
            "up_block_types": ["UpBlock2D", "UpBlock2D", "AttnUpBlock2D", "UpBlock2D"],
            "layers_per_block": 2,
            "norm_num_groups": 8,
        }
    },
    "training": {"epochs": 2, "batch_size": 64, "learning_rate": 1e-4, "ema": None},
    "attribution": {"steps": list(range(40, 1000, 60)), "train_draws": 5, "target_draws": 10},
    "gradients": {"kind": "exact"},
    "projection": {"kind": "sjlt", "dim": 1024},
    "kernel": {"damping": 0.1},
}
IMAGES = 256  # of the colour run: noise, whose work is the same
ENOUGH = 2.0  # seconds that a job must take for its formula to be compared


# ---- small runs


class SmallRun:
    """One experiment, run to its end by one core, with what its jobs recorded."""

    def __init__(self, config, folder):
        self.folder, self.plan = Path(folder), None
        self.config = config
        pixels = np.random.default_rng(0).integers(0, 256, (IMAGES, 32, 32, 3), np.uint8)
        np.savez(self.folder / "images.npz", image=pixels)
        (self.folder / "config.yaml").write_text(yaml.safe_dump(config))
        said = self.snakemake("--dry-run")
        self.logs, self.outputs = defaultdict(list), defaultdict(list)
        for rule, body in re.findall(r"^rule (\w+):\n((?:    .*\n)*)", said, re.M):
            if found := re.search(r"^    log: (.*)$", body, re.M):
                self.logs[rule].append(self.folder / found[1])
                outputs = re.search(r"^    output: (.*)$", body, re.M)[1].split(", ")
                self.outputs[rule] += [self.folder / output for output in outputs]
        self.snakemake("--cores", "1")

    def snakemake(self, *arguments):
        command = [sys.executable, "-m", "snakemake", "-s", REPOSITORY / "Snakefile", "--configfile", "config.yaml"]
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        environment = {**os.environ, "PATH": path, "OMP_NUM_THREADS": "1", "WAYPOINT_LOGGER": "snakemake"}
        run = subprocess.run([*command, *arguments], cwd=self.folder, capture_output=True, text=True, env=environment)
        if run.returncode:
            sys.exit(run.stdout + run.stderr)
        return run.stdout

    def seconds(self, rule):
        """Mean CPU seconds of the rule's jobs, imports left out."""
        return mean(float(re.search(r"work=([\d.]+)s", log.read_text())[1]) for log in self.logs[rule])

    def peak(self, rule):
        """Largest peak of the rule's jobs in bytes."""
        return max(read_attributes(path)["peak_memory_mb"] for path in self.outputs[rule]) << 20

    def stored(self, stage):
        """Bytes of a stage's chunks and weights."""
        store = self.folder / "store" / self.config["experiment"]
        files = (file for file in (store / stage).rglob("*") if file.is_file())
        return sum(f.stat().st_size for f in files if "c" in f.relative_to(store).parts or f.suffix == ".safetensors")


def small_run(config):
    """Rows of time, memory and storage: the formula's value, the measured one, their ratio."""
    with tempfile.TemporaryDirectory() as folder:
        run = SmallRun(config, folder)
        os.chdir(folder)  # paths of the configuration are relative
        made = complete(copy.deepcopy(config))
        plan, device = Plan(made), torch.device("cpu")
        torch.set_num_threads(1)
        theta = estimate.model_of(made, device)
        sizes = estimate.sizes_of(made, theta, None, None)
        calibration = Calibration(made, theta, None)
        costs = Costs(plan, sizes, calibration.rates(0.0, 0.0), estimate.gpu_rules())
        starts = (estimate.job_start(imports)[1] for imports in (estimate.WITH_MODEL, estimate.WITHOUT))
        memory = Memory(plan, sizes, *calibration.memory(), device, *starts)
        name = config["experiment"]
        taken = [(rule, costs.seconds(rule), run.seconds(rule)) for rule in run.logs if costs.has_formula(rule)]
        time = [[name, rule, *compared(*pair, "s")] for rule, *pair in taken if max(pair) >= ENOUGH]
        held = [(rule, memory.bytes(rule), run.peak(rule)) for rule in run.logs if memory.bytes(rule) is not None]
        space = [(stage, size, run.stored(stage)) for stage, size in storage(plan, sizes).items() if size]
        os.chdir(REPOSITORY)
    return time, *([[name, what, *compared(*pair, "MB")] for what, *pair in found] for found in (held, space))


def compared(formula, measured, unit):
    scale = 1e6 if unit == "MB" else 1
    ratio = formula / measured
    within = "" if abs(ratio - 1) <= 0.2 else " MISSED"
    return f"{formula / scale:,.1f} {unit}", f"{measured / scale:,.1f} {unit}", f"{ratio:.2f}{within}"


# ---- large runs, by the same formulas with work counted in floating-point operations

GPU = 27e12  # operations a second: 40 % of an H100's 67e12 in float32, what training of such models reaches
READING = 2e9  # bytes a second of a shared file system
MULTIPLY_ADD = 2
BILLION = {  # experiments/coco.yaml at the scale of a public text-to-image model and what it was trained on
    "data": {"size": 512},
    "unet": {
        "sample_size": 64,
        "block_out_channels": [352, 704, 1408, 1408],
        "attention_head_dim": 8,
        "up_block_types": ["UpBlock2D"] + ["CrossAttnUpBlock2D"] * 3,
    },
    "checkpoints": {"count": 1},
    "attribution": {"train_draws": 4},
    "gradients": {"kind": "factorised"},
    "projection": {"kind": "sjlt"},
    "features": {"dtype": "float16", "shards": 1000, "keep_halves": False},
    "scores": {"keep_checkpoints": False},
}


def operations(config, denoiser, caption):
    """The ``Rates`` of a configuration in operations instead of seconds; imports and loading are none."""
    forward, both = counted(denoiser, caption)
    p = sum(q.numel() for q in denoiser.unet.parameters())
    settings, d = config["attribution"], config["projection"]["dim"]
    dense = config["projection"]["kind"] != "sjlt" and config["gradients"]["kind"] == "exact"
    projection = MULTIPLY_ADD * p * d if dense else 0
    guided = 2 if config["sampling"]["guidance"] != 1 else 1
    draws = settings["train_draws"] * (2 if config["data"]["flip"] else 1)
    return Rates(
        start=0,
        light_start=0,
        load=0,
        call=guided * forward,
        single=guided * forward,
        train=both,
        feature=draws * both + projection,
        row=both + projection,
        gradient=guided * forward + settings["target_draws"] * both + projection,
        product=MULTIPLY_ADD,
        score=MULTIPLY_ADD,
    )


def counted(denoiser, caption):
    """Operations of one row: forward, and forward and backward together."""
    theta = checkpoints.Denoiser(denoiser.unet.to("meta").train(), denoiser.scheduler)
    x, t = torch.zeros(1, *theta.shape, device="meta"), torch.zeros(1, dtype=torch.int64, device="meta")
    condition = None if caption is None else torch.zeros(1, *caption.shape, device="meta")
    found = []
    with FlopCounterMode(display=False) as counter:
        output = theta.unet(x, t, condition).sample if condition is not None else theta.unet(x, t).sample
        found.append(counter.get_total_flops())
        output.sum().backward()
        found.append(counter.get_total_flops())
    return found


class LargeRun:
    """An experiment's costs without running it.

    Args:
        file: in experiments/. images: N. changes: to sections, ``unet`` being the model's.
        evaluated: whether its evaluations count.
    """

    def __init__(self, file, images, changes=None, evaluated=True):
        config = yaml.safe_load((REPOSITORY / "experiments" / file).read_text())
        changes = dict(changes or {})
        config["model"]["unet"].update(changes.pop("unet", {}))
        for section, values in changes.items():
            replaced = section in ("checkpoints", "gradients", "projection")
            config[section] = values if replaced else config.get(section, {}) | values
        config["targets"] = str(REPOSITORY / config["targets"])
        if not evaluated:
            config |= {"evaluation": {}, "methods": ["trak"]}
        with tempfile.TemporaryDirectory() as folder:
            os.chdir(folder)
            stand_in(config["data"])
            Path("config.yaml").write_text(yaml.safe_dump(config))
            made = complete(copy.deepcopy(config))
            self.plan, self.jobs = Plan(made), estimate.planned("config.yaml")[0]
            denoiser = checkpoints.build(made["model"], 0, "full/0")
            caption = estimate.caption_of(made, denoiser)
            self.sizes = estimate.sizes_of(made, denoiser, caption, images)
            self.row = row_bytes(denoiser, caption)
            self.costs = Costs(self.plan, self.sizes, operations(made, denoiser, caption), set())
            os.chdir(REPOSITORY)

    def rows(self):
        """{rule: (jobs, GPU hours of all)} of what takes longest."""
        hours = {rule: count * self.costs.seconds(rule) / GPU / 3600 for rule, count in self.jobs.items()}
        return {rule: (self.jobs[rule], taken) for rule, taken in hours.items() if taken >= 0.01}

    def text(self):
        """Tables of hours and bytes, and a line on the model."""
        rows, stored = self.rows(), storage(self.plan, self.sizes)
        longest = sorted(rows.items(), key=lambda item: -item[1][1])
        hours = [[rule, f"{jobs:,}", human(taken)] for rule, (jobs, taken) in longest]
        hours.append(["in all", f"{sum(self.jobs.values()):,}", human(sum(taken for _, taken in rows.values()))])
        sizes = [[stage, estimate.human(size)] for stage, size in stored.items() if size]
        sizes.append(["in all", estimate.human(sum(stored.values()))])
        reading = f"{stored['features'] / READING / 60:,.1f} minutes at 2 GB/s"
        words = (
            f"{self.sizes.parameters:,} parameters; autograd keeps {estimate.human(self.row)} of one row. One pass of "
            f"scoring reads {estimate.human(stored['features'])} of features: {reading}.\n"
        )
        tables = table(["rule", "jobs", "GPU hours"], hours), table(["stage", "storage"], sizes)
        return "\n".join([words, *tables])


def human(hours):
    return f"{hours:,.0f}" if hours >= 10 else f"{hours:.2f}"


def stand_in(section):
    """Empty files in the place of a dataset, of which planning reads nothing but MS COCO's list of images."""
    path = Path(section["path"])
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch() if path.suffix else path.mkdir()
    if section.get("captions"):
        Path(path, "1.jpg").touch()
        captions = Path(section["captions"])
        captions.parent.mkdir(parents=True, exist_ok=True)
        images, annotations = [{"id": 1, "file_name": "1.jpg"}], [{"image_id": 1, "caption": "one"}]
        captions.write_text(json.dumps({"images": images, "annotations": annotations}))


def row_bytes(denoiser, caption):
    """Bytes that autograd keeps of one row in a forward pass."""
    x, t = torch.zeros(1, *denoiser.shape), torch.zeros(1, dtype=torch.int64)
    condition = None if caption is None else caption[None]
    return graph_bytes(denoiser.unet, lambda: denoiser.output(x, t, condition))[1]


# ---- the page

TEXT = """# Scaling

What an experiment costs, stage by stage: formulas, how far small measured runs bear them out, and what large runs cost
by them. `make estimate CONFIG=…` prints the same formulas for any configuration, with rates measured on the machine at
hand. `make scaling` writes this page; it takes half an hour of one core.

## Formulas

N images, M models, p parameters, d = `projection.dim`, k = min(N, d). K draws of an image (twice as many with
`data.flip`), K' of a target's step, S attributed steps of a target, G steps of the sampling grid, G(t) of them from t
on, R subset models, R' Fisher rows. For one row of the model F is a call, B a call with its backward pass, A the bytes
that autograd keeps, c the columns of a gradient: p, or what `factorised` leaves. o × i are the sides of a tensor that
the curvature factors, or of its blocks; the sums are over these tensors.
"""

FORMULAS = [
    ["checkpoints", "model", "epochs · N · B", "16 p (20 p with `ema`) + images + 2 A · batch", "4 p M"],
    [
        "features",
        "model, or shard of it",
        "N K B, and 2 N p d for a dense P",
        "4 p + 4 c (images held + images of a pass) + 2 A · rows of a pass",
        "4, 2 or 1 · N d M",
    ],
    [
        "curvature of `ekfac`",
        "model",
        "2 R' B, and 1.5 R' Σ o i (o + i) + 9 Σ (o³ + i³) multiply-adds, R' = `curvature.rows`",
        "8 (p + Σ (o² + i²)), and as features",
        "4 M (p + Σ (o² + i²))",
    ],
    ["curvature of `diagonal`", "model", "R' B", "8 p, and as features", "4 M p"],
    ["Fisher rows", "model", "R' (B + p d for a dense P), R' rows", "as features", "4 R' d M"],
    ["kernels", "model", "N d² / 2 + k³ / 6 multiply-adds", "32 k²", "16 k² M"],
    ["targets", "target", "G F + M S (K' B + F) + samples for panels", "as features", "8 G · image + 4 M S d"],
    ["scores", "target", "M (N d + S k²) multiply-adds", "does not grow with N", "4 N S · rows kept"],
    ["scores of `wiener`", "target", "1.5 N D² + 3 D³ + 200 N D S of them, D numbers an image", "32 D²", "4 N S"],
    ["subset models", "subset", "its models · epochs · N / 2 · B", "as checkpoints", "4 p R"],
    ["subset outputs", "target", "R S · draws · F", "4 p + a batch", "little"],
    ["removals", "model", "epochs · (N - removed) · B, then images · G(t) · F", "as checkpoints", "4 p each"],
]

AFTER_FORMULAS = """Going back through a pass takes about as much memory again as A: this 2 was read off the two runs
below, nothing else was. The emoji experiment, of which it knows nothing, recorded 936, 4,035, 1,162
and 211 MiB for training, features, targets and kernels; the formulas say 874, 4,011, 1,183 and 206.
On a CPU a pass takes 2,560 rows, or as many as keep A within 2 GiB if that is fewer, though up to
4 GiB of one image; up to 256 gradients are held, 2 GiB of them; on a GPU it is a third and a quarter
of the memory that is free. Scoring reads the features of all models once, for every target that
waits. The code: workflow_scripts/waypoint/workflow/estimate/costs.py and memory.py.
"""

SMALL = """## Small runs

Two experiments run to their end by one core: 1,200 digits with a UNet of 163,985 parameters, `factorised`, d = 1,024;
and 256 pictures of 32 × 32 × 3 with a UNet of 2.2 million, exact gradients, `sjlt`, d = 1,024. The formulas, with the
rates of `make estimate`, beside what the jobs recorded of themselves. What is off by more than 20 % says so.

Seconds of a job without its imports, where there are two or more:
"""

LARGE = """## Large runs

Work is counted in floating-point operations, by torch's counter over forward and backward, and divided by 2.7e13 a
second: 40 % of what an H100 does in float32. A plain training step of the CIFAR-10 UNet reached 2.6e13 on an H200,
which is as fast at that; for the other models the share is an assumption. It would give 14 hours of an A100 (1.95e13
in float32) for one model of MS COCO, for which Attribution by Unlearning (Wang et al., 2024) names about 16. Jobs
are those of a dry run without the rule `all`, which makes nothing; for MS COCO the weights of CLIP are at hand, without
which its method is switched off.
"""

AFTER_LARGE = """At 100 million images the training is there for comparison: such a model is given
(`checkpoints.paths`). Its features, 4 draws an image, are what attribution costs, and they are made
once. Images are kept as float32, 3.1 MB each at 512 × 512, next to their latents and embedded
captions: the data would be the first thing to store otherwise.
"""

PLANNING = """## Planning

CPU seconds of `snakemake --dry-run`: the CIFAR-10 experiment with every method's scores and panels and the LDS. They
grow in proportion to jobs and edges. Subset models stand behind one list, checkpoints/subset/models.json: a target
depends on one file instead of 500 models.
"""


def page():
    """docs/scaling.md."""
    columns = ["stage", "a job", "its work", "memory at its peak, besides imports", "bytes of all"]
    parts = [TEXT, table(columns, FORMULAS), AFTER_FORMULAS, SMALL]
    time, held, space = (sum(rows, []) for rows in zip(*(small_run(config) for config in (DIGITS, COLOUR))))
    columns = ["run", "what", "formula", "measured", "ratio"]
    parts += [table(columns, time), "Memory at a job's peak, imports included:\n", table(columns, held)]
    parts += ["Storage:\n", table(columns, space), machine("torch", "diffusers", "snakemake") + ".\n", LARGE]
    for title, run in (
        ("CIFAR-10, the paper's experiment, N = 50,000", LargeRun("cifar10.yaml", 50_000)),
        ("MS COCO, the paper's experiment, N = 118,287", LargeRun("coco.yaml", 118_287)),
        ("100 million images, a model of a billion parameters", LargeRun("coco.yaml", 10**8, BILLION, evaluated=False)),
    ):
        parts += [f"### {title}\n", run.text()]
    parts += [AFTER_LARGE]
    columns = ["checkpoints", "subset models", "targets", "jobs", "edges", "planned in"]
    parts += [PLANNING, table(columns, planned_sizes())]
    parts += [table(["finished experiment", "jobs", "planned in", "of it the pass"], finished())]
    return "\n".join(parts)


if __name__ == "__main__":
    Path(REPOSITORY, "docs/scaling.md").write_text(page(), encoding="utf-8")
