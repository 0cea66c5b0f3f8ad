"""Patterns, masks while training, pruning, and exports."""

from __future__ import annotations

import copy

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed")

from sparsereg.nn import (  # noqa: E402
    NM,
    Block,
    Cosine,
    Diagonal,
    DiagonalLinear,
    DynamicMask,
    Exponential,
    Group,
    Linear,
    Staged,
    Unstructured,
    advance,
    densify,
    layer_densities,
    prune,
    soup,
    sparsify,
    to_csr,
    to_semi_structured,
)
from sparsereg.nn.patterns import diagonal_numbers  # noqa: E402
from sparsereg.nn.sparsify import parametrization, sparse_layers  # noqa: E402


def scores(*shape, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(*shape, generator=generator, dtype=torch.float64)


def network(seed=0):
    torch.manual_seed(seed)
    return torch.nn.Sequential(
        torch.nn.Linear(16, 24), torch.nn.ReLU(), torch.nn.Linear(24, 8), torch.nn.ReLU(),
        torch.nn.Linear(8, 4),
    )  # fmt: skip


# ----------------------------------------------------------------------------------------- patterns


@pytest.mark.parametrize(("n", "m"), [(2, 4), (1, 4), (4, 4), (1, 8)])
def test_nm_keeps_the_n_largest_of_every_m(n, m):
    s = scores(6, 16)
    groups = NM(n, m).mask(s).reshape(-1, m)
    assert torch.all(groups.sum(1) == n)
    for values, kept in zip(s.reshape(-1, m), groups):
        assert values[kept].min() >= (values[~kept].max() if n < m else 0)


def test_nm_of_equal_scores_keeps_n():
    assert int(NM(2, 4).mask(torch.zeros(3, 8)).sum()) == 12


def test_nm_of_a_convolution_counts_inputs_at_one_position():
    mask = NM(2, 4).mask(scores(3, 8, 2, 2))
    by_input = mask.movedim(1, -1).reshape(-1, 4)
    assert torch.all(by_input.sum(1) == 2)


def test_unstructured_keeps_the_share_of_largest():
    s = scores(10, 10)
    mask = Unstructured(0.37).mask(s)
    assert int(mask.sum()) == 37
    assert s[mask].min() > s[~mask].max()


def test_blocks_and_groups_are_whole():
    s = scores(8, 12)
    blocks = Block((2, 3), 0.25).mask(s).reshape(4, 2, 4, 3).movedim(2, 1).reshape(16, 6)
    assert int(blocks.all(1).sum()) == int(blocks.any(1).sum()) == 4
    for dim, count in ((0, 2), (1, 3)):
        kept = Group(0.25, dim).mask(s).movedim(dim, 0).reshape(s.shape[dim], -1)
        assert int(kept.all(1).sum()) == int(kept.any(1).sum()) == count
        assert kept.any(1)[s.sum(1 - dim).argmax()]


@pytest.mark.parametrize("shape", [(4, 7), (5, 5), (7, 4)])
def test_diagonals_tile_the_matrix(shape):
    numbers = diagonal_numbers(torch.zeros(shape))
    assert torch.bincount(numbers.reshape(-1)).tolist() == [min(shape)] * max(shape)
    for d in range(max(shape)):
        rows, columns = torch.nonzero(numbers == d, as_tuple=True)
        longer = rows if shape[0] < shape[1] else columns
        assert len(set(longer.tolist())) == min(shape)


@pytest.mark.parametrize("shape", [(4, 7), (5, 5), (7, 4)])
@pytest.mark.parametrize("bias", [True, False])
def test_diagonal_linear_is_the_layer_it_is_made_from(shape, bias):
    layer = torch.nn.Linear(shape[1], shape[0], bias=bias, dtype=torch.float64)
    sparsify(layer, Diagonal(0.4), method="static")
    densify(layer)
    compact = DiagonalLinear.from_linear(layer)
    x = scores(3, 2, shape[1])
    torch.testing.assert_close(compact(x), layer(x))
    assert compact.values.shape == (round(0.4 * max(shape)), min(shape))


def test_patterns_are_their_own_projections():
    v = scores(8, 16) - 0.5
    for pattern in (Unstructured(0.3), NM(2, 4), Block((2, 4), 0.5), Group(0.5), Diagonal(0.25)):
        x = pattern.prox(v, 1.0)
        assert pattern.value(x) == 0.0
        assert pattern.value(v) == float("inf")
        torch.testing.assert_close(pattern.prox(x, 1.0), x)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: NM(3, 2), "1 <= n <= m"),
        (lambda: NM(1.5, 4), "1 <= n <= m"),
        (lambda: Block((0, 2), 0.5), "positive integers"),
        (lambda: Block((2,), 0.5), "positive integers"),
        (lambda: Unstructured(0.0), "must be in .0, 1."),
        (lambda: NM(2, 4).mask(torch.ones(2, 6)), "number of inputs that 4 divides"),
        (lambda: Block((3, 3), 0.5).mask(torch.ones(4, 6)), "do not tile a matrix of 4 x 6"),
        (lambda: Group(0.5, dim=2), "must be 0 .outputs. or 1 .inputs."),
        (lambda: Diagonal(0.5).mask(torch.ones(2, 2, 2)), "Diagonals need a matrix"),
    ],
)
def test_patterns_that_do_not_fit_say_why(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize("method", ["uniform", "er", "erk", "magnitude"])
@pytest.mark.parametrize("density", [0.02, 0.3, 0.8])
def test_layer_densities_add_up(method, density):
    model = torch.nn.Sequential(torch.nn.Conv2d(3, 16, 3), torch.nn.Conv2d(16, 4, 1), network())
    densities = layer_densities(model, density, method)
    sizes = {name: model.get_submodule(name).weight.numel() for name in densities}
    assert len(sizes) == 5
    total = sum(densities[name] * sizes[name] for name in sizes)
    exact = 0.5 if method == "magnitude" else 1e-9
    assert abs(total - density * sum(sizes.values())) <= exact
    assert all(0 <= d <= 1 for d in densities.values())


def test_er_densities_follow_their_formula():
    densities = layer_densities(network(), 0.1, "er")
    raw = [(16 + 24) / (16 * 24), (24 + 8) / (24 * 8), (8 + 4) / (8 * 4)]
    ratios = np.array(list(densities.values())) / raw
    np.testing.assert_allclose(ratios, ratios[0])


# ----------------------------------------------------------------------------------------- sparsify


def test_straight_through_has_the_gradient_of_sr_ste():
    layer = torch.nn.Linear(8, 4, dtype=torch.float64)
    sparsify(layer, NM(2, 4), decay=0.3)
    latent = layer.parametrizations.weight.original
    mask = NM(2, 4).mask(latent.detach().abs())
    x = scores(5, 8)
    out = layer(x)
    torch.testing.assert_close(out, x @ (latent * mask).T + layer.bias)
    out.sum().backward()
    plain = x.sum(0).expand(4, 8)
    torch.testing.assert_close(latent.grad, plain + 0.3 * ~mask * latent.detach())
    torch.testing.assert_close(layer.bias.grad, torch.full((4,), 5.0, dtype=torch.float64))


def test_a_leak_fades_and_stages_follow_each_other():
    layer = torch.nn.Linear(8, 4)
    sparsify(layer, NM(2, 4), leak=Linear(1.0, 0.0, 4), decay=0.0)
    latent = layer.parametrizations.weight.original.detach()
    mask = NM(2, 4).mask(latent.abs())
    for leak in (1.0, 0.75, 0.5, 0.25, 0.0, 0.0):
        torch.testing.assert_close(layer.weight.detach(), torch.where(mask, latent, leak * latent))
        advance(layer)
    staged = sparsify(torch.nn.Linear(8, 4), Staged([NM(3, 4), NM(2, 4), NM(1, 4)], 2))
    counts = []
    for _ in range(6):
        counts.append(int((staged.weight != 0).sum()))
        advance(staged)
    assert counts == [24, 24, 16, 16, 8, 8]


def test_densify_leaves_the_outputs_and_plain_parameters():
    for options in (
        {"pattern": NM(2, 4)},
        {"pattern": Unstructured(0.3), "method": "static"},
        {"pattern": Unstructured(0.3), "method": "static", "score": "random", "random_state": 0},
        {"pattern": Diagonal(0.25), "method": "soft", "temperature": 0.1},
    ):
        model, x = network().eval(), torch.randn(3, 16)
        biases = [m.bias.detach().clone() for m in model if hasattr(m, "bias")]
        sparsify(model, **options)
        before = model(x)
        densify(model)
        torch.testing.assert_close(model(x), before)
        assert {name.rpartition(".")[2] for name, _ in model.named_parameters()} == {
            "weight", "bias",
        }  # fmt: skip
        assert all(torch.equal(b, m.bias) for b, m in zip(biases, [model[0], model[2], model[4]]))


def test_masks_are_copied_and_differentiated_per_sample():
    model = sparsify(network(), NM(2, 4), decay=0.0)
    x = torch.randn(5, 16)
    assert torch.equal(copy.deepcopy(model)(x), model(x))
    parameters = {name: p.detach() for name, p in model.named_parameters()}

    def loss(parameters, row):
        return torch.func.functional_call(model, parameters, (row,)).sum()

    by_sample = torch.func.vmap(torch.func.grad(loss), in_dims=(None, 0))(parameters, x)
    model(x).sum().backward()
    for name, p in model.named_parameters():
        torch.testing.assert_close(by_sample[name].sum(0), p.grad, rtol=1e-4, atol=1e-5)


def test_masks_survive_a_state_dict():
    model = sparsify(network(), Unstructured(0.3), method="static", score="random", random_state=1)
    other = sparsify(network(7), Unstructured(0.3), method="static", score="random", random_state=2)
    other.load_state_dict(model.state_dict())
    x = torch.randn(3, 16)
    assert torch.equal(model(x), other(x))


def test_static_masks_train_inside_their_support():
    model = sparsify(network(), Unstructured(0.2), method="static")
    support = [layer.weight != 0 for layer in sparse_layers(model).values()]
    optimizer = torch.optim.Adam(model.parameters(), 0.05)
    for _ in range(5):
        optimizer.zero_grad()
        (model(torch.randn(8, 16)) ** 2).sum().backward()
        optimizer.step()
    for before, layer in zip(support, sparse_layers(model).values()):
        assert torch.equal(before, layer.weight != 0)


def test_soft_diagonals_become_hard_as_the_temperature_falls():
    layer = torch.nn.Linear(16, 16)
    sparsify(layer, Diagonal(0.25), method="soft", temperature=Exponential(1.0, 0.5))
    logits = parametrization(layer).logits
    with torch.no_grad():
        logits.copy_(torch.linspace(0, 1, 16))
    original = layer.parametrizations.weight.original.detach()
    for _ in range(20):
        advance(layer)
    shares = (layer.weight.detach() / original).abs()
    assert int((shares > 1e-3).any(1).sum()) == 16
    assert int((shares > 1e-3).sum()) <= 16 * 4


def test_random_masks_depend_on_the_seed_alone():
    masks = [
        sparse_layers(
            sparsify(
                network(0), Unstructured(0.3), method="static", score="random", random_state=seed
            )
        )["0"].weight
        != 0
        for seed in (3, 3, 4)
    ]
    assert torch.equal(masks[0], masks[1])
    assert not torch.equal(masks[0], masks[2])


def test_where_and_mappings_choose_layers():
    model = sparsify(network(), Unstructured(0.3), where=lambda name, layer: name != "0")
    assert list(sparse_layers(model)) == ["2", "4"]
    model = sparsify(network(), {"2": NM(2, 4)})
    assert list(sparse_layers(model)) == ["2"]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: sparsify(network(), NM(2, 4), method="magic"), "use 'straight-through'"),
        (lambda: sparsify(network(), NM(2, 4), score="random"), "Use method='static'"),
        (lambda: sparsify(network(), NM(2, 4), method="soft"), "Diagonal patterns only"),
        (lambda: sparsify(torch.nn.ReLU(), NM(2, 4)), "No layer takes part"),
        (lambda: sparsify(network(), NM(1, 5)), "number of inputs that 5 divides"),
        (lambda: sparsify(sparsify(network(), NM(2, 4)), NM(2, 4)), "has a parametrization"),
        (lambda: DynamicMask(network()), "no static mask"),
    ],
)
def test_wrong_use_is_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


