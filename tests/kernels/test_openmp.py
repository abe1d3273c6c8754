"""Loops in torch's threads: every item once, whatever threads there are, and no error is lost."""

import threading

import pytest
import torch

from waypoint.kernels import openmp
from waypoint.kernels.openmp import in_threads


@pytest.fixture(params=["OpenMP's", "our own"])
def kind(request, monkeypatch):
    if request.param == "our own":
        monkeypatch.setattr(openmp, "parallel", None)
    return request.param


@pytest.fixture(params=[1, 2, 3, 16])
def number(request):
    before = torch.get_num_threads()
    torch.set_num_threads(request.param)
    yield request.param
    torch.set_num_threads(before)


@pytest.mark.parametrize("items", [0, 1, 7, 100])
def test_every_item_once(kind, number, items):
    counts, ran = torch.zeros(items), set()

    def loop(counts, start, stop):
        counts[start:stop] += 1
        ran.add(threading.get_ident())

    in_threads(loop, items, counts)
    assert torch.equal(counts, torch.ones(items))
    assert len(ran) <= number
    assert len(ran) == number or kind == "our own"  # those may find a part left over


def test_errors_are_the_caller_s(kind, number):
    def loop(start, stop):
        raise KeyError("what is wrong")

    with pytest.raises(KeyError, match="what is wrong"):
        in_threads(loop, 3)


def test_openmp_is_torch_s():
    """Not another that happens to be loaded: it would spin beside torch's."""
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(5)
        assert openmp.openmp.omp_get_max_threads() == 5
    finally:
        torch.set_num_threads(before)


def test_a_team_smaller_than_asked_for(monkeypatch):
    monkeypatch.setattr(openmp, "parallel", lambda body, data, number, flags: body(None))
    ran = []
    openmp.in_team(ran.append, 4)
    assert sorted(ran) == [0, 1, 2, 3]
