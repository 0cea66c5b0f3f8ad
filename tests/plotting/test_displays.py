"""Claims about the displays: what is on the picture is what the model says."""

from __future__ import annotations

import subprocess
import sys

import matplotlib as mpl
import numpy as np
import pytest

mpl.use("Agg")
import matplotlib.pyplot as plt

from sparsereg import (
    ElasticNetCV,
    L0Regressor,
    L0RegressorCV,
    Lasso,
    LassoCV,
    MCPRegressor,
    MultiTaskLassoCV,
    RelaxedLassoCV,
    SparseRegressorCV,
    l0_path,
    lasso_path,
)
from sparsereg.model_selection import select_alpha
from sparsereg.plotting import (
    ConvergenceDisplay,
    CrossValidationDisplay,
    PhaseTransitionDisplay,
    RegularizationPathDisplay,
    SupportDisplay,
)

RNG = np.random.default_rng(0)
X = RNG.standard_normal((60, 12))
Y = X[:, :3] @ [3.0, -2.0, 1.0] + RNG.standard_normal(60)
NAMES = [f"gene {j}" for j in range(12)]
LASSO = LassoCV(cv=4, n_alphas=20, selection="1se").fit(X, Y)


@pytest.fixture(autouse=True)
def _close_figures():
    yield
    plt.close("all")


def texts(ax):
    return {text.get_text() for text in ax.texts}


def legend(ax):
    return [text.get_text() for text in ax.get_legend().get_texts()]


# --- paths ---------------------------------------------------------------------------------------


def test_path_draws_the_coefficients_of_the_largest_under_their_names():
    display = RegularizationPathDisplay.from_estimator(LASSO, feature_names=NAMES)
    largest = np.argmax(np.abs(LASSO.coef_))
    line = display.lines_[NAMES[largest]]
    np.testing.assert_array_equal(line.get_xdata(), LASSO.alphas_)
    np.testing.assert_array_equal(line.get_ydata(), LASSO.coef_path_[largest])
    assert NAMES[largest] in texts(display.ax_)


def test_path_counts_the_support_along_the_top():
    display = RegularizationPathDisplay.from_estimator(LASSO)
    ends = np.count_nonzero(LASSO.coef_path_[:, [0, -1]], axis=0)
    assert {str(end) for end in ends} <= texts(display.ax_)


def test_path_names_no_more_curves_than_asked_for():
    assert len(RegularizationPathDisplay.from_estimator(LASSO, max_names=2).lines_) == 2


def test_path_marks_the_alphas_of_both_rules():
    display = RegularizationPathDisplay.from_estimator(LASSO)
    other = LASSO.alphas_[select_alpha(LASSO.alphas_, LASSO.scores_, "min")]
    assert display.chosen == {"min": pytest.approx(other), "1se": pytest.approx(LASSO.alpha_)}
    assert list(display.chosen)[-1] == "1se"  # the one that counted
    assert {"min", "1se"} <= texts(display.ax_)


def test_path_falls_from_left_to_right():
    display = RegularizationPathDisplay.from_estimator(LASSO)
    left, right = display.ax_.get_xlim()
    assert left == pytest.approx(LASSO.alphas_[0])
    assert right == pytest.approx(LASSO.alphas_[-1])


def test_path_function_result_is_drawn():
    path = lasso_path(X, Y, n_alphas=10)
    display = RegularizationPathDisplay.from_path(path, chosen={"mine": path[0][3]})
    assert "mine" in texts(display.ax_)
    assert set(display.lines_) <= {f"x{j}" for j in range(12)}


def test_l0_path_is_drawn_as_steps_between_its_breakpoints():
    path = l0_path(X, Y, max_size=4)
    display = RegularizationPathDisplay.from_path(path)
    line = display.lines_["x0"]
    winners = path.alpha_high > path.alpha_low
    inner = path.alpha_low[winners][:-1]
    assert np.isin(inner, line.get_xdata()).all()
    alphas, values = line.get_xdata(), line.get_ydata()
    for high, low, left, right in zip(alphas[::2], alphas[1::2], values[::2], values[1::2]):
        assert left == right == path.coefs[0, path.at((high * low) ** 0.5)]


