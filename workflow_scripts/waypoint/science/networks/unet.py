"""How a diffusers UNet is called: without a condition, with classes, or with embedded captions."""


def condition_keyword(unet):
    """The argument by which a UNet takes its condition: "class_labels", "encoder_hidden_states", or None for none."""
    if "cross_attention_dim" in unet.config:
        return "encoder_hidden_states"
    return None if unet.config.get("num_class_embeds") is None else "class_labels"


def input_shape(unet):
    """(C, H, W) of the images or latents that a UNet works on."""
    size = unet.config.sample_size
    return (unet.config.in_channels, *([size] * 2 if isinstance(size, int) else size))


def output(unet, x, t, keyword, condition):
    """The raw output (B, C, H, W) on x (B, C, H, W) at steps t, a tensor (B,) or of one number.

    Args:
        keyword: as from ``condition_keyword``.
        condition: classes (B,), embedded captions (B, token, width), or None; ignored where ``keyword`` is None.
    """
    named = {} if keyword is None else {keyword: condition}
    return unet(x, t, **named).sample
