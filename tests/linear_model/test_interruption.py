"""Ctrl-C in long work keeps what is finished."""

from __future__ import annotations

import pickle
import signal

import numpy as np
import pytest

from sparsereg import ElasticNetCV, LassoCV, lasso_path
from sparsereg.exceptions import PathInterruptedWarning
from sparsereg.solvers import look_ahead
from sparsereg.solvers.workspace import Workspace

N, P = 40, 12
RNG = np.random.default_rng(5)
X = RNG.standard_normal((N, P))
Y = 2 * X[:, 0] - X[:, 1] + 0.5 * X[:, 2] + RNG.standard_normal(N)


@pytest.fixture(autouse=True)
def one_alpha_at_once(monkeypatch):
    """Alphas that are solved together are finished together: here each is on its own."""
    monkeypatch.setattr(look_ahead, "_MAX_ALPHAS", 1)


def path(**params):
    return lasso_path(X, Y, n_alphas=15, **params)


def press_ctrl_c(monkeypatch, after):
    """Deliver the signal of Ctrl-C before the solution that follows ``after`` complete ones."""
    interrupt_solution(monkeypatch, after, lambda: signal.raise_signal(signal.SIGINT))


def raise_in_solve(monkeypatch, after):
    """Raise what Ctrl-C raises: signals reach the main thread only."""

    def interrupt():
        raise KeyboardInterrupt

    interrupt_solution(monkeypatch, after, interrupt)


def interrupt_solution(monkeypatch, after, interrupt):
    solution, calls = Workspace.solution, []

    def interrupted(*args, **kwargs):
        calls.append(None)
        if len(calls) == after + 1:
            interrupt()
        return solution(*args, **kwargs)

    monkeypatch.setattr(Workspace, "solution", interrupted)


def test_an_interrupted_path_returns_the_finished_part(monkeypatch):
    whole = path()
    press_ctrl_c(monkeypatch, after=6)
    with pytest.warns(PathInterruptedWarning):
        part = path()
    for finished, full in zip(part, whole):
        np.testing.assert_array_equal(finished, full[..., :6])


def test_an_interrupted_path_says_how_much_is_finished(monkeypatch):
    press_ctrl_c(monkeypatch, after=6)
    with pytest.warns(PathInterruptedWarning, match="6 of 15 alphas"):
        path()


def test_an_interrupted_path_with_a_progress_bar_returns_the_finished_part(monkeypatch, capsys):
    press_ctrl_c(monkeypatch, after=6)
    with pytest.warns(PathInterruptedWarning):
        assert len(path(verbose=1)[0]) == 6


def test_of_alphas_that_are_solved_together_an_interruption_keeps_all_or_none(monkeypatch):
    monkeypatch.setattr(look_ahead, "_MAX_ALPHAS", 4)
    whole = path()
    stretch, sizes = Workspace.stretch, []

    def interrupted(*args):
        if len(sizes) == 2:
            signal.raise_signal(signal.SIGINT)
        found = stretch(*args)
        sizes.append(len(found))
        return found

    monkeypatch.setattr(Workspace, "stretch", interrupted)
    with pytest.warns(PathInterruptedWarning):
        part = path()
    assert sizes == [4, 4]
    n_finished = len(part[0])
    assert 8 < n_finished < 15  # those before were solved one by one
    for finished, full in zip(part, whole):
        np.testing.assert_array_equal(finished, full[..., :n_finished])


def test_a_path_interrupted_before_its_first_alpha_is_interrupted(monkeypatch):
    press_ctrl_c(monkeypatch, after=0)
    with pytest.raises(KeyboardInterrupt):
        path()


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_an_interrupted_cross_validation_keeps_the_folds_that_are_finished(monkeypatch, n_jobs):
    model = LassoCV(cv=3, n_alphas=10, n_jobs=n_jobs)
    whole = model.fit(X, Y).mse_path_
    interrupt = press_ctrl_c if n_jobs == 1 else raise_in_solve
    interrupt(monkeypatch, after=2 * 10 + 5)
    with pytest.warns(PathInterruptedWarning):
        model.fit(X, Y)
    finished = ~np.isnan(model.mse_path_).all(axis=0)
    n_alphas, n_folds = len(model.alphas_), np.count_nonzero(finished)
    if n_jobs == 1:
        assert (n_alphas, n_folds) == (10, 2)
    # three folds that have solved 25 in all have at least so many in common
    assert n_alphas * n_folds >= 18
    np.testing.assert_array_equal(model.mse_path_[:, finished], whole[:n_alphas, finished])
    assert [path.shape[1] <= n_alphas for path in model.fold_coef_path_] == [True] * 3


