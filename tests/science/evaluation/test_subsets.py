"""Random subsets and removals: exact sizes, reproducible, each independent of all others."""

import numpy as np
import pytest

from waypoint.science.evaluation.subsets import removal_count, subset_rows, without_random, without_top


@pytest.mark.parametrize("n,fraction,size", [(40, 0.5, 20), (41, 0.5, 20), (10, 0.99, 9), (7, 0.3, 2)])
def test_a_subset_has_exactly_its_share(n, fraction, size):
    for j in range(20):
        rows = subset_rows(0, j, n, fraction)
        assert len(rows) == size == len(set(rows)) and rows.min() >= 0 and rows.max() < n
        assert (np.diff(rows) > 0).all()


def test_subsets_are_reproducible_and_differ():
    rows = [tuple(subset_rows(0, j, 40, 0.5)) for j in range(30)]
    assert rows == [tuple(subset_rows(0, j, 40, 0.5)) for j in range(30)]
    assert len(set(rows)) == 30 and tuple(subset_rows(1, 0, 40, 0.5)) != rows[0]


def test_a_subset_depends_on_no_other():
    """Asked alone, in another order, or among more: the same rows."""
    alone = subset_rows(0, 17, 40, 0.5)
    for j in reversed(range(25)):
        found = subset_rows(0, j, 40, 0.5)
        assert j != 17 or np.array_equal(found, alone)


def test_every_image_is_in_about_half_of_the_subsets():
    share = np.mean([np.isin(np.arange(40), subset_rows(0, j, 40, 0.5)) for j in range(400)], axis=0)
    assert np.abs(share - 0.5).max() < 5 * 0.5 / 400**0.5


def test_a_larger_random_removal_contains_a_smaller_one():
    gone = [set(range(50)) - set(without_random(0, 1, 50, remove)) for remove in (1, 5, 10, 49)]
    assert [len(g) for g in gone] == [1, 5, 10, 49]
    assert all(a < b for a, b in zip(gone, gone[1:]))


def test_random_removals_are_reproducible_and_differ():
    rows = [without_random(0, r, 50, 10) for r in range(3)]
    assert all(np.array_equal(a, without_random(0, r, 50, 10)) for r, a in enumerate(rows))
    assert not np.array_equal(rows[0], rows[1]) and not np.array_equal(rows[0], without_random(1, 0, 50, 10))


def test_the_top_scored_images_go():
    assert without_top(np.array([0.1, 3.0, -5.0, 2.0, 0.0]), 2).tolist() == [0, 2, 4]
    assert without_top(np.zeros(4), 1).tolist() == [1, 2, 3]  # ties by index


@pytest.mark.parametrize("remove,count", [(7, 7), (0.1, 50), (0.001, 0), (0.0031, 2), (1, 1)])
def test_a_removal_is_a_number_or_a_share(remove, count):
    assert removal_count(remove, 500) == count