# ------------------------------------------------------------------------------------------ dynamic


def train_step(model, optimizer, masks, seed):
    torch.manual_seed(seed)
    x = torch.randn(16, 16)
    optimizer.zero_grad()
    ((model(x) - x[:, :4]) ** 2).mean().backward()
    optimizer.step()
    masks.step()


@pytest.mark.parametrize("grow", ["gradient", "random"])
def test_dynamic_masks_keep_their_number_and_move(grow):
    model = sparsify(network(), Unstructured(0.25), method="static")
    optimizer = torch.optim.SGD(model.parameters(), 0.05, momentum=0.9)
    masks = DynamicMask(model, grow=grow, every=2, fraction=Cosine(0.4, 0.0, 20),
                        optimizer=optimizer)  # fmt: skip
    before = {n: parametrization(m).mask.clone() for n, m in masks.layers.items()}
    for seed in range(6):
        train_step(model, optimizer, masks, seed)
    for name, layer in masks.layers.items():
        mask = parametrization(layer).mask
        assert int(mask.sum()) == int(before[name].sum())
        assert not torch.equal(mask, before[name])


def test_rigl_grows_where_the_dense_gradient_is_largest_and_drops_the_smallest():
    layer = torch.nn.Linear(6, 1, bias=False, dtype=torch.float64)
    with torch.no_grad():
        layer.weight.copy_(torch.tensor([[3.0, 0.1, 2.0, 0.0, 0.0, 0.0]]))
    sparsify(layer, Unstructured(0.5), method="static")
    masks = DynamicMask(layer, every=1, fraction=0.34)
    (layer(torch.tensor([[1.0, 1.0, 1.0, 2.0, 9.0, 3.0]], dtype=torch.float64))).sum().backward()
    masks.step()
    assert parametrization(layer).mask[0].tolist() == [True, False, True, False, True, False]
    assert layer.weight[0].tolist() == [3.0, 0.0, 2.0, 0.0, 0.0, 0.0]


