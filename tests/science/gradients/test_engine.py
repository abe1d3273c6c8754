"""Per-example gradients of whole models against one-by-one autograd and torch.func, exact and factorised."""

import re
import warnings
from dataclasses import replace

import pytest
import torch
from support import (
    equal_autograd,
    examples_with_text,
    flat,
    images,
    one_by_one,
    seeded,
    target_example,
    tiny_denoiser,
    train_example,
    unet_with_text,
)
from torch import nn
from torch.nn import functional as F

from waypoint.errors import WaypointWarning
from waypoint.science import algorithm1
from waypoint.science.gradients.batching import rows_in_memory
from waypoint.science.gradients.engine import PerExampleGradients
from waypoint.science.gradients.examples import Example, whole_and_halves
from waypoint.science.gradients.hooks import trainable
from waypoint.science.gradients.logra import LoGra

UNETS = {
    "plain": {},
    "class-conditional": {"num_class_embeds": 3},
    "attention": {
        "down_block_types": ["DownBlock2D", "AttnDownBlock2D"],
        "up_block_types": ["AttnUpBlock2D", "UpBlock2D"],
        "attention_head_dim": 4,
    },
    "scale-shift": {"resnet_time_scale_shift": "scale_shift"},
}
every_unet = pytest.mark.parametrize("name", UNETS)
every_engine = pytest.mark.parametrize("make", [PerExampleGradients, lambda model: LoGra(model, 0, "full/0", 4)])


def close(a, b, tolerance=1e-5):
    return (a - b).abs().max() <= tolerance * b.abs().max()


def denoiser_and_examples(tiny_model, name, n=3, K=4):
    """A UNet in float32, its training loss, and examples of it."""
    theta, z = tiny_denoiser(tiny_model, **UNETS[name]), images(n)
    examples = [train_example(z[i], i, K=K) for i in range(n)]
    if name == "class-conditional":
        for i, example in enumerate(examples):
            example.condition = torch.full((K,), i % 3)
    return theta, lambda e: algorithm1.train_loss(theta, e), examples


def vectors(n, K, seed=0, size=(4,)):
    """Examples of a model that takes random rows of any size."""
    generator = torch.Generator().manual_seed(seed)
    return [
        Example(torch.randn(K, *size, generator=generator), torch.arange(K), torch.randn(K, *size, generator=generator))
        for _ in range(n)
    ]


def squared_error(model):
    """The loss of a model that maps x0 to ε."""
    return lambda e: (model(e.x0) - e.epsilon).pow(2).flatten(1).mean(1)


@every_unet
def test_equal_one_by_one_autograd(tiny_model, name):
    """A rule holds for every layer of the model, and gives autograd's gradients."""
    theta, loss, examples = denoiser_and_examples(tiny_model, name)
    with warnings.catch_warnings():
        warnings.simplefilter("error", WaypointWarning)
        engine = PerExampleGradients(theta.unet)
        rows = engine(loss, examples)
    assert rows.dtype == torch.float32 and rows.shape == (3, sum(q.numel() for q in trainable(theta.unet)))
    assert not engine.rest
    assert equal_autograd(theta.unet, loss, examples, rows)


def test_a_wrong_class_has_other_gradients(tiny_model):
    """The rows above are those of each example's own label."""
    theta, loss, examples = denoiser_and_examples(tiny_model, "class-conditional")
    rows = PerExampleGradients(theta.unet)(loss, examples[1:])
    wrong = [replace(example, condition=torch.zeros(4).long()) for example in examples[1:]]
    assert not equal_autograd(theta.unet, loss, wrong, rows, 1e-3)


def test_equal_autograd_of_a_model_with_cross_attention():
    """The loss decides how the model is called: here with a text for each row."""
    unet, examples = unet_with_text(), examples_with_text(3)

    def loss(e):
        out = unet(e.x0 + e.epsilon, e.t, encoder_hidden_states=e.condition).sample
        return (e.epsilon - out).pow(2).flatten(1).mean(1)

    engine = PerExampleGradients(unet)
    rows = engine(loss, examples)
    assert not engine.rest and equal_autograd(unet, loss, examples, rows, 1e-4)
    assert not equal_autograd(unet, loss, examples, rows.flip(0), 1e-1)


