"""The table of bases: the function differentiated on each side, and the map applied to a gradient before P.

Train features, Fisher rows and target gradients belong to a basis and are stored under its name. Methods with the same
basis share them. Bases with the same draws share a pass over the images (``jobs/basis_pass.py``).
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Basis:
    """A row of the table of bases.

    Attributes:
        name: used in the names of folders and files.
        train, target: the functions differentiated for the train features and for the target gradients, as
            module.function of ``science``.
        draw_scheme: how (t, ε) are drawn on the train side; None: features.draw_scheme.
        map: the stage whose artifact is applied to a gradient before projection, or None.
    """

    name: str
    train: str = "algorithm1.train_loss"
    target: str = "algorithm1.output_function"
    draw_scheme: str | None = None
    map: str | None = None


ROWS = [
    # Algorithm 1: plain gradients
    Basis("plain"),
    # whitened in the eigenbasis of the Fisher matrix, so that inner products apply its inverse
    Basis("ekfac", map="curvature", draw_scheme="shared"),
    # whitened by the diagonal of that matrix only
    Basis("diagonal", map="diagonal_curvature", draw_scheme="shared"),
    # D-TRAK: the squared output replaces both losses
    Basis("d-trak", train="d_trak.squared_output", target="d_trak.squared_output"),
]
BASES = {row.name: row for row in ROWS}
