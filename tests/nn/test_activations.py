"""Sparse activations, noise and metrics, each against its definition."""

from __future__ import annotations

import copy

import numpy as np
import pytest
from scipy import stats

torch = pytest.importorskip("torch", reason="torch is not installed")

from sparsereg.nn import (  # noqa: E402
    AdaptiveTopK,
    NoiseInjection,
    ProxActivation,
    SoftThreshold,
    TopK,
    densify,
    metrics,
    prune,
)
from sparsereg.nn.activations import gradient_scores  # noqa: E402
from sparsereg.penalties import CEL0, L0, L1, MCP, SCAD, ElasticNet, LogSum, Lq  # noqa: E402

PENALTIES = [L1(0.5), ElasticNet(0.5), MCP(0.5, 3.0), SCAD(0.5), L0(0.5), CEL0(0.5), Lq(0.5),
             LogSum(0.5, 1.0)]  # fmt: skip


@pytest.mark.parametrize("penalty", PENALTIES, ids=repr)
def test_prox_activations_have_their_derivatives(penalty):
    activation = ProxActivation(penalty, 0.6, n_features=6).double()
    v = torch.tensor([-2.5, -0.9, 0.1, 0.05, 1.3, 4.0], dtype=torch.float64, requires_grad=True)
    expected = penalty.prox(v.detach().numpy(), 0.6)
    np.testing.assert_allclose(activation(v).detach(), expected, atol=1e-7)
    assert 0 < np.count_nonzero(expected) < 6

    def run(v, log_step):
        activation._parameters["log_step"] = log_step
        return activation(v)

    log_step = activation.log_step.detach().clone().requires_grad_()
    assert torch.autograd.gradcheck(run, (v, log_step), eps=1e-6, atol=1e-6)


def test_soft_threshold_is_its_formula():
    v = torch.linspace(-2, 2, 9)
    fixed = SoftThreshold(0.7, learnable=False)
    torch.testing.assert_close(fixed(v), v.sign() * (v.abs() - 0.7).clamp(min=0))
    torch.testing.assert_close(
        SoftThreshold(0.7, learnable=False, positive=True)(v), (v - 0.7).relu()
    )
    assert not list(fixed.parameters())


@pytest.mark.parametrize("k", [1, 3, 8, 20])
def test_top_k_is_torch_topk(k):
    v = torch.randn(5, 8, generator=torch.Generator().manual_seed(0))
    top = v.relu().topk(min(k, 8))
    expected = torch.zeros(5, 8).scatter(1, top.indices, top.values)
    assert torch.equal(TopK(k)(v), expected)


def test_top_k_over_a_batch_shares_its_places():
    v = torch.tensor([[5.0, 4.0, 3.0], [1.0, 0.5, 0.2]])
    assert TopK(1, batch=True)(v).tolist() == [[5.0, 4.0, 0.0], [0.0, 0.0, 0.0]]


def test_top_k_by_column_norms_keeps_what_contributes_most():
    following = torch.nn.Linear(3, 2)
    with torch.no_grad():
        following.weight.copy_(torch.tensor([[0.1, 1.0, 0.0], [0.0, 1.0, 5.0]]))
    top = TopK(1, columns=following)
    assert top(torch.tensor([3.0, 1.0, 0.2])).tolist() == [0.0, 1.0, 0.0]
    assert not list(top.parameters())


def test_top_k_passes_gradients_to_what_it_keeps():
    v = torch.tensor([1.0, 3.0, 2.0, -1.0], requires_grad=True)
    TopK(2)(v).sum().backward()
    assert v.grad.tolist() == [0.0, 1.0, 1.0, 0.0]


def test_gradient_scores_are_first_order_changes():
    D = torch.randn(4, 3, dtype=torch.float64)
    v, g = torch.rand(2, 3, dtype=torch.float64), torch.randn(2, 4, dtype=torch.float64)
    by_loop = [[v[i, j] * (1 + 0.5 * (D[:, j] @ g[i])) for j in range(3)] for i in range(2)]
    torch.testing.assert_close(gradient_scores(v, g, D, 0.5), torch.tensor(by_loop))
    kept = TopK(1)(v, gradient_scores(v, g, D, 0.5))
    assert torch.equal(kept.argmax(1), torch.tensor(by_loop).argmax(1))


def test_adaptive_top_k_recovers_the_number_of_an_orthogonal_code():
    generator = torch.Generator().manual_seed(1)
    D = torch.linalg.qr(torch.randn(8, 8, generator=generator, dtype=torch.float64)).Q
    for k in (1, 3, 5):
        z = torch.zeros(8, dtype=torch.float64)
        z[:k] = torch.linspace(1, 2, k, dtype=torch.float64)
        noisy = z + 0.05 * (z == 0)
        kept = AdaptiveTopK(D)(noisy, (D @ z).norm())
        assert int((kept != 0).sum()) == k


def test_adaptive_top_k_keeps_more_for_longer_inputs():
    v = torch.rand(6, generator=torch.Generator().manual_seed(0))
    layer = AdaptiveTopK(torch.eye(6))
    counts = [int((layer(v, torch.tensor(s)) != 0).sum()) for s in (0.1, 0.8, 1.2, 5.0)]
    assert counts == sorted(counts)
    assert counts[-1] == 6