def test_dynamic_masks_drop_by_any_score():
    layer = torch.nn.Linear(4, 1, bias=False)
    with torch.no_grad():
        layer.weight.copy_(torch.tensor([[3.0, 2.0, 0.0, 0.0]]))
    sparsify(layer, Unstructured(0.5), method="static")
    masks = DynamicMask(
        layer, every=1, fraction=0.5, drop=lambda name, w: -w.abs(), grow=lambda name, w: w * 0 + 1
    )
    masks.step()
    assert layer.weight[0, 0] == 0
    assert layer.weight[0, 1] == 2


def test_a_dynamic_mask_resumes():
    def build():
        model = sparsify(network(), Unstructured(0.25), method="static")
        optimizer = torch.optim.SGD(model.parameters(), 0.05)
        return model, optimizer, DynamicMask(model, grow="random", every=2, random_state=5)

    first = build()
    for seed in range(3):
        train_step(*first, seed)
    states = [copy.deepcopy(part.state_dict()) for part in first]
    second = build()
    for part, state in zip(second, states):
        part.load_state_dict(state)
    for seed in range(3, 8):
        train_step(*first, seed)
        train_step(*second, seed)
    for a, b in zip(first[0].parameters(), second[0].parameters()):
        assert torch.equal(a, b)


# ------------------------------------------------------------------------------ pruning and exports