def test_path_of_sizes_marks_an_alpha_at_which_the_chosen_size_wins():
    model = L0RegressorCV(cv=3, max_size=4).fit(X, Y)
    display = RegularizationPathDisplay.from_estimator(model)
    ((name, alpha),) = display.chosen.items()
    assert name == f"{model.n_nonzero_} columns"
    assert model.path_.sizes[model.path_.at(alpha)] == model.n_nonzero_


def test_path_of_several_tasks_draws_norms():
    model = MultiTaskLassoCV(cv=3, n_alphas=8).fit(X, np.column_stack([Y, -Y]))
    display = RegularizationPathDisplay.from_estimator(model)
    norms = np.linalg.norm(model.coef_path_, axis=0)
    np.testing.assert_allclose(display.lines_["x0"].get_ydata(), norms[0])


def test_alpha_zero_is_left_out_of_the_logarithmic_axis():
    path = lasso_path(X, Y, alphas=[1.0, 0.1, 0.0])
    display = RegularizationPathDisplay.from_path(path)
    assert min(display.lines_["x0"].get_xdata()) == 0.1


def test_path_of_another_shape_is_refused():
    with pytest.raises(ValueError, match=r"shape \(n_features, n_alphas\)"):
        RegularizationPathDisplay([1.0, 0.5], np.zeros((3, 4))).plot()


def test_path_of_a_single_fit_is_refused():
    with pytest.raises(ValueError, match="Lasso has no coef_path_"):
        RegularizationPathDisplay.from_estimator(Lasso(0.1).fit(X, Y))


def test_names_that_are_too_few_are_refused():
    with pytest.raises(ValueError, match="2 names, and there are 12 features"):
        RegularizationPathDisplay.from_estimator(LASSO, feature_names=["a", "b"])


# --- scores --------------------------------------------------------------------------------------


def test_scores_are_the_mean_over_the_folds():
    display = CrossValidationDisplay.from_estimator(LASSO)
    np.testing.assert_allclose(display.line_.get_ydata(), LASSO.mse_path_.mean(axis=1))


def test_band_is_one_standard_error_wide():
    display = CrossValidationDisplay.from_estimator(LASSO)
    error = LASSO.mse_path_.std(axis=1, ddof=1) / np.sqrt(4)
    (path,) = display.band_.get_paths()
    heights = np.ptp([path.vertices[np.isclose(path.vertices[:, 0], LASSO.alphas_[5]), 1]])
    assert heights == pytest.approx(2 * error[5])


def test_legend_says_what_each_rule_chose():
    entries = legend(CrossValidationDisplay.from_estimator(LASSO).ax_)
    assert f"1se: alpha = {LASSO.alpha_:.3g}" in entries


def test_scorer_names_the_axis():
    model = LassoCV(cv=3, n_alphas=5, scoring="r2").fit(X, Y)
    display = CrossValidationDisplay.from_estimator(model)
    assert display.ax_.get_ylabel() == "held-out r2"
    np.testing.assert_allclose(display.line_.get_ydata(), model.scores_.mean(axis=1))


def test_chosen_l1_ratio_is_the_one_drawn():
    model = ElasticNetCV(cv=3, n_alphas=6, l1_ratio=[0.2, 1.0]).fit(X, Y)
    display = CrossValidationDisplay.from_estimator(model)
    row = [0.2, 1.0].index(model.l1_ratio_)
    np.testing.assert_allclose(display.line_.get_xdata(), model.alphas_[row])
    np.testing.assert_allclose(display.line_.get_ydata(), model.mse_path_[row].mean(axis=1))


def test_chosen_gamma_is_the_one_drawn():
    model = RelaxedLassoCV(cv=3, n_alphas=6, gammas=[0.0, 1.0]).fit(X, Y)
    display = CrossValidationDisplay.from_estimator(model)
    row = list(model.gammas_).index(model.gamma_)
    np.testing.assert_allclose(display.line_.get_ydata(), model.mse_path_[row].mean(axis=1))


def test_criterion_is_drawn_without_a_band():
    model = SparseRegressorCV(selection="ebic", n_alphas=10).fit(X, Y)
    display = CrossValidationDisplay.from_estimator(model)
    assert display.band_ is None
    assert display.ax_.get_ylabel() == "EBIC"
    index = int(np.nanargmin(display.line_.get_ydata()))
    assert model.alphas_[index] == model.alpha_


