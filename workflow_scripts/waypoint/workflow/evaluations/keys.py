"""Keys that several evaluations have, as JSON schema."""


def targets(words, default=True):
    """The key ``targets``: a list of ids, or a number of the first ones.

    Args:
        words: what the targets are, a sentence. default: whether all are taken where none are named.
    """
    kinds = ["array", "integer", *["null"] * default]
    how = "null: all." if default else "each costs trainings, so there is no default."
    return {
        "type": kinds,
        "description": (
            f"{words} A list of ids (the id of named masks means all of them), or how many of the first ones "
            f"(each mask counts){';' if default else ':'} {how}"
        ),
        **({"default": None} if default else {}),
        "items": {"type": "string"},
        "minItems": 1,
        "minimum": 1,
        "uniqueItems": True,
    }


def steps(words):
    """The key ``steps``: a list, or null for the attributed ones.

    Args:
        words: what the steps are and what null means.
    """
    return {
        "type": ["array", "null"],
        "description": words,
        "default": None,
        "items": {"type": "integer", "minimum": 0},
        "minItems": 1,
        "uniqueItems": True,
    }


def top_k(words, default):
    """The key ``top_k``: sizes of lists of training images."""
    return {
        "type": "array",
        "description": words,
        "default": default,
        "items": {"type": "integer", "minimum": 1},
        "minItems": 1,
        "uniqueItems": True,
    }
