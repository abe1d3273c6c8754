"""Whether a loss is still falling: by hand, on curves whose answer is known."""

import numpy as np
import pytest

from waypoint.science.loss_curve import fall, in_words, last_tenths


@pytest.mark.parametrize("epochs,last,before", [(200, 20, 20), (90, 9, 9), (19, 1, 1), (2, 1, 1)])
def test_the_last_tenths_are_two_of_one_size(epochs, last, before):
    numbers = np.arange(epochs)
    late, early = (numbers[part] for part in last_tenths(epochs))
    assert len(late) == last and len(early) == before and late[-1] == epochs - 1 and early[-1] + 1 == late[0]


def test_by_hand():
    losses = [5.0] * 16 + [1.0, 3.0] + [0.8, 1.2]  # tenths of two epochs: means 2 and 1
    change, error = fall(losses)
    assert change == pytest.approx(0.5)
    assert error == pytest.approx(np.sqrt((2.0 + 0.08) / 2) / 2)
    assert in_words(losses) == (
        "Still falling: the mean loss of the last 2 epochs is 50.0 ± 51.0 % below that of the 2 before."
    )


@pytest.mark.parametrize(
    "before,last,words",
    [
        (1.0, 0.98, "Still falling: the mean loss of the last epoch is 2.0 % below that of the one before."),
        (1.0, 0.991, "No longer falling by more than 1 %: the mean loss of the last epoch is 0.9 % below that"),
        (1.0, 1.05, "No longer falling by more than 1 %: the mean loss of the last epoch is 5.0 % above that"),
    ],
)
def test_one_per_cent_is_the_bound(before, last, words):
    assert in_words(np.array([4.0] * 8 + [before, last])).startswith(words)


def test_one_epoch_tells_nothing():
    assert last_tenths(1) is None and in_words([0.5]).startswith("One epoch: nothing tells")


def test_the_error_is_how_far_a_flat_noisy_curve_scatters():
    stream = np.random.default_rng(0)
    found = np.array([fall(1 + 0.05 * stream.standard_normal(100)) for _ in range(400)])
    assert found[:, 0].std() == pytest.approx(np.sqrt((found[:, 1] ** 2).mean()), rel=0.1)
