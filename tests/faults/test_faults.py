"""An accident of each kind of faults.py: a clear message, and a rerun that gives the undisturbed results."""

import pytest
from faults import ACCIDENTS, Jobs, one_fault, undisturbed


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    run = undisturbed(tmp_path_factory.mktemp("faults") / "base")
    return run, Jobs(run)


@pytest.mark.parametrize("seed", range(len(ACCIDENTS)))
def test_an_accident_costs_only_time(base, tmp_path, seed):
    one_fault(*base, seed, tmp_path)
