"""Whether scores of single checkpoints and of halves of the draws are kept when the configuration leaves it open."""

KEPT_BYTES = 2e9


def kept(setting, n, d, models):
    """Return the setting, or, if it is None, whether N × d × M float32 numbers take at most 2 GB."""
    return 4 * n * d * models <= KEPT_BYTES if setting is None else setting
