"""attach_prox against closed forms, references of a few lines, and scikit-learn's lasso."""

from __future__ import annotations

import copy
import math

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed")

from sklearn.linear_model import Lasso  # noqa: E402

from sparsereg import penalties  # noqa: E402
from sparsereg.nn import (  # noqa: E402
    NM,
    XRDA,
    AdaptiveL1,
    Cosine,
    Linear,
    Unstructured,
    attach_prox,
)
from sparsereg.penalties import L1, L21, Hierarchical, KSupport, TrimmedRidge  # noqa: E402

ALPHA = 0.1


@pytest.fixture
def regression():
    rng = np.random.default_rng(0)
    X = rng.standard_normal((60, 12))
    X -= X.mean(axis=0)
    y = X[:, :3] @ [2.0, -1.0, 0.5] + 0.3 * rng.standard_normal(60)
    return torch.tensor(X), torch.tensor(y - y.mean())


def linear(n_features, n_outputs=1):
    layer = torch.nn.Linear(n_features, n_outputs, bias=False, dtype=torch.float64)
    torch.nn.init.zeros_(layer.weight)
    return layer


def objective(X, y, w, alpha=ALPHA):
    residual = y - X @ w
    return float(0.5 * (residual @ residual) / len(y) + alpha * w.abs().sum())


def lasso_objective(X, y):
    w = Lasso(alpha=ALPHA, fit_intercept=False, tol=1e-14, max_iter=100_000).fit(X, y).coef_
    return objective(X, y, torch.tensor(w))


OPTIMIZERS = {
    "sgd": (lambda p: torch.optim.SGD(p, 0.3), "euclidean", 400),
    "momentum": (lambda p: torch.optim.SGD(p, 0.05, momentum=0.9), "euclidean", 800),
    "dampened": (
        lambda p: torch.optim.SGD(p, 0.3, momentum=0.9, dampening=0.9),
        "euclidean",
        1500,
    ),
    "nesterov": (
        lambda p: torch.optim.SGD(p, 0.05, momentum=0.9, nesterov=True),
        "euclidean",
        800,
    ),
    "adam": (lambda p: torch.optim.Adam(p, 0.003), "adaptive", 6000),
    "adamw": (lambda p: torch.optim.AdamW(p, 0.003, weight_decay=0.0), "adaptive", 6000),
    "rmsprop": (lambda p: torch.optim.RMSprop(p, 0.001, eps=1e-3), "adaptive", 8000),
    "adagrad": (lambda p: torch.optim.Adagrad(p, 0.3), "adaptive", 3000),
}


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_linear_model_reaches_the_lasso_objective(name, regression):
    X, y = regression
    make, metric, n_steps = OPTIMIZERS[name]
    layer = linear(12)
    optimizer = make(layer.parameters())
    attach_prox(optimizer, layer.parameters(), L1(ALPHA), metric=metric)
    gram, slopes = X.T @ X / len(y), X.T @ y / len(y)
    for _ in range(n_steps):
        layer.weight.grad = layer.weight.detach() @ gram - slopes
        optimizer.step()
    gap = objective(X, y, layer.weight.detach()[0]) - lasso_objective(X, y)
    assert gap < 1e-8
    assert 0 < int((layer.weight == 0).sum()) < 12


def test_proximal_sgd_is_ista_step_by_step(regression):
    X, y = regression
    layer = linear(12)
    optimizer = torch.optim.SGD(layer.parameters(), 0.2)
    attach_prox(optimizer, layer.parameters(), L1(ALPHA))
    w = np.zeros(12)
    for _ in range(50):
        optimizer.zero_grad()
        (0.5 * ((y - layer(X)[:, 0]) ** 2).mean()).backward()
        optimizer.step()
        v = w - 0.2 * (X.numpy().T @ (X.numpy() @ w - y.numpy())) / len(y)
        w = np.sign(v) * np.maximum(np.abs(v) - 0.2 * ALPHA, 0)
        np.testing.assert_allclose(layer.weight.detach()[0], w, atol=1e-12)


def drive(optimizer, parameter, gradients):
    """Step through given gradients; return the network's weights after each."""
    seen = []
    for g in gradients:
        parameter.grad = g.clone()
        optimizer.step()
        seen.append(parameter.detach().clone())
    return seen


def random_problem(n_steps=30, seed=0):
    generator = torch.Generator().manual_seed(seed)
    start = torch.randn(4, 6, generator=generator, dtype=torch.float64)
    steps = torch.randn(n_steps, 4, 6, generator=generator, dtype=torch.float64)
    return torch.nn.Parameter(start.clone()), start, steps