def test_global_pruning_keeps_the_largest_weights_of_all_layers():
    model = network()
    every = torch.cat([p.detach().abs().reshape(-1) for p in model.parameters() if p.ndim == 2])
    bound = every.sort(descending=True).values[round(0.3 * every.numel()) - 1]
    expected = [(p.abs() >= bound) for p in model.parameters() if p.ndim == 2]
    prune(model, 0.3)
    for mask, layer in zip(expected, sparse_layers(model).values()):
        assert torch.equal(mask, layer.weight != 0)


def test_pruning_in_rounds_trains_between_them():
    left = []

    def train(model):
        weights = [layer.weight for layer in sparse_layers(model).values()]
        left.append(sum(int((w != 0).sum()) for w in weights))

    model = prune(network(), 0.512, n_rounds=3, train=train)
    total = sum(layer.weight.numel() for layer in sparse_layers(model).values())
    np.testing.assert_allclose(left, [0.8 * total, 0.64 * total, 0.512 * total], atol=3)


def test_a_soup_is_the_average_and_keeps_the_zeros():
    base = densify(prune(network(), 0.3))
    models = []
    for seed in range(3):
        model = copy.deepcopy(base)
        torch.manual_seed(seed)
        with torch.no_grad():
            for p in model.parameters():
                p.mul_(1 + 0.1 * torch.rand_like(p))
        models.append(model)
    mixed = soup(models, weights=[1.0, 1.0, 2.0])
    for name, p in mixed.named_parameters():
        parts = [dict(m.named_parameters())[name] for m in models]
        torch.testing.assert_close(p, (parts[0] + parts[1] + 2 * parts[2]) / 4)
        assert torch.equal(p != 0, dict(base.named_parameters())[name] != 0)


