"""The classifier learns, its attack stays in the ball and hurts, and adversarial training helps against it."""

import functools

import pytest
import torch
from sklearn.datasets import load_digits
from torch.nn import functional as F

from waypoint.errors import WaypointError
from waypoint.science.evaluation.classifier import (
    Classifier,
    ClassifierTrainer,
    accuracy,
    attack,
    build,
    held_out,
    robust_accuracy,
)
from waypoint.science.random_streams import torch_stream

RECIPE = {"epochs": 6, "batch_size": 64, "learning_rate": 4e-3}
ATTACK = {"radius": 0.3, "attack_steps": 3}


@functools.cache
def digits():
    """Images (n, 1, 8, 8) in [-1, 1] and labels (n,) to train on, and those kept back."""
    found = load_digits()
    images = torch.from_numpy(found.images / 8 - 1).float()[:, None]
    labels = torch.from_numpy(found.target).long()
    seen, kept = held_out(len(images), 0.3, seed=0)
    return (images[seen], labels[seen]), (images[kept], labels[kept])


def train(kind, recipe, images, labels, width=8, seed=0, classes=10):
    """The trained classifier and its losses by epoch."""
    trainer = ClassifierTrainer(build(images.shape[1], classes, width, seed, kind), images, labels, recipe, seed, kind)
    losses = [trainer.run_epoch() for _ in range(recipe["epochs"])]
    return trainer.classifier.eval(), losses


@functools.cache
def trained(kind):
    return train(kind, RECIPE | (ATTACK if kind == "robust" else {}), *digits()[0])


def short(n=40, **changes):
    """A short adversarial training on few digits: its weights in one row."""
    images, labels = (part[:n] for part in digits()[0])
    recipe = {"epochs": 2, "batch_size": 16, "learning_rate": 1e-3, **ATTACK} | changes
    seed = recipe.pop("seed", 0)
    network, losses = train("robust", recipe, images, labels, width=2, seed=seed)
    return torch.cat([q.detach().reshape(-1) for q in network.parameters()]), losses


# ---- the network


@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 9, 13), (4, 32, 32)])
def test_shapes_of_any_image(shape):
    network, images = Classifier(shape[0], 5, width=3), torch.randn(2, *shape)
    assert network.features(images).shape == (2, 12) and network(images).shape == (2, 5)


def test_the_head_reads_the_features():
    network, images = build(1, 4, 3, 0, "standard"), torch.randn(5, 1, 8, 8)
    assert torch.equal(network.head(network.features(images)), network(images))
    assert torch.equal(network.classes(images), network(images).argmax(1))


def test_an_image_is_judged_alone():
    """Batches, as of the samples of one step, do not change what their members are called."""
    network, images = trained("standard")[0], digits()[1][0][:9]
    with torch.no_grad():
        alone = torch.cat([network.features(image[None]) for image in images])
        assert torch.allclose(network.features(images), alone, atol=1e-5)


def test_many_images_are_classified_in_parts(monkeypatch):
    network, images = trained("standard")[0], digits()[1][0][:50]
    whole = network.classes(images)
    monkeypatch.setattr("waypoint.science.evaluation.classifier.BATCH", 7)
    assert torch.equal(network.classes(images), whole)


# ---- training


def test_it_learns_digits():
    network, losses = trained("standard")
    assert accuracy(network, *digits()[1]) > 0.9
    assert losses[-1] < losses[0] / 3


def test_accuracy_counts():
    network, (images, labels) = trained("standard")[0], digits()[1]
    called = [int(network(image[None]).argmax()) for image in images[:60]]
    expected = sum(c == int(y) for c, y in zip(called, labels)) / 60
    assert accuracy(network, images[:60], labels[:60]) == pytest.approx(expected)


def test_training_is_reproducible_and_touches_no_global_stream():
    state = torch.get_rng_state()
    (first, losses), (again, same) = short(), short()
    assert torch.equal(first, again) and losses == same
    assert torch.equal(torch.get_rng_state(), state)


def test_another_seed_gives_another_classifier():
    assert not torch.allclose(short()[0], short(seed=1)[0])


