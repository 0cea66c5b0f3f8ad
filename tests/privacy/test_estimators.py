"""Private estimators: the contract of scikit-learn, deployments like simulations, known errors."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.datasets import make_regression
from sklearn.linear_model import Ridge
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, Normalizer, StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

from sparsereg.backends import get_backend
from sparsereg.privacy import (
    LDPIHT,
    Aggregator,
    LDPLasso,
    LDPSparseRegression,
    NLDPRegression,
    PrivacyBudget,
    Protocol,
    PublicScaler,
    Randomizer,
    UnitNormRows,
    audit,
    check_pipeline,
    nearest_psd,
)
from sparsereg.privacy.auditing import taken_for
from sparsereg.privacy.baselines import duchi_sum
from sparsereg.privacy.client import output_order, read_record
from sparsereg.privacy.clipping import SquaredNorm, attenuation, mean_lift, radius_in_scores
from sparsereg.privacy.estimate import Evidence, fit_evidence, shrunk
from sparsereg.privacy.reports import REPORT, seeds_of
from sparsereg.privacy.shards import held_out_risk
from sparsereg.privacy.simulation import simulate_aggregator, simulate_reports
from sparsereg.privacy.statistics import NoiseLaw

BACKEND = get_backend("numba")
ESTIMATORS = [
    LDPSparseRegression(),
    LDPSparseRegression(interaction="sequential", covariance=None, penalty="mcp"),
    LDPSparseRegression(interaction="two-stage", covariance="identity", clipping="gaussian"),
    LDPSparseRegression(protect="label", y_bound=100.0),
    LDPSparseRegression(n_nonzero=1, simulate="clt"),
    LDPSparseRegression(penalty="l2", delta=1e-5, simulate="clt"),
    LDPLasso(epsilon=8.0),
    NLDPRegression(),
    LDPIHT(),
    PublicScaler(),
    UnitNormRows(),
    UnitNormRows(shrink_only=True),
]


@parametrize_with_checks(ESTIMATORS)
def test_scikit_learn_contract(estimator, check):
    check(estimator)


def draw(n=40_000, d=6, seed=0, rho=0.0):
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n, d))
    for j in range(1, d if rho else 0):
        X[:, j] = rho * X[:, j - 1] + np.sqrt(1 - rho**2) * X[:, j]
    truth = np.zeros(d)
    truth[:2] = [0.8, -0.6]
    return X, X @ truth + 0.5 * rng.standard_normal(n), truth


SETTINGS = {"epsilon": 4.0, "x_radius": 3.7, "y_bound": 3.4, "clipping": "gaussian"}


@pytest.mark.parametrize("interaction", ["none", "two-stage", "sequential"])
@pytest.mark.parametrize("covariance", [None, "known"])
@pytest.mark.parametrize("penalty", ["l1", "mcp", "scad", "l0"])
def test_every_way_finds_the_coefficients(interaction, covariance, penalty):
    X, y, truth = draw(rho=0.4)
    distance = np.abs(np.subtract.outer(np.arange(6), np.arange(6)))
    model = LDPSparseRegression(
        **SETTINGS,
        interaction=interaction,
        covariance=0.4**distance if covariance else None,
        penalty=penalty,
        random_state=0,
    ).fit(X, y)
    assert np.linalg.norm(model.coef_ - truth) < (0.45 if penalty == "l1" else 0.3)
    assert set(model.support_) >= {0, 1}
    assert abs(model.intercept_) < 0.1
    assert model.n_reports_ == len(y)
    assert model.privacy_.n_rounds == {"none": 1, "two-stage": 2, "sequential": 3}[interaction]


def test_known_number_of_coefficients_is_kept_and_not_shrunk():
    X, y, truth = draw()
    model = LDPSparseRegression(**SETTINGS, covariance="identity", n_nonzero=2, random_state=0)
    model.fit(X, y)
    assert model.support_.tolist() == [0, 1]
    spread = np.sqrt(np.diag(model.coef_cov_))
    assert np.all(np.abs(model.coef_[:2] - truth[:2]) < 4.5 * spread + 0.05)


def test_covariance_of_the_coefficients_is_that_of_repetitions():
    rng = np.random.default_rng(0)
    gram = np.array([[1.0, 0.5, 0.0], [0.5, 2.0, 0.1], [0.0, 0.1, 1.5]])
    coef = np.array([1.0, -2.0, 0.5])
    noise = NoiseLaw(np.array([0.01, 0.02, 0.03]), np.zeros((3, 3)))
    options = {"penalty": "l1", "level": 0.0, "alpha": None, "n_nonzero": None, "backend": "auto"}
    fits = [
        fit_evidence(Evidence(gram, gram @ coef + noise.xty * z, noise, 0), **options)
        for z in rng.standard_normal((400, 3))
    ]
    np.testing.assert_allclose(np.mean([f.coef for f in fits], axis=0), coef, atol=0.01)
    found = np.cov(np.array([f.coef for f in fits]).T)
    np.testing.assert_allclose(np.diag(found), np.diag(fits[0].covariance), rtol=0.3)


def test_a_strength_from_the_noise_keeps_out_features_without_effect():
    rng = np.random.default_rng(1)
    d, false = 50, 0
    noise = NoiseLaw(np.full(d, 0.1), np.full((d, d), 0.01))
    for _ in range(20):
        error = np.triu(rng.standard_normal((d, d))) * 0.01
        gram = np.eye(d) + error + np.triu(error, 1).T
        xty = np.eye(d)[0] + 0.1 * rng.standard_normal(d)
        fit = fit_evidence(
            Evidence(gram, xty, noise, 0),
            penalty="mcp", level=np.sqrt(2 * np.log(d)), alpha=None, n_nonzero=None, backend="auto",
        )  # fmt: skip
        assert fit.coef[0] != 0
        false += np.count_nonzero(fit.coef[1:])
    assert false <= 10  # of 980; one in two draws would be more than the level allows


def test_the_repaired_matrix_is_the_nearest_one():
    rng = np.random.default_rng(0)
    noisy = rng.standard_normal((5, 5))
    noisy = noisy + noisy.T
    repaired = nearest_psd(noisy, 0.5)
    assert np.linalg.eigvalsh(repaired)[0] == pytest.approx(0.5)
    distance = np.linalg.norm(repaired - noisy)
    for _ in range(200):
        factor = rng.standard_normal((5, 5)) * rng.choice([0.01, 1.0])
        other = repaired + factor @ factor.T
        assert np.linalg.norm(other - noisy) >= distance


@pytest.mark.parametrize("rho", [0.0, 0.7])
@pytest.mark.parametrize("t", [0.3, 1.0, 3.0])
def test_clipping_of_normal_scores_is_what_the_formulas_say(rho, t):
    rng = np.random.default_rng(0)
    d, n = 12, 400_000
    covariance = rho ** np.abs(np.subtract.outer(np.arange(d), np.arange(d)))
    X = rng.standard_normal((n, d)) @ np.linalg.cholesky(covariance).T
    step = np.zeros(d)
    step[:2] = [0.2, -0.1]
    residual = X @ step + rng.standard_normal(n)
    sigma = np.sqrt(1 + step @ covariance @ step)
    radius = t * sigma * np.sqrt(d)
    norms = np.linalg.norm(X, axis=1) * np.abs(residual)
    mean = np.mean(X * (residual * np.minimum(1, radius / norms))[:, None], axis=0)
    law = SquaredNorm.of(covariance)
    slope = covariance @ step
    # to first order in the step
    assert mean @ slope / (slope @ slope) == pytest.approx(attenuation(t, law), rel=0.05)
    lift = np.mean(np.sqrt(1 - np.minimum(1, norms / radius) ** 2))
    assert lift == pytest.approx(mean_lift(t, law), abs=0.01)
    assert radius_in_scores(lift, law) == pytest.approx(t, rel=0.05)


# Deployment


def test_reports_of_devices_give_what_their_sums_say():
    protocol = Protocol(2, 4.0, x_radius=1.0, y_bound=1.0)
    rng = np.random.default_rng(0)
    X = rng.uniform(-0.7, 0.7, (400, 2))
    reports = [Randomizer(protocol).privatize(x, x[0]) for x in X]
    shards = [Aggregator(protocol).update(part) for part in (reports[:150], reports[150:])]
    whole = Aggregator(protocol).update(reports)
    model = LDPLasso(alpha=0.05).fit_reports(whole)
    twin = LDPLasso(alpha=0.05).fit_reports(shards)
    np.testing.assert_array_equal(model.coef_, twin.coef_)
    assert model.n_reports_ == 400
    assert not model.privacy_.simulated
    assert "SIMULATION" not in str(model.privacy_)
    assert whole.n_reports == 400  # fitting changes no aggregator
    assert shards[0].n_reports == 150


def test_a_session_of_devices_is_the_simulated_fit():
    X, y, _ = draw(6000)
    model = LDPSparseRegression(**SETTINGS, interaction="sequential", covariance="identity")
    session, parts = model.session(6), iter(np.array_split(np.arange(6000), 3))
    rng = np.random.default_rng(0)
    while (protocol := session.next_protocol()) is not None:
        rows = next(parts)
        reports = simulate_reports(protocol, X[rows], y[rows], rng, BACKEND)
        assert session.next_protocol() is protocol
        session.submit(Aggregator(protocol, accept_simulated=True).update(reports))
    model.fit_session(session)
    assert model.privacy_.simulated  # the reports of a simulation remain what they are
    assert model.n_reports_ == 6000
    assert [p.round_index for p in model.protocols_] == [0, 1, 2]
    assert model.protocols_[2].n_reported <= 6
    assert np.linalg.norm(model.predict(X) - y) < np.linalg.norm(y)


def test_answers_to_another_question_are_refused():
    model = LDPSparseRegression(interaction="two-stage", covariance="identity")
    session = model.session(3)
    with pytest.raises(ValueError, match="2 rounds are left"):
        session.result()
    session.next_protocol()
    with pytest.raises(ValueError, match="do not answer the question"):
        session.submit(Aggregator(Protocol(3, 1.0)))


def test_shards_choose_a_strength():
    X, y, truth = draw(20_000)
    protocol = Protocol(6, 8.0, x_radius=4.0, y_bound=3.0, radius=10.0)
    rng = np.random.default_rng(0)
    shards = [
        simulate_aggregator(protocol, X[rows], y[rows], rng, BACKEND, "exact")
        for rows in np.array_split(np.arange(20_000), 5)
    ]
    model = LDPLasso(alpha="cv").fit_reports(shards)
    fixed = [
        LDPLasso(alpha=alpha).fit_reports(shards) for alpha in model.alpha_ * np.array([0.1, 20])
    ]
    error = np.linalg.norm(model.coef_ - truth)
    assert error <= 1.05 * min(np.linalg.norm(other.coef_ - truth) for other in fixed)
    with pytest.raises(ValueError, match="at least two shards"):
        LDPLasso(alpha="cv").fit_reports(shards[0])


def test_products_of_many_small_effects_are_shrunk_to_their_posterior_mean():
    rng = np.random.default_rng(0)
    d, errors = 40, []
    gram = np.diag(rng.uniform(0.2, 2.0, d)) + 0.1
    spread = rng.uniform(0.5, 2.0, d)
    noise = NoiseLaw(spread, np.zeros((d, d)))
    for _ in range(200):
        coef = 1.5 * rng.standard_normal(d)
        xty = gram @ coef + spread * rng.standard_normal(d)
        cov = 1.5**2 * gram @ gram + np.diag(spread**2)
        best = 1.5**2 * gram @ np.linalg.solve(cov, xty)  # told the variance
        raw = np.linalg.solve(gram, xty)
        fits = [shrunk(gram, xty, noise, strength) for strength in (1.0, 1e3)]
        assert np.linalg.norm(fits[1]) < 1e-4 * np.linalg.norm(fits[0])
        errors.append([np.sum((w - coef) ** 2) for w in (fits[0], best, raw, 0 * coef)])
    ours, best, raw, zero = np.mean(errors, axis=0)
    assert best <= ours <= 1.05 * best
    assert ours < 0.7 * min(raw, zero)
    assert not shrunk(gram, 0.5 * spread, noise, 1.0).any()  # less than noise tells nothing


def test_l2_of_a_given_strength_is_ridge_regression():
    gram, xty = np.array([[1.0, 0.3], [0.3, 2.0]]), np.array([0.5, -1.0])
    evidence = Evidence(gram, xty, NoiseLaw(np.ones(2), np.zeros((2, 2))), 0)
    options = {"penalty": "l2", "level": None, "n_nonzero": None, "backend": "auto"}
    fit = fit_evidence(evidence, alpha=0.7, **options)
    factor = np.linalg.cholesky(gram)
    ridge = Ridge(0.7, fit_intercept=False).fit(factor.T, np.linalg.solve(factor, xty))
    np.testing.assert_allclose(fit.coef, ridge.coef_, rtol=1e-8)
    assert fit.alpha == 0.7


@pytest.mark.parametrize(("many", "expected"), [(False, "l1"), (True, "l2")])
def test_shards_tell_few_large_effects_from_many_small_ones(many, expected):
    rng = np.random.default_rng(0)
    n, d = 100_000, 40
    X = rng.standard_normal((n, d)) / np.sqrt(d)
    truth = np.where(many | (np.arange(d) < 2), rng.standard_normal(d), 0.0)
    truth *= np.sqrt(d) * 0.4 / np.linalg.norm(truth)
    y = X @ truth + 0.3 * rng.standard_normal(n)
    settings = {
        "covariance": np.eye(d) / d, "x_radius": 1.2, "y_bound": 1.5, "radius": 1.0,
        "simulate": "clt", "fit_intercept": False, "random_state": 0,
    }  # fmt: skip
    models = {
        penalty: LDPSparseRegression(2.0, penalty=penalty, alpha="cv", **settings).fit(X, y)
        for penalty in ("auto", "l1", "l2")
    }
    assert models["auto"].penalty_ == expected
    np.testing.assert_array_equal(models["auto"].coef_, models[expected].coef_)
    errors = {name: np.linalg.norm(m.coef_ - truth) for name, m in models.items()}
    assert errors["auto"] == min(errors.values()) < 0.6 * np.linalg.norm(truth)


def test_the_noise_of_a_held_out_risk_is_what_it_is_said_to_be():
    rng = np.random.default_rng(0)
    d, coef = 4, np.array([2.0, -1.0, 0.5, 0.0])
    noise = NoiseLaw(rng.uniform(0.5, 2.0, d), np.full((d, d), 0.7) + 0.3 * np.eye(d))
    risks = []
    for _ in range(20_000):
        error = np.triu(noise.gram * rng.standard_normal((d, d)))
        gram = np.eye(d) + error + np.triu(error, 1).T
        xty = np.ones(d) + noise.xty * rng.standard_normal(d)
        risks.append(held_out_risk(Evidence(gram, xty, noise, 0), coef)[0])
    variance = held_out_risk(Evidence(np.eye(d), np.ones(d), noise, 0), coef)[1]
    assert np.var(risks) == pytest.approx(variance, rel=0.05)
    assert np.mean(risks) == pytest.approx(coef @ coef - 2 * coef.sum(), abs=0.15)


def test_label_reports_of_devices_are_fitted_on_the_public_rows():
    rng = np.random.default_rng(0)
    X = rng.standard_normal((600, 3))
    protocol = Protocol(3, 4.0, protect="label", y_bound=3.0)
    reports = [Randomizer(protocol).privatize(None, x[0]) for x in X]
    model = LDPSparseRegression(protocol=protocol).fit_reports(reports, X=X)
    assert model.support_.tolist() == [0]
    assert model.privacy_.protects == "label"
    reports[5] = b"x" * 24
    assert LDPSparseRegression(protocol=protocol).fit_reports(reports, X=X).n_reports_ == 599


@pytest.mark.parametrize(
    ("act", "error", "message"),
    [
        (lambda: LDPLasso().fit_reports("reports"), TypeError, "Give an Aggregator"),
        (lambda: LDPLasso().fit_reports([1]), TypeError, "Not all shards"),
        (lambda: LDPLasso().fit_reports([b""], X=[[1.0]]), ValueError, "protocol of the labels"),
        (
            lambda: LDPSparseRegression(interaction="two-stage").fit_reports([]),
            ValueError,
            r"Start a session\(n_features\)",
        ),
        (lambda: LDPSparseRegression(protect="label").session(3), ValueError, "one round"),
        (
            lambda: LDPLasso(covariance=np.ones((2, 3))).fit(np.ones((5, 2)), np.ones(5)),
            ValueError,
            r"shape \(2, 2\)",
        ),
        (
            lambda: LDPSparseRegression(alpha="cv", interaction="two-stage").session(3),
            ValueError,
            'needs interaction="none"',
        ),
        (
            lambda: LDPSparseRegression(interaction="sequential").fit(np.ones((2, 2)), [1, 2]),
            ValueError,
            "n_samples=2 rows are not enough for 3 rounds",
        ),
        (
            lambda: LDPLasso(protocol=Protocol(2, 1.0)).fit_reports(Aggregator(Protocol(2, 2.0))),
            ValueError,
            "not all of this protocol",
        ),
        (
            lambda: LDPSparseRegression(penalty="auto").fit(np.eye(2), np.ones(2)),
            ValueError,
            'Give alpha="cv" with it',
        ),
        (
            lambda: LDPSparseRegression(penalty="l2", protect="label").fit(np.eye(2), np.ones(2)),
            ValueError,
            "debiased_labels and scikit-learn's Ridge",
        ),
        (
            lambda: LDPLasso().fit_reports(Aggregator(Protocol(2, 1.0, statistic="score"))),
            ValueError,
            "Give the covariance of x",
        ),
    ],
)
def test_wrong_use_says_what_would_be_right(act, error, message):
    with pytest.raises(error, match=message):
        act()


def test_the_statement_says_what_is_guaranteed():
    X, y, _ = draw(100)
    told = {"covariance": "identity", "clipping": "gaussian", "n_nonzero": 2}
    statement = LDPSparseRegression(2.0, **told, random_state=0).fit(X, y).privacy_
    assert (statement.protects, statement.epsilon, statement.delta) == ("record", 2.0, 0.0)
    assert statement.epsilon_effective <= 2.0
    assert statement.simulated
    text = str(statement)
    for phrase in ("epsilon = 2, delta = 0", "SIMULATION", "covariance of x", "nearly normal"):
        assert phrase in text
    assert "is up to the devices and their budgets, and not checked here" in text


def test_an_unfitted_estimator_holds_no_data_and_a_fitted_one_no_rows():
    X, y, _ = draw(2000)
    model = LDPSparseRegression(random_state=0).fit(X, y)
    assert len(pickle.dumps(model)) < 20_000
    assert not vars(clone(model)).keys() & {"coef_", "protocols_", "privacy_"}
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(model)).coef_, model.coef_)


def test_seeds_repeat_a_simulation_and_their_absence_does_not():
    X, y, _ = draw(500)
    coefs = [LDPLasso(8.0, alpha=0.0, random_state=s).fit(X, y).coef_ for s in (0, 0, 1)]
    np.testing.assert_array_equal(coefs[0], coefs[1])
    assert not np.array_equal(coefs[0], coefs[2])
    free = [LDPLasso(8.0, alpha=0.0).fit(X, y).coef_ for _ in range(2)]
    assert not np.array_equal(*free)


# Around the estimators


def test_pipelines_are_checked():
    private = LDPLasso()
    fine = make_pipeline(
        PublicScaler(), UnitNormRows(), Normalizer(), FunctionTransformer(), private
    )
    assert check_pipeline(fine) == []
    assert check_pipeline(private) == []
    (problem,) = check_pipeline(make_pipeline(PublicScaler(), StandardScaler(), private))
    assert "'standardscaler'" in problem
    search = GridSearchCV(make_pipeline(StandardScaler(), private), {})
    assert [text.split()[0] for text in check_pipeline(search)] == ["GridSearchCV", "Step"]
    for wrong in (Ridge(), make_pipeline(StandardScaler(), Ridge())):
        with pytest.raises(TypeError, match="LDPSparseRegression"):
            check_pipeline(wrong)


def test_public_transformers_learn_nothing():
    X, _ = make_regression(30, 4, random_state=0)
    scaler = PublicScaler(center=[1, 2, 3, 4], scale=2.0)
    np.testing.assert_allclose(scaler.fit(X[:3]).transform(X), (X - [1, 2, 3, 4]) / 2)
    np.testing.assert_allclose(np.linalg.norm(UnitNormRows().fit_transform(X), axis=1), 1.0)
    short = UnitNormRows(shrink_only=True).fit_transform(X / 1e6)
    np.testing.assert_array_equal(short, X / 1e6)
    for wrong in ({"center": [1.0, 2.0]}, {"scale": 0.0}, {"center": np.nan}):
        with pytest.raises(ValueError, match="Give"):
            PublicScaler(**wrong).fit(X)


@pytest.mark.parametrize("epsilon", [0.5, 2.0])
def test_the_one_bit_mechanism_of_the_baseline_is_unbiased(epsilon):
    rng = np.random.default_rng(0)
    n = 200_000
    vectors = np.tile([0.3, -0.6, 0.0], (n, 1))
    mean = duchi_sum(vectors, 1.0, epsilon, rng) / n
    length = np.sqrt(np.pi) * 1.0 / (np.sqrt(np.pi) / 2) / np.tanh(epsilon / 2)  # d = 3
    np.testing.assert_allclose(mean, [0.3, -0.6, 0.0], atol=4.5 * length / np.sqrt(n))


def test_the_baselines_learn_where_noise_is_nothing():
    X, y, truth = draw(50_000)
    iht = LDPIHT(20.0, n_nonzero=2, x_bound=3.0, y_bound=3.0, radius=10.0, random_state=0)
    assert np.linalg.norm(iht.fit(X, y).coef_ - truth) < 0.15
    moments = NLDPRegression(2000.0, random_state=0, alpha=0.01).fit(X, y)
    assert np.linalg.norm(moments.coef_ - truth) < 0.1


AUDITED = {
    "one bit": Protocol(2, 1.0, statistic="score", n_outputs=2),
    "score": Protocol(2, 1.0, statistic="score", n_outputs=16),
    "label": Protocol(2, 1.0, protect="label"),
}


@pytest.mark.parametrize("name", AUDITED)
def test_an_audit_finds_no_more_than_epsilon_and_not_much_less(name):
    result = audit(AUDITED[name], n_trials=2500, confidence=1 - 1e-6)
    # The bound of one audit in 10^5 is below .6: its mean is .74 to .78, its deviation .04.
    assert 0.6 <= result.epsilon_lower <= 1.0


def test_an_audit_proves_a_bug():
    promised = Protocol(2, 1.0, protect="label", n_outputs=2, subset_size=1)
    spent = Protocol(2, 3.0, protect="label", n_outputs=2, subset_size=1)

    def privatize(x, y):  # a client that spends three times what it says
        return Randomizer(spent).privatize(x, y)

    assert audit(promised, n_trials=2000, privatize=privatize).epsilon_lower > 2.0


@pytest.mark.parametrize("name", ["one bit", "score", "gram"])
def test_reports_taken_for_a_record_are_the_first_of_its_order(name):
    protocol = {**AUDITED, "gram": Protocol(2, 1.0, n_outputs=8)}[name]
    record = ([0.7, -0.2], 0.4)
    reports = np.concatenate(
        [np.frombuffer(Randomizer(protocol).privatize(*record), dtype=REPORT) for _ in range(60)]
    )
    seeds = seeds_of(protocol.digest, reports["report_id"])
    given = read_record(protocol, *record)
    expected = [
        index in output_order(protocol, int(seed), *given)[: protocol.subset_size]
        for index, seed in zip(reports["index"], seeds, strict=True)
    ]
    assert 0 < sum(expected) < 60
    np.testing.assert_array_equal(taken_for(protocol, reports, record), expected)


def test_an_audit_refuses_what_is_no_report():
    with pytest.raises(ValueError, match="do not have 24 bytes"):
        audit(AUDITED["label"], n_trials=3, privatize=lambda x, y: b"short")


@pytest.mark.slow
@pytest.mark.parametrize("name", AUDITED)
def test_an_audit_of_a_million_reports_is_tight(name):
    result = audit(AUDITED[name], n_trials=1_000_000)
    assert 0.95 <= result.epsilon_lower <= 1.0


def test_a_budget_survives_storage():
    budget = PrivacyBudget(1.0)
    for _ in range(10):
        budget.spend(0.1, "round")
    again = PrivacyBudget.from_json(budget.to_json())
    assert (again.epsilon, again.entries) == (budget.epsilon, budget.entries)
    with pytest.raises(Exception, match="does not fit"):
        again.spend(0.01, "one more")


def test_the_summary_says_what_is_private():
    X, y, _ = draw(300)
    model = LDPSparseRegression(penalty="mcp", **SETTINGS).fit(X, y)
    facts = model.summary().facts
    assert facts["privacy"].startswith("none: the reports were simulated")
    assert (facts["penalty"], facts["reports"]) == ("mcp", "300")
    assert facts["alpha"] == f"at most {model.alpha_:.6g}, chosen by 'auto'"
    protocol = Protocol(6, 1.0)
    report = Randomizer(protocol).privatize(X[0], y[0])
    model = LDPLasso().fit_reports(Aggregator(protocol).update(report))
    assert model.summary().facts["privacy"] == "local, of the record: epsilon 1, delta 0"


@pytest.mark.parametrize("covariance", [-np.eye(2), np.zeros((2, 2)), [[1.0, 2.0], [2.0, 1.0]]])
def test_what_cannot_be_a_covariance_is_refused(covariance):
    with pytest.raises(ValueError, match="has the eigenvalue"):
        LDPSparseRegression(covariance=covariance).fit(np.eye(2), np.ones(2))


@pytest.mark.parametrize("interaction", ["none", "two-stage", "sequential"])
@pytest.mark.parametrize("covariance", [None, "known"])
@pytest.mark.parametrize("clipping", [None, "gaussian"])
@pytest.mark.parametrize("penalty", ["mcp", "l2"])
def test_units_do_not_matter(interaction, covariance, clipping, penalty):
    X, y, _ = draw(3000, 3)
    coefs = []
    for unit_x, unit_y in [(1, 1), (2.0**-90, 2.0**-90), (2.0**-90, 2.0**90), (2.0**90, 2.0**-90)]:
        model = LDPSparseRegression(
            8.0, interaction=interaction, clipping=clipping, penalty=penalty, simulate="clt",
            covariance=unit_x**2 * np.eye(3) if covariance else None,
            x_radius=2.6 * unit_x, y_bound=3.4 * unit_y, random_state=0,
        ).fit(X * unit_x, y * unit_y)  # fmt: skip
        coefs.append(model.coef_ * unit_x / unit_y)
    np.testing.assert_allclose(coefs, np.tile(coefs[0], (4, 1)), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"x_radius": 1e-31}, "x_radius=1e-31 is too extreme"),
        ({"y_bound": 1e31}, "from 1e-30 to 1e\\+30"),
        ({"covariance": 1e-100 * np.eye(3)}, "Change the units of x"),
        ({"epsilon": 50.0}, r"'epsilon' parameter of .* in the range \[1e-06, 20.0\]"),
        ({"epsilon": 1e-7}, r"in the range \[1e-06, 20.0\]"),
    ],
)
@pytest.mark.parametrize("cls", [LDPSparseRegression, LDPLasso])
def test_what_is_out_of_range_is_refused_with_the_range(cls, settings, message):
    with pytest.raises(ValueError, match=message):
        cls(**settings).fit(np.eye(3), np.ones(3))


def test_labels_of_which_none_counts_are_refused():
    mine, theirs = (Protocol(2, epsilon, protect="label") for epsilon in (1.0, 2.0))
    reports = [Randomizer(theirs).privatize(None, 0.5) for _ in range(3)]
    model = LDPSparseRegression(protocol=mine, protect="label")
    with pytest.raises(ValueError, match="No report counts"):
        model.fit_reports(reports, np.eye(3)[:, :2])
