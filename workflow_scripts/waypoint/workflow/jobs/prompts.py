"""The embedded prompt of a target whose trajectory is to be sampled."""

from waypoint.store.networks.text_encoder import load_text_encoder


def embedded_prompt(job, device):
    """Return {text_embedding, null_embedding: (token, width)} of the target's prompt and of the empty one, or {}.

    Args:
        job: its argument ``text`` is the text encoder's folder, if the experiment has one.
    """
    if not job.args.text:
        return {}
    encoder = load_text_encoder(job.folder(job.args.text), job.settings["text_encoder"]["max_length"], device)
    return dict(zip(("text_embedding", "null_embedding"), encoder([job.settings["target"]["prompt"], ""])))
