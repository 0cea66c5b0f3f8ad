"""The estimators keep scikit-learn's contract, and are what their penalties say."""

from __future__ import annotations

import copy
import pickle
import warnings

import numpy as np
import pytest
from scipy import sparse

torch = pytest.importorskip("torch", reason="torch is not installed")

from sklearn.datasets import (  # noqa: E402
    load_diabetes,
    load_digits,
    load_iris,
    make_regression,
)
from sklearn.exceptions import ConvergenceWarning  # noqa: E402
from sklearn.linear_model import Lasso  # noqa: E402
from sklearn.model_selection import GridSearchCV  # noqa: E402
from sklearn.utils.estimator_checks import parametrize_with_checks  # noqa: E402

from sparsereg.exceptions import PathInterruptedWarning  # noqa: E402
from sparsereg.nn import (  # noqa: E402
    SparseAutoencoder,
    SparseMLPClassifier,
    SparseMLPRegressor,
)
from sparsereg.penalties import CEL0, L1, L21, Hierarchical, KSupport  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

ESTIMATORS = [
    SparseMLPClassifier((20,), max_iter=100),
    SparseMLPRegressor((20,), max_iter=100, learning_rate=5e-3),
    SparseMLPRegressor((20,), Hierarchical(0.01), skip="lasso", max_iter=60),
    SparseAutoencoder(8, k=2, max_iter=20),
    SparseAutoencoder(8, k=2, activation="batch_topk", max_iter=20),
    SparseAutoencoder(8, activation=L1(0.1), max_iter=20),
]


@parametrize_with_checks(ESTIMATORS)
def test_scikit_learn_contract(estimator, check):
    check(estimator)


@pytest.fixture(scope="module")
def regression():
    X, y = make_regression(150, 10, n_informative=3, noise=5.0, random_state=0)
    return (X - X.mean(0)) / X.std(0), y


@pytest.mark.parametrize("estimator", [ESTIMATORS[0], ESTIMATORS[1], ESTIMATORS[3]])
def test_the_seed_decides_and_the_global_generator_is_left_alone(estimator, regression):
    X, y = regression
    y = (y > 0).astype(int) if isinstance(estimator, SparseMLPClassifier) else y
    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    models = [copy.deepcopy(estimator).set_params(random_state=s).fit(X, y) for s in (0, 0, 1)]
    assert torch.equal(torch.rand(1), expected)
    first, same, other = (
        m.components_ if hasattr(m, "components_") else m.coefs_[0] for m in models
    )
    np.testing.assert_array_equal(first, same)
    assert not np.array_equal(first, other)


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_copies_and_pickles_predict_the_same(estimator, regression):
    X, y = regression
    y = (y > 0).astype(int) if isinstance(estimator, SparseMLPClassifier) else y
    model = copy.deepcopy(estimator).set_params(random_state=0).fit(X, y)
    twin = pickle.loads(pickle.dumps(model))
    run = "transform" if isinstance(model, SparseAutoencoder) else "predict"
    np.testing.assert_array_equal(getattr(model, run)(X), getattr(twin, run)(X))


def test_without_hidden_nonlinearity_a_network_with_skip_is_the_lasso(regression):
    """M near 0 leaves the linear terms, whose penalty is that of the lasso."""
    X, y = regression
    z = (y - y.mean()) / y.std()
    model = SparseMLPRegressor(
        (2,), Hierarchical(0.1, 1e-6), skip="lasso", max_iter=1500, tol=0.0, learning_rate=0.02,
        n_iter_no_change=2000, batch_size=200, random_state=0,
    ).fit(X, y)  # fmt: skip
    expected = Lasso(alpha=0.1, tol=1e-12).fit(X, z).coef_
    np.testing.assert_allclose(model.skip_coef_[:, 0], expected, atol=1e-4)
    assert set(model.support_) == set(np.flatnonzero(expected))


def test_the_penalty_decides_what_is_sparse(regression):
    X, y = regression
    shared = {"max_iter": 300, "learning_rate": 5e-3, "random_state": 0}
    weights = SparseMLPRegressor((20,), L1(0.02), **shared).fit(X, y)
    assert 0.3 < weights.sparsity_ < 1.0
    inputs = SparseMLPRegressor((20,), L21(0.1), penalize="inputs", **shared).fit(X, y)
    informative = np.flatnonzero(np.abs(np.corrcoef(X.T, y)[-1, :-1]) > 0.3)
    assert set(informative) <= set(inputs.support_)
    assert inputs.support_.size < 10
    neurons = SparseMLPRegressor((20,), L21(0.05), penalize="neurons", **shared).fit(X, y)
    used = np.any(neurons.coefs_[0] != 0, axis=0)
    assert 0 < used.sum() < 20
    some = SparseMLPRegressor((20,), KSupport(0.01, k=5), penalize="inputs", **shared).fit(X, y)
    assert some.score(X, y) > 0.5
    for model in (weights, inputs, neurons):
        assert model.score(X, y) > 0.8


