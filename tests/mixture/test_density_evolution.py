"""Density evolution: published constants, the closed form of the threshold, simulation."""

import numpy as np
import pytest

from sparsereg.mixture.density_evolution import cheapest_code, evolve, largest_load, visibility


@pytest.mark.parametrize(
    ("n_components", "degree", "repeats", "bins_per_nonzero", "hidden", "branching"),
    [
        (2, 15, 3, 3.71, 5.11e-6, 1.83),
        (3, 15, 5, 2.52, 8.79e-6, 1.83),
        (4, 13, 8, 1.68, 8.13e-6, 1.80),
    ],
)
def test_fixed_points_of_the_reconstructed_constants(
    n_components, degree, repeats, bins_per_nonzero, hidden, branching
):
    visible = visibility(1 / n_components, repeats, repeats)
    load = degree / (n_components * bins_per_nonzero)
    evolution = evolve(degree, load, visible, coloring=True)
    assert evolution.hidden_fraction == pytest.approx(hidden, rel=0.01)
    assert evolution.branching == pytest.approx(branching, rel=0.01)


@pytest.mark.parametrize("coloring", [True, False])
def test_visibility_is_that_of_drawn_labels(coloring):
    rng = np.random.default_rng(0)
    weight, repeats, verify = 0.4, 2, 3
    own = rng.random((200_000, 2 * repeats + verify)) < weight
    kinds = np.stack(
        [
            own[:, :repeats].any(1),
            own[:, repeats : 2 * repeats].any(1),
            own[:, 2 * repeats :].any(1),
        ]
    )
    seen = kinds.all(0) if coloring else kinds.sum(0) >= 2
    expected = visibility(weight, repeats, verify, coloring=coloring)
    assert seen.mean() == pytest.approx(expected, abs=0.005)


@pytest.mark.parametrize(("degree", "visible"), [(5, 0.84), (7, 0.84), (9, 1.0)])
def test_the_largest_load_is_where_the_fixed_point_leaves_the_target(degree, visible):
    target = 1e-3
    load = largest_load(degree, visible, target)
    assert evolve(degree, 0.98 * load, visible).hidden_fraction <= target
    assert evolve(degree, 1.02 * load, visible).hidden_fraction > target


def test_an_invisible_code_has_no_load():
    assert largest_load(5, 0.1, 1e-6) == 0.0


def test_the_cheapest_code_is_no_dearer_than_any_other():
    code = cheapest_code(0.5, 1e-4)
    rows = (2 * code.n_repeats + code.n_verify) * code.left_degree / code.load
    for degree in (5, 6, 8):
        for repeats in (2, 3):
            load = largest_load(degree, visibility(0.5, repeats, 2, coloring=False), 1e-4)
            if load > 0:
                assert rows <= (2 * repeats + 2) * degree / load + 1e-9


def test_what_cannot_work_is_refused():
    with pytest.raises(ValueError, match="No sparse-graph code"):
        cheapest_code(0.1, 1e-8, left_degree=3, n_repeats=2, n_verify=1)
