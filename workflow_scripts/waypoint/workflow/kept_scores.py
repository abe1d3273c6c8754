"""Which scores are kept apart where the configuration does not say: of checkpoints, and of halves of the draws."""

KEPT_BYTES = 2e9


def kept(setting, n, d, models):
    """Whether scores are kept apart: as asked, or, for None, where N × d × M numbers of float32 are at most 2 GB."""
    return 4 * n * d * models <= KEPT_BYTES if setting is None else setting