def test_sizes_are_drawn_on_a_linear_axis():
    model = L0RegressorCV(cv=3, max_size=4).fit(X, Y)
    display = CrossValidationDisplay.from_estimator(model)
    assert display.ax_.get_xscale() == "linear"
    assert list(display.line_.get_xdata()) == [0, 1, 2, 3, 4]


def test_folds_are_drawn_on_request():
    with_folds = CrossValidationDisplay.from_estimator(LASSO, show_folds=True)
    assert len(with_folds.ax_.lines) - 4 == len(
        CrossValidationDisplay.from_estimator(LASSO).ax_.lines
    )


def test_fold_without_any_score_is_left_out():
    values = np.column_stack([LASSO.mse_path_[:, :2], np.full(20, np.nan)])
    display = CrossValidationDisplay(LASSO.alphas_, values).plot()
    np.testing.assert_allclose(display.line_.get_ydata(), values[:, :2].mean(axis=1))


def test_scores_of_a_single_fit_are_refused():
    with pytest.raises(ValueError, match="such as LassoCV"):
        CrossValidationDisplay.from_estimator(Lasso(0.1).fit(X, Y))


# --- supports ------------------------------------------------------------------------------------


def test_support_is_sorted_by_size():
    display = SupportDisplay.from_estimator(LASSO, feature_names=NAMES)
    order = np.argsort(-np.abs(LASSO.coef_))[: np.count_nonzero(LASSO.coef_)]
    assert display.shown_ == [NAMES[j] for j in order]
    assert [label.get_text() for label in display.ax_.get_yticklabels()] == display.shown_


def test_support_writes_the_share_of_the_folds():
    index = list(LASSO.alphas_).index(LASSO.alpha_)
    votes = [path.toarray()[:, index] != 0 for path in LASSO.fold_coef_path_]
    share = np.mean(votes, axis=0)[np.argmax(np.abs(LASSO.coef_))]
    assert f"{share:.0%}" in texts(SupportDisplay.from_estimator(LASSO).ax_)


def test_models_are_drawn_beside_each_other():
    models = {"lasso": LASSO, "best two": L0Regressor(n_nonzero=2).fit(X, Y)}
    display = SupportDisplay.from_estimators(models, truth=np.eye(12)[5])
    assert set(legend(display.ax_)) == {"truth", "lasso", "best two"}
    assert "x5" in display.shown_  # what should have been selected is shown


def test_features_are_cut_to_the_largest():
    assert len(SupportDisplay.from_estimator(LASSO, max_features=1).shown_) == 1


def test_empty_support_is_refused():
    with pytest.raises(ValueError, match="smaller alpha"):
        SupportDisplay.from_estimator(Lasso(1e6).fit(X, Y))


def test_several_targets_are_refused():
    model = Lasso(0.1).fit(X, np.column_stack([Y, Y]))
    with pytest.raises(ValueError, match="Give one target"):
        SupportDisplay.from_estimator(model)


def test_more_models_than_colors_are_refused():
    with pytest.raises(ValueError, match="between one and 6"):
        SupportDisplay({str(k): np.ones(3) for k in range(7)}).plot()


# --- convergence ---------------------------------------------------------------------------------


def test_gaps_of_a_lasso_are_drawn_pass_by_pass():
    model = Lasso(0.05, tol=1e-10).fit(X, Y)
    display = ConvergenceDisplay.from_estimator(model)
    assert list(display.line_.get_ydata()) == [step.dual_gap for step in model.history_]
    assert display.line_.get_ydata()[-1] == model.dual_gap_
    assert display.ax_.get_yscale() == "log"


def test_stages_of_a_search_are_drawn_by_name():
    model = MCPRegressor(0.1).fit(X, Y)
    display = ConvergenceDisplay.from_estimator(model)
    labels = [label.get_text() for label in display.ax_.get_xticklabels()]
    objectives = [stage.objective for stage in model.history_]
    improved = [k == 0 or objectives[k] < objectives[k - 1] for k in range(3)]
    names = ["path", "irl1", "fbs"]
    assert labels == [name if better else "" for name, better in zip(names, improved)]
    assert display.line_.get_ydata()[-1] == model.objective_