@pytest.mark.parametrize("text", [False, True])
def test_equal_torch_func(tiny_model, text):
    """vmap of grad, with the draws inside, on both kinds of UNet."""
    if text:
        unet, examples = unet_with_text(), examples_with_text(2)
    else:
        unet, z = tiny_denoiser(tiny_model, **UNETS["attention"]).unet, images(2)
        examples = [train_example(z[i], i) for i in range(2)]
    parameters = {name: q.detach() for name, q in unet.named_parameters()}

    def errors(output, x0, t, epsilon, *condition):
        return (epsilon - output(x0 + epsilon, t, *condition).sample).pow(2).flatten(1).mean(1)

    def loss(parameters, *example):
        return errors(lambda *rows: torch.func.functional_call(unet, parameters, rows), *example).mean()

    parts = ("x0", "t", "epsilon", "condition")[: 4 if text else 3]
    stacked = [torch.stack([getattr(e, part) for e in examples]) for part in parts]
    found = torch.func.vmap(torch.func.grad(loss), in_dims=(None, *[0] * len(parts)))(parameters, *stacked)
    expected = torch.cat([found[name].flatten(1) for name in parameters], 1)
    rows = PerExampleGradients(unet)(lambda e: errors(unet, *[getattr(e, part) for part in parts]), examples)
    assert close(rows, expected) and not close(rows.flip(0), expected, 0.1)


def test_output_function_weights_its_mask(tiny_model):
    """A full mask is no mask; disjoint masks add up in the sum not divided by their areas."""
    theta, x0 = tiny_denoiser(tiny_model), images(1)[0]
    left = torch.zeros(8, 8)
    left[:, :3] = 1

    def gradient(weight):
        example = target_example(x0, 300, weight=weight)
        return PerExampleGradients(theta.unet)(lambda e: algorithm1.output_function(theta, e), [example])[0]

    whole = gradient(None)
    assert close(gradient(torch.ones(8, 8)), whole)
    assert close((24 * gradient(left) + 40 * gradient(1 - left)) / 64, whole)
    assert not close(gradient(left), whole, 1e-2)


@every_engine
@every_unet
def test_rows_do_not_depend_on_the_batch(tiny_model, name, make):
    """Alone, together, in another order, and by an engine that began with another example."""
    theta, loss, examples = denoiser_and_examples(tiny_model, name)
    engine = make(theta.unet)
    together = engine(loss, examples)
    assert not close(together[0], together[1], 1e-2)
    for row, example in zip(together, examples):
        assert close(engine(loss, [example])[0], row)
    assert close(make(theta.unet)(loss, examples[::-1]).flip(0), together)


class Partly(nn.Module):
    """A convolution with a rule, and a parameter without one."""

    uncovered = ["scale"]

    def __init__(self):
        super().__init__()
        self.conv, self.norm = nn.Conv2d(2, 4, 3, padding=1), nn.GroupNorm(2, 4)
        self.scale = nn.Parameter(torch.ones(4, 1, 1))
        self.out = nn.Conv2d(4, 2, 1)

    def forward(self, x):
        return self.out((self.scale * self.norm(self.conv(x))).tanh())


class Tied(nn.Module):
    """Two layers that share one weight."""

    uncovered = ["first.weight", "first.bias", "second.bias"]

    def __init__(self):
        super().__init__()
        self.begin, self.first, self.second, self.end = (nn.Linear(2, 2) for _ in range(4))
        self.second.weight = self.first.weight

    def forward(self, x):
        for layer in (self.begin, self.first, self.second, self.end):
            x = layer(x.movedim(1, -1)).movedim(-1, 1).tanh()
        return x


class Functional(nn.Module):
    """A convolution that is never called, only its weight is used."""

    uncovered = ["unseen.weight"]

    def __init__(self):
        super().__init__()
        self.conv, self.unseen = nn.Conv2d(2, 4, 3, padding=1), nn.Conv2d(4, 2, 3, padding=1, bias=False)

    def forward(self, x):
        return F.conv2d(self.conv(x).tanh(), self.unseen.weight, padding=1)


class CalledAndFunctional(Functional):
    """A convolution that is called once, and whose weight is used another time past its hooks."""

    uncovered = ["both.weight"]

    def __init__(self):
        super().__init__()
        self.unseen = None
        self.both = nn.Conv2d(2, 2, 3, padding=1, bias=False)

    def forward(self, x):
        x = self.conv(x)[:, :2].tanh()
        return F.conv2d(self.both(x).tanh(), self.both.weight, padding=1)


