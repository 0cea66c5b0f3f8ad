"""The formulas on arrays are those of the compiled kernels, in NumPy and in torch."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sparsereg.backends.numba.penalty_kernels import penalty_terms
from sparsereg.penalties import (
    CEL0,
    L0,
    L1,
    L21,
    MCP,
    SCAD,
    CappedL1,
    ElasticNet,
    L0Constraint,
    LogSum,
    Lq,
    TransformedL1,
    arrays,
)

claims = settings(max_examples=60)

SEPARABLE = [
    L1(0.7),
    ElasticNet(0.7, l1_ratio=0.3),
    MCP(0.7, 1.5),
    MCP(0.7, np.inf),
    SCAD(0.7, 2.5),
    L0(0.7),
    CEL0(0.7, column_norms=1.3),
    Lq(0.7, 0.0),
    Lq(0.7, 0.5),
    Lq(0.7, 0.3),
    Lq(0.7, 1.0),
    LogSum(0.7, 0.4),
    TransformedL1(0.7, 0.8),
    CappedL1(0.7, 0.6),
]
steps = st.sampled_from((1e-3, 0.1, 0.7, 1.0, 2.7, 10.0, 1e3))
vectors = st.lists(st.floats(-6, 6), min_size=1, max_size=20)


def to_numpy(v):
    return v


def to_torch(v):
    torch = pytest.importorskip("torch", reason="torch is not installed")
    return torch.tensor(v)


LIBRARIES = pytest.mark.parametrize("library", [to_numpy, to_torch])
PENALTIES = pytest.mark.parametrize("penalty", SEPARABLE, ids=repr)


@LIBRARIES
@PENALTIES
@claims
@given(v=vectors, step=steps)
def test_prox_is_that_of_the_kernel(library, penalty, v, step):
    v = np.array(v)
    expected = penalty.prox(v, step)
    reached = np.asarray(arrays.prox(penalty, library(v), step))
    close = np.isclose(reached, expected, rtol=1e-9, atol=1e-12)
    # within rounding of a jump, either side is a minimizer
    worse = [
        (x - z) ** 2 / (2 * step)
        + penalty.value([x])
        - (e - z) ** 2 / (2 * step)
        - penalty.value([e])
        for x, e, z in zip(reached[~close], expected[~close], v[~close])
    ]
    assert np.all(np.abs(worse) <= 1e-10)


@LIBRARIES
@PENALTIES
def test_weights_signs_and_steps_per_entry_are_those_of_the_kernel(library, penalty):
    v = np.array([-3.0, -0.4, 0.0, 0.6, 1.0, 2.5, 8.0])
    weights = np.array([1.0, 0.5, 1.0, 0.0, 3.0, np.inf, 0.2])
    for positive in (False, True):
        weighted = type(penalty)(
            **{**penalty.get_params(), "weights": weights, "positive": positive}
        )
        reached = np.asarray(arrays.prox(weighted, library(v), 0.8))
        np.testing.assert_allclose(reached, weighted.prox(v, 0.8), rtol=1e-9, atol=1e-12)
    step = np.array([0.1, 0.5, 1.0, 1.0, 2.0, 3.0, 7.0])
    each = [penalty.prox([z], s)[0] for z, s in zip(v, step)]
    reached = np.asarray(arrays.prox(penalty, library(v), library(step)))
    np.testing.assert_allclose(reached, each, rtol=1e-9, atol=1e-12)


@LIBRARIES
@PENALTIES
def test_slopes_and_bends_are_those_of_the_kernel(library, penalty):
    w = np.array([-3.0, -0.35, 0.0, 0.11, 0.65, 0.75, 1.4, 9.0])
    _, slopes, bends = penalty_terms(*penalty.kernel_form(w.size), w)
    np.testing.assert_allclose(arrays.slope(penalty, library(w)), slopes, rtol=1e-12)
    np.testing.assert_allclose(arrays.bend(penalty, library(w)), bends, rtol=1e-12)


@PENALTIES
def test_slope_by_alpha_is_its_difference_quotient(penalty):
    w, h = np.array([-3.0, -0.35, 0.11, 0.65, 1.4, 9.0]), 1e-6
    up, down = penalty.with_alpha(penalty.alpha + h), penalty.with_alpha(penalty.alpha - h)
    numeric = (up.slope(w) - down.slope(w)) / (2 * h)
    np.testing.assert_allclose(penalty.slope_by_alpha(w), numeric, rtol=1e-6, atol=1e-8)


@PENALTIES
def test_tensors_of_any_shape_go_through_prox(penalty):
    torch = pytest.importorskip("torch", reason="torch is not installed")
    v = torch.linspace(-3, 3, 24, dtype=torch.float64).reshape(2, 3, 4)
    x = penalty.prox(v, 0.9)
    assert x.shape == v.shape
    np.testing.assert_allclose(x.reshape(-1), penalty.prox(v.reshape(-1).numpy(), 0.9), atol=1e-12)


@PENALTIES
@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32"])
def test_precision_is_kept_and_nan_is_seen(penalty, dtype):
    torch = pytest.importorskip("torch", reason="torch is not installed")
    v = torch.tensor([0.1, -2.0, float("nan")], dtype=getattr(torch, dtype))
    x = penalty.prox(v, 0.5)
    assert x.dtype == v.dtype
    assert torch.isnan(x).tolist() == [False, False, True]
    np.testing.assert_allclose(
        x[:2].double(), penalty.prox([0.1, -2.0], 0.5), atol=2e-2 if "16" in dtype else 1e-5
    )


def test_a_weight_too_few_is_refused():
    torch = pytest.importorskip("torch", reason="torch is not installed")
    with pytest.raises(ValueError, match=r"3 weights and the array 4 entries. Give a weight"):
        L1(weights=[1, 2, 3]).prox(torch.ones(4), 1.0)


def test_l21_of_a_tensor_is_that_of_the_array():
    torch = pytest.importorskip("torch", reason="torch is not installed")
    v = np.random.default_rng(0).standard_normal((3, 5))
    v[:, 2] = 0
    penalty = L21(0.8, l1_ratio=0.7, weights=[1, 0, 1, 2, 1])
    np.testing.assert_allclose(penalty.prox(torch.tensor(v), 0.9), penalty.prox(v, 0.9), atol=1e-14)


def test_l21_in_a_metric_is_the_minimizer():
    torch = pytest.importorskip("torch", reason="torch is not installed")
    rng = np.random.default_rng(0)
    v, step = rng.standard_normal((3, 40)), rng.uniform(0.1, 3.0, (3, 40))
    for penalty in (L21(1.5), L21(3.0, l1_ratio=0.4), L21(1.5, weights=np.arange(40) % 3)):
        x = penalty.prox(torch.tensor(v), torch.tensor(step)).numpy()
        norms = np.linalg.norm(x, axis=0)
        assert 0 < np.count_nonzero(norms) < 40
        l1, l2 = (s * np.ones(40) for s in penalty._strengths(40))
        on = norms > 0
        optimality = (x - v) / step + l2 * x + l1 * x / np.where(on, norms, 1.0)
        np.testing.assert_allclose(optimality[:, on], 0.0, atol=1e-9)
        assert np.all(np.linalg.norm(v / step, axis=0)[~on] <= l1[~on] * (1 + 1e-7))
    alike = np.ones_like(step) * 0.9
    reached = L21(0.6).prox(torch.tensor(v), torch.tensor(alike))
    np.testing.assert_allclose(reached, L21(0.6).prox(v, 0.9), atol=1e-12)


@pytest.mark.parametrize("k", [0, 1, 3, 6, 9])
def test_the_largest_of_a_tensor_are_those_of_the_array(k):
    torch = pytest.importorskip("torch", reason="torch is not installed")
    v = np.array([1.0, -3.0, 2.0, 2.0, -2.0, 0.0])
    for positive in (False, True):
        constraint = L0Constraint(k, positive=positive)
        reached = constraint.prox(torch.tensor(v))
        np.testing.assert_array_equal(reached, constraint.prox(v))
