"""The compiled CPU kernels against torch, on the experiments' models: a Markdown section on standard output.

    OMP_NUM_THREADS=1 python benchmarks/compiled_kernels.py

A kernel stays where it makes the per-example gradients of one of these models faster by 5 % or more, with an interval
over ten pairs that excludes 0. About 25 minutes of one core.
"""

import contextlib
import sys
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

from waypoint import kernels
from waypoint.kernels import attention, convolution
from waypoint.science.algorithm1 import train_loss
from waypoint.science.gradients.engine import PerExampleGradients
from waypoint.science.gradients.examples import train_example
from waypoint.science.processes.ddpm import Denoiser
from waypoint.workflow.jobs.job import keep_freed_memory

PAIRS, DRAWS = 10, 20
TOKENS = 16  # of an embedded caption
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


def without_attention():
    """Attention by torch."""
    return mock.patch.object(attention, "attention", attention.torch_attention)


@contextlib.contextmanager
def without_any():
    """Everything by torch."""
    with without_weight_gradients(), without_convolutions(), without_attention():
        yield


WITHOUT = {
    "convolutions (Winograd)": without_convolutions,
    "their weight gradients": without_weight_gradients,
    "attention of narrow heads": without_attention,
    "all of them": without_any,
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


def main():
    warnings.simplefilter("ignore")
    keep_freed_memory()
    rows = []
    for name, path, images in MODELS:
        function = batch(path, images)
        for kernel, without in WITHOUT.items():
            mean, low, high = gain(function, without)
            stays = "yes" if mean >= 5 and low > 0 else "no"
            rows.append([name, f"{images} × {DRAWS}", kernel, f"{mean:.1f} % ({low:.1f} to {high:.1f})", stays])
            print(rows[-1], file=sys.stderr, flush=True)
    print("## Compiled kernels\n")
    print(f"{machine('torch', 'diffusers', 'numba')}; {torch.get_num_threads()} thread(s).\n")
    print(
        "Processor time that each kernel saves of exact per-example gradients, of the time without it: mean and 95 %\n"
        f"interval over {PAIRS} pairs.\n"
    )
    print(table(["model", "images × draws", "kernel", "saved", "5 % or more"], rows))


if __name__ == "__main__":
    main()