def test_a_classifier_with_cel0_weights_is_sparse_and_right():
    X, y = load_iris(return_X_y=True)
    model = SparseMLPClassifier(
        (10,), CEL0(1e-3), max_iter=600, learning_rate=5e-3, random_state=0
    ).fit(X, y)
    assert model.score(X, y) > 0.93
    assert model.sparsity_ > 0.2
    proba = model.predict_proba(X)
    np.testing.assert_allclose(proba.sum(axis=1), 1.0)
    assert np.array_equal(model.classes_[proba.argmax(1)], model.predict(X))
    raw = model.to_torch()(torch.tensor(X)).detach().numpy()
    np.testing.assert_allclose(raw, model._raw(X), rtol=1e-10)


def test_weights_equal_repetitions(regression):
    X, y = regression[0][:40], regression[1][:40]
    weights = np.arange(40) % 3
    settings = {"max_iter": 30, "random_state": 0}
    weighted = SparseMLPRegressor((8,), **settings).fit(X, y, weights)
    repeated = SparseMLPRegressor((8,), **settings).fit(
        np.repeat(X, weights, axis=0), np.repeat(y, weights)
    )
    np.testing.assert_allclose(weighted.predict(X), repeated.predict(X), rtol=1e-8, atol=1e-8)


def test_float32_is_trained_in_float32(regression):
    X, y = regression
    model = SparseMLPRegressor((8,), max_iter=5).fit(X.astype(np.float32), y)
    assert model.coefs_[0].dtype == np.float32


def test_grids_go_over_the_penalty(regression):
    X, y = regression
    base = SparseMLPRegressor((8,), L1(1.0), max_iter=100, learning_rate=5e-3, random_state=0)
    search = GridSearchCV(base, {"penalty__alpha": [1e-4, 10.0]}, cv=2).fit(X, y)
    assert search.best_params_ == {"penalty__alpha": 1e-4}
    assert search.cv_results_["mean_test_score"][1] < 0.01


def test_early_stopping_returns_the_best_network_on_held_out_data():
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((60, 30)), rng.standard_normal(60)
    model = SparseMLPRegressor(
        (50,), early_stopping=True, validation_fraction=0.3, learning_rate=0.01, random_state=0
    ).fit(X, y)
    monitored = [epoch.monitored for epoch in model.history_]
    assert len(monitored) < 200
    assert monitored[-1] > min(monitored)


@pytest.mark.parametrize("name", ["digits", "diabetes"])
def test_default_fits_end_without_a_warning(name):
    digits = name == "digits"
    X, y = (load_digits if digits else load_diabetes)(return_X_y=True)
    X, y = (X[:700] / 16, y[:700]) if digits else (X, y)
    model = (SparseMLPClassifier if digits else SparseMLPRegressor)(random_state=0)
    with warnings.catch_warnings():
        warnings.simplefilter("error", ConvergenceWarning)
        model.fit(X, y)
    assert model.score(X, y) > (0.99 if digits else 0.4)
    assert model.sparsity_ > 0.2


@pytest.mark.parametrize("unit", [1e200, 1e-200])
def test_the_unit_of_y_does_not_matter(unit, regression):
    X, y = regression
    y = y / np.abs(y).max()
    settings = {"max_iter": 5, "random_state": 0}
    expected = SparseMLPRegressor((4,), **settings).fit(X, y).predict(X)
    actual = SparseMLPRegressor((4,), **settings).fit(X, unit * y).predict(X)
    np.testing.assert_allclose(actual / unit, expected, rtol=1e-6)
    assert np.ptp(expected) > 0


def test_rows_of_weight_zero_are_in_no_batch(regression):
    X, y = regression
    weights = np.arange(len(X)) % 2
    settings = {"max_iter": 10, "batch_size": 20, "random_state": 0}
    wrong = np.where(weights, y, 1e300)
    weighted = SparseMLPRegressor((4,), **settings).fit(X, wrong, weights)
    alone = SparseMLPRegressor((4,), **settings).fit(X[1::2], y[1::2])
    np.testing.assert_allclose(weighted.predict(X), alone.predict(X), rtol=1e-9)


def test_too_few_epochs_are_told():
    X, y = load_iris(return_X_y=True)
    with pytest.warns(ConvergenceWarning, match="after max_iter=3 epochs.*Increase"):
        SparseMLPClassifier(max_iter=3).fit(X, y)


def test_an_interrupted_fit_keeps_its_epochs(regression, monkeypatch):
    from sparsereg.nn import _training

    def interrupted(items, total, label, verbose):
        yield from list(items)[:4]
        raise KeyboardInterrupt

    monkeypatch.setattr(_training, "progress", interrupted)
    X, y = regression
    with pytest.warns(PathInterruptedWarning, match="4 epochs was kept"):
        model = SparseMLPRegressor((8,)).fit(X, y)
    assert model.n_iter_ == 4


def test_progress_is_shown(regression, capsys):
    SparseMLPRegressor((4,), max_iter=3, verbose=1).fit(*regression)
    assert "SparseMLPRegressor" in capsys.readouterr().err


