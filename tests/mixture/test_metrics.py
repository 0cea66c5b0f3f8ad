"""Comparisons that do not depend on the order of the regressions."""

import numpy as np
import pytest

from sparsereg.mixture import (
    MixtureOracle,
    label_error,
    make_sparse_mixture,
    match_components,
    mixture_errors,
)


def test_errors_do_not_depend_on_the_order():
    coef = make_sparse_mixture(50, 12, 3, random_state=0)
    found = coef[[2, 0, 1]]
    assert mixture_errors(coef, found) == (0.0, 1.0, 1.0, 0, True)
    np.testing.assert_array_equal(match_components(coef, found), [1, 2, 0])


def test_a_wrong_value_is_a_false_discovery_and_a_missing_one_is_not():
    coef = np.array([[1.0, 2.0, 0.0, 0.0], [0.0, 0.0, 3.0, 4.0]])
    wrong, missing = coef.copy(), coef.copy()
    wrong[0, 1], missing[1, 3] = 2.5, 0.0
    errors = mixture_errors(coef, wrong)
    assert (errors.n_false, errors.precision, errors.recall, errors.exact) == (1, 1.0, 1.0, False)
    errors = mixture_errors(coef, missing)
    assert (errors.n_false, errors.precision, errors.recall) == (0, 1.0, 0.75)
    assert errors.coef_error == pytest.approx(4 / np.linalg.norm(coef))


def test_missing_regressions_count_as_zero():
    coef = make_sparse_mixture(20, 6, 3, random_state=0)
    assert mixture_errors(coef, coef[:2]).recall == pytest.approx(4 / 6)


def test_label_error_is_that_of_the_best_matching():
    assert label_error([0, 0, 1, 1], [1, 1, 0, 0]) == 0.0
    assert label_error([0, 0, 1, 1], [1, 1, 1, 0]) == 0.25
    assert label_error([0, 1], [-1, 0]) == 0.5
    with pytest.raises(ValueError, match="one label"):
        label_error([0, 1], [0])


def test_shared_and_uneven_coefficients():
    coef = make_sparse_mixture(50, [10, 4], n_shared=3, random_state=0)
    np.testing.assert_array_equal((coef != 0).sum(axis=1), [10, 4])
    both = (coef != 0).all(axis=0)
    assert np.count_nonzero(both & (coef[0] == coef[1])) == 3
    lattice = make_sparse_mixture(50, 10, values="lattice", quantum=0.5, random_state=0)
    assert set(np.abs(lattice[lattice != 0]) / 0.5) <= set(range(1, 6))


@pytest.mark.parametrize(
    "arguments", [{"n_nonzero": [3]}, {"n_nonzero": [3, 900]}, {"values": "cauchy"}]
)
def test_mixtures_that_cannot_be_drawn(arguments):
    with pytest.raises(ValueError):
        make_sparse_mixture(500, **arguments)


def test_the_oracle_draws_a_fresh_label_for_every_answer():
    oracle = MixtureOracle([[1.0], [2.0]], [0.8, 0.2], random_state=0)
    y = oracle(np.ones((5000, 1)))
    assert np.mean(y == 2.0) == pytest.approx(0.2, abs=0.02)
    assert oracle.n_calls == 5000
    np.testing.assert_array_equal(y, 1.0 + oracle.labels[0])
    with pytest.raises(ValueError, match="probabilities"):
        MixtureOracle([[1.0], [2.0]], [0.8, 0.8])
