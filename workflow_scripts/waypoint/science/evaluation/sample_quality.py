"""Does a model generate images or noise? Its loss, and how far its samples are from the training images.

Both are measured against the data's own. A model that knows nothing but every pixel's mean and the images' mean
variance σ² (the optimal denoiser of an isotropic Gaussian) predicts ε with the mean square error

    1 − (1−ᾱ_t)/(ᾱ_t σ² + 1−ᾱ_t) = ᾱ_t σ² / (ᾱ_t σ² + 1−ᾱ_t)

at step t (Wiener's filter, as in ``science/wiener``, with C = σ² I), and what it generates is white noise. Distances of
samples to the nearest training image are compared with those of training images to their nearest other one.
"""

from dataclasses import dataclass

import numpy as np

from waypoint.science.types import Numbers

FAR, BLIND = 1.5, 0.8  # ratios of distances, and of losses, from which on it is called noise


@dataclass(frozen=True)
class SampleQuality:
    """The samples and the loss of a model, compared with the data that it was trained on.

    Attributes:
        distance: median distance of a sample to the nearest training image, in units of that of a training image to
            its nearest other one. loss: in units of that of a model that knows no structure.
    """

    distance: float
    loss: float

    @property
    def noise(self) -> bool:
        """Whether this is called noise."""
        return self.distance >= FAR or self.loss >= BLIND

    def in_words(self) -> str:
        """One sentence."""
        return (
            f"Samples are {self.distance:.2g} times as far from the nearest training image as training images are "
            f"from each other ({FAR} or more is called noise); the loss is {self.loss:.2g} times that of a model that "
            f"knows only brightness and contrast ({BLIND} or more is called noise)"
        )


def blind_loss(variance: float, alpha_bars: Numbers) -> float:
    """The mean over steps of the loss of a model that knows only means and the variance.

    Args:
        variance: σ², the mean over pixels of their variance over images. alpha_bars: ᾱ_t, (T,).
    """
    signal = np.asarray(alpha_bars, np.float64) * variance
    return float((signal / (signal + 1 - np.asarray(alpha_bars, np.float64))).mean())


def quality(samples: Numbers, usual: Numbers, loss: float, blind: float) -> SampleQuality:
    """``SampleQuality`` of some samples.

    Args:
        samples: (m,) distances of samples to the nearest training image. usual: (n,) of training images to their
            nearest other one. loss: the model's mean square error of ε. blind: ``blind_loss`` of the same data.
    """
    between = float(np.median(usual))
    return SampleQuality(float(np.median(samples)) / between if between > 0 else np.inf, float(loss) / blind)
