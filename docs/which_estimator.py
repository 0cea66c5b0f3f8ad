"""Draw the decision figure of ``which_estimator.md``, for light and for dark pages.

    python docs/which_estimator.py

writes ``_static/which_estimator_light.svg`` and ``_static/which_estimator_dark.svg``. A picture is
a list of questions; the first one with the answer yes leads to its estimators.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple
from xml.sax.saxutils import escape

FOLDER = Path(__file__).parent / "_static"


class Question(NamedTuple):
    """A question in lines, and what to use if the answer is yes: names, and remarks in lines."""

    lines: tuple[str, ...]
    names: str
    remarks: tuple[str, ...]


OTHER_PROBLEMS = (
    Question(
        ("Must the data stay", "with their owners?"),
        "privacy.LDPSparseRegression",
        ("from 100,000 persons on, with public knowledge of X",),
    ),
    Question(
        ("Do the rows follow several", "regressions, without labels?"),
        "mixture.SparseMixtureRegressorCV",
        ("MixedColoringRegressor if you can choose the rows",),
    ),
    Question(
        ("Many signals to write", "in one dictionary?"),
        "sparse_encode",
        ("lasso codes, or codes of any penalty",),
    ),
    Question(
        ("Does it take a network,", "rather than a linear model?"),
        "nn.SparseMLPRegressor, nn.SparseMLPClassifier",
        ("attach_prox and LassoLayer for networks of your own",),
    ),
    Question(
        ("Several targets that depend", "on the same columns?"),
        "MultiTaskLassoCV, MultiTaskElasticNetCV",
        ("a column is in for all targets, or for none",),
    ),
)
ONE_LINEAR_MODEL = (
    Question(
        ("A number of columns in mind,", "or a price for each?"),
        "L0Regressor",
        ("n_nonzero=k, or alpha; exact=True proves small ones",),
    ),
    Question(
        ("Is the held-out R²", "of LassoCV below 0.3?"),
        "LassoCV",
        ("ElasticNetCV if columns come in correlated groups",),
    ),
    Question(
        ("Is it above 0.6:", "few columns, clear effects?"),
        "L0RegressorCV",
        ("the best model of each size; folds choose the size",),
    ),
    Question(
        ("In between, or unsure:", "compare on the same folds"),
        "RelaxedLassoCV, AdaptiveLassoCV,",
        ("SparseRegressorCV with MCP, SCAD, Lq, LogSum or CEL0",),
    ),
)
NOTES = (
    "In every linear model: penalty_weights 0 keeps a column in, inf keeps it out.",
    "Is alpha known? The same names without CV. A penalty of your own choice? SparseRegressor.",
)

LIGHT = {
    "page": "#ffffff", "ink": "#1f2328", "soft": "#57606a", "line": "#6e7781",
    "ask": "#eef4fa", "ask-edge": "#0072B2", "use": "#fdf3ea", "use-edge": "#D55E00",
}  # fmt: skip
DARK = {
    "page": "#14181e", "ink": "#e6edf3", "soft": "#b3bcc6", "line": "#8b949e",
    "ask": "#16283a", "ask-edge": "#56B4E9", "use": "#33231a", "use-edge": "#E69F00",
}  # fmt: skip

# Pixels at a width of 800, at which the picture is meant to be read.
WIDTH, ROW, BOX, MARGIN = 800, 76, 54, 12
ASK_WIDTH, USE_LEFT, GAP = 270, 350, 26


def picture(colors: dict[str, str]) -> str:
    """Return the figure as SVG."""
    parts: list[str] = []
    top = 34.0
    for title, questions in (
        ("Is it a problem of its own?", OTHER_PROBLEMS),
        ("One target, one linear model", ONE_LINEAR_MODEL),
    ):
        parts.append(_text(USE_LEFT, top - 10, title, "soft", colors, size=14, bold=True))
        for question in questions:
            last = question is ONE_LINEAR_MODEL[-1]
            parts.extend(_row(top, question, colors, leads_on=not last))
            top += ROW
        top += GAP
    for note in NOTES:
        parts.append(_text(MARGIN, top - 8, note, "soft", colors, size=14))
        top += 21
    height = top - 8
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height:g}" '
        f'font-family="Helvetica, Arial, sans-serif">\n'
        f'<rect width="{WIDTH}" height="{height:g}" fill="{colors["page"]}"/>\n'
        f'<defs><marker id="tip" markerWidth="9" markerHeight="9" refX="8" refY="4.5" '
        f'orient="auto"><path d="M0 0L9 4.5L0 9z" fill="{colors["line"]}"/></marker></defs>\n'
    )
    return head + "\n".join(parts) + "\n</svg>\n"


def _row(top: float, question: Question, colors: dict[str, str], *, leads_on: bool) -> list[str]:
    middle, center = top + BOX / 2, MARGIN + ASK_WIDTH / 2
    gap = GAP if question is OTHER_PROBLEMS[-1] else 0
    parts = [
        _box(MARGIN, top, ASK_WIDTH, "ask", colors),
        _box(USE_LEFT, top, WIDTH - MARGIN - USE_LEFT, "use", colors),
        _arrow(MARGIN + ASK_WIDTH, middle, USE_LEFT - 2, middle, colors),
    ]
    if leads_on:
        parts.append(_text(MARGIN + ASK_WIDTH + 22, middle - 7, "yes", "soft", colors, size=14))
        parts.append(_arrow(center, top + BOX, center, top + ROW + gap - 2, colors))
        parts.append(_text(center + 9, top + BOX + 17, "no", "soft", colors, size=14))
    for k, line in enumerate(question.lines):
        parts.append(_text(center, top + 23 + 19 * k, line, "ink", colors, size=15, middle=True))
    left = USE_LEFT + 14
    parts.append(_text(left, top + 23, question.names, "ink", colors, size=16, bold=True))
    for k, line in enumerate(question.remarks):
        parts.append(_text(left, top + 43 + 18 * k, line, "ink", colors, size=14))
    return parts


def _box(left: float, top: float, width: float, kind: str, colors: dict[str, str]) -> str:
    return (
        f'<rect x="{left:g}" y="{top:g}" width="{width:g}" height="{BOX}" rx="6" '
        f'fill="{colors[kind]}" stroke="{colors[kind + "-edge"]}" stroke-width="1.4"/>'
    )


def _arrow(x: float, y: float, to_x: float, to_y: float, colors: dict[str, str]) -> str:
    return (
        f'<path d="M{x:g} {y:g}L{to_x:g} {to_y:g}" fill="none" stroke="{colors["line"]}" '
        f'stroke-width="1.4" marker-end="url(#tip)"/>'
    )


def _text(
    x: float, y: float, line: str, color: str, colors: dict[str, str], *, size: int,
    bold: bool = False, middle: bool = False,
) -> str:  # fmt: skip
    style = ' font-weight="bold"' * bold + ' text-anchor="middle"' * middle
    return (
        f'<text x="{x:g}" y="{y:g}" font-size="{size}" fill="{colors[color]}"{style}>'
        f"{escape(line)}</text>"
    )


def main() -> None:
    """Write both pictures."""
    for name, colors in (("light", LIGHT), ("dark", DARK)):
        path = FOLDER / f"which_estimator_{name}.svg"
        path.write_text(picture(colors), encoding="utf-8")


if __name__ == "__main__":
    main()
