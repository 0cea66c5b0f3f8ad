"""What summaries and displays read from an estimator that chose along a path."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.utils.validation import check_is_fitted

from sparsereg.model_selection.selection import select_alpha


def require(estimator: Any, attribute: str, what: str, example: str) -> None:
    """Raise unless the estimator is fitted and has the attribute."""
    check_is_fitted(estimator)
    if not hasattr(estimator, attribute):
        raise ValueError(
            f"{type(estimator).__name__} has no {attribute}: it does not keep {what}. "
            f"Use an estimator that does, such as {example}."
        )


def grid_of(estimator: Any) -> np.ndarray:
    """Return the alphas of the path that was chosen, or the sizes of best subsets."""
    if hasattr(estimator, "sizes_"):
        return np.asarray(estimator.sizes_)
    alphas = np.asarray(estimator.alphas_)
    return alphas[_other_index(estimator)] if alphas.ndim == 2 else alphas


def table_of(estimator: Any, name: str) -> np.ndarray:
    """Return a table of shape (n_alphas, n_folds) at the chosen l1_ratio or gamma."""
    table = np.asarray(getattr(estimator, name))
    return table[_other_index(estimator)] if table.ndim == 3 else table


def held_out_errors(estimator: Any) -> np.ndarray | None:
    """Return the mean squared error of each fold at the choice; None without folds."""
    if not hasattr(estimator, "mse_path_"):
        return None
    grid, table = grid_of(estimator), table_of(estimator, "mse_path_")
    taken = estimator.n_nonzero_ if hasattr(estimator, "sizes_") else estimator.alpha_
    errors = table[int(np.argmin(np.abs(grid - taken)))]
    errors = errors[~np.isnan(errors)]
    return errors if errors.size > 1 else None


def _other_index(estimator: Any) -> int:
    """Return the index of the chosen value of the parameter that is chosen beside alpha."""
    if hasattr(estimator, "gamma_"):
        return int(np.argmin(np.abs(estimator.gammas_ - estimator.gamma_)))
    return int(np.argmin(np.abs(np.ravel(estimator.l1_ratio) - estimator.l1_ratio_)))


def chosen_alphas(estimator: Any) -> dict[str, float]:
    """Return what each rule would have chosen; the one that counted is the last.

    Of alpha and gamma, which are chosen as a pair, only the choice itself is known here.
    """
    selection = estimator.selection
    size = getattr(estimator, "n_nonzero_", None)
    taken = float(estimator.alpha_ if size is None else size)
    name = selection if isinstance(selection, str) else "chosen"
    if name not in ("min", "1se") or hasattr(estimator, "gamma_"):
        return {name: taken}
    other = "1se" if name == "min" else "min"
    grid = grid_of(estimator)
    alternative = float(grid[select_alpha(grid, table_of(estimator, "scores_"), other)])
    if alternative == taken:
        return {"min = 1se": taken}
    return {other: alternative, name: taken}