class Circular(nn.Module):
    """A convolution that pads otherwise than its rule, and a linear layer that computes something else."""

    uncovered = ["conv.weight", "conv.bias", "linear.weight", "linear.bias"]

    class Doubled(nn.Linear):
        def forward(self, x):
            return 2 * super().forward(x) + self.bias

    def __init__(self):
        super().__init__()
        self.conv, self.linear = nn.Conv2d(2, 2, 3, padding=1, padding_mode="circular"), self.Doubled(2, 2)
        self.out = nn.Conv2d(2, 2, 1)

    def forward(self, x):
        return self.out(self.linear(self.conv(x).movedim(1, -1)).movedim(-1, 1).tanh())


class Alone(nn.Module):
    """A parameter without a rule, and no layer at all."""

    uncovered = ["scale"]

    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(2, 1, 1))

    def forward(self, x):
        return (self.scale * x).tanh()


ODD_MODELS = [Partly, Tied, Functional, CalledAndFunctional, Circular, Alone]


@pytest.mark.parametrize("kind", ODD_MODELS)
def test_parameters_without_a_rule_are_exact_and_named(kind):
    """Autograd fills in what no rule gives, in the order of all parameters; every other parameter has its rule."""
    model, examples = seeded(kind), vectors(3, 4, size=(2, 5, 7))
    with pytest.warns(WaypointWarning) as caught:
        rows = PerExampleGradients(model)(squared_error(model), examples)
    assert [re.match(r"[\w.]+", str(warning.message))[0] for warning in caught] == kind.uncovered
    assert rows.shape[1] == sum(q.numel() for q in model.parameters())
    assert equal_autograd(model, squared_error(model), examples, rows)


@pytest.mark.filterwarnings("ignore::waypoint.errors.WaypointWarning")
@pytest.mark.parametrize("together, draws", [(1, 5), (2, 5), (5, 5), (3, 2), (2, 1), (1, 3)])
@pytest.mark.parametrize("kind", ["unet", "factorised", Partly])
def test_rows_do_not_depend_on_how_they_pass_through(tiny_model, monkeypatch, kind, together, draws):
    """Any number of examples at once and any part of their draws, to the last that is left over."""
    theta, loss, examples = denoiser_and_examples(tiny_model, "plain", n=4, K=5)
    model = theta.unet
    if kind is Partly:
        model, examples = seeded(Partly), vectors(4, 5, size=(2, 5, 7))
        loss = squared_error(model)
    engine = LoGra(model, 0, "full/0", 4) if kind == "factorised" else PerExampleGradients(model)
    whole, rows_seen = engine(loss, examples), []
    monkeypatch.setattr(PerExampleGradients, "_pass", lambda self, K: (together, draws))

    def watched(e):
        rows_seen.append(len(e.t))
        return loss(e)

    assert close(engine(watched, examples), whole)
    assert max(rows_seen) == min(together, 4) * draws


def test_a_pass_keeps_within_the_memory(tiny_model):
    """2560 rows, or fewer if each keeps more; an example that does not fit passes in parts of at least one draw."""
    theta, loss, examples = denoiser_and_examples(tiny_model, "plain")
    engine = PerExampleGradients(theta.unet)
    engine(loss, examples)
    assert 8 * 8 * 8 * 4 < engine.row_bytes < 1 << 20
    together, draws = engine._pass(10)
    assert together == 256 and draws == 10
    engine.row_bytes = 1 << 24
    assert engine._pass(10) == (12, 10)
    engine.row_bytes = 1 << 30
    assert engine._pass(10) == (1, 4)
    engine.row_bytes = 1 << 40
    assert engine._pass(10) == (1, 1)


class Twice(nn.Module):
    """One linear layer called twice, one norm twice, and one convolution under two names."""

    def __init__(self):
        super().__init__()
        self.linear, self.norm, self.conv = nn.Linear(2, 2), nn.GroupNorm(1, 2), nn.Conv2d(2, 2, 3, padding=1)
        self.alias = self.conv

    def forward(self, x):
        for convolve in (self.conv, self.alias):
            x = self.norm(convolve(x))
            x = self.linear(x.movedim(1, -1)).movedim(-1, 1).tanh()
        return x


