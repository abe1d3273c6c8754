"""D-TRAK's gradients against autograd through the squared output, for ε- and v-models, under a mask and without."""

import pytest
import torch
from diffusers import DDPMScheduler, UNet2DModel
from support import UNET, equal_autograd, images, seeded, target_example, train_example

from waypoint.science import algorithm1
from waypoint.science.d_trak import squared_output
from waypoint.science.gradients.engine import PerExampleGradients
from waypoint.science.processes.ddpm import Denoiser
from waypoint.science.projection import Identity


@pytest.mark.parametrize("prediction", ["epsilon", "v_prediction"])
def test_it_is_the_mean_square_of_the_raw_output(prediction):
    theta = Denoiser(seeded(lambda: UNet2DModel(**UNET)), DDPMScheduler(prediction_type=prediction))
    z, mask = train_example(images(1)[0], 0), torch.zeros(8, 8)
    mask[:4] = 1
    with torch.no_grad():
        alpha_bar = theta.scheduler.alphas_cumprod[z.t].view(-1, 1, 1, 1)
        x_t = alpha_bar.sqrt() * z.x0 + (1 - alpha_bar).sqrt() * z.epsilon
        squares = theta.unet(x_t, z.t).sample ** 2
        assert torch.allclose(squared_output(theta, z), squares.mean((1, 2, 3)), rtol=1e-4)
        masked = target_example(images(1)[0], 300)
        masked = type(masked)(masked.x0, masked.t, masked.epsilon, weight=mask)
        noised = theta.add_noise(masked.x0, masked.epsilon, masked.t)
        inside = (theta.unet(noised, masked.t).sample ** 2)[:, :, :4]
        assert torch.allclose(squared_output(theta, masked), inside.mean((1, 2, 3)), rtol=1e-4)


def test_features_and_target_gradients_are_autograds():
    theta = Denoiser(seeded(lambda: UNet2DModel(**UNET)), DDPMScheduler())
    examples = [train_example(z, i) for i, z in enumerate(images(3))]
    grad, P = PerExampleGradients(theta.unet), Identity(sum(q.numel() for q in theta.unet.parameters()))
    phi = algorithm1.train_features(theta, P, examples, grad, squared_output)
    assert equal_autograd(theta.unet, lambda z: squared_output(theta, z), examples, phi)
    targets = [target_example(images(1)[0], t) for t in (100, 700)]
    g = algorithm1.target_gradients(theta, P, targets, grad, squared_output)
    assert equal_autograd(theta.unet, lambda z: squared_output(theta, z), targets, g)
