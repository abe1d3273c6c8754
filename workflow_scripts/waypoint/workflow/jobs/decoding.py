"""From what a model makes to images: a latent model's latents are decoded, a pixel model's are images already."""

from waypoint.store.networks.vae import load_vae
from waypoint.workflow.plan.specs import require_agreement


def decoder(job, device):
    """A function from what the experiment's models make, (B, C, H, W), to images on the CPU.

    Args:
        job: its argument ``vae`` is the VAE's folder, where the experiment has one.
    """
    if not job.args.vae:
        return lambda made: made.cpu()
    require_agreement(job.args.vae, job.spec)
    vae = load_vae(job.args.vae, device)
    return lambda latents: vae.decode(latents.to(device)).cpu()