def test_a_layer_used_twice_in_one_forward():
    """Its gradient is the sum over its calls, without a warning."""
    model, examples = seeded(Twice), vectors(3, 2, size=(2, 5, 7))
    with warnings.catch_warnings():
        warnings.simplefilter("error", WaypointWarning)
        rows = PerExampleGradients(model)(squared_error(model), examples)
    assert equal_autograd(model, squared_error(model), examples, rows)


def test_frozen_parameters_are_left_out(tiny_model):
    """Whole layers, a weight alone and a bias alone: columns are the trainable parameters in order."""
    theta, loss, examples = denoiser_and_examples(tiny_model, "attention")
    whole = PerExampleGradients(theta.unet)(loss, examples)
    frozen = ("conv_in.weight", "conv_out.bias", "time_embedding.", "mid_block.attentions", "conv_norm_out.weight")
    named = list(theta.unet.named_parameters())
    for name, q in named:
        q.requires_grad_(not name.startswith(frozen))
    parts = whole.split([q.numel() for _, q in named], 1)
    expected = torch.cat([part for part, (_, q) in zip(parts, named) if q.requires_grad], 1)
    rows = PerExampleGradients(theta.unet)(loss, examples)
    assert 0 < rows.shape[1] < whole.shape[1] and close(rows, expected)
    assert [name for name, q in named if not q.requires_grad] == [n for n, _ in named if n.startswith(frozen)]


@pytest.mark.parametrize("fails_at", [None, 1, 2, 3])
@pytest.mark.parametrize("kind", [Partly, Twice])
@pytest.mark.filterwarnings("ignore::waypoint.errors.WaypointWarning")
def test_the_model_is_left_as_it_was(kind, fails_at):
    """Flags, hooks, gradients and outputs, also after a loss that fails in its first, second or third call."""
    model, examples = seeded(kind), vectors(3, 2, size=(2, 5, 7))
    model.conv.bias.requires_grad_(False)
    flags, before = [q.requires_grad for q in model.parameters()], model(examples[0].x0)
    loss, calls = squared_error(model), []

    def failing(e):
        calls.append(0)
        found = loss(e)
        if len(calls) == fails_at:
            raise RuntimeError("on purpose")
        return found

    engine = PerExampleGradients(model)
    if fails_at is None:
        engine(failing, examples)
    else:
        with pytest.raises(RuntimeError, match="on purpose"):
            engine(failing, examples)
        assert len(calls) == fails_at
    assert [q.requires_grad for q in model.parameters()] == flags
    assert all(q.grad is None for q in model.parameters())
    assert not any(layer._forward_hooks or "forward" in vars(layer) for layer in model.modules())
    assert torch.equal(model(examples[0].x0), before)
    assert equal_autograd(model, loss, examples, engine(loss, examples))


@pytest.mark.filterwarnings("ignore::waypoint.errors.WaypointWarning")
@every_engine
def test_unused_parameters_have_zero_columns(make):
    """Of a layer with a rule and of a parameter without one, in their places."""

    class Unused(nn.Module):
        def __init__(self):
            super().__init__()
            self.nothing = nn.Parameter(torch.ones(3))
            self.first, self.idle, self.last = nn.Linear(4, 4), nn.Linear(4, 5), nn.Linear(4, 4)

        def forward(self, x):
            return self.last(self.first(x).tanh())

    model, examples = seeded(Unused), vectors(3, 2)
    engine = make(model)
    rows = engine(squared_error(model), examples)
    widths = {"nothing": 3} | {n: engine.columns[getattr(model, n)] for n in ("first", "idle", "last")}
    nothing, first, idle, last = rows.split(list(widths.values()), 1)
    assert not nothing.any() and not idle.any()
    assert first.abs().sum(1).min() > 0 and last.abs().sum(1).min() > 0
    if make is PerExampleGradients:
        assert equal_autograd(model, squared_error(model), examples, rows)


def test_factorised_inner_products_are_unbiased(tiny_model):
    """Over many seeds their mean is the exact inner product, of a model with all kinds of layers."""
    theta, loss, examples = denoiser_and_examples(tiny_model, "attention", n=2, K=2)
    exact = PerExampleGradients(theta.unet)(loss, examples).double()
    found = []
    for seed in range(60):
        rows = LoGra(theta.unet, seed, "full/0", 8)(loss, examples).double()
        found.append(rows @ rows.T)
    found, expected = torch.stack(found), exact @ exact.T
    error = found.std(0) / len(found) ** 0.5
    assert ((found.mean(0) - expected).abs() < 4 * error).all()
    norms = expected.diagonal()
    assert (error < 0.1 * (norms[:, None] * norms).sqrt()).all()


