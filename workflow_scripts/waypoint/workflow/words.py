"""Numbers in sentences."""


def counted(number, noun):
    """A number and its noun."""
    return f"{number} {noun}" + "s" * (number != 1)
