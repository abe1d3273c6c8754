"""The three projections: each one explicit matrix, unbiased, independent of batch, blocks, threads and process."""

import hashlib
import os
import subprocess
import sys

import pytest
import torch
from support import SCRIPTS, values

from waypoint.science.projection import PROJECTIONS, SJLT, Identity, SideBySide

KINDS = tuple(PROJECTIONS)
P = 2500
every_kind = pytest.mark.parametrize("kind", KINDS)
IN_A_PROCESS = """
import hashlib, torch
from waypoint.science.projection import PROJECTIONS
for kind in PROJECTIONS.values():
    entries = kind(3, "full/0", 37).project(torch.eye(300))
    print(hashlib.sha256(entries.numpy().tobytes()).hexdigest())
"""


def vectors(n, p=P):
    """Gradients in double precision, whose rounding is far below the tolerance of ``close``."""
    return values(n, p)


def explicit(projection, p):
    """P (p × d) in double precision, written down from what the projection says of its rows."""
    if isinstance(projection, SJLT):
        column, sign = projection.entries(0, p)
        matrix = torch.zeros(p, projection.d).double()
        matrix[torch.arange(p), column] = sign.double()
        return matrix
    return projection.rows(0, p).double() / projection.d**0.5


def close(a, b):
    return (a - b).abs().max() <= 1e-9 * b.abs().max()


@every_kind
@pytest.mark.parametrize("d", [1, 16, 37, 1001])
def test_projects_by_its_explicit_matrix(kind, d):
    """Also where d is not a multiple of 4 or 64, and where the parameters fill more than one block."""
    projection, g = PROJECTIONS[kind](0, "full/0", d), vectors(3)
    assert close(projection.project(g), g @ explicit(projection, P))


@every_kind
@pytest.mark.parametrize("n", [1, 3])
def test_single_precision_adds_its_rounding_alone(kind, n):
    """A sum of n products is off by little more than n eps / 2 of the sum of their absolute values, in any order.

    Higham, Accuracy and Stability of Numerical Algorithms, §3.1. Twice that covers the rounding of the scale too.
    """
    projection, g = PROJECTIONS[kind](0, "full/0", 37), vectors(n).float()
    found, matrix = projection.project(g), explicit(projection, P)
    assert found.dtype == torch.float32
    bound = P * torch.finfo(torch.float32).eps * (g.double().abs() @ matrix.abs())
    assert ((found - g.double() @ matrix).abs() <= bound).all()


@every_kind
def test_projects_many_blocks_of_its_own_size(kind):
    """A gradient longer than two blocks, as long as they are by default."""
    projection = PROJECTIONS[kind](0, "full/0", 2048 if kind != "sjlt" else 3)
    p = 2 * projection.rows_per_block(torch.device("cpu")) + 11
    g = vectors(2, p)
    assert close(projection.project(g), g @ explicit(projection, p))


@every_kind
@pytest.mark.parametrize("rows", [1, 7, 999, P, 10 * P])
def test_blocks_of_any_size_have_the_same_matrix(kind, rows, monkeypatch):
    g = vectors(2)
    whole = PROJECTIONS[kind](0, "full/0", 37).project(g)
    monkeypatch.setattr(PROJECTIONS[kind], "rows_per_block", lambda self, device: rows)
    assert close(PROJECTIONS[kind](0, "full/0", 37).project(g), whole)


@every_kind
def test_entries_have_mean_zero_and_variance_one_over_d(kind):
    """E[PPᵀ] = I on its diagonal; every column gets its share."""
    d = 20
    entries = explicit(PROJECTIONS[kind](0, "full/0", d), 50_000)
    n = entries.numel()
    assert abs(entries.pow(2).mean() * d - 1) < 5 * (2 / n) ** 0.5
    assert abs(entries.mean()) < 5 * (1 / (n * d)) ** 0.5
    # a column's sum of squares deviates most where a row has a single entry: by a binomial's
    assert (entries.pow(2).mean(0) * d - 1).abs().max() < 5 * (d / 50_000) ** 0.5


