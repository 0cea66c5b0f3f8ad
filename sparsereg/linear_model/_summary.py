"""``model.summary()``: what a fitted linear model is, how it was chosen, and what is proven.

Coefficients are given in the units of the data before scaling if the scaler is passed. A scaler
maps each column by itself, ``x_j -> a_j + d_j x_j``, so that

    sum_j w_j (a_j + d_j x_j) + b = sum_j (w_j d_j) x_j + (b + sum_j w_j a_j).
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.utils.validation import check_is_fitted

from sparsereg._names import feature_names as names_of
from sparsereg.linear_model._choice import held_out_errors

if TYPE_CHECKING:
    from rich.console import Group

# With more targets than this, the table has the norm over the targets only.
_MOST_TARGETS = 6

_PENALTIES = {
    "AdaptiveLasso": "l1, weights from an initial estimate",
    "CEL0Regressor": "CEL0",
    "ElasticNet": "elastic net",
    "L0Regressor": "l0",
    "Lasso": "l1",
    "LqRegressor": "lq",
    "MCPRegressor": "MCP",
    "MultiTaskElasticNet": "l2,1 and ridge",
    "MultiTaskLasso": "l2,1",
    "RelaxedLasso": "l1, relaxed",
    "SCADRegressor": "SCAD",
}
# Parameters that say which penalty of its family it is, in the order they are told.
_SHAPES = ("l1_ratio", "gamma", "q", "l2", "coef_bound")


@dataclass(frozen=True, repr=False)
class Summary:
    """A fitted model at a glance: text when printed, a table in a notebook or a rich console.

    Attributes
    ----------
    title : str
        The class of the model.
    facts : dict from str to str
        Data, penalty, how alpha was chosen, support, certificate.
    names : list of str
        The selected features, the largest first.
    coef : ndarray of shape (n_selected,) or (n_selected, n_targets)
        Their coefficients, in units of y per original unit of the feature.
    intercept : float or ndarray of shape (n_targets,)
        Belongs to ``coef``.
    scaled_coef : ndarray of shape of ``coef``, or None
        Coefficients of the scaled features, where a scaler was passed: with a ``StandardScaler``
        the change of the prediction per standard deviation.
    warnings : list of str
        What to mind before the model is used.
    max_rows : int
        Number of features that are printed.
    """

    title: str
    facts: dict[str, str]
    names: list[str]
    coef: np.ndarray
    intercept: Any
    scaled_coef: np.ndarray | None
    warnings: list[str]
    max_rows: int

    def __repr__(self) -> str:
        return str(self)

    def __str__(self) -> str:
        width = max(map(len, self.facts))
        lines = [self.title, "=" * len(self.title)]
        lines += [f"{name:<{width}}  {value}" for name, value in self.facts.items()]
        header, *rows = self._table()
        widths = [max(len(row[k]) for row in (header, *rows)) for k in range(len(header))]
        lines.append("")
        for row in (header, ["-" * width for width in widths], *rows):
            cells = [f"{cell:>{size}}" for cell, size in zip(row[1:], widths[1:])]
            lines.append("  ".join([f"{row[0]:<{widths[0]}}", *cells]).rstrip())
        lines += self._left_out()
        if self.warnings:
            lines += ["", *(f"Warning: {warning}" for warning in self.warnings)]
        return "\n".join(lines)

    def __rich__(self) -> Group:
        """Return what a rich console prints; the table keeps names with brackets as they are."""
        from rich.console import Group
        from rich.table import Table
        from rich.text import Text

        facts = Table.grid(padding=(0, 2))
        facts.add_column(no_wrap=True, style="dim")
        facts.add_column(overflow="fold")
        for name, value in self.facts.items():
            facts.add_row(Text(name), Text(value))
        header, *rows = self._table()
        table = Table()
        for k, name in enumerate(header):
            table.add_column(name, justify="right" if k else "left", overflow="fold", no_wrap=k > 0)
        for row in rows:
            if row[0] == "(intercept)":
                table.add_section()
            table.add_row(*map(Text, row))
        warnings = [Text(f"Warning: {warning}", style="yellow") for warning in self.warnings]
        rest = map(Text, self._left_out())
        return Group(Text(self.title, style="bold"), facts, table, *rest, *warnings)

    def _repr_html_(self) -> str:
        header, *rows = self._table()
        facts = "".join(
            f"<tr><th style='text-align:left'>{escape(name)}</th>"
            f"<td style='text-align:left'>{escape(value)}</td></tr>"
            for name, value in self.facts.items()
        )
        head = "".join(f"<th>{escape(name)}</th>" for name in header)
        body = "".join(
            f"<tr><td style='text-align:left'>{escape(row[0])}</td>"
            + "".join(f"<td style='text-align:right'>{escape(cell)}</td>" for cell in row[1:])
            + "</tr>"
            for row in rows
        )
        notes = "".join(f"<p>{escape(line)}</p>" for line in self._left_out())
        notes += "".join(f"<p><b>Warning:</b> {escape(text)}</p>" for text in self.warnings)
        return (
            f"<div><p><b>{escape(self.title)}</b></p><table>{facts}</table>"
            f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>{notes}</div>"
        )

    def _table(self) -> Iterator[list[str]]:
        """Yield the header, a row per selected feature, and the intercept."""
        matrices = [self.coef] if self.scaled_coef is None else [self.coef, self.scaled_coef]
        labels = ["coefficient", "per scaled unit"]
        columns = [_columns(matrix, label) for matrix, label in zip(matrices, labels)]
        cells = [column for group in columns for column in group]
        yield ["column", *(name for name, _ in cells)]
        for k, name in enumerate(self.names[: self.max_rows]):
            yield [name, *(f"{values[k]:.6g}" for _, values in cells)]
        intercepts = np.atleast_1d(self.intercept)
        told = [f"{value:.6g}" for value in intercepts]
        if self.coef.ndim == 2:
            told = [*(told if len(told) <= _MOST_TARGETS else []), ""]
        yield ["(intercept)", *told, *[""] * (len(cells) - len(told))]

    def _left_out(self) -> list[str]:
        more = len(self.names) - self.max_rows
        return [f"... and {more:,} more, with smaller coefficients"] if more > 0 else []


def summarize(
    model: Any, feature_names: Sequence[str] | None, scaler: Any, max_rows: int
) -> Summary:
    """Return the summary of a fitted linear model."""
    check_is_fitted(model)
    coef = np.asarray(model.coef_, dtype=np.float64)
    n_features = coef.shape[-1]
    intercept = np.asarray(model.intercept_, dtype=np.float64)
    original, scaled = coef, None
    if scaler is not None:
        shift, factor = _per_column(scaler, n_features)
        original, scaled, intercept = coef * factor, coef, intercept + coef @ shift
        if feature_names is None:
            feature_names = _names_before(scaler, n_features)
    names = names_of(model, feature_names, n_features)
    size = np.linalg.norm(np.atleast_2d(coef), axis=0)
    order = np.argsort(-size, kind="stable")[: np.count_nonzero(size)]
    n_samples = getattr(model, "_n_samples", None)
    rows = "" if n_samples is None else f"{n_samples:,} rows, "
    return Summary(
        title=type(model).__name__,
        facts={
            "data": f"{rows}{n_features:,} columns"
            + (f", {len(coef)} targets" if coef.ndim == 2 else ""),
            "penalty": _penalty(model),
            **_choice(model, order.size),
            **_privacy(model),
            "support": f"{order.size:,} of {n_features:,} columns",
            "certificate": _certificate(model),
            "backend": model.backend_,
        },
        names=[names[j] for j in order],
        coef=original[..., order].T,
        intercept=intercept[()],
        scaled_coef=None if scaled is None else scaled[..., order].T,
        warnings=list(_warnings(model, order.size, n_samples)),
        max_rows=max_rows,
    )


def _columns(coef: np.ndarray, label: str) -> list[tuple[str, np.ndarray]]:
    """Return the columns of the table, by name: one per target and the norm over them."""
    if coef.ndim == 1:
        return [(label, coef)]
    norm = (f"norm of {label}s", np.linalg.norm(coef, axis=1))
    if coef.shape[1] > _MOST_TARGETS:
        return [norm]
    return [*((f"{label} of y{t}", column) for t, column in enumerate(coef.T)), norm]


def _penalty(model: Any) -> str:
    if hasattr(model, "penalty"):
        if isinstance(model.penalty, str):
            return model.penalty
        return "MCP()" if model.penalty is None else repr(model.penalty)
    name = type(model).__name__.removesuffix("CV")
    told = [_PENALTIES.get(name, name)]
    for shape in _SHAPES:
        value = getattr(model, f"{shape}_", getattr(model, shape, None))
        if value is None or (shape == "l2" and value == 0):
            continue
        if shape == "l1_ratio" and name.endswith("Lasso"):
            continue
        told.append(f"{shape}={value:g}")
    if getattr(model, "positive", False):
        told.append("positive")
    if getattr(model, "penalty_weights", None) is not None:
        told.append("with penalty_weights")
    return ", ".join(told)


def _choice(model: Any, n_selected: int) -> dict[str, str]:
    """Return alpha or the size, and how it was chosen, with the error it was chosen for."""
    if not hasattr(model, "scores_"):
        if getattr(model, "n_nonzero", None) is not None:
            return {"size": f"at most {model.n_nonzero}, given"}
        alpha = getattr(model, "alpha", None)
        if isinstance(alpha, str):
            if hasattr(model, "alpha_"):
                return {"alpha": f"at most {model.alpha_:.6g}, chosen by {alpha!r}"}
            return {"size": f"{n_selected}, chosen by {alpha!r}"}
        return {} if alpha is None else {"alpha": f"{alpha:.6g}, given"}
    by_size = hasattr(model, "n_nonzero_")
    grid = np.asarray(model.sizes_ if by_size else model.alphas_)
    scores = np.asarray(model.scores_)
    rule = repr(model.selection) if isinstance(model.selection, str) else "a function"
    tried = "sizes" if by_size else "alphas"
    folds = f" in {scores.shape[-1]} folds" if scores.shape[-1] > 1 else ""
    taken = f"{model.n_nonzero_}" if by_size else f"{model.alpha_:.6g}"
    facts = {
        "size" if by_size else "alpha": (
            f"{taken}, chosen by {rule} among {grid.shape[-1]} {tried}{folds}"
        )
    }
    error = _held_out_error(model)
    return {**facts, "held-out error": error} if error else facts


def _privacy(model: Any) -> dict[str, str]:
    if not hasattr(model, "privacy_"):
        return {}
    told = model.privacy_
    return {
        "reports": f"{told.n_reports:,}",
        "privacy": "none: the reports were simulated from data in one place"
        if told.simulated
        else f"local, of the {told.protects}: epsilon {told.epsilon_effective:.12g}, "
        f"delta {told.delta:g}",
    }


def _held_out_error(model: Any) -> str:
    errors = held_out_errors(model)
    if errors is None:
        return ""
    deviation = float(f"{errors.std(ddof=1) / np.sqrt(errors.size):.2g}")  # 130, not 1.3e+02
    return f"mean square {errors.mean():.4g} ± {deviation:g} (standard error over the folds)"


def _certificate(model: Any) -> str:
    told = []
    if hasattr(model, "dual_gap_"):
        gap = float(np.max(model.dual_gap_))
        told.append(f"duality gap {gap:.1e}: the objective is at most this far above its minimum")
    if getattr(model, "lower_bound_", None) is not None:
        told.append(
            f"the objective, {model.objective_:.6g}, is proven to be within "
            f"{model.optimality_gap_:.1e} of its minimum, relatively"
        )
    if hasattr(model, "stationarity_"):
        told.append(
            f"stationarity {float(model.stationarity_):.1e}: "
            f"zero where no change of one coefficient improves the objective"
        )
    if hasattr(model, "path_"):
        told.append(f"none here; L0Regressor(n_nonzero={model.n_nonzero_}) gives one")
    return "; ".join(told) if told else "none"


def _warnings(model: Any, n_selected: int, n_samples: int | None) -> Iterator[str]:
    if not getattr(model, "converged_", True):
        yield (
            "The fit did not converge, and the certificate says by how much. Raise max_iter, or "
            "standardize the columns."
        )
    if not n_selected:
        yield "No column is selected: the model predicts a constant. Lower alpha."
    if n_samples is not None and n_selected >= n_samples - 1:
        yield (
            f"{n_selected} columns can reproduce any {n_samples} rows, noise included. Raise alpha."
        )
    if getattr(model, "lower_bound_", 0.0) is None:
        yield (
            "Nothing is proven about the global minimum: that takes l2, coef_bound or independent "
            "columns."
        )
    if getattr(model, "selection", None) not in ("min", "1se"):
        return
    if hasattr(model, "sizes_"):
        if len(model.sizes_) > 1 and model.n_nonzero_ == model.sizes_[-1]:
            yield "The chosen size is the largest that was tried. Raise max_size."
    elif np.size(model.alphas_) > 1 and np.any(model.alpha_ == np.asarray(model.alphas_)[..., -1]):
        yield "The chosen alpha is the smallest of the grid; the best may lie below. Lower eps."


def _per_column(scaler: Any, n_features: int) -> tuple[np.ndarray, np.ndarray]:
    """Return a and d of a transformer that maps each column x to a + d x, or refuse it."""
    wrong = ValueError(
        f"scaler={scaler!r} does not map each of the {n_features} columns by itself to a multiple "
        f"plus a constant. Give the fitted scaler in front of the model, such as a StandardScaler, "
        f"or a pipeline of scalers."
    )
    probes = np.stack([np.zeros(n_features), np.ones(n_features), np.arange(n_features) % 7 - 3.0])
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a scaler that knows names wants them
            at_zero, at_one, at_probe = np.asarray(scaler.transform(probes), dtype=np.float64)
    except (ValueError, TypeError, AttributeError) as error:
        raise wrong from error
    if at_zero.shape != (n_features,):
        raise wrong
    shift, factor = at_zero, at_one - at_zero
    expected = shift + factor * probes[2]
    scale = np.abs(shift) + np.abs(factor) * np.abs(probes[2])
    if not np.all(np.abs(at_probe - expected) <= 1e-9 * (scale + np.finfo(float).tiny)):
        raise wrong
    return shift, factor


def _names_before(scaler: Any, n_features: int) -> list[str] | None:
    names = getattr(scaler, "feature_names_in_", None)
    return None if names is None or len(names) != n_features else [str(name) for name in names]
