"""DDPM training as in appendix A of the paper, one epoch at a time, so that an interruption costs at most one epoch.

Every epoch has its own random stream (seed, model, epoch): an interrupted training continues with exactly the numbers
that an uninterrupted one would have used.
"""

# torch and diffusers are partly untyped
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

import abc
import math
from typing import Generic, Protocol, TypeVar, cast

import torch
from torch import nn

from waypoint.errors import WaypointError
from waypoint.science.networks.unet import null_class, require_null_class
from waypoint.science.processes.ddpm import Denoiser
from waypoint.science.random_streams import derive, torch_stream
from waypoint.science.types import Settings, State, UNet

Network = TypeVar("Network", bound=nn.Module)


class Conditions(Protocol):
    """Classes or embedded captions of the training images, in memory or read on demand."""

    def __getitem__(self, rows: torch.Tensor, /) -> torch.Tensor:
        """Return the conditions of rows (B,)."""
        ...


class Trainer(abc.ABC, Generic[Network]):
    """Weights, optimiser and schedule of one training; subclasses define the ``loss``.

    Args:
        network: the torch module to train, with its initial weights, on its device. If part of it is frozen, such as
            an adapter's base, only the rest is trained, averaged and saved.
        images: (n, C, H, W) float, on any device.
        recipe: epochs, batch_size, learning_rate, weight_decay, ema (or None), gradient_clip (or None).
        seed, name: key of the streams.
    """

    advice = "lower the learning rate"  # for the error about a loss that is not finite; names configuration keys

    def __init__(self, network: Network, images: torch.Tensor, recipe: Settings, seed: int, name: str) -> None:
        self.network, self.images, self.recipe = network, images, recipe
        self.device = next(network.parameters()).device
        self.trained: list[torch.Tensor] = [q for q in network.parameters() if q.requires_grad]
        self.key = (seed, "training", name)
        self.epoch = 0
        self.losses: list[float] = []
        self.batches = math.ceil(len(images) / recipe["batch_size"])
        self.optimizer = torch.optim.AdamW(
            self.trained, lr=recipe["learning_rate"], weight_decay=recipe["weight_decay"], fused=True
        )
        # cosine from learning_rate at the first step to 0 at the last (appendix A)
        self.schedule = torch.optim.lr_scheduler.CosineAnnealingLR(self.optimizer, recipe["epochs"] * self.batches)
        self.ema: list[torch.Tensor] | None = None
        if recipe["ema"] is not None:
            self.ema = [q.detach().clone() for q in self.trained]

    @property
    def finished(self) -> bool:
        """Whether all epochs are done."""
        return self.epoch >= self.recipe["epochs"]

    def run_epoch(self) -> float:
        """Pass once over the images in a new order and return the mean loss.

        Raises:
            WaypointError: a loss is not finite; raised before it reaches the weights.
        """
        stream = torch_stream(*self.key, self.epoch)
        order = torch.randperm(len(self.images), generator=stream)
        total = 0.0
        # dropout draws from torch's global generator, so it is seeded for this epoch
        with torch.random.fork_rng(devices=[self.device] if self.device.type == "cuda" else []):
            torch.manual_seed(derive(*self.key, self.epoch, "dropout"))
            for rows in order.split(self.recipe["batch_size"]):
                total += self._step(rows, stream) * len(rows)
        self.epoch += 1
        self.losses.append(total / len(self.images))
        return self.losses[-1]

    @abc.abstractmethod
    def loss(self, rows: torch.Tensor, stream: torch.Generator) -> torch.Tensor:
        """Return the loss of one step, a scalar with a gradient.

        Args:
            rows: (B,) int64, the images of the step. stream: the epoch's generator, for all draws.
        """

    def _step(self, rows: torch.Tensor, stream: torch.Generator) -> float:
        loss = self.loss(rows, stream)
        if not torch.isfinite(loss):
            raise WaypointError(
                f"training {self.key[-1]}: loss is {loss.item()} in epoch {self.epoch + 1}; {self.advice}"
            )
        self.optimizer.zero_grad()
        loss.backward()
        if self.recipe["gradient_clip"] is not None:
            torch.nn.utils.clip_grad_norm_(self.trained, self.recipe["gradient_clip"])
        self.optimizer.step()
        self.schedule.step()
        self._average()
        return loss.item()

    def _average(self) -> None:
        if self.ema is None:
            return
        # a young average forgets its start faster: min(decay, (1 + n) / (10 + n))
        n = self.schedule.last_epoch
        decay = min(self.recipe["ema"], (1 + n) / (10 + n))
        with torch.no_grad():
            torch._foreach_lerp_(  # pyright: ignore[reportPrivateUsage, reportPrivateImportUsage]
                self.ema, self.trained, 1 - decay
            )

    def state(self) -> State:
        """Return everything that an interrupted training needs to resume, without frozen weights."""
        frozen = {name for name, q in self.network.named_parameters() if not q.requires_grad}
        weights = {name: value for name, value in self.network.state_dict().items() if name not in frozen}
        return {
            "epoch": self.epoch,
            "losses": self.losses,
            "weights": weights,
            "ema": self.ema,
            "optimizer": self.optimizer.state_dict(),
            "schedule": self.schedule.state_dict(),
        }

    def load_state(self, state: State) -> None:
        """Resume from a ``state``."""
        self.epoch, self.losses = state["epoch"], list(state["losses"])
        self.network.load_state_dict({**self.network.state_dict(), **state["weights"]})
        self.optimizer.load_state_dict(state["optimizer"])
        self.schedule.load_state_dict(state["schedule"])
        if self.ema is not None:
            for mean, stored in zip(self.ema, state["ema"]):
                mean.copy_(stored)

    def final_weights(self) -> Network:
        """Load the averaged weights, if any, into the network and return it."""
        if self.ema is not None:
            with torch.no_grad():
                for q, mean in zip(self.trained, self.ema):
                    q.copy_(mean)
        return self.network


