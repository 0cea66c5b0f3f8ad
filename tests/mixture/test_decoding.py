"""Exact answers give exact coefficients, and anything else says so."""

import warnings

import numpy as np
import pytest

from sparsereg.exceptions import ConvergenceWarning, MeasurementError
from sparsereg.mixture import (
    MixedColoringRegressor,
    MixtureOracle,
    SparseGraphDesign,
    label_error,
    make_sparse_mixture,
    mixture_errors,
)

PUBLISHED = {
    "method": "coloring", "left_degree": 15, "n_repeats": 3, "n_verify": 3, "bin_ratio": 3.71,
}  # fmt: skip


def problem(seed, n_components=2, weights=None, noise_std=0.0, mixture=None, **design):
    """Return coefficients, design, oracle."""
    coef = make_sparse_mixture(500, 50, n_components, random_state=seed, **(mixture or {}))
    queries = SparseGraphDesign(
        500, n_components, 50, random_state=seed, **({"noise_std": noise_std} if noise_std else {}),
        **design,
    )  # fmt: skip
    return coef, queries, MixtureOracle(coef, weights, noise_std=noise_std, random_state=seed + 99)


def decode(coef, design, oracle, **parameters):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        model = MixedColoringRegressor(**parameters)
        return model.fit_measurements(oracle.answer(design), design)


@pytest.mark.parametrize(
    ("n_components", "weights", "mixture", "design"),
    [
        (2, None, {}, {}),
        (3, None, {}, {}),
        (4, None, {}, {}),
        (2, (0.7, 0.3), {}, {"min_weight": 0.3}),
        (2, (0.9, 0.1), {}, {"min_weight": 0.1}),
        (2, None, {"n_shared": 3}, {}),
        (2, None, {"n_shared": 10}, {}),
        (2, None, {"values": "lattice"}, {}),
        (2, None, {}, PUBLISHED),
        (3, None, {}, {"method": "coloring"}),
        (4, None, {}, {"method": "coloring"}),
        (1, None, {}, {}),
    ],
)
def test_nearly_all_decodings_are_exact(n_components, weights, mixture, design):
    exact = 0
    for seed in range(10):
        coef, queries, oracle = problem(seed, n_components, weights, mixture=mixture, **design)
        model = decode(coef, queries, oracle)
        is_exact = mixture_errors(coef, model.coef_, tol=1e-9).exact
        assert is_exact == model.converged_
        exact += is_exact
    assert exact >= 9


def test_the_published_decoder_needs_strong_doubletons_only():
    exact = [
        mixture_errors(p[0], decode(*p, decoder="strong").coef_).exact
        for p in (problem(seed, **PUBLISHED) for seed in range(10))
    ]
    assert sum(exact) >= 9


def test_semi_strong_doubletons_need_fewer_bins():
    fewer = {**PUBLISHED, "left_degree": 12, "bin_ratio": 20 / 9}
    found = {
        decoder: sum(decode(*problem(s, **fewer), decoder=decoder).converged_ for s in range(15))
        for decoder in ("strong", "semi-strong")
    }
    assert found["semi-strong"] > found["strong"]


@pytest.mark.parametrize("method", ["pilot", "coloring"])
def test_labels_and_weights_are_those_of_the_oracle(method):
    coef, design, oracle = problem(0, weights=(0.7, 0.3), min_weight=0.3, method=method)
    model = decode(coef, design, oracle)
    true = oracle.labels[0]
    told = model.labels_ >= 0
    assert label_error(true[told], model.labels_[told]) == 0
    assert told.mean() > (0.99 if method == "pilot" else 0.5)
    np.testing.assert_allclose(model.weights_, [0.7, 0.3], atol=0.06)
    np.testing.assert_allclose(model.coef_, coef, atol=1e-9)  # largest weight first


def test_no_false_discovery_in_undersampled_runs():
    starved = ({"bin_ratio": 5 / 6, "left_degree": 7, "n_repeats": 2, "n_verify": 2},
               {**PUBLISHED, "bin_ratio": 10 / 9}, {**PUBLISHED, "bin_ratio": 2.0})  # fmt: skip
    for design in starved:
        for seed in range(60):
            coef, queries, oracle = problem(seed, **design)
            model = decode(coef, queries, oracle)
            errors = mixture_errors(coef, model.coef_)
            assert errors.n_false == 0
            assert model.converged_ <= errors.exact


def test_coloring_reports_shared_coefficients_and_claims_nothing():
    for seed in range(10):
        coef, design, oracle = problem(seed, mixture={"n_shared": 3}, **PUBLISHED)
        with pytest.warns(ConvergenceWarning, match="pilot"):
            model = MixedColoringRegressor().fit_measurements(oracle.answer(design), design)
        assert not model.converged_
        assert mixture_errors(coef, model.coef_).n_false == 0
        assert model.decode_report_.n_uncertain > 0


