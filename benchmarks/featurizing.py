"""Featurizing against a plain training step, traker and dattri, side by side: a Markdown section on standard output.

    OMP_NUM_THREADS=2 python benchmarks/featurizing.py

About 32 minutes on 2 cores, most of them the peers'; needs envs/requirements-bench.txt and 13 GB of memory.
"""

import sys
import warnings
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "workflow_scripts"))

import torch
import yaml
from dattri.func.projection import BasicProjector as DattriProjector
from dattri.func.projection import ProjectionType
from diffusers import DDPMScheduler, UNet2DModel
from measuring import REPOSITORY, at_least, machine, seconds, side_by_side, table, verdict
from trak.gradient_computers import FunctionalGradientComputer
from trak.modelout_functions import AbstractModelOutput
from trak.projectors import BasicProjector as TrakProjector
from trak.projectors import ProjectionType as TrakProjectionType
from trak.utils import vectorize

from waypoint.science.algorithm1 import train_loss
from waypoint.science.gradients.engine import PerExampleGradients
from waypoint.science.gradients.examples import Example, joined
from waypoint.science.gradients.hooks import trainable
from waypoint.science.gradients.logra import LoGra
from waypoint.science.processes.ddpm import Denoiser
from waypoint.science.projection import PROJECTIONS, SJLT
from waypoint.workflow.jobs.job import keep_freed_memory

CPU, DRAWS, D = torch.device("cpu"), 20, 4096
DIGITS = {
    "sample_size": 8,
    "in_channels": 1,
    "out_channels": 1,
    "block_out_channels": [16, 32],
    "down_block_types": ["DownBlock2D"] * 2,
    "up_block_types": ["UpBlock2D"] * 2,
    "layers_per_block": 1,
    "norm_num_groups": 8,
}
CIFAR = yaml.safe_load((REPOSITORY / "experiments/cifar10.yaml").read_text())["model"]["unet"]
QUARTER = {**CIFAR, "block_out_channels": [32, 64, 64, 64], "norm_num_groups": 8}


class Model:
    """A model with images and draws to featurize it on.

    Args:
        images: of one batch. rank: of the factorised kind. d: dimension of the features. rounds: of timing.
        bounds: of the ratios to a plain step, of factorised and of exact + sjlt.
    """

    def __init__(self, name, unet, images, rank, d, rounds, bounds):
        self.name, self.rank, self.d, self.rounds, self.bounds = name, rank, d, rounds, bounds
        torch.manual_seed(0)
        self.theta = Denoiser(UNet2DModel(**unet).eval(), DDPMScheduler())
        self.p = sum(q.numel() for q in trainable(self.theta.unet))
        self.examples = [self.example() for _ in range(images)]

    def example(self, draws=DRAWS):
        """Noise stands in for an image: what it costs is the same."""
        shape = self.theta.shape
        t, epsilon = torch.randint(1000, (draws,)), torch.randn(draws, *shape)
        return Example(torch.randn(shape).expand(epsilon.shape), t, epsilon)

    def loss(self, example):
        """The train losses of a batch's rows."""
        return train_loss(self.theta, example)

    def plain_step(self):
        """Forward and backward over the same rows, no optimiser."""
        rows = joined(self.examples)

        def step():
            self.loss(rows).mean().backward()
            self.theta.unet.zero_grad()

        return step

    def kinds(self, d):
        """{kind of gradients: featurizing the batch with it and an SJLT to d columns}."""
        project = SJLT(0, "full/0", d).project
        engines = {
            f"factorised, rank {self.rank}": LoGra(self.theta.unet, 0, "full/0", self.rank),
            "exact": PerExampleGradients(self.theta.unet),
        }
        return {kind: lambda grad=grad: project(grad(self.loss, self.examples)) for kind, grad in engines.items()}


class DenoisingOutput(AbstractModelOutput):
    """The loss of one draw as a traker task."""

    def __init__(self):
        super().__init__()

    @staticmethod
    def get_output(model, weights, buffers, x0, t, epsilon):
        alphas = model.alphas[t].reshape(-1, 1, 1, 1)
        noisy = alphas.sqrt() * x0 + (1 - alphas).sqrt() * epsilon
        out = torch.func.functional_call(model, (weights, buffers), args=(noisy, t)).sample
        return (epsilon - out).pow(2).mean()

    def get_out_to_loss_grad(self, model, weights, buffers, batch):
        return torch.ones(len(batch[0]), 1)


def traker_gradients(model, examples):
    """traker's per-example gradients of a batch, the sum over its draws: a function that makes them.

    One draw of every image at a time, as journey-TRAK does: all draws of 64 images at once need more than 15 GB.
    """
    unet = model.theta.unet
    unet.alphas = model.theta.alphas_cumprod
    computer = FunctionalGradientComputer(unet, DenoisingOutput(), grad_dim=model.p, dtype=torch.float32, device=CPU)
    batch = [torch.stack([getattr(e, part) for e in examples]) for part in ("x0", "t", "epsilon")]

    def gradients():
        return sum(
            vectorize(computer.compute_per_sample_grad([part[:, k : k + 1] for part in batch]), device=CPU)
            for k in range(len(examples[0].t))
        )

    return gradients