def test_entries_are_what_their_kind_says():
    """Signs of one size, and one sign a row."""
    signs, sparse = (explicit(PROJECTIONS[kind](0, "full/0", 37), 2000) for kind in ("rademacher", "sjlt"))
    assert torch.allclose(signs.abs(), torch.tensor(37**-0.5).double())
    assert (sparse.ne(0).sum(1) == 1).all() and (sparse.abs().sum(1) == 1).all()
    assert len(explicit(PROJECTIONS["gaussian"](0, "full/0", 37), 2000).unique()) > 10_000


@every_kind
def test_inner_products_are_unbiased_with_the_known_variance(kind):
    """Over many P: mean ⟨a,b⟩; variance (|a|²|b|² + ⟨a,b⟩²)/d, less 2Σa²b²/d where every entry has one size."""
    a, b, d = torch.tensor([2.0, 1, 1, -1, 0.5]), torch.tensor([1.5, 1, -1, 0.5, 1]), 5
    found = []
    for seed in range(4000):
        left, right = PROJECTIONS[kind](seed, "full/0", d).project(torch.stack([a, b]))
        found.append(left @ right)
    found = torch.stack(found)
    variance = (a @ a) * (b @ b) + (a @ b) ** 2
    if kind != "gaussian":
        variance = variance - 2 * (a**2 * b**2).sum()
    variance = variance / d
    assert abs(found.mean() - a @ b) < 4 * (variance / len(found)).sqrt()
    assert 0.85 < found.var() / variance < 1.15


@every_kind
def test_checkpoints_and_seeds_have_matrices_of_their_own(kind):
    """Each is uncorrelated with the others."""
    keys = [(0, "full/0"), (0, "full/1"), (1, "full/0"), (1, "full/1")]
    flat = torch.stack([explicit(PROJECTIONS[kind](*key, 16), 4000).flatten() for key in keys])
    assert (torch.corrcoef(flat) - torch.eye(4)).abs().max() < 5 / flat.shape[1] ** 0.5


@every_kind
def test_one_key_gives_one_matrix(kind):
    """Train and target side share P."""
    one, two = (PROJECTIONS[kind](0, "full/0", 16).project(torch.eye(100)) for _ in range(2))
    assert torch.equal(one, two)


@every_kind
def test_rows_do_not_depend_on_the_batch(kind):
    g, projection = vectors(5), PROJECTIONS[kind](0, "full/0", 37)
    whole = projection.project(g)
    assert whole.shape == (5, 37)
    assert close(torch.cat([projection.project(row[None]) for row in g]), whole)
    assert close(projection.project(g.flip(0)).flip(0), whole)


@every_kind
def test_result_does_not_depend_on_the_thread_count(kind):
    """The entries of P are the same bits; sums are the same but for rounding."""
    before, found, p = torch.get_num_threads(), [], 60_000
    g = vectors(2, p)
    try:
        for threads in (1, 2):
            torch.set_num_threads(threads)
            projection = PROJECTIONS[kind](0, "full/0", 16)
            found.append((projection.project(g), explicit(projection, p)))
    finally:
        torch.set_num_threads(before)
    (one, entries), (two, same_entries) = found
    assert torch.equal(entries, same_entries) and close(one, two)


def test_another_process_has_the_same_matrices():
    """Bit by bit, with another hash seed and another number of threads."""
    environment = {**os.environ, "PYTHONPATH": str(SCRIPTS), "PYTHONHASHSEED": "77", "OMP_NUM_THREADS": "2"}
    there = subprocess.run([sys.executable, "-c", IN_A_PROCESS], env=environment, capture_output=True, text=True)
    assert there.returncode == 0, there.stderr
    here = [
        hashlib.sha256(PROJECTIONS[kind](3, "full/0", 37).project(torch.eye(300)).numpy().tobytes()).hexdigest()
        for kind in KINDS
    ]
    assert there.stdout.split() == here and len(set(here)) == 3


def test_maps_side_by_side_are_each_its_own():
    maps = [SJLT(0, "full/0", 37), Identity(P), SJLT(1, "full/0", 5)]
    g, together = vectors(4), SideBySide(maps)
    before, projected = g.clone(), together.project(g)
    assert projected.shape == (4, together.d) == (4, 37 + P + 5) and torch.equal(g, before)
    for each, part in zip(maps, together.apart(projected), strict=True):
        assert torch.equal(part, each.project(g))
    by_half = together.apart(torch.stack([projected, projected], 1))  # the columns are last, whatever stands before
    assert [part.shape for part in by_half] == [(4, 2, each.d) for each in maps]