def test_lower_bound_is_below_the_curve():
    model = L0Regressor(0.1, l2=0.1).fit(X, Y)
    display = ConvergenceDisplay.from_estimator(model)
    assert display.lower_bound == model.lower_bound_
    assert display.lower_bound <= min(display.line_.get_ydata())


def test_curves_on_shared_axes_differ_in_color():
    first = ConvergenceDisplay([1.0, 0.1]).plot()
    second = ConvergenceDisplay([1.0, 0.2]).plot(first.ax_)
    assert first.line_.get_color() != second.line_.get_color()


def test_floor_is_the_smallest_value_drawn():
    display = ConvergenceDisplay([1.0, 1e-20, 0.0], floor=1e-16).plot()
    assert list(display.line_.get_ydata()) == [1.0, 1e-16, 1e-16]


def test_gaps_along_the_path_of_a_cross_validation_are_drawn():
    display = ConvergenceDisplay.from_estimator(LASSO, floor=1e-17)
    drawn = np.maximum(LASSO.dual_gap_path_, 1e-17)
    np.testing.assert_array_equal(display.line_.get_ydata(), drawn)
    np.testing.assert_array_equal(display.line_.get_xdata(), LASSO.alphas_)
    index = list(LASSO.alphas_).index(LASSO.alpha_)
    assert LASSO.dual_gap_path_[index] == LASSO.dual_gap_
    assert display.ax_.get_yscale() == display.ax_.get_xscale() == "log"
    assert {"min", "1se"} <= texts(display.ax_)


@pytest.mark.parametrize(
    ("model", "values", "axis"),
    [
        (SparseRegressorCV(selection="bic", n_alphas=8), "stationarity_path_", "stationarity"),
        (RelaxedLassoCV(cv=3, n_alphas=6), "dual_gap_path_", "duality gap"),
        (ElasticNetCV(cv=3, n_alphas=6, l1_ratio=[0.2, 1.0]), "dual_gap_path_", "duality gap"),
        (MultiTaskLassoCV(cv=3, n_alphas=6), "dual_gap_path_", "duality gap"),
    ],
)
def test_certificates_of_every_path_are_drawn(model, values, axis):
    model.fit(X, np.column_stack([Y, -Y]) if isinstance(model, MultiTaskLassoCV) else Y)
    display = ConvergenceDisplay.from_estimator(model)
    np.testing.assert_array_equal(display.line_.get_ydata(), getattr(model, values))
    assert display.ax_.get_ylabel() == axis
    assert model.alpha_ == list(display.chosen.values())[-1]


def test_model_without_history_is_refused():
    model = L0RegressorCV(cv=3, max_size=3).fit(X, Y)
    with pytest.raises(ValueError, match="L0RegressorCV keeps no history"):
        ConvergenceDisplay.from_estimator(model)


def test_what_is_not_finite_leaves_a_gap_in_the_line():
    display = ConvergenceDisplay([1.0, np.nan, np.inf, 0.1]).plot()
    np.testing.assert_array_equal(display.line_.get_ydata(), [1.0, np.nan, np.nan, 0.1])


def test_histories_of_several_targets_are_refused():
    model = Lasso(0.1).fit(X, np.column_stack([Y, -Y]))
    with pytest.raises(ValueError, match="2 targets"):
        ConvergenceDisplay.from_estimator(model)
    assert [step.dual_gap for step in model.history_[0]][-1] == model.dual_gap_[0]


# --- phase transitions ---------------------------------------------------------------------------


def test_trials_are_averaged_in_their_cell():
    display = PhaseTransitionDisplay.from_predictions(
        [3, 1, 1, 3, 3], [2, 2, 2, 5, 2], [1, 0, 1, 0, 1]
    )
    assert list(display.x) == [1, 3]
    np.testing.assert_array_equal(display.success, [[0.5, 1.0], [np.nan, 0.0]])


def test_half_is_drawn_only_where_it_is_crossed():
    crossed = PhaseTransitionDisplay([1, 2], [1, 2], [[0, 1], [0, 1]]).plot()
    (segment,) = crossed.contour_.allsegs[0]
    np.testing.assert_allclose(segment[:, 0], 1.5)
    assert PhaseTransitionDisplay([1, 2], [1, 2], np.ones((2, 2))).plot().contour_ is None