def test_full_averaging_is_dual_averaging():
    p, start, gradients = random_problem()
    optimizer = torch.optim.SGD([p], 0.1)
    attach_prox(optimizer, [p], L1(0.05), averaging=1.0)
    for t, seen in enumerate(drive(optimizer, p, gradients), 1):
        z = start - 0.1 * gradients[:t].sum(0)
        expected = z.sign() * (z.abs() - 0.05 * 0.1 * t).clamp(min=0)
        torch.testing.assert_close(seen, expected, rtol=0, atol=1e-13)


def test_full_averaging_of_a_projection_is_straight_through():
    p, start, gradients = random_problem()
    optimizer = torch.optim.SGD([p], 0.1)
    attach_prox(optimizer, [p], NM(1, 3), averaging=1.0)
    for t, seen in enumerate(drive(optimizer, p, gradients), 1):
        z = start - 0.1 * gradients[:t].sum(0)
        torch.testing.assert_close(seen, z * NM(1, 3).mask(z.abs()))


def test_iterative_soft_shrinkage_multiplies_the_small_weights():
    p, start, gradients = random_problem(1)
    optimizer = torch.optim.SGD([p], 0.1)
    attach_prox(optimizer, [p], TrimmedRidge(1 / (19 * 0.1), k=0.25))
    drive(optimizer, p, gradients)
    z = start - 0.1 * gradients[0]
    kept = Unstructured(0.25).mask(z.abs())
    torch.testing.assert_close(p.detach(), torch.where(kept, z, 0.95 * z))


def reference_xrda(start, gradients, *, s, tau, delta, alpha, factor, averaging):
    """Return the weights after each step: the published recursion, in NumPy."""
    x, z = start.copy(), start.copy()
    v, b, a = 0.0, 0.0, 0.0
    kept, seen = math.exp(-s / tau), []
    for t, gradient in enumerate(gradients):
        share = averaging(t)
        g = gradient + delta * x
        a = kept * a + (1.0 - kept) * np.abs(x)
        w = factor / (1.0 + (factor - 1.0) * a / a.max())
        b = share * b + s * w
        v = kept * v + (1.0 - kept) * g
        z = (share * z + (1.0 - share) * x) - s * v
        x = np.sign(z) * np.maximum(np.abs(z) - b * alpha, 0.0)
        seen.append(x)
    return seen


@pytest.mark.parametrize("averaging", [Cosine(0.0, 1.0, 200), Linear(0.3, 0.9, 100)])
def test_xrda_is_the_reference_bitwise_for_200_steps(averaging):
    p, start, gradients = random_problem(200)
    gradients = 0.1 * gradients
    optimizer = XRDA(
        [p],
        AdaptiveL1(2e-3, factor=500.0, time_scale=9.5),
        lr=0.7,
        time_scale=9.5,
        averaging=averaging,
        weight_decay=5e-4,
    )
    expected = reference_xrda(
        start.numpy(),
        gradients.numpy(),
        s=0.7,
        tau=9.5,
        delta=5e-4,
        alpha=2e-3,
        factor=500.0,
        averaging=averaging,
    )
    seen = drive(optimizer, p, gradients)
    assert 0.2 < float((seen[-1] == 0).double().mean()) < 1.0
    for reached, reference in zip(seen, expected):
        np.testing.assert_array_equal(reached.numpy(), reference)


@pytest.mark.parametrize(
    ("make", "averaging", "penalty", "metric"),
    [
        (lambda p: torch.optim.SGD(p, 0.1, momentum=0.9), 0.0, L1(0.3), "euclidean"),
        (lambda p: torch.optim.SGD(p, 0.1), Cosine(0, 1, 20), AdaptiveL1(0.01), "euclidean"),
        (lambda p: torch.optim.Adam(p, 0.1), 0.7, penalties.MCP(0.3), "adaptive"),
        (lambda p: torch.optim.AdamW(p, 0.1), 1.0, NM(1, 3), "euclidean"),
        (lambda p: XRDA(p, AdaptiveL1(0.01), averaging=0.5), None, None, None),
    ],
)
def test_a_checkpoint_restores_the_trajectory(make, averaging, penalty, metric):
    def build(p):
        optimizer = make([p])
        if penalty is not None:
            attach_prox(optimizer, [p], penalty, averaging=averaging, metric=metric)
        return optimizer

    p, _, gradients = random_problem()
    optimizer = build(p)
    drive(optimizer, p, gradients[:11])
    weights, state = p.detach().clone(), copy.deepcopy(optimizer.state_dict())
    expected = drive(optimizer, p, gradients[11:])

    q = torch.nn.Parameter(weights.clone())
    resumed = build(q)
    resumed.load_state_dict(state)
    for reached, one in zip(drive(resumed, q, gradients[11:]), expected):
        assert torch.equal(reached, one)


