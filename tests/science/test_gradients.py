"""Per-example gradients against one-by-one autograd and torch.func."""

import torch
from support import images, target_example, tiny_denoiser, train_example

from waypoint.science import algorithm1
from waypoint.science.gradients import Example, per_example_gradients, rows_in_memory, trainable


def one_by_one(theta, example):
    """Backward through each draw alone, gradients averaged."""
    total = 0
    for k in range(len(example.t)):
        label = None if example.label is None else example.label[k : k + 1]
        theta.unet.zero_grad()
        theta.train_loss(
            example.x0[k : k + 1], example.t[k : k + 1], example.epsilon[k : k + 1], label
        ).sum().backward()
        total = total + torch.cat([q.grad.reshape(-1) for q in trainable(theta.unet)]) / len(example.t)
    return total


def close(a, b, tolerance=1e-5):
    return (a - b).abs().max() <= tolerance * b.abs().max()


def test_equal_one_by_one_autograd(tiny_model):
    theta, z = tiny_denoiser(tiny_model), images(3)
    examples = [train_example(z[i], i, K=5) for i in range(3)]
    rows = per_example_gradients(theta.unet, lambda e: algorithm1.train_loss(theta, e), examples)
    for row, example in zip(rows, examples):
        assert close(row, one_by_one(theta, example))


def test_equal_one_by_one_autograd_of_a_class_conditional_model(tiny_model):
    theta, z = tiny_denoiser(tiny_model, num_class_embeds=3), images(2)
    examples = [train_example(z[i], i, K=4) for i in range(2)]
    for i, example in enumerate(examples):
        example.label = torch.full((4,), i + 1)
    rows = per_example_gradients(theta.unet, lambda e: algorithm1.train_loss(theta, e), examples)
    assert close(rows[0], one_by_one(theta, examples[0])) and close(rows[1], one_by_one(theta, examples[1]))
    assert not close(rows[0], one_by_one(theta, Example(**{**vars(examples[0]), "label": torch.zeros(4).long()})), 1e-3)


def test_equal_torch_func(tiny_model):
    theta, z = tiny_denoiser(tiny_model), images(2)
    examples = [train_example(z[i], i) for i in range(2)]
    parameters = {name: q.detach() for name, q in theta.unet.named_parameters()}

    def loss(parameters, x0, t, epsilon):
        noisy = theta.add_noise(x0, epsilon, t)
        out = torch.func.functional_call(theta.unet, parameters, (noisy, t)).sample
        return (epsilon - out).pow(2).mean()

    stacked = [torch.stack([getattr(e, part) for e in examples]) for part in ("x0", "t", "epsilon")]
    found = torch.func.vmap(torch.func.grad(loss), in_dims=(None, 0, 0, 0))(parameters, *stacked)
    expected = torch.cat([found[name].flatten(1) for name in parameters], 1)
    rows = per_example_gradients(theta.unet, lambda e: algorithm1.train_loss(theta, e), examples)
    assert close(rows, expected)


def test_output_function_weights_its_mask(tiny_model):
    """A full mask is no mask; disjoint masks add up in the sum not divided by their areas."""
    theta, x0 = tiny_denoiser(tiny_model), images(1)[0]
    left = torch.zeros(8, 8)
    left[:, :3] = 1

    def gradient(weight):
        example = target_example(x0, 300, weight=weight)
        return per_example_gradients(theta.unet, lambda e: algorithm1.output_function(theta, e), [example])[0]

    whole = gradient(None)
    assert close(gradient(torch.ones(8, 8)), whole)
    assert close((24 * gradient(left) + 40 * gradient(1 - left)) / 64, whole)


def test_rows_in_memory_is_bounded():
    cpu = torch.device("cpu")
    assert rows_in_memory(10**12, cpu) == 1
    assert rows_in_memory(10, cpu) == 256
