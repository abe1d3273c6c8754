"""SplitMix64 words against plain integers, and the normals and signs made of them."""

import numpy as np
import pytest
import torch
from scipy import stats

from waypoint.science import counter_rng

KEYS = (0, 1234567, (1 << 63) - 1)


def splitmix64(key, start, count):
    """Outputs ``start`` … of SplitMix64 seeded with a key, in unbounded integers, as signed 64-bit numbers."""
    mask, found = (1 << 64) - 1, []
    for i in range(start, start + count):
        z = (key + (i + 1) * 0x9E3779B97F4A7C15) & mask
        z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & mask
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & mask
        z ^= z >> 31
        found.append(z - (1 << 64) if z >> 63 else z)
    return found


@pytest.fixture
def threads():
    """Sets the number of threads for one test."""
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


def off_diagonal(rows):
    """The largest correlation between two different rows."""
    return (torch.corrcoef(rows) - torch.eye(len(rows))).abs().max()


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize("start", [0, 1000, 10**12])
def test_words_are_splitmix64(key, start):
    """Every bit is that of the published generator, from any place of its sequence on."""
    assert counter_rng.words(key, start, 100).tolist() == splitmix64(key, start, 100)


def test_words_are_the_published_outputs():
    """The first outputs for seed 1234567, as other implementations print them."""
    published = [6457827717110365317, 3203168211198807973, 9817491932198370423, 4593380528125082431]
    assert [word % (1 << 64) for word in counter_rng.words(1234567, 0, 4).tolist()] == published


@pytest.mark.parametrize("start, count", [(0, 1), (17, 100), (999, 1), (300, 700), (5, 0)])
def test_a_block_is_part_of_a_longer_one(start, count):
    whole = counter_rng.words(7, 0, 1000)
    assert torch.equal(counter_rng.words(7, start, count), whole[start : start + count])


def test_thread_count_changes_no_bit(threads):
    """Words, normals and signs, more of them than one thread takes."""
    found = []
    for count in (1, 2):
        threads(count)
        word = counter_rng.words(3, 11, 200_001)
        found.append((word, counter_rng.normals(word), counter_rng.signs(word)))
    assert all(torch.equal(one, two) for one, two in zip(*found))


def test_every_quantile_is_reached_once():
    """The 65,536 values of 16 bits: all different, symmetric, mean 0, variance 1, kurtosis nearly 3."""
    every = torch.arange(-(1 << 15), 1 << 15).to(torch.int16).view(torch.int64)
    found = counter_rng.normals(every).double().sort().values
    assert len(found.unique()) == 1 << 16
    assert torch.allclose(found, -found.flip(0), atol=1e-6)
    assert abs(found.mean()) < 1e-6 and abs(found.var(correction=0) - 1) < 1e-5
    assert abs((found**4).mean() - 3) < 0.01
    assert 4.32 < found.max() < 4.33


def test_normals_are_standard_normal():
    """Moments and the Kolmogorov-Smirnov distance of a million of them, within what chance allows."""
    found = counter_rng.normals(counter_rng.words(5, 0, 1 << 18)).double()
    n = len(found)
    assert n == 1 << 20
    assert abs(found.mean()) < 4 / n**0.5
    assert abs(found.var() - 1) < 4 * (2 / n) ** 0.5
    assert abs((found**3).mean()) < 4 * (15 / n) ** 0.5
    assert abs((found**4).mean() - 3) < 4 * (96 / n) ** 0.5
    assert stats.kstest(found.numpy(), "norm").statistic < 1.8 / n**0.5


def test_the_four_normals_of_a_word_are_uncorrelated():
    found = counter_rng.normals(counter_rng.words(5, 0, 1 << 16)[:, None])
    assert found.shape == (1 << 16, 4) and found.dtype == torch.float32
    assert off_diagonal(found.T) < 5 / 2**8


def test_signs_are_the_bits_of_a_word():
    """Sixty-four values ±1, each bit in one place: a word with one bit set has one value unlike the others."""
    found = counter_rng.signs(torch.tensor([0, *(1 << b for b in range(63)), -(1 << 63)])[:, None])
    assert found.shape == (65, 64) and found.dtype == torch.float32
    assert set(found.unique().tolist()) == {-1, 1}
    changed = found[1:] != found[:1]
    assert (changed.sum(0) == 1).all() and (changed.sum(1) == 1).all()


def test_signs_are_balanced():
    """All together, and at each of the 64 places; no two places agree more often than chance."""
    found = counter_rng.signs(counter_rng.words(9, 0, 1 << 14)[:, None])
    assert abs(found.mean()) < 4 / found.numel() ** 0.5
    assert found.mean(0).abs().max() < 5 / len(found) ** 0.5
    assert off_diagonal(found.T) < 5.5 / len(found) ** 0.5


@pytest.mark.parametrize("numbers, per_word", [(counter_rng.normals, 4), (counter_rng.signs, 64)])
def test_rows_and_keys_are_uncorrelated(numbers, per_word):
    """Neighbouring rows of one matrix, and the same rows of neighbouring keys."""
    rows = counter_rng.matrix(numbers, per_word, 1, 0, 40, 10_000)
    keys = torch.stack([counter_rng.matrix(numbers, per_word, key, 0, 1, 10_000)[0] for key in range(40)])
    assert off_diagonal(rows) < 0.055 and off_diagonal(keys) < 0.055


@pytest.mark.parametrize("numbers, per_word", [(counter_rng.normals, 4), (counter_rng.signs, 64)])
@pytest.mark.parametrize("columns", [1, 4, 64, 67, 130])
def test_matrix_in_blocks_equals_whole(numbers, per_word, columns):
    """Row i depends on i alone: blocks of any size, and a block whose beginning nobody made."""
    whole = counter_rng.matrix(numbers, per_word, 2, 0, 50, columns)
    assert whole.shape == (50, columns)
    for size in (1, 7, 50):
        parts = [
            counter_rng.matrix(numbers, per_word, 2, start, min(size, 50 - start), columns)
            for start in range(0, 50, size)
        ]
        assert torch.equal(torch.cat(parts), whole)


@pytest.mark.parametrize("numbers, per_word", [(counter_rng.normals, 4), (counter_rng.signs, 64)])
@pytest.mark.parametrize("left_over", [0, 1])
def test_a_row_of_a_matrix_is_the_next_words(numbers, per_word, left_over):
    """A row begins with a new word and takes no more words than it fills: no two rows share any."""
    columns = 3 * per_word - left_over
    found = counter_rng.matrix(numbers, per_word, 2, 0, 20, columns)
    word = torch.tensor(np.array(splitmix64(2, 0, 60), dtype=np.int64)).view(20, 3)
    assert torch.equal(found, numbers(word)[:, :columns])
