"""The compiled CPU kernels against torch, on the experiments' models: a Markdown section on standard output.

    OMP_NUM_THREADS=1 python benchmarks/compiled_kernels.py

A kernel stays where it saves 5 % or more of the time of per-example gradients of one of these models, or of scores,
with an interval over ten pairs that excludes 0. About 20 minutes of one core.
"""

import contextlib
import sys
import tempfile
import time
import warnings
from pathlib import Path
from unittest import mock

sys.path.insert(0, str(Path(__file__).parents[1] / "workflow_scripts"))

import numpy as np
import torch
import yaml
from diffusers import DDPMScheduler, UNet2DConditionModel, UNet2DModel
from measuring import REPOSITORY, machine, table
from scipy import stats
from scoring import STEPS, D, kernel, score, synthetic, write

from waypoint import kernels
from waypoint.kernels import convolution
from waypoint.science import kernel as science_kernel
from waypoint.science.algorithm1 import train_loss
from waypoint.science.gradients.engine import PerExampleGradients
from waypoint.science.gradients.examples import train_example
from waypoint.science.processes.ddpm import Denoiser
from waypoint.workflow.jobs.job import keep_freed_memory

PAIRS, DRAWS = 10, 20
TOKENS = 16  # of an embedded caption
SCORED = 20_000  # training images
MODELS = [  # name, experiment, images in a batch
    ("digits", "config.yaml", 64),
    ("emoji", "experiments/emoji.yaml", 8),
    ("COCO", "experiments/coco.yaml", 1),
    ("CIFAR-10", "experiments/cifar10.yaml", 1),
]


def without_weight_gradients():
    """The weight gradients of convolutions as without the kernel."""
    return mock.patch.object(kernels, "conv2d_weight_gradient", lambda *_: None)


def without_convolutions():
    """Convolutions by torch; their weight gradients keep the kernel."""
    return mock.patch.object(convolution, "conv2d", convolution.torch_conv2d)


@contextlib.contextmanager
def without_any():
    """Everything by torch."""
    with without_weight_gradients(), without_convolutions():
        yield


def without_narrow_products():
    """Products of many rows with few columns by numpy."""
    return mock.patch.object(science_kernel, "tall_skinny_matmul", np.matmul)


WITHOUT = {
    "convolutions (Winograd)": without_convolutions,
    "their weight gradients": without_weight_gradients,
    "both": without_any,
}


def batch(path, images):
    """Per-example gradients of an experiment's model on noise: a function that computes them.

    Noise stands in for images: what it costs is the same.
    """
    config = yaml.safe_load((REPOSITORY / path).read_text())["model"]["unet"]
    torch.manual_seed(0)
    width = config.get("cross_attention_dim")
    unet = (UNet2DConditionModel if width else UNet2DModel)(**config).eval()
    theta = Denoiser(unet, DDPMScheduler())
    condition = torch.randn(1, TOKENS, width) if width else None
    examples = [
        train_example(
            torch.randn(theta.shape), torch.randint(1000, (DRAWS,)), torch.randn(DRAWS, *theta.shape), condition
        )
        for _ in range(images)
    ]
    gradients = PerExampleGradients(unet)
    return lambda: gradients(lambda rows: train_loss(theta, rows), examples)


def scores(folder):
    """Scores of a target at nine steps from features that a store holds: a function that writes them."""
    write(folder / "phi.zarr", SCORED, D, "float32")
    factor, g = kernel(folder / "kernel.zarr", D), synthetic(1, STEPS, D)
    return lambda: score(folder / "phi.zarr", factor, g, folder / "scores.zarr")


def core_seconds(function):
    """Processor time of one call, which other programs of the machine disturb less than its duration."""
    start = time.process_time()
    function()
    return time.process_time() - start


def gain(function, without):
    """How much faster the kernel makes it, in per cent of the time without it: mean and 95 % interval over the pairs.

    The two are called in turn, after one call of each; the interval is Student's, of log-ratios.
    """
    function()
    with without():
        function()
    ratios = []
    for _ in range(PAIRS):
        with without():
            plain = core_seconds(function)
        ratios.append(np.log(core_seconds(function) / plain))
    half = stats.t.ppf(0.975, PAIRS - 1) * np.std(ratios, ddof=1) / np.sqrt(PAIRS)
    return [100 * (1 - np.exp(np.mean(ratios) + shift)) for shift in (0, half, -half)]


def row(what, kernel, mean, low, high):
    """A row of the table."""
    stays = "yes" if mean >= 5 and low > 0 else "no"
    print(what, kernel, f"{mean:.1f}", file=sys.stderr, flush=True)
    return [what, kernel, f"{mean:.1f} % ({low:.1f} to {high:.1f})", stays]


def main():
    warnings.simplefilter("ignore")
    keep_freed_memory()
    rows = []
    for name, path, images in MODELS:
        function = batch(path, images)
        for what, without in WITHOUT.items():
            rows.append(row(f"gradients, {name}, {images} × {DRAWS}", what, *gain(function, without)))
    with tempfile.TemporaryDirectory() as folder:
        saved = gain(scores(Path(folder)), without_narrow_products)
    rows.append(row(f"scores, N = {SCORED:,}, d = {D:,}, {STEPS} steps", "products with few columns", *saved))
    print("## Compiled kernels\n")
    print(f"{machine('torch', 'diffusers', 'numba')}; {torch.get_num_threads()} thread(s).\n")
    print(
        "Processor time that each kernel saves of exact per-example gradients (images × draws in a batch) and of\n"
        f"scores, of the time without it: mean and 95 % interval over {PAIRS} pairs.\n"
    )
    print(table(["what", "kernel", "saved", "5 % or more"], rows))


if __name__ == "__main__":
    main()
