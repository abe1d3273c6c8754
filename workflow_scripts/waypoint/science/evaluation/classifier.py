"""A small residual classifier, trained normally or adversarially (B.10), whose classes are the features of Fig. 3.

Images are (B, C, H, W) in [-1, 1], with any number of channels and at least 8 × 8 pixels.
"""

# torch is partly untyped: module calls and numbers from tensors
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

import math

import torch
from torch import nn
from torch.nn import functional as F

from waypoint.errors import WaypointError
from waypoint.science.random_streams import derive, torch_stream
from waypoint.science.types import Settings

KINDS = ("standard", "robust")
BATCH = 500  # images per pass without gradients


class Residual(nn.Module):
    """x + f(x), where f is two convolutions, each after norm and ReLU; a stride of 2 halves the image."""

    def __init__(self, before: int, after: int, stride: int) -> None:
        super().__init__()
        # a single group: no running statistics, and any width works
        self.norms = nn.ModuleList([nn.GroupNorm(1, before), nn.GroupNorm(1, after)])
        self.first = nn.Conv2d(before, after, 3, stride, padding=1, bias=False)
        self.second = nn.Conv2d(after, after, 3, padding=1, bias=False)
        self.skip = nn.Identity() if before == after else nn.Conv2d(before, after, 1, stride, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, before, H, W) → (B, after, H / stride, W / stride)."""
        inner = self.first(F.relu(self.norms[0](x)))
        return self.skip(x) + self.second(F.relu(self.norms[1](inner)))


class Classifier(nn.Module):
    """Three residual blocks of ``width``, 2 ``width`` and 4 ``width`` channels, global pooling and a linear head.

    Args:
        channels: number of image channels. classes: number of classes. width: channels of the first block.
    """

    def __init__(self, channels: int, classes: int, width: int) -> None:
        super().__init__()
        self.config = {"channels": channels, "classes": classes, "width": width}
        self.body = nn.Sequential(
            nn.Conv2d(channels, width, 3, padding=1, bias=False),
            Residual(width, width, 1),
            Residual(width, 2 * width, 2),
            Residual(2 * width, 4 * width, 2),
            nn.GroupNorm(1, 4 * width),
            nn.ReLU(),
        )
        self.head = nn.Linear(4 * width, classes)

    def features(self, images: torch.Tensor) -> torch.Tensor:
        """Return the inputs of the head: (B, 4 width)."""
        return self.body(images).mean((2, 3))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Return logits (B, classes)."""
        return self.head(self.features(images))

    @torch.no_grad()
    def classes(self, images: torch.Tensor) -> torch.Tensor:
        """Classify images on any device: classes (B,) on the CPU."""
        device = self.head.weight.device
        return torch.cat([self(batch.to(device)).argmax(1).cpu() for batch in images.split(BATCH)])