def test_a_skipped_step_of_a_gradient_scaler_changes_nothing():
    p, start, _ = random_problem()
    p = torch.nn.Parameter(start.float())
    optimizer = torch.optim.SGD([p], 0.1)
    attach_prox(optimizer, [p], L1(1.0), averaging=0.5)
    scaler = torch.amp.GradScaler("cpu", init_scale=8.0)
    scaler.scale((p * float("inf")).sum()).backward()
    scaler.step(optimizer)
    scaler.update()
    assert torch.equal(p.detach(), start.float())
    assert not optimizer.state
    optimizer.zero_grad()
    scaler.scale((p**2).sum()).backward()
    scaler.step(optimizer)
    assert int((p == 0).sum()) > 0


def test_a_fused_optimizer_that_skips_a_step_changes_nothing():
    p = torch.nn.Parameter(torch.ones(2, 2))
    optimizer = torch.optim.Adam([p], 0.1, fused=True)
    attach_prox(optimizer, [p], L1(100.0))
    scaler = torch.amp.GradScaler("cpu", init_scale=8.0)
    for factor, expected in ((float("inf"), 1.0), (1.0, 0.0)):
        optimizer.zero_grad()
        scaler.scale((p * factor).sum()).backward()
        scaler.step(optimizer)
        scaler.update()
        assert torch.all(p == expected)


def test_the_learning_rate_of_a_scheduler_is_the_step_of_the_prox():
    p, start, gradients = random_problem(2)
    optimizer = torch.optim.SGD([p], 0.1)
    attach_prox(optimizer, [p], L1(1.0))
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, 1, gamma=0.1)
    x = start
    for k, g in enumerate(gradients):
        p.grad = g.clone()
        optimizer.step()
        scheduler.step()
        rate = 0.1 * 0.1**k
        z = x - rate * g
        x = z.sign() * (z.abs() - rate).clamp(min=0)
        torch.testing.assert_close(p.detach(), x)


def test_a_closure_is_evaluated_at_the_weights_the_network_uses(regression):
    X, y = regression
    trajectories = []
    for with_closure in (False, True):
        layer = linear(12)
        optimizer = torch.optim.SGD(layer.parameters(), 0.1)
        attach_prox(optimizer, layer.parameters(), L1(ALPHA), averaging=0.8)

        def closure(layer=layer, optimizer=optimizer):
            optimizer.zero_grad()
            loss = ((y - layer(X)[:, 0]) ** 2).mean()
            loss.backward()
            return loss

        for _ in range(20):
            if with_closure:
                assert optimizer.step(closure).item() > 0
            else:
                closure()
                optimizer.step()
        trajectories.append(layer.weight.detach().clone())
    assert torch.equal(*trajectories)


def test_tied_parameters_are_stepped_once():
    p, start, gradients = random_problem(1)
    optimizer = torch.optim.SGD([p], 0.1)
    handle = attach_prox(optimizer, [p, p], L1(1.0))
    drive(optimizer, p, gradients)
    z = start - 0.1 * gradients[0]
    torch.testing.assert_close(p.detach(), z.sign() * (z.abs() - 0.1).clamp(min=0))
    assert len(handle.parameters) == 1


def test_a_parameter_without_gradient_is_left_alone():
    p, _, gradients = random_problem(1)
    q = torch.nn.Parameter(torch.ones(2, 2))
    optimizer = torch.optim.Adam([p, q], 0.1)
    attach_prox(optimizer, [p, q], L1(100.0))
    drive(optimizer, p, gradients)
    assert torch.all(p == 0)
    assert torch.all(q == 1)
    q.grad = torch.ones(2, 2)
    optimizer.step()
    assert torch.all(q == 0)