def test_factorised_is_narrower_and_keeps_vectors(tiny_model):
    """About rank² columns for a compressed layer; norms and small layers as they are, in their places."""
    theta, loss, examples = denoiser_and_examples(tiny_model, "plain")
    engine, exact = LoGra(theta.unet, 0, "full/0", 4), PerExampleGradients(theta.unet)
    rows, whole = engine(loss, examples), exact(loss, examples)
    compressed = {layer for layer in engine.columns if engine.columns[layer] != exact.columns[layer]}
    assert list(engine.columns) == list(exact.columns)
    assert compressed == {
        layer
        for layer in theta.unet.modules()
        if isinstance(layer, (nn.Conv2d, nn.Linear)) and layer.weight.numel() > 16
    }
    assert rows.shape[1] < whole.shape[1] / 3
    parts, exact_parts = (r.split(list(e.columns.values()), 1) for r, e in ((rows, engine), (whole, exact)))
    kept = [pair for layer, *pair in zip(engine.columns, parts, exact_parts) if layer not in compressed]
    assert kept and all(close(*pair) for pair in kept)


def test_factorised_has_one_key_for_each_seed_checkpoint_and_layer(tiny_model):
    """The same rows for the same key; uncorrelated factors for another seed, checkpoint or layer."""
    theta, loss, examples = denoiser_and_examples(tiny_model, "plain", n=1)

    def engine_and_rows(*key):
        engine = LoGra(theta.unet, *key, 4)
        return engine, engine(loss, examples)

    (engine, rows), (_, again), *others = (
        engine_and_rows(*key) for key in ((0, "full/0"), (0, "full/0"), (0, "full/1"), (1, "full/0"))
    )
    assert torch.equal(rows, again)
    assert all(not close(other, rows, 0.1) for _, other in others)
    alike = [layer for layer in engine.columns if isinstance(layer, nn.Conv2d) and layer.weight.shape == (8, 8, 3, 3)]
    assert len({tuple(engine.hooks[layer].P_in.flatten().tolist()) for layer in alike}) == len(alike) > 1
    for other, _ in others:
        assert not any(torch.equal(other.hooks[q].P_in, engine.hooks[q].P_in) for q in alike)


def test_factorised_leaves_other_layers_exact():
    """Convolutions of several groups, layers frozen in part, and parameters without a rule."""
    layers = nn.LayerNorm((5, 7)), nn.Conv2d(4, 8, 3, groups=2), nn.Tanh(), nn.Conv2d(8, 8, 3)
    model = seeded(lambda: nn.Sequential(*layers))
    model[3].bias.requires_grad_(False)
    examples = vectors(2, 3, size=(4, 5, 7))

    def loss(e):
        return model(e.x0).pow(3).flatten(1).mean(1)

    rows = LoGra(model, 0, "full/0", 2)(loss, examples)
    assert equal_autograd(model, loss, examples, rows)
    partly, examples = seeded(Partly), vectors(2, 3, size=(2, 5, 7))
    loss = squared_error(partly)
    engine = LoGra(partly, 0, "full/0", 2)
    with pytest.warns(WaypointWarning, match="scale"):
        rows = engine(loss, examples)
    parts = dict(zip(engine.columns, rows.split(list(engine.columns.values()), 1)))
    expected = torch.stack([one_by_one(partly, loss, example)[0].flatten() for example in examples])
    assert next(iter(parts)) is partly.scale and close(parts[partly.scale], expected)


@every_engine
def test_autocast_is_close(tiny_model, make):
    """bfloat16 turns each row a little, and no more; rows stay float32."""
    theta, loss, examples = denoiser_and_examples(tiny_model, "attention")
    plain, half = make(theta.unet), make(theta.unet)
    half.autocast = True
    rows, rounded = plain(loss, examples), half(loss, examples)
    assert rounded.dtype == torch.float32
    assert F.cosine_similarity(rows, rounded).min() > 0.99
    assert not close(rounded, rows, 1e-4)