def build(channels: int, classes: int, width: int, seed: int, kind: str) -> Classifier:
    """Build a classifier with weights from the stream (seed, kind)."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive(seed, "classifier", kind, "weights"))
        return Classifier(channels, classes, width)


def attack(
    classifier: nn.Module,
    images: torch.Tensor,
    labels: torch.Tensor,
    radius: float,
    steps: int,
    stream: torch.Generator,
) -> torch.Tensor:
    """Attack images by projected gradient ascent in the ℓ∞ ball (Madry et al. 2018) from a random start.

    Args:
        radius: of the ball, for images in [-1, 1]. steps: number of steps, each of size radius × 2.5 / steps.
        stream: a CPU generator.

    Returns:
        (B, C, H, W), within ``radius`` of ``images`` and within [-1, 1].
    """

    def inside(x: torch.Tensor) -> torch.Tensor:
        return torch.minimum(torch.maximum(x, images - radius), images + radius).clamp(-1, 1)

    start = 2 * torch.rand(images.shape, generator=stream) - 1
    x = inside(images + radius * start.to(images.device))
    for _ in range(steps):
        x = x.detach().requires_grad_()
        loss = F.cross_entropy(classifier(x), labels)
        (gradient,) = torch.autograd.grad(loss, x)
        x = inside(x.detach() + 2.5 * radius / steps * gradient.sign())
    return x.detach()


class ClassifierTrainer:
    """Trains with AdamW and a cosine schedule; adversarially if the recipe has an attack.

    Args:
        classifier: with its initial weights, on its device.
        images, labels: (n, C, H, W) float and (n,) int64, on any device.
        recipe: epochs, batch_size, learning_rate; for "robust" also radius and attack_steps.
        seed, kind: key of the streams, one per epoch.
    """

    def __init__(
        self, classifier: Classifier, images: torch.Tensor, labels: torch.Tensor, recipe: Settings, seed: int, kind: str
    ) -> None:
        self.classifier, self.images, self.labels, self.recipe = classifier, images, labels, recipe
        self.key, self.epoch = (seed, "classifier", kind), 0
        self.device = classifier.head.weight.device
        steps = recipe["epochs"] * math.ceil(len(images) / recipe["batch_size"])
        self.optimizer = torch.optim.AdamW(classifier.parameters(), lr=recipe["learning_rate"])
        self.schedule = torch.optim.lr_scheduler.CosineAnnealingLR(self.optimizer, steps)

    def run_epoch(self) -> float:
        """Pass once over the images, attacked for a robust classifier, in a new order and return the mean loss.

        Raises:
            WaypointError: a loss or a weight is not finite.
        """
        stream, total = torch_stream(*self.key, self.epoch), 0.0
        for rows in torch.randperm(len(self.images), generator=stream).split(self.recipe["batch_size"]):
            images, labels = self.images[rows].to(self.device), self.labels[rows].to(self.device)
            if "radius" in self.recipe:
                images = attack(
                    self.classifier, images, labels, self.recipe["radius"], self.recipe["attack_steps"], stream
                )
            loss = F.cross_entropy(self.classifier(images), labels)
            self._require_finite(loss, "loss")
            self.optimizer.zero_grad()
            loss.backward()
            self.optimizer.step()
            self.schedule.step()
            total += loss.item() * len(rows)
        for name, parameter in self.classifier.named_parameters():
            self._require_finite(parameter, name)  # the last loss was computed before the last step
        self.epoch += 1
        return total / len(self.images)

    def _require_finite(self, values: torch.Tensor, name: str) -> None:
        if not torch.isfinite(values).all():
            raise WaypointError(
                f"{self.key[-1]} classifier: {name} is not finite in epoch {self.epoch + 1}; "
                "lower evaluation.classifier.learning_rate"
            )


def held_out(n: int, share: float, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Split n rows into training and held-out rows, the same for both kinds so that their accuracies compare.

    Raises:
        WaypointError: the share leaves one side empty.
    """
    order = torch.randperm(n, generator=torch_stream(seed, "classifier", "held out"))
    count = round(share * n)
    if not 0 < count < n:
        raise WaypointError(f"evaluation.classifier.holdout: {share} of {n} images leaves no image on one side")
    return order[count:].sort().values, order[:count].sort().values


def accuracy(classifier: Classifier, images: torch.Tensor, labels: torch.Tensor) -> float:
    """Return the share of images classified correctly; images (n, C, H, W) and labels (n,) on the CPU."""
    return (classifier.classes(images) == labels).double().mean().item()


def robust_accuracy(
    classifier: Classifier, images: torch.Tensor, labels: torch.Tensor, recipe: Settings, seed: int
) -> float:
    """Return the ``accuracy`` after an ``attack`` with the same random starts for every classifier (B.10)."""
    device, stream = classifier.head.weight.device, torch_stream(seed, "classifier", "attack")
    attacked: list[torch.Tensor] = []
    for batch, y in zip(images.split(BATCH), labels.split(BATCH)):
        x = attack(classifier, batch.to(device), y.to(device), recipe["radius"], recipe["attack_steps"], stream)
        attacked.append(x.cpu())
    return accuracy(classifier, torch.cat(attacked), labels)
