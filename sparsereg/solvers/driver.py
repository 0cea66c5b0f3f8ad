"""Which driver solves a problem: one target or several tasks, told apart by the shape of y."""

from __future__ import annotations

from sparsereg.backends.protocol import Backend
from sparsereg.penalties.elastic_net import ElasticNet
from sparsereg.solvers import multi_task, working_set
from sparsereg.solvers.multi_task_workspace import MultiTaskWorkspace
from sparsereg.solvers.problem import Problem, Solution
from sparsereg.solvers.workspace import DataCache, Workspace

AnyWorkspace = Workspace | MultiTaskWorkspace


def make_workspace(
    problem: Problem, backend: Backend, cache: DataCache | None = None
) -> AnyWorkspace:
    """Return a workspace at zero; y of shape (n, T) makes the problem a multi-task problem."""
    if problem.y.ndim == 2:
        return MultiTaskWorkspace(problem, backend, cache)
    return Workspace(problem, backend, cache)


def solve(
    work: AnyWorkspace, penalty: ElasticNet, *, tol: float, max_iter: int, settle: bool = False
) -> Solution:
    """Minimize the squared loss plus the penalty, from the workspace's current point."""
    if isinstance(work, MultiTaskWorkspace):
        return multi_task.solve(work, penalty, tol=tol, max_iter=max_iter)
    return working_set.solve(work, penalty, tol=tol, max_iter=max_iter, settle=settle)


def prepare(work: AnyWorkspace, penalty: ElasticNet, n_alphas: int) -> None:
    """Do at once what pays for this many solves."""
    if isinstance(work, Workspace):
        working_set.take_whole_gram(work, penalty, n_alphas)


def null_model(work: AnyWorkspace, penalty: ElasticNet) -> None:
    """Move to the fit with intercept and unpenalized features only."""
    if isinstance(work, MultiTaskWorkspace):
        multi_task.null_model(work, penalty)
    else:
        working_set.null_model(work, penalty)
