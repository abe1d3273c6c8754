"""Does a model generate images or noise? Its loss, and the distance of its samples from the training images.

Both are measured relative to the data. A model that knows only every pixel's mean and the images' mean variance σ² (the
optimal denoiser of an isotropic Gaussian) predicts ε with mean square error

    1 − (1−ᾱ_t)/(ᾱ_t σ² + 1−ᾱ_t) = ᾱ_t σ² / (ᾱ_t σ² + 1−ᾱ_t)

at step t (the Wiener filter of ``science/wiener`` with C = σ² I), and it generates white noise. Distances from samples
to the nearest training image are compared with those from training images to their nearest neighbour.
"""

from dataclasses import dataclass

import numpy as np

from waypoint.science.types import Numbers

# Ratios of distances and of losses from which samples count as noise: conventions, chosen by no measurement. Samples as
# near as training images are to each other are at 1, those of digits about 1.05 (docs/what-was-run.md), and 1.5 is
# clearly beyond. A model that knows only means and the variance has a loss of 1; at 0.8 it knows little more.
FAR, BLIND = 1.5, 0.8


@dataclass(frozen=True)
class SampleQuality:
    """The samples and the loss of a model, relative to its training data.

    Attributes:
        distance: median distance from a sample to the nearest training image, in units of that from a training image to
            its nearest neighbour. loss: in units of the loss of a model that knows no structure.
    """

    distance: float
    loss: float

    @property
    def noise(self) -> bool:
        """Whether the samples count as noise."""
        return self.distance >= FAR or self.loss >= BLIND

    def in_words(self) -> str:
        """Describe the quality in one sentence."""
        return (
            f"Samples are {self.distance:.2g} times as far from the nearest training image as training images are "
            f"from each other ({FAR} or more is called noise); the loss is {self.loss:.2g} times that of a model that "
            f"knows only brightness and contrast ({BLIND} or more is called noise)"
        )


def blind_loss(variance: float, alpha_bars: Numbers) -> float:
    """Return the loss, averaged over steps, of a model that knows only means and the variance.

    Args:
        variance: σ², the variance over images, averaged over pixels. alpha_bars: ᾱ_t, (T,).
    """
    signal = np.asarray(alpha_bars, np.float64) * variance
    return float((signal / (signal + 1 - np.asarray(alpha_bars, np.float64))).mean())


def quality(samples: Numbers, reference: Numbers, loss: float, blind: float) -> SampleQuality:
    """Compute the ``SampleQuality`` of a model.

    Args:
        samples: (m,) distances from samples to the nearest training image. reference: (n,) distances from training
            images to their nearest neighbour. loss: the model's mean square error of ε. blind: ``blind_loss`` of the
            data.
    """
    unit = float(np.median(reference))
    return SampleQuality(float(np.median(samples)) / unit if unit > 0 else np.inf, float(loss) / blind)
