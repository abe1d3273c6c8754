"""Keys that several evaluations share, as JSON schema."""


def targets(description, default=True):
    """Return the key ``targets``: a list of ids, or how many of the first ones.

    Args:
        description: a sentence on what the targets are. default: whether null means all targets.
    """
    kinds = ["array", "integer", *["null"] * default]
    default_note = "null: all." if default else "each costs trainings, so there is no default."
    return {
        "type": kinds,
        "description": (
            f"{description} A list of ids (the id of named masks means all of them), or how many of the first ones "
            f"(each mask counts){';' if default else ':'} {default_note}"
        ),
        **({"default": None} if default else {}),
        "items": {"type": "string"},
        "minItems": 1,
        "minimum": 1,
        "uniqueItems": True,
    }


def steps(description):
    """Return the key ``steps``: a list, or null for the attributed ones.

    Args:
        description: a description of the steps and of null.
    """
    return {
        "type": ["array", "null"],
        "description": description,
        "default": None,
        "items": {"type": "integer", "minimum": 0},
        "minItems": 1,
        "uniqueItems": True,
    }


def top_k(description, default):
    """Return the key ``top_k``: sizes of lists of training images."""
    return {
        "type": "array",
        "description": description,
        "default": default,
        "items": {"type": "integer", "minimum": 1},
        "minItems": 1,
        "uniqueItems": True,
    }
