"""Conversion of a model's outputs to images: latents are decoded, pixels are returned as they are."""

from waypoint.store.networks.vae import load_vae


def decoder(job, device):
    """Return a function from model outputs (B, C, H, W) to images on the CPU.

    Args:
        job: its argument ``vae`` is the VAE's folder, if the experiment has one.
    """
    if not job.args.vae:
        return lambda images: images.cpu()
    vae = load_vae(job.folder(job.args.vae), device)
    return lambda latents: vae.decode(latents.to(device)).cpu()
