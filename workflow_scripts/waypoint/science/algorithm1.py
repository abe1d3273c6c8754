"""Algorithm 1 of arXiv 2312.06205, TRAK for diffusion models, line by line, for one checkpoint θ*_m.

θ is a ``Denoiser``, P a projection, ``grad`` per-example gradients, averaged over each example's draws.
The ensemble's outer loop (lines 4-5, and the 1/M of line 17) runs over the artifacts of the store.
"""

from waypoint.science.kernel import scores


def train_loss(theta, z):
    """Line 3's terms, one for each draw of (t, ε): their mean over the K draws of an image is L_i(θ)."""
    return theta.train_loss(z.x0, z.t, z.epsilon, z.condition)


def output_function(theta, x):
    """Eq. 3's terms, one for each draw of ε: their mean is f_t(x̂0_t, θ), the loss at step t around x̂0_t."""
    return theta.noise_loss(x.x0, x.t, x.epsilon, x.condition, x.weight)


def train_features(theta, P, examples, grad, loss=train_loss):
    """Lines 7-9: φ_i = Pᵀ ∇_θ L_i(θ*_m), the rows of Φ_m: (len(examples), d)."""
    return P.project(grad(lambda z: loss(theta, z), examples))


def one_step_estimate(theta, x_t, t, condition, clip):
    """Lines 10-11: x̂0_t = (x_t - √(1-ᾱ_t) ε_θ(x_t, t)) / √ᾱ_t, detached."""
    return theta.x0_hat(x_t[None], t, theta.prediction(x_t[None], t, condition), clip)[0]


def target_gradients(theta, P, examples, grad, output=output_function):
    """Lines 12-13: g_t = Pᵀ ∇_θ f_t(x̂0_t, θ*_m), one example per step: (steps, d)."""
    return P.project(grad(lambda x: output(theta, x), examples))


def attribution(phi, n, d, cholesky, g):
    """Line 17, checkpoint m's term: Φ_m (Φ_mᵀΦ_m + λI)⁻¹ g_t for all i and t, in blocks (start, (steps, b)).

    f_t is a loss, so a positive score says that z_i lowers it: z_i pushes the process towards this image.
    """
    return scores(phi, n, d, cholesky, g)