class DenoiserTrainer(Trainer[UNet]):
    """Trains a denoiser on images or latents (appendix A): unconditional, or conditioned on classes or captions.

    Args:
        denoiser: the model to train.
        images: (n, C, H, W), the inputs of the model: images in [-1, 1], or latents.
        conditions: classes (n,) int64 or embedded captions (n, token, width), indexed with a tensor of rows; None for
            an unconditional model.
        recipe: the config section ``training`` and ``flip``. If present, ``caption_dropout`` is the share of captions
            replaced by ``null``, and ``label_dropout`` the share of classes replaced by the null class: classifier-free
            guidance needs a model trained with and without conditions.
        seed, name: key of the streams; ``name`` is the checkpoint's name.
        null: (token, width), the embedding of the empty caption.

    Raises:
        WaypointError: caption_dropout without an empty caption; or label_dropout without classes, or with training
            images of the null class.
    """

    advice = "lower training.learning_rate or set training.gradient_clip"

    def __init__(
        self,
        denoiser: Denoiser,
        images: torch.Tensor,
        conditions: Conditions | None,
        recipe: Settings,
        seed: int,
        name: str,
        null: torch.Tensor | None = None,
    ) -> None:
        super().__init__(denoiser.unet, images, recipe, seed, name)
        self.denoiser, self.conditions, self.null = denoiser, conditions, null
        self.dropout = recipe.get("caption_dropout", 0)
        if self.dropout and null is None:
            raise WaypointError(f"training.caption_dropout: {self.dropout} needs captions; the model sees none")
        if recipe.get("label_dropout", 0):
            self.dropout = recipe["label_dropout"]
            if denoiser.conditioned_by != "class_labels":
                raise WaypointError(f"training.label_dropout: {self.dropout} needs classes; the model sees none")
            require_null_class(denoiser.unet, cast(torch.Tensor, conditions), "model.unet")
            self.null = null_class(denoiser.unet)

    def loss(self, rows: torch.Tensor, stream: torch.Generator) -> torch.Tensor:
        """Return the mean loss over the rows, each with its own t and ε (Alg. 1 line 3, inner term)."""
        x0 = self.images[rows]
        t = torch.randint(self.denoiser.T, (len(rows),), generator=stream)
        epsilon = torch.randn(x0.shape, generator=stream)
        if self.recipe["flip"]:
            flips = torch.rand(len(rows), generator=stream) < 0.5
            x0 = torch.where(flips[:, None, None, None].to(x0.device), x0.flip(-1), x0)
        condition = None if self.conditions is None else torch.as_tensor(self.conditions[rows])
        # drawn last, so that a training without dropout has the same other draws
        if self.dropout and condition is not None and self.null is not None:
            dropped = torch.rand(len(rows), generator=stream) < self.dropout
            dropped = dropped.reshape(-1, *[1] * (condition.dim() - 1))
            condition = torch.where(dropped, self.null.to(condition.dtype), condition)
        device = self.device
        condition = None if condition is None else condition.to(device)
        return self.denoiser.train_loss(x0.to(device), t.to(device), epsilon.to(device), condition).mean()
