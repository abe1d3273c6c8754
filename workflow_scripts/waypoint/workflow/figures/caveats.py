"""What a figure rests on, where that is little: said in its title, so that a picture alone does not claim too much."""

FEW_SUBSETS = 50  # fewer illustrate, they do not measure


def with_caveats(title, targets=None, models=None, subsets=None):
    """A figure's title, and below it a line about what the figure rests on, where that is little.

    Args:
        targets, models, subsets: how many the figure shows or averages over; None where it knows none.
    """
    single = " and ".join(f"one {noun}" for noun, count in (("target", targets), ("model", models)) if count == 1)
    said = [f"Rests on {single}: others may differ."] if single else []
    if subsets is not None and subsets < FEW_SUBSETS:
        said.append("An illustration: so few subsets give wide intervals.")
    return "\n".join([title, *([" ".join(said)] if said else [])])