def test_an_interrupted_cross_validation_says_what_is_finished(monkeypatch):
    press_ctrl_c(monkeypatch, after=10 + 7)
    with pytest.warns(PathInterruptedWarning, match="7 of 10 alphas that 2 of 3 folds have"):
        model = LassoCV(cv=3, n_alphas=10).fit(X, Y)
    np.testing.assert_array_equal(np.isnan(model.mse_path_), [[False, False, True]] * 7)


INTERRUPTED = {"coef_path_": 1, "intercept_path_": 0, "alphas_": 0, "mse_path_": 0, "scores_": 0}


@pytest.mark.parametrize(("name", "axis"), INTERRUPTED.items(), ids=INTERRUPTED.keys())
def test_an_interrupted_cross_validation_has_tables_of_one_length(monkeypatch, name, axis):
    press_ctrl_c(monkeypatch, after=10 + 7)
    with pytest.warns(PathInterruptedWarning):
        model = LassoCV(cv=3, n_alphas=10).fit(X, Y)
    assert np.shape(getattr(model, name))[axis] == 7


def test_an_interrupted_cross_validation_chooses_by_the_finished_folds(monkeypatch):
    press_ctrl_c(monkeypatch, after=10 + 7)
    with pytest.warns(PathInterruptedWarning):
        model = LassoCV(cv=3, n_alphas=10).fit(X, Y)
    best = model.alphas_[np.argmin(model.mse_path_[:, :2].mean(axis=1))]
    assert model.alpha_ == best
    assert np.all(np.isfinite(model.predict(X)))


def test_a_cross_validation_interrupted_at_once_leaves_the_estimator_as_it_was(monkeypatch):
    model = LassoCV(cv=3, n_alphas=10).fit(X, Y)
    before = pickle.dumps(vars(model))
    press_ctrl_c(monkeypatch, after=0)
    with pytest.raises(KeyboardInterrupt):
        model.fit(X[:, :3], Y)
    assert pickle.dumps(vars(model)) == before


def test_interrupting_the_path_on_all_data_after_the_choice_keeps_the_choice(monkeypatch):
    whole = LassoCV(cv=3, n_alphas=10, selection=lambda alphas, scores: 4).fit(X, Y)
    press_ctrl_c(monkeypatch, after=3 * 10 + 7)
    with pytest.warns(PathInterruptedWarning):
        part = LassoCV(cv=3, n_alphas=10, selection=lambda alphas, scores: 4).fit(X, Y)
    np.testing.assert_array_equal(part.coef_, whole.coef_)
    np.testing.assert_array_equal(part.coef_path_, whole.coef_path_[:, :7])


def test_interrupting_the_path_on_all_data_before_the_choice_is_an_interruption(monkeypatch):
    press_ctrl_c(monkeypatch, after=3 * 10 + 2)
    with pytest.raises(KeyboardInterrupt):
        LassoCV(cv=3, n_alphas=10, selection=lambda alphas, scores: 4).fit(X, Y)


def test_interrupting_the_second_l1_ratio_compares_by_the_folds_that_both_have(monkeypatch):
    press_ctrl_c(monkeypatch, after=3 * 10 + 10 + 6)
    with pytest.warns(PathInterruptedWarning):
        model = ElasticNetCV(l1_ratio=[0.5, 1.0], cv=3, n_alphas=10).fit(X, Y)
    assert model.mse_path_.shape == (2, 6, 3)
    missing = np.zeros((2, 6, 3), dtype=bool)
    missing[1, :, 2] = True
    np.testing.assert_array_equal(np.isnan(model.mse_path_), missing)
    best = model.mse_path_[:, :, :2].mean(axis=2).min(axis=1)
    assert model.l1_ratio_ == [0.5, 1.0][np.argmin(best)]
    assert model.predict(X).shape == (N,)


@pytest.mark.parametrize("n_alphas_of_the_second", [0, 4])
def test_interrupting_one_of_the_l1_ratios_says_which_are_missing(
    monkeypatch, n_alphas_of_the_second
):
    press_ctrl_c(monkeypatch, after=3 * 10 + n_alphas_of_the_second)
    with pytest.warns(PathInterruptedWarning, match=r"without .*1\.0\]"):
        model = ElasticNetCV(l1_ratio=[0.5, 0.8, 1.0], cv=3, n_alphas=10).fit(X, Y)
    n_ratios, n_finished = (1, 10) if n_alphas_of_the_second == 0 else (2, 4)
    assert model.mse_path_.shape == (n_ratios, n_finished, 3)
    assert model.predict(X).shape == (N,)


def test_an_interruption_gives_blas_its_threads_back(monkeypatch):
    from threadpoolctl import threadpool_info

    before = [entry["num_threads"] for entry in threadpool_info()]
    press_ctrl_c(monkeypatch, after=2)
    with pytest.warns(PathInterruptedWarning):
        path()
    assert [entry["num_threads"] for entry in threadpool_info()] == before
