"""The bases in one table: what is differentiated on either side, and the map of a gradient before P.

Train features, Fisher rows and target gradients belong to a basis and lie under its name. Methods of one basis share
them. Bases with the same draws share a pass over the images (``jobs/basis_pass.py``).
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Basis:
    """A row of the table.

    Attributes:
        name: of folders and files.
        train, target: the functions that are differentiated, for the train features and for the target gradients, as
            module.function of ``science``.
        draw_scheme: of (t, ε) on the train side; None: features.draw_scheme.
        map: the stage that makes what is applied to a gradient before it is projected, or None.
    """

    name: str
    train: str = "algorithm1.train_loss"
    target: str = "algorithm1.output_function"
    draw_scheme: str | None = None
    map: str | None = None


ROWS = [
    # Algorithm 1: the gradients themselves
    Basis("plain"),
    # whitened by the eigenbasis of the Fisher matrix: inner products are then those of an inverse
    Basis("ekfac", map="curvature", draw_scheme="shared"),
    # the same by the diagonal of that matrix alone
    Basis("diagonal", map="diagonal_curvature", draw_scheme="shared"),
    # D-TRAK: the squared output in the place of both losses
    Basis("d-trak", train="d_trak.squared_output", target="d_trak.squared_output"),
]
BASES = {row.name: row for row in ROWS}
