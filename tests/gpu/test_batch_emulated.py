"""Many small problems: the CUDA kernel, emulated in three orders of threads, against the CPU's."""

import numpy as np
import pytest
from emulated_cuda import ORDERS, EmulatedBackend, needs_compiler

from sparsereg import penalties
from sparsereg.backends.numba import backend as numba

pytestmark = needs_compiler

RNG = np.random.default_rng(5)
N_ATOMS, N_FEATURES, N_SIGNALS = 45, 30, 7  # two groups of coordinates, two blocks of warps
ATOMS = RNG.standard_normal((N_ATOMS, N_FEATURES))
ATOMS[40] = 0.0
X = RNG.standard_normal((N_SIGNALS, N_FEATURES))
X[3] = 0.0
GRAM = np.ascontiguousarray(ATOMS @ ATOMS.T)
CORRELATIONS = np.ascontiguousarray(X @ ATOMS.T)
SQ_NORMS = np.sum(X**2, axis=1)
ROUNDING = 8 * np.finfo(float).eps * N_FEATURES**0.5
WEIGHTS = RNG.uniform(0.5, 2.0, N_ATOMS)

PENALTIES = [
    penalties.L1(1.0),
    penalties.L1(1.0, weights=WEIGHTS),
    penalties.L1(1.0, positive=True),
    penalties.ElasticNet(1.0, l1_ratio=0.5),
    penalties.ElasticNet(1.0, l1_ratio=0.0),
    penalties.ElasticNet(1.0, l1_ratio=0.5, positive=True, weights=WEIGHTS),
    penalties.MCP(1.0, gamma=3.0),
    penalties.MCP(1.0, gamma=0.01),
    penalties.SCAD(1.0),
    penalties.SCAD(0.01, gamma=2.1, weights=100 * WEIGHTS),
    penalties.Lq(1.0, q=0.5),
    penalties.Lq(1.0, q=0.7, positive=True),
    penalties.L0(1.0),
    penalties.CEL0(1.0, column_norms=5 * WEIGHTS),
    penalties.LogSum(0.1, eps=0.01),
    penalties.LogSum(1.0, eps=10.0),
    penalties.TransformedL1(1.0, a=0.1),
    penalties.TransformedL1(1.0, a=10.0),
    penalties.CappedL1(1.0, theta=0.3),
    penalties.CappedL1(0.01, theta=3.0),
]


def solve(backend, penalty, tol, max_epochs=500, start=None):
    coefs = np.zeros((N_SIGNALS, N_ATOMS)) if start is None else start.copy()
    targets = tol * SQ_NORMS if penalty.is_convex else 0.5 * tol**2 * SQ_NORMS
    certificates, epochs = backend.gram_cd_batch(
        GRAM, CORRELATIONS, SQ_NORMS, coefs, penalty.kernel_form(N_ATOMS), max_epochs, targets,
        ROUNDING,
    )  # fmt: skip
    return coefs, certificates, epochs


def objectives(coefs, penalty):
    residuals = X - coefs @ ATOMS
    values = [penalty.value(coef) for coef in coefs]
    return 0.5 * np.sum(residuals**2, axis=1) + values


def name_of(penalty):
    return f"{type(penalty).__name__}({penalty.kernel_params()[1]})"


@pytest.mark.parametrize("penalty", PENALTIES, ids=name_of)
def test_solutions_and_certificates_are_those_of_the_cpu(penalty):
    expected = solve(numba, penalty, 1e-7)
    results = [solve(EmulatedBackend(order), penalty, 1e-7) for order in ORDERS]
    coefs, certificates, epochs = results[0]
    # the rooms for Newton steps differ: up to 32 coefficients, and up to 23
    is_exact = isinstance(penalty, penalties.ElasticNet)
    if is_exact:
        assert np.all(certificates <= 1e-7 * SQ_NORMS)
        far = np.abs(objectives(coefs, penalty) - objectives(expected[0], penalty))
        assert np.all(far <= 1e-7 * SQ_NORMS)
    else:
        np.testing.assert_allclose(coefs, expected[0], atol=1e-9)
        np.testing.assert_allclose(certificates, expected[1], rtol=1e-3, atol=1e-15)
        np.testing.assert_allclose(epochs, expected[2], atol=1)
    for other in results[1:]:
        for values, first in zip(other, results[0]):
            np.testing.assert_array_equal(values, first)


@pytest.mark.parametrize("penalty", PENALTIES, ids=name_of)
def test_certificates_of_points_far_from_solutions_are_those_of_the_cpu(penalty):
    start = RNG.standard_normal((N_SIGNALS, N_ATOMS)) * (RNG.random((N_SIGNALS, N_ATOMS)) < 0.3)
    if penalty.positive:
        start = np.abs(start)
    here, there = (solve(backend, penalty, 0.0, 1, start) for backend in (numba, EmulatedBackend()))
    assert np.count_nonzero(here[1]) >= 3
    np.testing.assert_allclose(there[1], here[1], rtol=1e-9, atol=1e-15)
    np.testing.assert_allclose(there[0], here[0], atol=1e-12)


@pytest.mark.parametrize("max_epochs", [1, 3])
def test_the_budget_of_sweeps_is_kept(max_epochs):
    _, _, epochs = solve(EmulatedBackend(), penalties.L1(0.1), 1e-14, max_epochs)
    assert np.all(epochs[SQ_NORMS > 0] == max_epochs)


def test_numbers_that_are_not_finite_end_a_problem_and_leave_the_others():
    correlations = CORRELATIONS.copy()
    correlations[2, 5] = np.nan
    coefs = np.zeros((N_SIGNALS, N_ATOMS))
    certificates, epochs = EmulatedBackend().gram_cd_batch(
        GRAM, correlations, SQ_NORMS, coefs, penalties.MCP(1.0).kernel_form(N_ATOMS), 500,
        1e-12 * SQ_NORMS, ROUNDING,
    )  # fmt: skip
    assert not np.isfinite(certificates[2])
    assert epochs[2] < 500
    assert np.all(np.isfinite(certificates[[0, 1, 3, 4, 5, 6]]))


@pytest.mark.parametrize("order", ORDERS)
def test_newton_steps_take_the_place_of_sweeps(order):
    """Few of the coefficients are not zero, so that their Newton steps end in the solution."""
    rng = np.random.default_rng(1)
    signals = ATOMS[:12:2][rng.permutation(6)] + 0.01 * rng.standard_normal((6, N_FEATURES))
    correlations, squares = signals @ ATOMS.T, np.sum(signals**2, axis=1)
    form = penalties.ElasticNet(1.0, l1_ratio=0.9).kernel_form(N_ATOMS)

    def solved(backend, gram):
        coefs = np.zeros((6, N_ATOMS))
        certificates, epochs = backend.gram_cd_batch(
            gram, np.ascontiguousarray(correlations), squares, coefs, form, 500, 1e-13 * squares,
            ROUNDING,
        )  # fmt: skip
        assert np.all(certificates <= 1e-13 * squares)
        return coefs, epochs

    found, epochs = solved(EmulatedBackend(order), GRAM)
    expected, expected_epochs = solved(numba, GRAM)
    np.testing.assert_allclose(found, expected, atol=1e-8)
    np.testing.assert_array_equal(epochs, expected_epochs)
    assert np.all(epochs <= 3)