@pytest.mark.parametrize("success", [np.ones((3, 2)), [[0, 2], [0, 1]]])
def test_wrong_shares_are_refused(success):
    with pytest.raises(ValueError, match="success has"):
        PhaseTransitionDisplay([1, 2], [1, 2], success).plot()


# --- NaN -----------------------------------------------------------------------------------------

NAN = float("nan")
WITH_NAN = {
    "alphas": lambda: RegularizationPathDisplay([1.0, NAN], np.ones((3, 2))).plot(),
    "coefs": lambda: RegularizationPathDisplay([1.0, 0.5], [[1.0, NAN]]).plot(),
    "grid": lambda: CrossValidationDisplay([1.0, NAN], np.ones((2, 2))).plot(),
    "steps": lambda: ConvergenceDisplay([1.0, 0.5], [1.0, NAN]).plot(),
    "model": lambda: SupportDisplay({"model": [1.0, NAN]}).plot(),
    "truth": lambda: SupportDisplay({"model": [1.0, 0.0]}, truth=[NAN, 1.0]).plot(),
    "frequency": lambda: SupportDisplay({"model": [1.0, 0.0]}, frequency=[NAN, 1.0]).plot(),
    "x": lambda: PhaseTransitionDisplay([1.0, NAN], [1.0, 2.0], np.ones((2, 2))).plot(),
    "success": lambda: PhaseTransitionDisplay.from_predictions([1, 2], [1, 2], [NAN, 1.0]),
}


@pytest.mark.parametrize("name", WITH_NAN)
def test_nan_is_refused_under_the_name_of_the_argument(name):
    with pytest.raises(ValueError, match=f"^{name} has 1 values? of .* NaN or infinite"):
        WITH_NAN[name]()


def test_nothing_but_nan_is_nothing_to_draw():
    with pytest.raises(ValueError, match="values has no finite value"):
        ConvergenceDisplay([NAN, NAN]).plot()
    with pytest.raises(ValueError, match="No value of the grid has a finite score"):
        CrossValidationDisplay([1.0, 0.5], np.full((2, 3), NAN)).plot()
    with pytest.raises(ValueError, match="success has no finite value"):
        PhaseTransitionDisplay([1, 2], [1, 2], np.full((2, 2), NAN)).plot()


# --- all of them ---------------------------------------------------------------------------------

DRAWN = [
    lambda ax: RegularizationPathDisplay.from_estimator(LASSO, ax=ax),
    lambda ax: CrossValidationDisplay.from_estimator(LASSO, ax=ax),
    lambda ax: SupportDisplay.from_estimator(LASSO, ax=ax),
    lambda ax: ConvergenceDisplay([1.0, 0.1]).plot(ax),
    lambda ax: PhaseTransitionDisplay([1, 2], [1, 2], [[0, 1], [0, 1]]).plot(ax),
]


@pytest.mark.parametrize("draw", DRAWN)
def test_given_axes_are_used(draw):
    figure, ax = plt.subplots()
    display = draw(ax)
    assert display.ax_ is ax
    assert display.figure_ is figure


@pytest.mark.parametrize("draw", DRAWN)
def test_without_axes_a_figure_of_800_pixels_or_less_is_made(draw):
    figure = draw(None).figure_
    assert figure.get_size_inches()[0] * 100 <= 800
    figure.canvas.draw()


def test_importing_the_displays_imports_no_matplotlib():
    code = "import sys, sparsereg.plotting; sys.exit('matplotlib' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_without_matplotlib_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)
    with pytest.raises(ImportError, match=r"scikit-sparsereg\[plot\]"):
        RegularizationPathDisplay.from_estimator(LASSO)


def test_certificates_that_are_all_zero_are_drawn_without_a_warning(recwarn):
    display = ConvergenceDisplay([0.0, 0.0, 0.0], value_name="stationarity").plot()
    assert display.ax_.get_yscale() == "linear"
    np.testing.assert_array_equal(display.line_.get_ydata(), 0.0)
    assert not recwarn
    assert ConvergenceDisplay([1e-3, 0.0]).plot(display.ax_).ax_.get_yscale() == "log"