def test_vectors_take_part_only_if_asked():
    layer = torch.nn.Linear(3, 2)
    optimizer = torch.optim.SGD(layer.parameters(), 0.1)
    attach_prox(optimizer, layer.parameters(), L1(1e9))
    layer(torch.ones(1, 3)).sum().backward()
    optimizer.step()
    assert torch.all(layer.weight == 0)
    assert torch.all(layer.bias != 0)
    attach_prox(optimizer, [layer.bias], L1(1e9), vectors=True)
    optimizer.step()
    assert torch.all(layer.bias == 0)


@pytest.mark.parametrize("by_hand", [False, True])
def test_freezing_keeps_the_zeros_and_trains_the_rest_without_penalty(by_hand):
    p, _, gradients = random_problem(20)
    optimizer = torch.optim.SGD([p], 0.1, momentum=0.9)
    handle = attach_prox(optimizer, [p], L1(0.6), freeze_at=None if by_hand else 10)
    before = drive(optimizer, p, gradients[:10])[-1]
    if by_hand:
        handle.freeze()
    assert 0 < int((before == 0).sum()) < 24
    after = drive(optimizer, p, gradients[10:])[-1]
    assert torch.equal(before == 0, after == 0)
    assert not torch.equal(before, after)


def test_strength_zero_is_plain_training_and_a_schedule_raises_it():
    p, start, gradients = random_problem(6)
    optimizer = torch.optim.SGD([p], 0.1)
    attach_prox(optimizer, [p], L1(100.0), strength=lambda t: float(t >= 5))
    seen = drive(optimizer, p, gradients)
    torch.testing.assert_close(seen[4], start - 0.1 * gradients[:5].sum(0))
    assert torch.all(seen[5] == 0)


@pytest.mark.parametrize(
    ("groups", "of"),
    [
        ("outputs", lambda w: w.reshape(w.shape[0], -1)),
        ("inputs", lambda w: w.movedim(1, 0).reshape(w.shape[1], -1)),
        ("kernels", lambda w: w.reshape(w.shape[0] * w.shape[1], -1)),
        ("layer", lambda w: w.reshape(1, -1)),
    ],
)
@pytest.mark.parametrize("penalty", [L21(3.0), KSupport(3.0, k=1)])
def test_groups_of_a_convolution_are_shrunk_together(groups, of, penalty):
    conv = torch.nn.Conv2d(3, 4, 2, bias=False, dtype=torch.float64)
    start = conv.weight.detach().clone()
    optimizer = torch.optim.SGD(conv.parameters(), 0.1)
    attach_prox(optimizer, conv.parameters(), penalty, groups=groups)
    conv.weight.grad = torch.zeros_like(conv.weight)
    optimizer.step()
    expected = penalty.prox(of(start).T.numpy(), 0.1).T
    np.testing.assert_allclose(of(conv.weight.detach()), expected, atol=1e-14)


def test_a_pair_of_matrices_is_one_to_the_hierarchical_penalty():
    skip = torch.nn.Linear(5, 2, bias=False, dtype=torch.float64)
    first = torch.nn.Linear(5, 7, bias=False, dtype=torch.float64)
    both = torch.cat([skip.weight, first.weight]).detach().numpy()
    optimizer = torch.optim.SGD([*skip.parameters(), *first.parameters()], 0.5)
    penalty = Hierarchical(0.8, 2.0, n_skip=2)
    attach_prox(optimizer, [(skip.weight, first.weight)], penalty)
    for layer in (skip, first):
        layer.weight.grad = torch.zeros_like(layer.weight)
    optimizer.step()
    expected = penalty.prox(both, 0.5)
    np.testing.assert_allclose(skip.weight.detach(), expected[:2], atol=1e-14)
    np.testing.assert_allclose(first.weight.detach(), expected[2:], atol=1e-14)
    dropped = torch.all(skip.weight == 0, dim=0)
    assert torch.all(first.weight[:, dropped] == 0)


def test_the_handle_looks_and_detaches():
    p, _, gradients = random_problem(2)
    optimizer = torch.optim.SGD([p], 0.1)
    handle = attach_prox(optimizer, [p], L1(2.0))
    drive(optimizer, p, gradients[:1])
    assert handle.sparsity() == float((p == 0).double().mean())
    assert handle.value() == pytest.approx(2.0 * float(p.abs().sum()))
    handle.remove()
    before = p.detach().clone()
    drive(optimizer, p, gradients[1:])
    torch.testing.assert_close(p.detach(), before - 0.1 * gradients[1])
    attach_prox(optimizer, [p], L1(1.0))