def test_rows_may_come_in_any_order_with_their_answers():
    _coef, design, oracle = problem(0)
    X = design.matrix()
    y = oracle(X)
    order = np.random.default_rng(0).permutation(len(y))
    model = MixedColoringRegressor().fit(X[order], y[order], design=design)
    sorted_model = MixedColoringRegressor().fit(X.toarray(), y, design=design)
    np.testing.assert_array_equal(model.coef_, sorted_model.coef_)
    np.testing.assert_array_equal(model.labels_, sorted_model.labels_[order])


def test_exchanging_repeats_changes_nothing():
    _coef, design, oracle = problem(0)
    y, rows = oracle.answer(design), design.rows
    keys = rows["bin"] * 10 + rows["kind"]
    rng = np.random.default_rng(0)
    other = np.concatenate(
        [rng.permutation(y[keys == key]) for key in dict.fromkeys(keys.tolist())]
    )
    fits = [MixedColoringRegressor().fit_measurements(v, design).coef_ for v in (y, other)]
    np.testing.assert_allclose(*fits, atol=1e-12)


def test_decoding_is_deterministic_and_equivariant():
    _coef, design, oracle = problem(0)
    y = oracle.answer(design)
    first, again, scaled = (
        MixedColoringRegressor().fit_measurements(v, design).coef_ for v in (y, y, -1024.0 * y)
    )
    np.testing.assert_array_equal(first, again)
    np.testing.assert_array_equal(-1024.0 * first, scaled)


def test_intercepts_come_with_the_pilot():
    coef, design, _ = problem(0, min_weight=0.4)
    oracle = MixtureOracle(coef, (0.6, 0.4), intercept=(1.5, -2.0), random_state=0)
    X = design.matrix()
    y = oracle(X)
    model = MixedColoringRegressor().fit(X, y, design=design)
    np.testing.assert_allclose(model.intercept_, [1.5, -2.0], atol=1e-9)
    np.testing.assert_allclose(
        model.predict_components(X)[np.arange(len(y)), model.labels_], y, atol=1e-9
    )
    np.testing.assert_allclose(model.predict(X), model.predict_components(X) @ model.weights_)


def test_an_oracle_is_asked_for_more_until_everything_is_explained():
    coef, _, oracle = problem(0)
    design = SparseGraphDesign(500, 2, 25)
    with pytest.warns(ConvergenceWarning, match="not explained"):
        short = MixedColoringRegressor().from_oracle(oracle, design)
    assert not short.converged_
    oracle = MixtureOracle(coef, random_state=0)
    model = MixedColoringRegressor().from_oracle(oracle, design, max_extensions=4, n_rows=100)
    assert model.converged_
    assert mixture_errors(coef, model.coef_).exact
    assert oracle.n_calls == model.design_.n_queries == len(model.labels_)


def test_dimensions_of_millions_cost_nothing():
    coef = make_sparse_mixture(2_000_000, 20, random_state=0)
    design = SparseGraphDesign(2_000_000, 2, 20)
    model = decode(coef, design, MixtureOracle(coef, random_state=0))
    assert model.converged_
    assert (abs(model.sparse_coef_).sum() - np.abs(coef).sum()) < 1e-9


@pytest.mark.parametrize("sigma", [0.1, 0.3, 0.5])
def test_noisy_answers_of_lattice_coefficients(sigma):
    exact = 0
    for seed in range(8):
        coef, design, oracle = problem(
            seed, noise_std=sigma, mixture={"values": "lattice"}, method="robust", quantum=1.0
        )
        model = decode(coef, design, oracle)
        is_exact = mixture_errors(coef, model.coef_).exact
        assert model.converged_ <= is_exact
        assert mixture_errors(coef, model.coef_).n_false == 0
        if is_exact:
            np.testing.assert_allclose(model.noise_variance_, sigma**2, rtol=0.15)
        exact += is_exact
    assert exact >= 7


def test_noisy_answers_of_unequal_weights():
    exact = 0
    for seed in range(5):
        coef, design, oracle = problem(
            seed, weights=(0.7, 0.3), noise_std=0.2, mixture={"values": "lattice"},
            method="robust", quantum=1.0, min_weight=0.3,
        )  # fmt: skip
        model = decode(coef, design, oracle)
        exact += mixture_errors(coef, model.coef_).exact
        np.testing.assert_allclose(model.weights_, [0.7, 0.3], atol=0.05)
    assert exact >= 4


