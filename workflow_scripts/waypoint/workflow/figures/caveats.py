"""Caveats in the titles of figures that rest on little, so that a picture alone does not claim too much."""

FEW_SUBSETS = 50  # fewer are an illustration, not a measurement


def with_caveats(title, targets=None, models=None, subsets=None):
    """Return a figure's title and, if the figure rests on little, a line below it that says so.

    Args:
        targets, models, subsets: numbers that the figure shows or averages over; None if unknown.
    """
    single = " and ".join(f"one {noun}" for noun, count in (("target", targets), ("model", models)) if count == 1)
    caveats = [f"Rests on {single}: others may differ."] if single else []
    if subsets is not None and subsets < FEW_SUBSETS:
        caveats.append("An illustration: so few subsets give wide intervals.")
    return "\n".join([title, *([" ".join(caveats)] if caveats else [])])