def test_autocast_is_an_option(tiny_model):
    """Both engines take it, and compute the loss of the rows that they return under it."""
    theta, loss, examples = denoiser_and_examples(tiny_model, "plain")
    for make in (lambda on: PerExampleGradients(theta.unet, on), lambda on: LoGra(theta.unet, 0, "full/0", 4, on)):
        for on in (False, True):
            seen = []

            def watched(e, seen=seen):
                seen.append(torch.is_autocast_enabled("cpu"))
                return loss(e)

            make(on)(watched, examples)
            assert seen[-1] is on


@pytest.mark.parametrize("K", [2, 4, 5])
def test_whole_and_halves(tiny_model, K):
    """All draws, the even ones and the odd ones, from two passes over half of them each."""
    theta, loss, examples = denoiser_and_examples(tiny_model, "plain", n=2, K=K)
    engine = PerExampleGradients(theta.unet)
    whole, halves = whole_and_halves(
        lambda some: engine(loss, some), lambda item, draws: item.draws(draws), examples, K
    )
    assert close(whole, engine(loss, examples))
    for half, start in enumerate((0, 1)):
        assert close(halves[:, half], engine(loss, [e.draws(slice(start, None, 2)) for e in examples]))
    assert not close(halves[:, 0], halves[:, 1], 1e-2)


def test_rows_in_memory_is_bounded():
    cpu = torch.device("cpu")
    assert rows_in_memory(10**12, cpu) == 1
    assert rows_in_memory(10, cpu) == 256
    assert rows_in_memory(10**7, cpu) == (2 << 30) // (4 * 10**7)


class Odd(nn.Module):
    """A model of one layer that the rules do not know, or that is used in a way that they do not."""

    def __init__(self, layer, forward):
        super().__init__()
        self.layer, self.last, self.function = layer, nn.Linear(4, 4), forward

    def forward(self, x, index):
        return self.last(self.function(self.layer, x, index))


ODD = {
    "a position shared by all rows": (
        lambda: nn.Embedding(4, 4),
        lambda layer, x, i: x + layer(torch.arange(4)).sum(0),
    ),
    "rows not first": (lambda: nn.Linear(4, 4), lambda layer, x, i: layer(x[None].transpose(0, 1)[:, 0])),
    "rows mixed": (lambda: nn.Linear(4, 4), lambda layer, x, i: layer(x.expand(3, *x.shape).transpose(0, 1)).sum(1)),
    "padding index": (lambda: nn.Embedding(3, 4, padding_idx=2), lambda layer, x, i: x + layer(i % 3)),
    "circular convolution, off in the first rows": (
        lambda: nn.Conv2d(1, 1, 3, padding=1, padding_mode="circular"),
        lambda layer, x, i: x + (i > 3)[:, None] * layer(x.view(-1, 1, 2, 2)).view(-1, 4),
    ),
    "padding by name": (
        lambda: nn.Conv2d(1, 1, 3, padding="same"),
        lambda layer, x, i: layer(x.view(-1, 1, 2, 2)).view(-1, 4),
    ),
    "weight normalised": (lambda: nn.utils.parametrizations.weight_norm(nn.Linear(4, 4)), lambda layer, x, i: layer(x)),
    "changed in place afterwards": (lambda: nn.Linear(4, 4), lambda layer, x, i: F.relu_(layer(x))),
    "called by keyword": (lambda: nn.Linear(4, 4), lambda layer, x, i: layer(input=x)),
}


@every_engine
@pytest.mark.parametrize("layer, forward", ODD.values(), ids=ODD)
def test_odd_layers_are_right_all_the_same(make, layer, forward):
    """Odd layers are exact by a rule or by autograd, and do not disturb the columns of the ordinary last layer."""
    model = seeded(lambda: Odd(layer(), forward))
    examples = vectors(3, K=4)
    for k, example in enumerate(examples):
        example.condition = torch.arange(4) + 4 * k

    def loss(e):
        return (model(e.x0, e.condition) - e.epsilon).pow(2).mean(1)

    expected = torch.stack([flat(one_by_one(model, loss, example)) for example in examples])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", WaypointWarning)
        engine = make(model)
        rows = engine(loss, examples)
    if type(engine) is PerExampleGradients:
        assert close(rows, expected, 2e-5)
    assert close(rows @ rows.T, expected @ expected.T, 2e-5 if type(engine) is PerExampleGradients else 3)
