"""Does an adapter do anything: the ten standard errors, on noises that both share."""

import numpy as np
import pytest

from waypoint.science.evaluation.adapter_effect import ERRORS, adapter_effect


def test_the_error_is_that_of_the_paired_difference():
    common = np.array([1.0, 5.0, 9.0, 2.0])
    found = adapter_effect(common + [0.1, 0.2, 0.3, 0.4], common)
    assert found.with_adapter == pytest.approx(4.5) and found.without == pytest.approx(4.25)
    assert found.error == pytest.approx(np.std([0.1, 0.2, 0.3, 0.4], ddof=1) / 2)
    assert found.errors == pytest.approx(0.25 / found.error)


@pytest.mark.parametrize(
    "size, seen", [(0.5, False), (ERRORS * 0.9, False), (ERRORS * 1.1, True), (-ERRORS * 1.1, True)]
)
def test_ten_standard_errors_are_asked_for(size, seen):
    noise = np.array([-1.0, 1.0] * 16)
    error = noise.std(ddof=1) / np.sqrt(32)
    assert adapter_effect(3 + noise + size * error, np.full(32, 3.0)).detected == seen


def test_an_adapter_that_changes_nothing_at_all_does_nothing():
    same = np.arange(4.0)
    assert adapter_effect(same, same).errors == 0 and not adapter_effect(same, same).detected
    assert adapter_effect(same + 1, same).detected  # by the same amount at every draw
