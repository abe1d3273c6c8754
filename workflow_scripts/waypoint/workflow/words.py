"""Wording of numbers in sentences."""


def counted(number, noun):
    """Return a number with its noun, in the plural unless the number is 1."""
    return f"{number} {noun}" + "s" * (number != 1)
