"""Guidance of class-conditional models: the last class is the null class, and training must include it."""

from waypoint.errors import WaypointError


def check_class_guidance(config, known_of_model):
    """Refuse guidance without captions and dropped labels if the model has no null class.

    Args:
        config: without a text encoder. known_of_model: (config, "unet", checkpoint) → its settings, or None.

    Raises:
        WaypointError: names the key and what to do.
    """
    unet, dropped = known_of_model(config, "unet"), config["training"]["label_dropout"]
    classes = None if unet is None else unet.get("num_class_embeds")
    if dropped and unet is not None and classes is None:
        raise WaypointError(f"config: training.label_dropout: {dropped} needs classes: model.unet.num_class_embeds")
    guided = [section for section in ("sampling", "attribution") if config[section]["guidance"] != 1]
    if not guided:
        return
    if unet is not None and classes is None:
        raise WaypointError(
            f"config: {guided[0]}.guidance needs captions: the section text_encoder, or a model of classes"
        )
    if "count" in config["checkpoints"] and not dropped:
        raise WaypointError(
            f"config: {guided[0]}.guidance needs a model that knows no class too: set training.label_dropout, 0.1 say, "
            "and model.unet.num_class_embeds to the number of classes and one more"
        )
    for i, target in enumerate(config["targets"]):
        unet = known_of_model(config, "unet", target["checkpoint"]) or {}
        null = (unet.get("num_class_embeds") or 0) - 1
        if target.get("label") == null:
            raise WaypointError(
                f"config: targets[{i}] ({target['id']}): label: {null} is the class that stands for none under "
                f"{guided[0]}.guidance; name one of 0 to {null - 1}"
            )
