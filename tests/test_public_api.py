"""The public names, and what importing them costs."""

import copy
import importlib
import importlib.util
import pickle
import subprocess
import sys
from importlib import metadata

import numpy as np
import pytest

import sparsereg

HEAVY = [
    "numba",
    "scipy.sparse",
    "sklearn",
    "torch",
    "matplotlib",
    "pandas",
    "polars",
    "cupy",
    "rich",
]
PUBLIC = {
    "AdaptiveLasso",
    "AdaptiveLassoCV",
    "CEL0Regressor",
    "ElasticNet",
    "ElasticNetCV",
    "GramFit",
    "L0Path",
    "L0Regressor",
    "L0RegressorCV",
    "Lasso",
    "LassoCV",
    "LqRegressor",
    "MCPRegressor",
    "MultiTaskElasticNet",
    "MultiTaskElasticNetCV",
    "MultiTaskLasso",
    "MultiTaskLassoCV",
    "RelaxedLasso",
    "RelaxedLassoCV",
    "SCADRegressor",
    "SparseRegressor",
    "SparseRegressorCV",
    "__version__",
    "config_context",
    "enet_path",
    "fit_gram",
    "get_config",
    "l0_path",
    "lasso_path",
    "set_config",
    "sparse_encode",
    "sparse_path",
}
SUBMODULES = [
    "backends",
    "exceptions",
    "linear_model",
    "losses",
    "mixture",
    "model_selection",
    "penalties",
    "plotting",
    "privacy",
]
if importlib.util.find_spec("torch") is not None:
    SUBMODULES.append("nn")


def modules_loaded_by(statement):
    """Return those of HEAVY that a fresh process has imported after the statement."""
    code = f"import sys; {statement}; print(*[m for m in {HEAVY} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return done.stdout.split()


def test_public_names():
    assert set(sparsereg.__all__) == PUBLIC
    assert sparsereg.__all__ == sorted(sparsereg.__all__)


@pytest.mark.parametrize("name", sorted(PUBLIC))
def test_every_public_name_exists_and_is_listed(name):
    assert getattr(sparsereg, name) is not None
    assert name in dir(sparsereg)


@pytest.mark.parametrize("name", SUBMODULES)
def test_submodules_are_attributes(name):
    assert getattr(sparsereg, name) is importlib.import_module(f"sparsereg.{name}")
    assert name in dir(sparsereg)


@pytest.mark.parametrize("name", SUBMODULES)
def test_every_name_a_submodule_exports_exists_and_is_documented(name):
    module = importlib.import_module(f"sparsereg.{name}")
    assert module.__doc__
    for exported in module.__all__:
        assert getattr(module, exported).__doc__, exported


def test_star_import_gives_the_public_names():
    namespace = {}
    exec("from sparsereg import *", namespace)
    assert namespace.keys() >= PUBLIC


def test_unknown_attribute_is_an_attribute_error():
    with pytest.raises(AttributeError, match="module 'sparsereg' has no attribute 'Laso'"):
        sparsereg.Laso  # noqa: B018


def test_unknown_name_is_an_import_error():
    with pytest.raises(ImportError, match="Laso"):
        exec("from sparsereg import Laso")


def test_version_is_that_of_the_distribution():
    assert sparsereg.__version__ == metadata.version("scikit-sparsereg")


@pytest.mark.parametrize(
    "statement",
    [
        "import sparsereg",
        "from sparsereg import config_context, get_config, set_config",
        "import sparsereg; dir(sparsereg); sparsereg.__version__; sparsereg.__all__",
    ],
)
def test_importing_the_package_imports_nothing_heavy(statement):
    assert modules_loaded_by(statement) == []


def test_importing_an_estimator_imports_no_optional_dependency():
    heavy = modules_loaded_by("from sparsereg import Lasso, LassoCV, lasso_path")
    assert not set(heavy) & {"torch", "matplotlib", "polars", "cupy"}


@pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m))])
@pytest.mark.parametrize(
    "name",
    [
        "AdaptiveLasso",
        "AdaptiveLassoCV",
        "CEL0Regressor",
        "ElasticNet",
        "ElasticNetCV",
        "L0Regressor",
        "L0RegressorCV",
        "Lasso",
        "LassoCV",
        "LqRegressor",
        "MCPRegressor",
        "RelaxedLasso",
        "RelaxedLassoCV",
        "SCADRegressor",
        "SparseRegressor",
        "SparseRegressorCV",
    ],
)
def test_a_copied_or_unpickled_model_predicts_the_same(name, duplicate):
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((20, 5)), rng.standard_normal(20)
    model = getattr(sparsereg, name)().fit(X, y)
    twin = duplicate(model)
    np.testing.assert_array_equal(twin.predict(X), model.predict(X))
    assert twin.get_params() == model.get_params()
