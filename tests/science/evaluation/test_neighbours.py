"""Neighbours against plain loops."""

import numpy as np
import pytest

from waypoint.science.evaluation import neighbours
from waypoint.science.evaluation.neighbours import nearest, normalised, pooled


@pytest.mark.parametrize("longest", [1, 7, 40])
def test_neighbours_are_those_of_plain_distances_from_near_to_far(longest, monkeypatch):
    monkeypatch.setattr(neighbours, "BATCH", 4)
    vectors = np.random.default_rng(0).standard_normal((40, 5)).astype(np.float32)
    chosen = np.array([3, 39, 0, 12, 20])
    rows = nearest(vectors, chosen, longest)
    for row, i in zip(rows, chosen):
        distance = ((vectors - vectors[i]) ** 2).sum(1)
        assert row[0] == i and np.allclose(distance[row], np.sort(distance)[:longest], atol=1e-4)
        assert len(set(row.tolist())) == longest


def test_an_image_is_its_own_nearest_among_copies():
    rows = nearest(np.ones((6, 3), np.float32), np.array([4]), 3)
    assert rows.tolist() == [[4, 0, 1]]


def test_large_images_are_averaged_over_cells():
    images = np.random.default_rng(1).standard_normal((2, 3, 32, 48))
    expected = images.reshape(2, 3, 16, 2, 16, 3).mean((3, 5)).reshape(2, -1)
    assert np.allclose(pooled(images), expected, atol=1e-6)
    assert pooled(images[:, :, :20, :17]).shape == (2, 3 * 16 * 16)


def test_small_images_stay_as_they_are():
    images = np.random.default_rng(2).standard_normal((2, 1, 8, 5))
    assert np.allclose(pooled(images), images.reshape(2, -1), atol=1e-6)


def test_vectors_of_any_length_are_compared_by_direction():
    vectors = np.array([[3.0, 0], [0.1, 0.01], [0, 9], [0, 0]], np.float32)
    directions = normalised(vectors)
    assert np.allclose(np.linalg.norm(directions, axis=1), [1, 1, 1, 0])
    assert nearest(directions, np.array([0]), 4).tolist() == [[0, 1, 3, 2]]