def traker_projector(p, d):
    """traker's projector on a CPU, as it is fastest here: float32, and 25 columns of P at a time for large models.

    It keeps the columns: the default 100 are 14 GB for 35.7 M parameters. Its default type, float16, is slower.
    """
    return TrakProjector(
        grad_dim=p,
        proj_dim=d,
        seed=0,
        proj_type=TrakProjectionType.normal,
        device=CPU,
        block_size=100 if p < 10**7 else 25,
        dtype=torch.float32,
    )


def against_a_plain_step(models):
    """The first table."""
    rows = []
    for model in models:
        taken = side_by_side({"plain": model.plain_step(), **model.kinds(model.d)}, model.rounds)
        plain = taken.pop("plain")
        for (kind, value), bound in zip(taken.items(), model.bounds):
            ms = 1000 / len(model.examples)
            rows.append(
                [
                    model.name,
                    f"{model.p:,}",
                    f"{len(model.examples)} × {DRAWS}",
                    f"{kind} + sjlt, d = {model.d:,}",
                    f"{plain * ms:.3g} ms",
                    f"{value * ms:.3g} ms",
                    verdict(value / plain, bound),
                ]
            )
            print(rows[-1], file=sys.stderr, flush=True)
    columns = [
        "model",
        "parameters",
        "images × draws",
        "featurizing",
        "plain step, per image",
        "ours, per image",
        "ratio",
    ]
    return table(columns, rows)


def against_traker(models, bounds, batches):
    """traker per image in a batch: gradients of every draw, summed, and one projection."""
    rows = sum(map(beside_traker, models, bounds, batches), [])
    return table(["model", "ours", "per image", "traker: gradients + projection, per image", "faster by"], rows)


def beside_traker(model, bound, measured):
    """The rows of one model.

    Args:
        measured: images in traker's batch, their draws, its d, and rounds of timing.
    """
    batch, draws, d, rounds = measured
    gradients = traker_gradients(model, [model.example(draws) for _ in range(batch)])
    project = partial(traker_projector(model.p, d).project, gradients(), model_id=0)
    taken = side_by_side({"gradients": gradients, "projection": project, **model.kinds(D)}, rounds)
    gradient = taken.pop("gradients") / batch * DRAWS / draws
    projection = taken.pop("projection") / batch * D / d
    said = f"{batch} images" + (f"; measured with {draws} draws and d = {d}, scaled linearly" if d < D else "")
    rows = []
    for kind, ours in taken.items():
        per_image = ours / len(model.examples)
        rows.append(
            [
                model.name,
                f"{kind} + sjlt",
                f"{per_image:.3f} s",
                f"{gradient:.3f} + {projection:.3f} s ({said})",
                at_least((gradient + projection) / per_image, bound),
            ]
        )
        print(rows[-1], file=sys.stderr, flush=True)
    return rows


def against_dattri(models, batch=64):
    """Projections alone, of the same per-example gradients, to d = 4,096."""
    rows = []
    for model in models:
        gradients = torch.randn(batch, model.p)
        ours = {kind: seconds(partial(P(0, "full/0", D).project, gradients)) for kind, P in PROJECTIONS.items()}
        for kind in (ProjectionType.normal, ProjectionType.rademacher):
            taken = seconds(partial(DattriProjector(model.p, D, 0, kind, CPU).project, gradients, ensemble_id=0))
            same = {"normal": "gaussian", "rademacher": "rademacher"}[kind.value]
            rows += [
                [
                    model.name,
                    f"{kind.value}: {taken:.2f} s",
                    f"{name}: {ours[name]:.2f} s",
                    shown(taken / ours[name], name),
                ]
                for name in (same, "sjlt")
            ]
            print(rows[-2:], file=sys.stderr, flush=True)
    return table(["model", "dattri, 64 images", "ours, 64 images", "faster by"], rows)


def shown(factor, name):
    """The default is held to a bound, the others are for information."""
    return at_least(factor, 3) if name == "sjlt" else f"{factor:.1f} ×"


def main():
    warnings.simplefilter("ignore")
    keep_freed_memory()
    models = [
        Model("CIFAR-10 UNet", CIFAR, 2, 16, D, 5, (0.85, 1.6)),
        Model("a quarter of its width", QUARTER, 8, 16, D, 9, (0.95, 1.6)),
        Model("digits UNet", DIGITS, 64, 12, 600, 15, (1.0, 1.6)),
    ]
    step = against_a_plain_step(models)
    print("## Featurizing\n")
    print(f"{machine('torch', 'diffusers', 'traker', 'dattri')}; {torch.get_num_threads()} threads.\n")
    print(
        "Against a plain training step (forward and backward, no optimiser) over the same rows, medians side by side:\n"
    )
    print(step)
    print(f"Against traker on its CPU path, {DRAWS} draws, d = {D:,}, medians side by side:\n")
    batches = [(64, DRAWS, D, 15), (64, DRAWS, D, 5), (8, 2, 512, 3)]
    print(against_traker(models[::-1], (6, 4, 10), batches))
    print(f"Against dattri's random projection of 64 per-example gradients, d = {D:,}:\n")
    print(against_dattri(models[:0:-1]))


if __name__ == "__main__":
    main()
