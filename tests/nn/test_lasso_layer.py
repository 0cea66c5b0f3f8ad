"""LassoLayer: its values are those of the solvers, its gradients those of finite differences."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed")

from sklearn.linear_model import Lasso, LogisticRegression  # noqa: E402

from sparsereg.nn import LISTA, LassoLayer  # noqa: E402
from sparsereg.penalties import (  # noqa: E402
    CEL0,
    L1,
    L21,
    MCP,
    SCAD,
    ElasticNet,
    L0Constraint,
    LogSum,
    Lq,
    TransformedL1,
)

gradcheck = torch.autograd.gradcheck


def problem(n=14, p=7, batch=None, seed=0):
    rng = np.random.default_rng(seed)
    shape = () if batch is None else (batch,)
    X = rng.standard_normal((*shape, n, p))
    y = X[..., :3] @ [2.0, -1.5, 1.0] + 0.5 * rng.standard_normal((*shape, n))
    return (
        torch.tensor(X, requires_grad=True),
        torch.tensor(y, requires_grad=True),
        torch.tensor(0.2, dtype=torch.float64, requires_grad=True),
    )


def test_the_solution_is_the_lasso():
    X, y, alpha = problem()
    w = LassoLayer()(X, y, alpha).detach().numpy()
    model = Lasso(alpha=0.2, fit_intercept=False, tol=1e-14, max_iter=100_000)
    expected = model.fit(X.detach(), y.detach()).coef_
    np.testing.assert_allclose(w, expected, atol=1e-9)
    assert 0 < np.count_nonzero(w) < 7


@pytest.mark.parametrize(
    "penalty",
    [
        L1(), L1(weights=np.linspace(0.2, 2, 7)), L1(positive=True),
        ElasticNet(l1_ratio=0.6), MCP(gamma=3.0), SCAD(gamma=3.7), CEL0(), Lq(q=0.5),
        LogSum(eps=2.0), TransformedL1(a=3.0),
    ],
    ids=repr,
)  # fmt: skip
def test_gradients_are_those_of_finite_differences(penalty):
    X, y, alpha = problem()
    layer = LassoLayer(penalty)
    assert 0 < int((layer(X, y, alpha) != 0).sum()) < 7
    assert gradcheck(layer, (X, y, alpha), eps=1e-6, atol=1e-6, rtol=1e-5)


def test_gradients_where_a_concave_penalty_bends():
    """MCP with two coefficients in its concave part: the Hessian has the negative bend."""
    rng = np.random.default_rng(3)
    X = np.linalg.qr(rng.standard_normal((20, 4)))[0] * np.sqrt(20)
    w = np.array([0.9, -0.6, 3.0, 0.0])
    y = torch.tensor(X @ w, requires_grad=True)
    alpha = torch.tensor(0.4, dtype=torch.float64, requires_grad=True)
    X = torch.tensor(X, requires_grad=True)
    solution = LassoLayer(MCP(gamma=3.0))(X, y, alpha)
    assert int(((solution != 0) & (solution.abs() < 1.2)).sum()) == 2
    assert gradcheck(LassoLayer(MCP(gamma=3.0)), (X, y, alpha), eps=1e-6, atol=1e-6, rtol=1e-5)


def test_gradients_of_a_strength_for_each_feature():
    X, y, _ = problem()
    alpha = torch.linspace(0.1, 0.5, 7, dtype=torch.float64).requires_grad_()
    for penalty in (L1(), ElasticNet(l1_ratio=0.7), L1(weights=np.linspace(0.5, 2, 7))):
        assert gradcheck(LassoLayer(penalty), (X, y, alpha), eps=1e-6, atol=1e-6, rtol=1e-5)


def test_gradients_with_more_features_than_samples():
    X, y, alpha = problem(n=8, p=20)
    assert 0 < int((LassoLayer()(X, y, alpha) != 0).sum()) <= 8
    assert gradcheck(LassoLayer(), (X, y, alpha), eps=1e-6, atol=1e-6, rtol=1e-5)


def test_batches_are_single_problems():
    X, y, alpha = problem(batch=3)
    together = LassoLayer()(X, y, alpha)
    for k in range(3):
        torch.testing.assert_close(together[k], LassoLayer()(X[k], y[k], alpha))
    assert gradcheck(LassoLayer(), (X, y, alpha), eps=1e-6, atol=1e-6, rtol=1e-5)
    shared = LassoLayer()(X[0], y, alpha)
    assert shared.shape == (3, 7)
    torch.testing.assert_close(shared[2], LassoLayer()(X[0], y[2], alpha))
    first = X[0].detach().requires_grad_()
    assert gradcheck(LassoLayer(), (first, y, alpha), eps=1e-6, atol=1e-6, rtol=1e-5)


def test_beyond_the_largest_alpha_everything_is_zero():
    X, y, _ = problem()
    alpha = torch.tensor(100.0, dtype=torch.float64, requires_grad=True)
    w = LassoLayer()(X, y, alpha)
    w.sum().backward()
    assert not w.any()
    assert not X.grad.any()
    assert not y.grad.any()
    assert alpha.grad == 0


def test_float32_stays_float32():
    X, y, alpha = (t.detach().float() for t in problem())
    assert LassoLayer()(X, y, alpha).dtype == torch.float32


def test_hyperparameters_can_be_learned():
    """Gradient descent on log alpha lowers the held-out error, near the best of a grid."""
    rng = np.random.default_rng(0)
    X = rng.standard_normal((120, 60))
    y = X[:, :4] @ [1.0, -1.0, 1.0, -1.0] + rng.standard_normal(120)
    X, y = torch.tensor(X), torch.tensor(y)
    fit, held = slice(0, 60), slice(60, 120)

    def error(alpha):
        return ((y[held] - X[held] @ LassoLayer()(X[fit], y[fit], alpha)) ** 2).mean()

    log_alpha = torch.tensor(-3.5, dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.Adam([log_alpha], 0.1)
    start = float(error(log_alpha.exp()))
    for _ in range(60):
        optimizer.zero_grad()
        error(log_alpha.exp()).backward()
        optimizer.step()
    grid = min(float(error(torch.tensor(a))) for a in np.geomspace(0.01, 1, 60))
    assert float(error(log_alpha.exp())) < 0.9 * start
    assert float(error(log_alpha.exp())) <= grid * 1.01


def test_a_singular_support_warns():
    X = torch.tensor([[1.0, 1.0], [2.0, 2.0], [0.0, 0.0]], dtype=torch.float64)
    y = torch.tensor([1.0, 2.0, 0.5], dtype=torch.float64, requires_grad=True)
    layer = LassoLayer()
    layer.solve = lambda X, y, penalty, weights: np.full((1, 2), 0.4)
    w = layer(X, y, 0.01)
    with pytest.warns(RuntimeWarning, match="Hessian on the support is singular"):
        w.sum().backward()
    assert torch.all(torch.isfinite(y.grad))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda X, y: LassoLayer()(X, y[:5], 0.1), "do not fit. Give"),
        (lambda X, y: LassoLayer()(X[None], y, 0.1), "Give one y for each X"),
        (lambda X, y: LassoLayer()(X, y, 0.0), "alpha must be positive"),
        (lambda X, y: LassoLayer(MCP())(X, y, torch.ones(7)), "needs an l1 or elastic-net"),
        (lambda X, y: LassoLayer()(X * torch.nan, y, 0.1), "X contains NaN or inf"),
    ],
)
def test_bad_input_is_refused(make, message):
    X, y, _ = problem()
    with pytest.raises(ValueError, match=message):
        make(X.detach(), y.detach())


@pytest.mark.parametrize("penalty", [L21(), L0Constraint(2), 0.1])
def test_penalties_that_are_not_separable_are_refused(penalty):
    with pytest.raises(TypeError, match="is not a separable penalty"):
        LassoLayer(penalty)


def classes(n=24, p=6, seed=1):
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n, p))
    y = (X[:, :2] @ [2.0, -1.5] + rng.standard_normal(n) > 0).astype(float)
    return (
        torch.tensor(X, requires_grad=True),
        torch.tensor(y),
        torch.tensor(0.1, dtype=torch.float64, requires_grad=True),
        torch.tensor(rng.uniform(0.5, 2.0, n), requires_grad=True),
    )


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("l1_ratio", [1.0, 0.6])
def test_the_logistic_solution_is_that_of_scikit_learn(l1_ratio, weighted):
    X, y, _, s = (t.detach() for t in classes())
    s = s if weighted else torch.ones_like(s)
    w = LassoLayer(ElasticNet(l1_ratio=l1_ratio), loss="logistic")(X, y, 0.2, s).numpy()
    model = LogisticRegression(
        C=1 / (0.2 * float(s.sum())), l1_ratio=l1_ratio, solver="saga", fit_intercept=False,
        tol=1e-12, max_iter=100_000,
    )  # fmt: skip
    expected = model.fit(X, y, sample_weight=s).coef_[0]
    np.testing.assert_allclose(w, expected, atol=1e-7)
    assert 0 < np.count_nonzero(w) < 6


@pytest.mark.parametrize(
    "penalty",
    [L1(), L1(weights=np.array([0.0, 1, 2, 1, 1, 1])), L1(positive=True), ElasticNet(l1_ratio=0.6)],
    ids=repr,
)
def test_gradients_of_the_logistic_loss(penalty):
    X, y, alpha, s = classes()
    soft = (0.9 * y + 0.05).requires_grad_()  # probabilities are targets, too
    layer = LassoLayer(penalty, loss="logistic")
    assert 0 < int((layer(X, soft, alpha, s) != 0).sum()) < 6
    assert gradcheck(layer, (X, soft, alpha, s), eps=1e-6, atol=1e-6, rtol=1e-5)
    assert gradcheck(lambda *a: layer(a[0], y, a[1]), (X, alpha), eps=1e-6, atol=1e-6, rtol=1e-5)


def test_logistic_gradients_of_a_strength_for_each_feature_and_of_a_batch():
    X, y, _, s = classes()
    layer = LassoLayer(loss="logistic")
    alpha = torch.linspace(0.05, 0.2, 6, dtype=torch.float64).requires_grad_()
    assert gradcheck(lambda *a: layer(a[0], y, *a[1:]), (X, alpha, s), eps=1e-6, atol=1e-6)
    both = torch.stack([y, 1 - y])
    w = layer(X, both, 0.1, s)
    torch.testing.assert_close(w[0], -w[1], atol=1e-10, rtol=0)


@pytest.mark.parametrize("loss", ["squared", "logistic"])
def test_classes_that_a_plane_separates_have_a_solution(loss):
    """The penalty bounds the coefficients where the likelihood does not."""
    X = torch.tensor(np.random.default_rng(0).standard_normal((30, 4)), requires_grad=True)
    y = (X.detach()[:, 0] > 0).double()
    alpha = torch.tensor(1e-4, dtype=torch.float64, requires_grad=True)
    layer = LassoLayer(loss=loss)
    w = layer(X, y, alpha).detach().numpy()
    r, _ = layer.derivatives(X.detach().numpy(), y.numpy(), w)
    slopes = X.detach().numpy().T @ r / 30
    np.testing.assert_allclose(slopes[w != 0], 1e-4 * np.sign(w[w != 0]), atol=1e-12)
    assert np.all(np.abs(slopes) <= 1e-4 + 1e-12)


@pytest.mark.parametrize("penalty", [L1(), ElasticNet(l1_ratio=0.6), MCP(gamma=3.0)], ids=repr)
def test_gradients_of_sample_weights(penalty):
    X, y, alpha = problem()
    s = torch.linspace(0.5, 2.0, 14, dtype=torch.float64).requires_grad_()
    layer = LassoLayer(penalty)
    assert gradcheck(layer, (X, y, alpha, s), eps=1e-6, atol=1e-6, rtol=1e-5)
    several = torch.stack([s, s.flip(0)]).detach().requires_grad_()
    targets = torch.stack([y, y + 1]).detach().requires_grad_()
    if penalty.is_convex:
        assert gradcheck(layer, (X, targets, alpha, several), eps=1e-6, atol=1e-6, rtol=1e-5)
        assert gradcheck(layer, (X, targets, alpha, s), eps=1e-6, atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("loss", ["squared", "logistic"])
def test_weights_are_repetitions_and_zero_is_absence(loss):
    X, y, alpha, _ = (t.detach() for t in classes())
    times = torch.arange(24) % 3
    layer = LassoLayer(loss=loss)
    weighted = layer(X, y, alpha, times.double())
    repeated = layer(X.repeat_interleave(times, 0), y.repeat_interleave(times), alpha)
    torch.testing.assert_close(weighted, repeated, atol=1e-10, rtol=0)
    torch.testing.assert_close(weighted, layer(X, y, alpha, 7.0 * times.double()))


def test_bad_losses_and_weights_are_refused():
    X, y, _, s = (t.detach() for t in classes())
    with pytest.raises(ValueError, match=r"loss=.hinge. is unknown"):
        LassoLayer(loss="hinge")
    with pytest.raises(ValueError, match=r"Use L1\(\) or ElasticNet"):
        LassoLayer(MCP(), loss="logistic")
    with pytest.raises(ValueError, match=r"y goes from -1 to 1.*Code the two classes as 0 and 1"):
        LassoLayer(loss="logistic")(X, 2 * y - 1, 0.1)
    for wrong, message in (
        (s[:3], "Give a weight for each sample"),
        (-s, "negative numbers, NaN or inf"),
        (0 * s, "All sample_weight are zero"),
    ):
        with pytest.raises(ValueError, match=message):
            LassoLayer()(X, y, 0.1, wrong)


# ----------------------------------------------------------------------------------------- unrolled


@pytest.mark.parametrize("penalty", [L1(0.3), MCP(0.3, 3.0)])
def test_many_untrained_layers_are_the_minimizer(penalty):
    rng = np.random.default_rng(0)
    D = torch.tensor(np.linalg.qr(rng.standard_normal((20, 12)))[0] + 0.02)
    y = torch.tensor(rng.standard_normal((4, 20)))
    codes = LISTA(D, n_layers=400, penalty=penalty, untied=False, learnable=False)(y)
    scaled = penalty.with_alpha(penalty.alpha)
    x = codes.detach()
    moved = scaled.prox(x - (x @ D.T - y) @ D / 2.0, 0.5)
    torch.testing.assert_close(moved, x, atol=1e-9, rtol=0)


def test_training_makes_few_layers_enough():
    torch.manual_seed(0)
    D = torch.randn(10, 20)
    D = D / D.norm(dim=0)
    truth = torch.randn(300, 20) * (torch.rand(300, 20) < 0.1)
    y = truth @ D.T
    network = LISTA(D, n_layers=4, penalty=L1(0.05))

    def error():
        return ((network(y) - truth) ** 2).mean()

    before = float(error())
    optimizer = torch.optim.Adam(network.parameters(), 3e-3)
    for _ in range(200):
        optimizer.zero_grad()
        error().backward()
        optimizer.step()
    assert float(error()) < 0.6 * before
    assert len([p for p in network.parameters() if p.requires_grad]) == 2 + 4


def test_integers_are_refused_by_their_type():
    X = torch.eye(3, dtype=torch.int64)
    with pytest.raises(TypeError, match="not both of floating point"):
        LassoLayer()(X, X[0].double(), 0.1)
    with pytest.raises(TypeError, match="not both of floating point"):
        LassoLayer()(X.double(), X[0], 0.1)