def test_a_lassonet_path_drops_features_until_none_is_left(regression):
    X, y = regression
    model = SparseMLPRegressor((10,), skip="lasso", max_iter=60, random_state=0, n_iter_no_change=5)
    steps = model.path(X, y, factor=1.6)
    sizes = [step.support.size for step in steps]
    assert sizes[0] >= 9
    assert sizes[-1] == 0
    last = [step for step in steps if step.support.size > 0][-1]
    assert np.argmax(np.abs(np.corrcoef(X.T, y)[-1, :-1])) in last.support
    assert last.support.size <= 4
    for step in steps:
        bound = 10.0 * np.linalg.norm(step.skip_coef, axis=1) * (1 + 1e-6)
        assert np.all(np.abs(step.coefs[0]).max(axis=1) <= bound)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"penalty": L21(), "penalize": "weights"}, "Use penalize='inputs' or 'neurons'"),
        ({"penalty": L1(), "penalize": "inputs"}, "needs a penalty of groups"),
        ({"penalty": L1(), "skip": "lasso"}, "has its own penalty"),
        ({"penalty": Hierarchical()}, "Use skip='lasso'"),
        ({"hidden_layer_sizes": (3.5,)}, "must be integers"),
        ({"hidden_layer_sizes": (0,)}, "must be positive"),
        ({"device": "abacus"}, "device='abacus' cannot be used"),
        ({"learning_rate": 1e200}, "Lower learning_rate"),
    ],
)
def test_wrong_parameters_are_refused(parameters, message, regression):
    with pytest.raises(ValueError, match=message):
        SparseMLPRegressor(**parameters).fit(*regression)


def test_path_needs_the_skip_layer(regression):
    with pytest.raises(ValueError, match="Use skip='lasso'"):
        SparseMLPRegressor().path(*regression)


# -------------------------------------------------------------------------------------- autoencoder


@pytest.fixture(scope="module")
def digits():
    return load_digits(return_X_y=True)[0]


@pytest.mark.parametrize("activation", ["topk", "batch_topk", "afa", L1(0.5), CEL0(0.5)])
def test_an_autoencoder_reconstructs_with_few_codes(digits, activation):
    model = SparseAutoencoder(
        96, k=8, activation=activation, max_iter=40, learning_rate=3e-3, random_state=0
    )
    codes = model.fit_transform(digits)
    per_sample = (codes != 0).sum(axis=1)
    if activation == "topk":
        assert per_sample.max() <= 8
    if activation == "batch_topk":
        assert per_sample.mean() == pytest.approx(8, rel=0.3)
    assert per_sample.mean() < (75 if activation == "afa" else 40)
    assert model.score(digits) > 0.7
    np.testing.assert_allclose(np.linalg.norm(model.components_, axis=1), 1.0, rtol=1e-6)
    error = np.sum((digits - model.inverse_transform(codes)) ** 2)
    total = np.sum((digits - digits.mean(0)) ** 2)
    assert model.score(digits) == pytest.approx(1 - error / total)


def test_sparse_codes_are_the_dense_ones(digits):
    model = SparseAutoencoder(32, k=4, max_iter=3, random_state=0).fit(digits)
    dense = model.transform(digits)
    model.set_params(sparse_output=True)
    codes = model.transform(digits)
    assert isinstance(codes, sparse.csr_array)
    np.testing.assert_array_equal(codes.toarray(), dense)
    np.testing.assert_allclose(
        model.inverse_transform(codes), model.inverse_transform(dense), atol=1e-12
    )
    assert list(model.get_feature_names_out()[:2]) == ["sparseautoencoder0", "sparseautoencoder1"]


def test_dead_components_are_revived(digits):
    """Fewer are dead at the end, and more is explained, than without new starts."""
    settings = {"k": 4, "max_iter": 40, "learning_rate": 3e-3, "random_state": 0}
    revived = SparseAutoencoder(200, **settings).fit(digits)
    from sparsereg.nn import autoencoder

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(autoencoder, "_REVIVING", 0.0)
        without = SparseAutoencoder(200, **settings).fit(digits)
    assert revived.dead_fraction_ < 0.7 * without.dead_fraction_
    assert revived.score(digits) > without.score(digits)


def test_autoencoder_refuses_what_it_cannot_do(digits):
    with pytest.raises(TypeError, match=r"activation=L21\(\) is not a separable penalty"):
        SparseAutoencoder(activation=L21()).fit(digits)
    model = SparseAutoencoder(8, k=2, max_iter=2).fit(digits)
    with pytest.raises(ValueError, match="X has 3 codes, but there are 8 components"):
        model.inverse_transform(np.ones((2, 3)))


def test_missing_torch_is_one_sentence():
    import subprocess
    import sys

    code = (
        "import sys\n"
        "from importlib.machinery import PathFinder\n"
        "find = PathFinder.find_spec\n"
        "PathFinder.find_spec = classmethod(\n"
        "    lambda cls, name, *rest: None if name == 'torch' else find(name, *rest))\n"
        "import sparsereg\n"
        "try:\n"
        "    sparsereg.nn\n"
        "except ImportError as error:\n"
        "    print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == (
        "sparsereg.nn needs PyTorch, which is not installed. Install the extra: "
        'pip install "scikit-sparsereg[nn]".'
    )
