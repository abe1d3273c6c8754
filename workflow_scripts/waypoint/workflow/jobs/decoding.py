"""From the outputs of a model to images: latents are decoded, and a pixel model's outputs are images already."""

from waypoint.store.networks.vae import load_vae


def decoder(job, device):
    """A function from outputs of the experiment's models, (B, C, H, W), to images on the CPU.

    Args:
        job: its argument ``vae`` is the VAE's folder, where the experiment has one.
    """
    if not job.args.vae:
        return lambda images: images.cpu()
    vae = load_vae(job.folder(job.args.vae), device)
    return lambda latents: vae.decode(latents.to(device)).cpu()