@pytest.mark.parametrize(
    "penalty",
    [
        penalties.L1(0.05), penalties.ElasticNet(0.05), penalties.MCP(0.05), penalties.SCAD(0.05),
        penalties.Lq(0.02), penalties.L0(0.01), penalties.CEL0(0.01), penalties.LogSum(0.02, 0.5),
        penalties.TransformedL1(0.02), penalties.CappedL1(0.05), penalties.L0Constraint(9),
        penalties.TrimmedRidge(5.0, k=0.3), penalties.KSupport(5.0, k=9),
        penalties.L21(0.1), penalties.Hierarchical(0.5, 0.5, n_skip=1),
    ],
    ids=lambda penalty: type(penalty).__name__,
)  # fmt: skip
def test_every_penalty_trains_a_network(penalty):
    """The claim of the package: each is attached, lowers the loss, and keeps its own pattern."""
    torch.manual_seed(0)
    X = torch.randn(100, 6)
    y = (X[:, 0] - 2 * X[:, 1].relu())[:, None]
    first, last = torch.nn.Linear(6, 8), torch.nn.Linear(8, 1)
    skip = torch.nn.Linear(6, 1, bias=False)
    every = [*first.parameters(), *last.parameters(), *skip.parameters()]
    optimizer = torch.optim.SGD(every, 0.05)
    hierarchical = isinstance(penalty, Hierarchical)
    target = (skip.weight, first.weight) if hierarchical else first.weight
    groups = "inputs" if isinstance(penalty, L21) else None
    attach_prox(optimizer, [target], penalty, groups=groups)
    losses = []
    for _ in range(200):
        optimizer.zero_grad()
        loss = ((last(first(X).relu()) + skip(X) - y) ** 2).mean()
        loss.backward()
        optimizer.step()
        losses.append(float(loss))
    assert losses[-1] < 0.3 * losses[0]
    zeros = int((first.weight == 0).sum())
    assert zeros > 0 or isinstance(penalty, TrimmedRidge)
    assert zeros < first.weight.numel()


def refused(**changes):
    p = torch.nn.Parameter(torch.ones(2, 2))
    options = {"optimizer": torch.optim.SGD([p], 0.1), "params": [p], "penalty": L1()} | changes
    return attach_prox(
        options.pop("optimizer"), options.pop("params"), options.pop("penalty"), **options
    )


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"params": [torch.nn.Parameter(torch.ones(2, 2))]}, "is not one of the optimizer's"),
        ({"params": []}, "no parameter to penalize"),
        ({"penalty": L21()}, "L21 needs groups. Use one of"),
        ({"groups": "inputs"}, "L1 has no groups"),
        ({"penalty": L21(), "groups": "rows"}, "groups='rows' is unknown"),
        ({"metric": "natural"}, "metric='natural' is unknown"),
        ({"penalty": KSupport(), "metric": "adaptive"}, "needs a separable penalty"),
        ({"penalty": AdaptiveL1(), "metric": "adaptive"}, "has weights of its own"),
        ({"penalty": Hierarchical()}, "needs two matrices at once"),
        ({"averaging": 1.5}, "must lie between 0 and 1"),
        ({"strength": -1.0}, "strength=-1.0 must be a finite"),
        ({"strength": math.nan}, "strength=nan must be a finite"),
        ({"weight_decay": math.nan}, "weight_decay=nan must be a finite"),
        ({"optimizer": torch.optim.LBFGS([torch.nn.Parameter(torch.ones(2))])}, "LBFGS"),
    ],
)
def test_combinations_without_a_meaning_are_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        refused(**changes)


def test_wrong_types_are_refused():
    with pytest.raises(
        TypeError, match=r"penalty=0\.1 has no prox. Give one of sparsereg.penalties"
    ):
        refused(penalty=0.1)
    with pytest.raises(TypeError, match="it must be an iterable"):
        refused(params=torch.nn.Parameter(torch.ones(2, 2)))


def test_a_second_penalty_on_a_parameter_is_refused():
    p, _, _ = random_problem()
    optimizer = torch.optim.SGD([p], 0.1)
    attach_prox(optimizer, [p], L1())
    with pytest.raises(ValueError, match="has a penalty already"):
        attach_prox(optimizer, [p], L1())


def test_an_unknown_metric_is_refused_in_the_first_step():
    p, _, gradients = random_problem(1)
    optimizer = torch.optim.SGD([p], 0.1)
    attach_prox(optimizer, [p], L1(), metric="adaptive")
    with pytest.raises(ValueError, match="does not know the metric of SGD"):
        drive(optimizer, p, gradients)