def test_noise_is_injected_in_training_only_and_its_size_is_learned():
    layer = torch.nn.Linear(50, 40)
    layer.weight.data[:, :10] = 0
    weight = layer.weight.detach().clone()
    torch.nn.utils.parametrize.register_parametrization(
        layer, "weight", NoiseInjection(weight, 0.5)
    )
    noise = layer.weight.detach() - weight
    assert float(noise[:, 10:].std()) == pytest.approx(0.5 * float(weight.std()), rel=0.1)
    assert not noise[:, :10].any()
    layer(torch.ones(1, 50)).sum().backward()
    assert layer.parametrizations.weight[0].scales.grad.any()
    assert torch.equal(layer.eval().weight, weight)


# ------------------------------------------------------------------------------------------ metrics


def network():
    torch.manual_seed(0)
    return torch.nn.Sequential(torch.nn.Linear(6, 10), torch.nn.ReLU(), torch.nn.Linear(10, 2))


def test_sparsity_and_flops_count_nonzero_weights():
    model = network()
    assert metrics.sparsity(model) == 0.0
    assert metrics.flops(model, torch.ones(3, 6)) == 2 * 3 * 80
    densify(prune(model, 0.25))
    assert metrics.sparsity(model) == pytest.approx(0.75)
    assert metrics.flops(model, torch.ones(3, 6)) == 2 * 3 * 20
    conv = torch.nn.Conv2d(2, 3, 3)
    assert metrics.flops(conv, torch.ones(1, 2, 5, 5)) == 2 * 54 * 9


def test_the_sparsity_curve_finds_the_weights_that_matter():
    model = network()
    with torch.no_grad():
        for p in (model[0].weight, model[2].weight):
            p.copy_(torch.where(torch.rand_like(p) < 0.5, 1.0, 1e-6))
    x = torch.randn(50, 6)
    out = model(x)

    def score(m):
        return -float(((m(x) - out) ** 2).mean())

    levels = [0.0, 0.1, 0.3, 0.9]
    scores = metrics.sparsity_curve(model, score, levels)
    assert scores[0] == 0.0
    assert metrics.essential_sparsity(levels, scores, drop=1e-6) == 0.3
    assert metrics.sparsity(model) == 0.0


def test_loss_tolerant_sparsity_grows_with_the_tolerance_and_keeps_its_promise():
    model, x = network(), torch.randn(200, 6, generator=torch.Generator().manual_seed(0))
    target = model(x).detach() + 0.1

    def loss(m):
        return float(((m(x) - target) ** 2).mean())

    before = loss(model)
    layers = {"2": model[2]}
    strict = metrics.loss_tolerant_sparsity(model, layers, loss, tolerance=1e-6)
    shares = [
        metrics.loss_tolerant_sparsity(model, layers, loss, tolerance=p) for p in (0.01, 0.1, 1.0)
    ]
    natural = float((model[0](x) <= 0).float().mean())
    assert strict == pytest.approx(natural, abs=0.02)
    assert strict <= shares[0] < shares[1] < shares[2] < 1.0
    assert loss(model) == before


def test_matrix_nuclear_norm_of_one_direction_and_of_many():
    one = torch.tensor([[1.0, 0.0], [-1.0, 0.0], [1.0, 0.0], [-1.0, 0.0]])
    assert metrics.matrix_nuclear_norm(one) == pytest.approx(2.0)
    rows = torch.cat([torch.eye(4), -torch.eye(4)])
    assert metrics.matrix_nuclear_norm(rows) == pytest.approx(4 * 2**0.5)
    exact = float(torch.linalg.matrix_norm(rows, "nuc"))
    assert metrics.matrix_nuclear_norm(rows) == pytest.approx(exact, rel=1e-5)


def test_architecture_divergence_counts_changed_zeros():
    before = densify(prune(network(), 0.5))
    after = copy.deepcopy(before)
    with torch.no_grad():
        nonzero = torch.nonzero(after[0].weight)[0]
        zero = torch.nonzero(after[0].weight == 0)[0]
        after[0].weight[tuple(nonzero)] = 0
        after[0].weight[tuple(zero)] = 1
    assert metrics.architecture_divergence(before, after) == {"0": 2, "2": 0}


def test_folded_snr_is_that_of_the_folded_normal():
    mean = torch.tensor([0.0, 0.3, -2.0], dtype=torch.float64)
    std = torch.tensor([1.0, 0.5, 0.7], dtype=torch.float64)
    for m, s, snr in zip(mean.tolist(), std.tolist(), metrics.folded_snr(mean, std).tolist()):
        folded = stats.foldnorm(abs(m) / s, scale=s)
        assert snr == pytest.approx(folded.mean() / folded.std(), rel=1e-9)


def test_flops_loss_is_its_formula():
    codes = torch.tensor([[1.0, -2.0], [3.0, 0.0]])
    assert float(metrics.flops_loss(codes)) == 4.0 + 1.0
    assert float(metrics.flops_loss(codes, torch.tensor([0.5, 2.0]))) == 1.0 + 4.0
