"""Near-duplicates against explicit loops: the same images stay, whatever the blocks, and memory stays bounded."""

import tracemalloc

import numpy as np
import pytest

from waypoint.store.data import near_duplicates
from waypoint.store.data.near_duplicates import distances, distinct, first_of_each, near, nearest_other, sketch


def looped(images, threshold):
    """Greedily, pair by pair, on the scale 0..1: for every image the first one that shows the same."""
    firsts = []
    for i, image in enumerate(images):
        kept = sorted(set(firsts))
        errors = [float(np.mean(((image - images[j]).astype(np.float64) / 2) ** 2)) ** 0.5 for j in kept]
        firsts.append(next((j for j, error in zip(kept, errors) if error < threshold), i))
    return firsts


def chain(n, shape, step, seed):
    """n images; most are an earlier one with noise of root-mean-square about ``step`` (0..1), so chains form."""
    rng = np.random.default_rng(seed)
    images = []
    for _ in range(n):
        if images and rng.random() < 0.7:
            noise = rng.standard_normal(shape) if rng.random() < 0.5 else np.full(shape, rng.standard_normal())
            image = images[rng.integers(len(images))] + 2 * step * noise
        else:
            image = rng.uniform(-1, 1, shape)
        images.append(np.clip(image, -1, 1).astype(np.float32))
    return np.stack(images)


@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 32, 32), (2, 5, 19), (1, 1, 1)])
@pytest.mark.parametrize("rows", [1, 7, 512])
@pytest.mark.parametrize("seed", [0, 1])
def test_the_same_images_stay_as_in_loops(monkeypatch, shape, rows, seed):
    monkeypatch.setattr(near_duplicates, "BLOCK_ROWS", rows)
    images = chain(60, shape, 0.03, seed)
    expected = looped(images, 0.035)
    assert 10 < len(set(expected)) < 58 or shape == (1, 1, 1)
    assert first_of_each(lambda rows: images[rows], len(images), 0.035).tolist() == expected
    assert distinct(lambda rows: images[rows], len(images), 0.035).tolist() == sorted(set(expected))


def test_at_the_threshold_both_stay():
    images = np.zeros((2, 3, 4, 4), np.float32)
    images[1] = 0.5  # 0.25 on the scale 0..1
    assert distinct(lambda rows: images[rows], 2, 0.25).tolist() == [0, 1]
    assert distinct(lambda rows: images[rows], 2, 0.2500001).tolist() == [0]


def test_copies_go_at_every_threshold():
    image = np.random.default_rng(0).uniform(-1, 1, (3, 16, 16)).astype(np.float32)
    assert distinct(lambda rows: image[None].repeat(len(rows), 0), 5, 1e-9).tolist() == [0]


def test_what_is_near_only_a_dropped_image_stays():
    grey = np.array([0, 0.04, 0.08, 0.12], np.float32)  # each 0.02 from the next
    assert distinct(lambda rows: grey[rows].reshape(-1, 1, 1, 1), 4, 0.03).tolist() == [0, 2]


def test_sketches_never_overrate_a_distance():
    images = chain(40, (3, 21, 11), 0.1, 2).astype(np.float64)
    sketches = sketch(images)
    assert sketches.shape == (40, 3 * 8 * 8)
    for i in range(40):
        for j in range(i):
            assert np.linalg.norm(sketches[i] - sketches[j]) <= np.linalg.norm(images[i] - images[j]) * (1 + 1e-12)


def test_sketches_of_flat_cells_keep_the_distance():
    cells = np.random.default_rng(0).uniform(-1, 1, (2, 3, 8, 8))
    images = cells.repeat(4, 2).repeat(3, 3)
    assert np.linalg.norm(np.subtract(*sketch(images))) == pytest.approx(np.linalg.norm(np.subtract(*images)))


def test_near_is_below_the_limit():
    a, b = np.array([[0.0, 0.0], [3.0, 4.0]]), np.array([[0.0, 1.0], [3.0, 4.0], [9.0, 9.0]])
    assert near(a, b, 1.5).tolist() == [[True, False, False], [False, True, False]]


def test_memory_holds_one_block_and_sketches(monkeypatch):
    monkeypatch.setattr(near_duplicates, "BLOCK_BYTES", 16 * 3 * 64 * 64 * 8)
    n, one = 300, 3 * 64 * 64 * 4

    def made(rows):
        return np.stack([np.random.default_rng(i).uniform(-1, 1, (3, 64, 64)).astype(np.float32) for i in rows])

    tracemalloc.start()
    kept = distinct(made, n, 0.01)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(kept) == n and peak < n * one / 2


def test_progress_ends_with_all_images():
    told = []
    distinct(lambda rows: np.full((1, 2, 2), 1 / 9) * np.reshape(rows, (-1, 1, 1, 1)), 9, 0.01, told.append)
    assert told[-1] == 9


def test_distances_are_root_mean_square_errors_of_pixels_from_0_to_1():
    rng = np.random.default_rng(3)
    images, image = rng.uniform(-1, 1, (7, 3, 4, 4)), rng.uniform(-1, 1, (3, 4, 4))
    blocks = ((start, images[start : start + 3]) for start in range(0, 7, 3))
    expected = [np.sqrt(np.mean(((i + 1) / 2 - (image + 1) / 2) ** 2)) for i in images]
    assert np.allclose(distances(image, blocks), expected)


def test_the_nearest_other_is_not_itself():
    """In blocks, and against all pairs one by one; what is none of them may be nearest to any."""
    vectors = np.random.default_rng(4).normal(size=(11, 5))
    own = np.array([0, 4, 10, -1])
    wanted = np.vstack([vectors[own[:3]], vectors[6] + 0.01])
    found = nearest_other(wanted, own, ((start, vectors[start : start + 4]) for start in range(0, 11, 4)))
    pairs = np.linalg.norm(wanted[:, None] - vectors, axis=2)
    pairs[[0, 1, 2], own[:3]] = np.inf
    assert np.allclose(found, pairs.min(1), atol=1e-6) and found[3] < 0.03