def test_kinds_have_weights_and_streams_of_their_own():
    one, other = (build(1, 10, 2, 0, kind) for kind in ("standard", "robust"))
    assert not torch.equal(one.head.weight, other.head.weight)
    assert torch.equal(one.head.weight, build(1, 10, 2, 0, "standard").head.weight)


def test_the_schedule_ends_at_zero():
    images, labels = (part[:40] for part in digits()[0])
    trainer = ClassifierTrainer(build(1, 10, 2, 0, "standard"), images, labels, RECIPE, 0, "standard")
    for _ in range(RECIPE["epochs"]):
        assert trainer.optimizer.param_groups[0]["lr"] > 0
        trainer.run_epoch()
    assert trainer.optimizer.param_groups[0]["lr"] == pytest.approx(0, abs=1e-9)


def test_a_loss_that_is_not_finite_names_the_key():
    images, labels = (part[:40] for part in digits()[0])
    with pytest.raises(WaypointError, match=r"robust classifier.*evaluation\.classifier\.learning_rate"):
        train("robust", {"epochs": 3, "batch_size": 8, "learning_rate": 1e30, **ATTACK}, images, labels, width=2)


# ---- the attack


def examples(n=200):
    images, labels = digits()[1]
    return images[:n], labels[:n]


def test_the_attack_stays_in_the_ball_and_among_the_images():
    images, labels = examples()
    for radius in (0.05, 0.7):
        found = attack(trained("standard")[0], images, labels, radius, 4, torch_stream(0, "test"))
        assert (found - images).abs().max() <= radius + 1e-6
        assert found.min() >= -1 and found.max() <= 1
        assert (found - images).abs().max() > 0.9 * radius


def test_the_attack_raises_the_loss_more_than_noise_does():
    network, (images, labels) = trained("standard")[0], examples()
    found = attack(network, images, labels, 0.2, 4, torch_stream(0, "test"))
    noise = 0.2 * torch.randn(images.shape, generator=torch_stream(1, "test")).sign()
    noisy = (images + noise).clamp(-1, 1)
    with torch.no_grad():
        plain, jittered, attacked = (F.cross_entropy(network(x), labels).item() for x in (images, noisy, found))
    assert attacked > 2 * max(plain, jittered)


def test_more_steps_of_the_attack_hurt_more():
    network, (images, labels) = trained("standard")[0], examples()
    losses = []
    for steps in (1, 2, 8):
        found = attack(network, images, labels, 0.2, steps, torch_stream(0, "test"))
        with torch.no_grad():
            losses.append(F.cross_entropy(network(found), labels).item())
    assert losses == sorted(losses)


def test_the_attack_leaves_the_classifier_and_the_images_alone():
    network, (images, labels) = build(1, 10, 2, 0, "standard"), examples(8)
    before = images.clone()
    found = attack(network, images, labels, 0.2, 2, torch_stream(0, "test"))
    assert torch.equal(images, before) and not found.requires_grad
    assert all(q.grad is None for q in network.parameters())


def test_the_robust_classifier_withstands_more():
    standard, robust = (robust_accuracy(trained(kind)[0], *examples(400), ATTACK, 0) for kind in ("standard", "robust"))
    assert robust > standard + 0.15
    assert robust_accuracy(trained("robust")[0], *examples(400), ATTACK, 0) == robust
    assert accuracy(trained("robust")[0], *digits()[1]) > robust


# ---- what is held out


def test_the_held_out_share_is_the_rest():
    seen, kept = held_out(50, 0.2, seed=3)
    assert len(kept) == 10 and sorted([*seen.tolist(), *kept.tolist()]) == list(range(50))
    assert torch.equal(kept, held_out(50, 0.2, seed=3)[1]) and not torch.equal(kept, held_out(50, 0.2, seed=4)[1])


@pytest.mark.parametrize("share", [0.001, 0.999])
def test_a_share_that_leaves_one_side_empty_is_refused(share):
    with pytest.raises(WaypointError, match=r"evaluation\.classifier\.holdout"):
        held_out(50, share, seed=0)
