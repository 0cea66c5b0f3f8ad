"""Solves in lock step: who meets whom, and that nothing but the number of passes changes."""

import threading
import time

import numpy as np
import pytest
from sklearn.base import clone

from sparsereg import AdaptiveLassoCV, ElasticNetCV, LassoCV, MultiTaskLassoCV, RelaxedLassoCV
from sparsereg.backends.numba import NumbaBackend
from sparsereg.solvers.lock_step import LockStep, Stopped, steps_of

RNG = np.random.default_rng(0)
X = RNG.standard_normal((40, 90))
Y = X[:, :4].sum(axis=1) + 0.5 * RNG.standard_normal(40)


class Recorder(NumbaBackend):
    """Notes the sizes of requests that come together, and answers each with its own residuals."""

    def __init__(self):
        self.meetings = []

    def xtr_together(self, designs, residuals):
        self.meetings.append([float(rows[0, 0]) for rows in residuals])
        return [2.0 * rows for rows in residuals]


def asking(member, values, delay=0.0):
    def solve():
        answers = []
        for value in values:
            time.sleep(delay)
            answers.append(float(member.xtr(None, np.array([float(value)]))[0]))
        return answers

    return solve


@pytest.mark.parametrize("delays", [(0.0, 0.0, 0.0), (0.02, 0.0, 0.01), (0.0, 0.02, 0.0)])
def test_who_meets_whom_depends_on_the_solves_and_not_on_the_clock(delays):
    backend = Recorder()
    asked = [[1, 2, 3], [10], [100, 200]]
    with LockStep(backend, 3) as together:
        members = [together.member(k) for k in range(3)]
        running = together.start([asking(*each) for each in zip(members, asked, delays)])
        answers = [solve.result() for solve in running]
    assert backend.meetings == [[1.0, 10.0, 100.0], [2.0, 200.0], [3.0]]
    assert answers == [[2.0, 4.0, 6.0], [20.0], [200.0, 400.0]]


def test_gradients_of_some_columns_do_not_wait():
    backend = Recorder()
    design = backend.design(np.asfortranarray(X), None, True)
    with LockStep(backend, 2) as together:
        member = together.member(0)
        found = member.xtr(design, Y, np.array([3, 1]))
    np.testing.assert_array_equal(found, backend.xtr(design, Y, np.array([3, 1])))
    assert backend.meetings == []


def test_an_error_of_the_pass_reaches_every_solve():
    class Failing(Recorder):
        def xtr_together(self, designs, residuals):
            raise MemoryError("full")

    with LockStep(Failing(), 2) as together:
        running = together.start([asking(together.member(k), [1]) for k in range(2)])
        for solve in running:
            with pytest.raises(MemoryError, match="full"):
                solve.result()


def test_a_solve_that_fails_does_not_keep_the_others_waiting():
    def fail():
        raise ValueError("mine")

    backend = Recorder()
    with LockStep(backend, 2) as together:
        one, other = together.start([fail, asking(together.member(1), [1, 2])])
        assert other.result() == [2.0, 4.0]
        with pytest.raises(ValueError, match="mine"):
            one.result()


def test_steps_stop_at_the_first_error_and_threads_end():
    before, done = threading.active_count(), [0, 0]

    def walk(k):
        for _ in range(5):
            if k == 1 and done[1] == 2:
                raise ValueError("third step")
            done[k] += 1
            together.note()

    with LockStep(Recorder(), 2) as together:
        steps = steps_of(together, [lambda: walk(0), lambda: walk(1)], lambda: min(done), 5)
        with pytest.raises(ValueError, match="third step"):
            list(steps)
    assert threading.active_count() == before


def test_leaving_ends_solves_that_wait():
    backend, leaving = Recorder(), []
    with LockStep(backend, 2) as together:
        asks, idle = asking(together.member(0), [1]), lambda: together.until(lambda: bool(leaving))
        waiting, _ = together.start([asks, idle])
        leaving.append(True)
    assert isinstance(waiting.exception(), Stopped)
    assert backend.meetings == []


@pytest.mark.parametrize(
    "estimator",
    [
        LassoCV(cv=4, alphas=12, tol=1e-9),
        ElasticNetCV(cv=4, alphas=12, tol=1e-9, l1_ratio=0.7, fit_intercept=False),
        MultiTaskLassoCV(cv=3, alphas=8, tol=1e-9),
        AdaptiveLassoCV(cv=3, alphas=6, tol=1e-9),
        RelaxedLassoCV(cv=3, alphas=6, tol=1e-9),
    ],
    ids=lambda estimator: type(estimator).__name__,
)
def test_cross_validation_is_the_same_with_fewer_meetings_than_gradients(estimator, monkeypatch):
    y = np.column_stack([Y, -Y]) if isinstance(estimator, MultiTaskLassoCV) else Y
    expected = clone(estimator).fit(X, y)
    sizes, xtr_together = [], NumbaBackend.xtr_together

    def count(self, designs, residuals):
        sizes.append(len(designs))
        return xtr_together(self, designs, residuals)

    monkeypatch.setattr(NumbaBackend, "xtr_together", count)
    monkeypatch.setattr(NumbaBackend, "shares_passes", True)
    found = clone(estimator).fit(X, y)
    np.testing.assert_allclose(found.mse_path_, expected.mse_path_, rtol=1e-6)
    np.testing.assert_allclose(found.coef_, expected.coef_, atol=1e-6)
    assert np.mean(sizes) > 2.0