def test_a_greedy_soup_is_never_worse_than_the_best_model():
    models = [copy.deepcopy(network()) for _ in range(3)]
    with torch.no_grad():
        models[1][0].weight.mul_(1.2)
        models[2][0].weight.mul_(50.0)

    def score(model):
        return -abs(float(model[0].weight.norm()) - float(1.1 * models[0][0].weight.norm()))

    mixed = soup(models, score=score)
    assert score(mixed) >= max(map(score, models))
    assert score(mixed) == pytest.approx(0.0, abs=1e-5)


def test_a_soup_of_different_zeros_is_refused():
    with pytest.raises(ValueError, match="zeros in different places of layer '0'"):
        soup([densify(prune(network(s), 0.3)) for s in (0, 1)])


def test_csr_weights_are_the_weights():
    model = densify(prune(network(), 0.2))
    for name, matrix in to_csr(model).items():
        weight = model.get_submodule(name).weight.detach().numpy()
        np.testing.assert_array_equal(matrix.toarray(), weight)
        assert matrix.nnz == np.count_nonzero(weight)


@pytest.mark.parametrize(
    ("weight", "message"),
    [
        (torch.ones(4, 4, dtype=torch.float16), "multiples of 32 outputs and 64 inputs"),
        (torch.ones(32, 64), "in torch.float32 is refused"),
        (torch.ones(32, 64, dtype=torch.float16), "not 2:4 sparse"),
        (NM(2, 4).prox(torch.ones(32, 64, dtype=torch.float16)), "compute capability 8.0"),
    ],
)
def test_semi_structured_export_says_what_it_needs(weight, message):
    with pytest.raises(ValueError, match=message):
        to_semi_structured(weight)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
@pytest.mark.parametrize("pattern", [Unstructured(0.25), NM(1, 4), Block((1, 1), 0.25)])
def test_the_largest_of_small_weights_are_kept_in_every_precision(pattern, dtype):
    w = torch.tensor([[1.0, 2.0, 3.0, 4.0], [4.0, 3.0, 2.0, 1.0]]) * 1e-5
    kept = pattern.prox(w.to(dtype)) != 0
    assert kept.tolist() == [[False, False, False, True], [True, False, False, False]]
