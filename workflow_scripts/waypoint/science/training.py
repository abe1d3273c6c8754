"""DDPM training as in the paper's appendix A, one epoch at a time so that a kill costs one epoch.

Every epoch's randomness has its own stream (seed, model, epoch): an interrupted training continues with
exactly the numbers an undisturbed one would have used.
"""

import math

import torch

from ..errors import WaypointError
from .streams import derive, torch_stream


class Trainer:
    """Weights, optimiser and schedule of one training.

    Args:
        denoiser: the model to train, at its initial weights.
        images: (n, C, H, W) float in [-1, 1], the model's own training images, on any device.
        labels: (n,) int64 or None.
        recipe: the config section ``training`` (epochs, batch_size, learning_rate, weight_decay, ema,
            gradient_clip) and ``flip``.
        seed, name: key of the streams; ``name`` is the checkpoint's name.
    """

    def __init__(self, denoiser, images, labels, recipe, seed, name):
        self.denoiser, self.images, self.labels, self.recipe = denoiser, images, labels, recipe
        self.key = (seed, "training", name)
        self.epoch, self.losses = 0, []
        self.batches = math.ceil(len(images) / recipe["batch_size"])
        self.optimizer = torch.optim.AdamW(
            denoiser.unet.parameters(), lr=recipe["learning_rate"], weight_decay=recipe["weight_decay"], fused=True
        )
        # cosine from learning_rate at the first step to 0 at the last (appendix A)
        self.schedule = torch.optim.lr_scheduler.CosineAnnealingLR(self.optimizer, recipe["epochs"] * self.batches)
        self.ema = None
        if recipe["ema"] is not None:
            self.ema = [q.detach().clone() for q in denoiser.unet.parameters()]

    @property
    def finished(self):
        """Whether every epoch has been run."""
        return self.epoch >= self.recipe["epochs"]

    def run_epoch(self):
        """One pass over the images in a fresh order; returns the mean loss.

        Raises:
            WaypointError: a loss that is not finite, before the weights take it in.
        """
        stream = torch_stream(*self.key, self.epoch)
        order = torch.randperm(len(self.images), generator=stream)
        device, total = self.denoiser.device, 0.0
        # dropout draws from torch's global generator: give it this epoch's own
        with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
            torch.manual_seed(derive(*self.key, self.epoch, "dropout"))
            for rows in order.split(self.recipe["batch_size"]):
                total += self._step(rows, stream) * len(rows)
        self.epoch += 1
        self.losses.append(total / len(self.images))
        return self.losses[-1]

    def _step(self, rows, stream):
        device = self.denoiser.device
        x0 = self.images[rows]
        t = torch.randint(self.denoiser.T, (len(rows),), generator=stream)
        epsilon = torch.randn(x0.shape, generator=stream)
        if self.recipe["flip"]:
            flips = torch.rand(len(rows), generator=stream) < 0.5
            x0 = torch.where(flips[:, None, None, None].to(x0.device), x0.flip(-1), x0)
        label = None if self.labels is None else self.labels[rows].to(device)
        loss = self.denoiser.train_loss(x0.to(device), t.to(device), epsilon.to(device), label).mean()
        if not torch.isfinite(loss):
            raise WaypointError(
                f"training {self.key[-1]}: loss is {loss.item()} in epoch {self.epoch + 1}; "
                "lower training.learning_rate or set training.gradient_clip"
            )
        self.optimizer.zero_grad()
        loss.backward()
        if self.recipe["gradient_clip"] is not None:
            torch.nn.utils.clip_grad_norm_(self.denoiser.unet.parameters(), self.recipe["gradient_clip"])
        self.optimizer.step()
        self.schedule.step()
        self._average()
        return loss.item()

    def _average(self):
        if self.ema is None:
            return
        # a young average forgets its start faster: min(decay, (1 + n) / (10 + n))
        n = self.schedule.last_epoch
        decay = min(self.recipe["ema"], (1 + n) / (10 + n))
        with torch.no_grad():
            torch._foreach_lerp_(self.ema, list(self.denoiser.unet.parameters()), 1 - decay)

    def state(self):
        """Everything an interrupted training needs to go on."""
        return {
            "epoch": self.epoch,
            "losses": self.losses,
            "weights": self.denoiser.unet.state_dict(),
            "ema": self.ema,
            "optimizer": self.optimizer.state_dict(),
            "schedule": self.schedule.state_dict(),
        }

    def load_state(self, state):
        """Continue from ``state``."""
        self.epoch, self.losses = state["epoch"], list(state["losses"])
        self.denoiser.unet.load_state_dict(state["weights"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.schedule.load_state_dict(state["schedule"])
        if self.ema is not None:
            for mine, stored in zip(self.ema, state["ema"]):
                mine.copy_(stored)

    def final_weights(self):
        """Load the averaged weights, where there are any, into the model and return it."""
        if self.ema is not None:
            with torch.no_grad():
                for q, mean in zip(self.denoiser.unet.parameters(), self.ema):
                    q.copy_(mean)
        return self.denoiser.unet
