"""Random draws: keyed by item, independent of everything else, with the right distribution."""

import os
import subprocess
import sys

import numpy as np
import pytest
import torch
from scipy import stats

from waypoint.science.draws import target_noise, train_draws
from waypoint.science.random_streams import derive, numpy_stream, torch_stream

SHAPE = (1, 4, 4)


def test_streams_depend_on_every_part_of_their_key():
    keys = [(0, "a", 1), (0, "a", 2), (0, "b", 1), (1, "a", 1), (0, "a", "1"), (0, "a1"), ("0", "a", 1)]
    assert len({derive(*key) for key in keys}) == len(keys)
    assert torch_stream(*keys[0]).initial_seed() == derive(*keys[0])


def test_streams_are_equal_in_another_process():
    code = "from waypoint.science.random_streams import derive, numpy_stream; "
    code += "print(derive(3, 'x', 4), numpy_stream(3).random())"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=True)
    assert out.stdout.split() == [str(derive(3, "x", 4)), str(numpy_stream(3).random())]


def test_unhashable_key_parts_are_refused():
    with pytest.raises(TypeError):
        derive(0, 1.5)


def test_an_images_draws_do_not_depend_on_the_others():
    t, epsilon = train_draws(0, "full/0", 17, "independent", 20, 1000, SHAPE)
    again = train_draws(0, "full/0", 17, "independent", 20, 1000, SHAPE)
    assert torch.equal(t, again[0]) and torch.equal(epsilon, again[1])
    for other in [(1, "full/0", 17), (0, "full/1", 17), (0, "full/0", 18)]:
        assert not torch.equal(train_draws(*other, "independent", 20, 1000, SHAPE)[1], epsilon)


def test_shared_draws_are_the_same_for_all_images():
    first, second = (train_draws(0, "full/0", i, "shared", 20, 1000, SHAPE) for i in (1, 2))
    assert torch.equal(first[0], second[0]) and torch.equal(first[1], second[1])


@pytest.mark.parametrize("K,T", [(20, 1000), (7, 1000), (3, 10), (12, 5)])
def test_stratified_draws_have_one_step_in_every_part(K, T):
    for i in range(20):
        t = train_draws(0, "full/0", i, "stratified", K, T, SHAPE)[0].numpy()
        assert ((t >= np.floor(np.arange(K) * T / K)) & (t <= np.ceil((np.arange(K) + 1) * T / K) - 1)).all()


@pytest.mark.parametrize("scheme", ["independent", "stratified"])
def test_steps_are_uniform_and_noise_is_normal(scheme):
    draws = [train_draws(0, "full/0", i, scheme, 10, 50, SHAPE) for i in range(2000)]
    t = torch.cat([d[0] for d in draws]).numpy()
    assert t.min() == 0 and t.max() == 49
    assert stats.chisquare(np.bincount(t, minlength=50)).pvalue > 1e-3
    epsilon = torch.stack([d[1] for d in draws]).numpy().ravel()
    assert stats.kstest(epsilon[:50000], "norm").pvalue > 1e-3


def test_target_noise_is_keyed_by_trajectory_checkpoint_step_and_draw():
    base = target_noise(0, "a", "full/0", 100, 0, SHAPE)
    assert torch.equal(base, target_noise(0, "a", "full/0", np.int64(100), 0, SHAPE))
    for key in [("b", "full/0", 100, 0), ("a", "full/1", 100, 0), ("a", "full/0", 200, 0), ("a", "full/0", 100, 1)]:
        assert not torch.equal(target_noise(0, *key, SHAPE), base)