def test_refinement_is_least_squares_on_the_supports():
    coef = make_sparse_mixture(100, 6, values="lattice", random_state=0)
    design = SparseGraphDesign(100, 2, 10, method="robust", quantum=1.0, noise_std=0.2)
    X = design.matrix()
    y = MixtureOracle(coef, noise_std=0.2, random_state=0)(X)
    model = MixedColoringRegressor(refine=True).fit(X, y, design=design)
    assert model.converged_
    assert not model.intercept_.any()
    coded = design.rows["bin"] >= 0
    for c, row in enumerate(model.coef_):
        support = np.flatnonzero(row)
        own = coded & (model.labels_ == c)
        A = X[own].toarray()[:, support] - X[[0]].toarray()[0, support]  # without the pilot
        level = np.round(X[[0]].toarray()[0] @ np.round(row))  # of the pilot alone
        expected = np.linalg.lstsq(A, y[own] - level, rcond=None)[0]
        np.testing.assert_allclose(row[support], expected, atol=1e-8)
        assert np.abs(row[support] - np.round(row[support])).max() < 0.2


def answers(seed=0, **options):
    _coef, design, oracle = problem(seed, **options)
    return design, oracle.answer(design)


class TestBadInput:
    def test_no_design(self):
        design, y = answers()
        with pytest.raises(ValueError, match="SparseMixtureRegressor"):
            MixedColoringRegressor().fit(design.matrix(), y)

    def test_the_wrong_design(self):
        design, y = answers()
        other = SparseGraphDesign(500, 2, 50, random_state=1)
        with pytest.raises(ValueError, match="not produced by this design"):
            MixedColoringRegressor().fit(design.matrix(), y, design=other)
        with pytest.raises(MeasurementError, match="order"):
            MixedColoringRegressor().fit_measurements(
                y[:510],
                SparseGraphDesign(
                    500, 2, 50, method="coloring",
                    left_degree=7, n_repeats=2, n_verify=2, bin_ratio=1.7,
                ),
            )  # fmt: skip

    def test_scaled_queries(self):
        design, y = answers()
        with pytest.raises(ValueError, match="scaling"):
            MixedColoringRegressor().fit(2.0 * design.matrix(), y, design=design)

    def test_missing_rows(self):
        design, y = answers()
        X = design.matrix()
        with pytest.raises(ValueError, match="missing"):
            MixedColoringRegressor().fit(X[:-3], y[:-3], design=design)
        with pytest.raises(ValueError, match="one answer for each row"):
            MixedColoringRegressor().fit_measurements(y[:-3], design)

    @pytest.mark.parametrize("options", [{}, PUBLISHED])
    def test_shuffled_answers(self, options):
        design, y = answers(**options)
        with pytest.raises(MeasurementError, match="order") as caught:
            MixedColoringRegressor().fit_measurements(
                np.random.default_rng(0).permutation(y), design
            )
        assert caught.value.report is not None

    @pytest.mark.parametrize("value", [np.nan, np.inf])
    def test_answers_that_are_no_numbers(self, value):
        design, y = answers()
        y[7] = value
        with pytest.raises(ValueError, match=r"NaN|infinity"):
            MixedColoringRegressor().fit_measurements(y, design)

    def test_single_precision(self):
        design, y = answers()
        with pytest.raises(ValueError, match="float64"):
            MixedColoringRegressor().fit_measurements(y.astype(np.float32), design)

    @pytest.mark.parametrize("options", [{}, PUBLISHED])
    def test_answers_that_were_rounded_to_single_precision(self, options):
        design, y = answers(**options)
        with pytest.raises(MeasurementError, match=r"noisy|order"):
            MixedColoringRegressor().fit_measurements(y.astype(np.float32).astype(float), design)

    @pytest.mark.parametrize("options", [{}, PUBLISHED])
    def test_noise(self, options):
        design, y = answers(**options)
        y = y + 1e-3 * np.random.default_rng(0).standard_normal(len(y))
        with pytest.raises(MeasurementError, match="noisy"):
            MixedColoringRegressor().fit_measurements(y, design)

    def test_shuffled_noisy_answers(self):
        coef = make_sparse_mixture(200, 10, values="lattice", random_state=0)
        design = SparseGraphDesign(200, 2, 10, method="robust", quantum=1.0, noise_std=0.1)
        y = MixtureOracle(coef, noise_std=0.1, random_state=0).answer(design)
        with pytest.raises(MeasurementError, match="order"):
            MixedColoringRegressor().fit_measurements(
                np.random.default_rng(0).permutation(y), design
            )

    def test_equal_regressions_with_noise(self):
        coef = make_sparse_mixture(200, 5, 1, values="lattice", random_state=0)
        coef = np.repeat(coef, 2, axis=0)
        design = SparseGraphDesign(200, 2, 10, method="robust", quantum=1.0, noise_std=0.1)
        y = MixtureOracle(coef, noise_std=0.1, random_state=0).answer(design)
        with pytest.warns(ConvergenceWarning, match="does not tell"):
            model = MixedColoringRegressor().fit_measurements(y, design)
        assert not model.converged_
        assert not model.coef_.any()

    def test_more_noise_than_was_said(self):
        coef = make_sparse_mixture(200, 10, values="lattice", random_state=0)
        design = SparseGraphDesign(200, 2, 10, method="robust", quantum=1.0, noise_std=0.1)
        y = MixtureOracle(coef, noise_std=3.0, random_state=0).answer(design)
        with pytest.raises(MeasurementError, match="noise_std"):
            MixedColoringRegressor().fit_measurements(y, design)

    def test_twice_as_many_coefficients_as_supposed(self):
        coef, _, oracle = problem(0)
        design = SparseGraphDesign(500, 2, 25)
        with pytest.warns(ConvergenceWarning, match=r"not explained.*extend"):
            model = MixedColoringRegressor().fit_measurements(oracle.answer(design), design)
        assert mixture_errors(coef, model.coef_).n_false == 0

    @pytest.mark.parametrize("n_components", [1, 3])
    def test_a_number_of_regressions_that_is_off_by_one(self, n_components):
        coef, _, oracle = problem(0)
        design = SparseGraphDesign(500, n_components, 60)
        with pytest.warns(ConvergenceWarning, match="2 regressions"):
            model = MixedColoringRegressor().fit_measurements(oracle.answer(design), design)
        assert model.n_components_ == 2
        assert model.converged_ == mixture_errors(coef, model.coef_).exact

    def test_coloring_with_a_regression_too_many_in_the_answers(self):
        coef, _, oracle = problem(0, n_components=3)
        design = SparseGraphDesign(500, 2, 60, method="coloring")
        with pytest.warns(ConvergenceWarning):
            model = MixedColoringRegressor().fit_measurements(oracle.answer(design), design)
        assert not model.converged_
        assert mixture_errors(coef, model.coef_).n_false == 0

    @pytest.mark.parametrize("method", ["pilot", "coloring"])
    def test_one_regression_is_zero(self, method):
        coef = make_sparse_mixture(500, [25, 0], random_state=0)
        design = SparseGraphDesign(500, 2, 50, method=method)
        model = decode(coef, design, MixtureOracle(coef, random_state=0))
        assert model.converged_
        assert mixture_errors(coef, model.coef_).exact

    @pytest.mark.parametrize("method", ["pilot", "coloring"])
    def test_all_regressions_are_the_same(self, method):
        coef = np.repeat(make_sparse_mixture(500, 25, 1, random_state=0), 2, axis=0)
        design = SparseGraphDesign(500, 2, 50, method=method)
        y = MixtureOracle(coef, random_state=0).answer(design)
        with pytest.warns(ConvergenceWarning, match="1 regressions"):
            model = MixedColoringRegressor().fit_measurements(y, design)
        assert model.n_components_ == 1
        np.testing.assert_allclose(model.coef_, coef[:1], atol=1e-9)

    @pytest.mark.parametrize("method", ["pilot", "coloring"])
    def test_nothing_but_zeros(self, method):
        design = SparseGraphDesign(100, 2, 10, method=method)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            model = MixedColoringRegressor().fit_measurements(np.zeros(design.n_queries), design)
        assert not model.coef_.any()

    def test_a_regression_rarer_than_supposed(self):
        coef = make_sparse_mixture(500, 50, random_state=0)
        design = SparseGraphDesign(500, 2, 50)
        y = MixtureOracle(coef, (0.97, 0.03), random_state=0).answer(design)
        with pytest.warns(ConvergenceWarning):
            model = MixedColoringRegressor().fit_measurements(y, design)
        assert not model.converged_
        assert mixture_errors(coef, model.coef_).n_false == 0

    def test_an_oracle_of_the_wrong_shape(self):
        with pytest.raises(ValueError, match="one answer for each row"):
            MixedColoringRegressor().from_oracle(lambda X: np.zeros(3), SparseGraphDesign(50))

    def test_a_failed_fit_leaves_the_model_as_it_was(self):
        design, y = answers()
        model = MixedColoringRegressor().fit_measurements(y, design)
        before = model.coef_
        with pytest.raises(ValueError):
            model.fit_measurements(y[:-1], design)
        np.testing.assert_array_equal(model.coef_, before)


@pytest.mark.parametrize("unit", [1e300, 1e-300])
def test_answers_beyond_float64_are_refused(unit):
    coef = make_sparse_mixture(n_features=100, n_nonzero=10, random_state=0)
    design = SparseGraphDesign(100, 2, 10)
    y = MixtureOracle(coef, random_state=0)(design.matrix())
    with pytest.raises(ValueError, match="Change the unit of y"):
        MixedColoringRegressor().fit_measurements(unit * y, design)
