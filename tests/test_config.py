"""Which backend computes: parameter, configuration, environment, type of X, in that order."""

import sys
import types
import warnings
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from importlib import metadata

import numpy as np
import pytest

from sparsereg import (
    ElasticNet,
    ElasticNetCV,
    Lasso,
    LassoCV,
    config_context,
    enet_path,
    get_config,
    lasso_path,
    set_config,
)
from sparsereg.backends import registry
from sparsereg.backends.numba import NumbaBackend
from sparsereg.backends.registry import list_backends, resolve_backend
from sparsereg.exceptions import BackendFallbackWarning, BackendUnavailableError

RNG = np.random.default_rng(0)
X, Y = RNG.standard_normal((20, 5)), RNG.standard_normal(20)
ENVIRONMENT = "SPARSEREG_BACKEND"


class FakeBackend(NumbaBackend):
    """Numba's kernels under another name; it owns the arrays of a made-up library."""

    name = "fake"

    def __init__(self, problem=""):
        self.problem = problem

    def available(self):
        return not self.problem, self.problem

    def owns(self, X):
        return type(X).__module__ == "fake_arrays"


def calls(backend):
    """Every public way to compute."""
    return [
        *(M(backend=backend).fit for M in (Lasso, ElasticNet, LassoCV, ElasticNetCV)),
        *(partial(path, backend=backend) for path in (lasso_path, enet_path)),
    ]


CALL_IDS = ["Lasso", "ElasticNet", "LassoCV", "ElasticNetCV", "lasso_path", "enet_path"]


def array_of(module):
    """Return something whose type lives in ``module``, as NumPy's look-alikes do."""
    return type("ndarray", (), {"__module__": module, "shape": (20, 5)})()


@pytest.fixture(autouse=True)
def _nothing_chosen(monkeypatch):
    """Start without a choice, and leave none behind."""
    monkeypatch.delenv(ENVIRONMENT, raising=False)
    set_config(backend=None)
    yield
    set_config(backend=None)


@pytest.fixture
def register(monkeypatch):
    """Register backends as an installed distribution would: {name: object, or missing module}."""

    def register(**backends):
        points = {}
        for name, backend in backends.items():
            module = f"somebody_elses_{name}"
            if backend is not None:
                monkeypatch.setitem(sys.modules, module, types.SimpleNamespace(backend=backend))
            points[name] = metadata.EntryPoint(name, f"{module}:backend", "sparsereg.backends")
        monkeypatch.setattr(registry, "_entry_points", lambda: points)

    return register


@pytest.fixture
def no_cupy(monkeypatch):
    """CuPy cannot be imported, whether or not it is installed."""
    monkeypatch.setitem(sys.modules, "cupy", None)


# Configuration


def test_nothing_is_configured_at_first():
    assert get_config() == {"backend": None}


def test_set_config_stays():
    set_config(backend="numba")
    assert get_config() == {"backend": "numba"}


def test_auto_takes_the_configuration_back():
    set_config(backend="numba")
    set_config(backend="auto")
    assert get_config() == {"backend": None}


def test_get_config_returns_a_copy():
    get_config()["backend"] = "numba"
    assert get_config() == {"backend": None}


def test_context_ends_with_its_block():
    with config_context(backend="numba"):
        assert get_config() == {"backend": "numba"}
    assert get_config() == {"backend": None}


def test_context_ends_when_its_block_raises():
    with pytest.raises(KeyError), config_context(backend="numba"):
        raise KeyError
    assert get_config() == {"backend": None}


def test_contexts_nest(register):
    register(fake=FakeBackend())
    with config_context(backend="numba"):
        with config_context(backend="fake"):
            assert get_config() == {"backend": "fake"}
        assert get_config() == {"backend": "numba"}


def test_set_config_inside_a_context_ends_with_it(register):
    register(fake=FakeBackend())
    with config_context(backend="numba"):
        set_config(backend="fake")
        assert get_config() == {"backend": "fake"}
    assert get_config() == {"backend": None}


@pytest.mark.parametrize("choose", [set_config, lambda **k: config_context(**k).__enter__()])
def test_unknown_name_is_refused_where_it_is_given(choose):
    with pytest.raises(ValueError, match=r"no backend named 'cuda'.*cupy, numba"):
        choose(backend="cuda")
    assert get_config() == {"backend": None}


# Threads


def in_thread(function):
    """Return what the function returns in a thread of its own."""
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(function).result()


def test_context_acts_on_its_own_thread_only():
    with config_context(backend="numba"):
        assert in_thread(get_config) == {"backend": None}


def test_set_config_acts_on_later_threads():
    set_config(backend="numba")
    assert in_thread(get_config) == {"backend": "numba"}


def test_set_config_in_a_thread_leaves_running_threads_alone():
    get_config()
    in_thread(lambda: set_config(backend="numba"))
    assert get_config() == {"backend": None}


def test_contexts_that_overlap_in_two_threads_leave_nothing_behind(register):
    register(fake=FakeBackend())
    with ThreadPoolExecutor(1) as one, ThreadPoolExecutor(1) as other:
        first, second = config_context(backend="numba"), config_context(backend="fake")
        one.submit(first.__enter__).result()
        other.submit(second.__enter__).result()
        assert one.submit(get_config).result() == {"backend": "numba"}
        one.submit(first.__exit__, None, None, None).result()
        assert other.submit(get_config).result() == {"backend": "fake"}
        other.submit(second.__exit__, None, None, None).result()
        assert one.submit(get_config).result() == {"backend": None}
        assert other.submit(get_config).result() == {"backend": None}
    assert in_thread(get_config) == {"backend": None}


# Order of the choices


def test_numba_computes_when_nothing_is_chosen():
    assert Lasso().fit(X, Y).backend_ == "numba"


def test_parameter_beats_context_beats_environment(register, monkeypatch):
    register(first=named("first"), second=named("second"), third=named("third"))
    monkeypatch.setenv(ENVIRONMENT, "third")
    assert Lasso().fit(X, Y).backend_ == "third"
    with config_context(backend="second"):
        assert Lasso().fit(X, Y).backend_ == "second"
        assert Lasso(backend="first").fit(X, Y).backend_ == "first"


def named(name):
    backend = FakeBackend()
    backend.name = name
    return backend


@pytest.mark.parametrize("value", ["", "auto", "  "])
def test_empty_environment_variable_is_no_choice(monkeypatch, value):
    monkeypatch.setenv(ENVIRONMENT, value)
    assert Lasso().fit(X, Y).backend_ == "numba"


def test_environment_variable_is_read_when_fitting(register, monkeypatch):
    register(fake=FakeBackend())
    model = Lasso()
    monkeypatch.setenv(ENVIRONMENT, "fake")
    assert model.fit(X, Y).backend_ == "fake"


def test_unknown_name_in_the_environment_is_refused_and_its_origin_named(monkeypatch):
    monkeypatch.setenv(ENVIRONMENT, "cuda")
    with pytest.raises(ValueError, match=r"no backend named 'cuda'") as error:
        Lasso().fit(X, Y)
    assert ENVIRONMENT in str(error.value)


def test_unknown_name_in_the_parameter_is_refused():
    with pytest.raises(ValueError, match=r"no backend named 'cuda'.*cupy, numba"):
        Lasso(backend="cuda").fit(X, Y)


@pytest.mark.parametrize("backend", [3, ["numba"]])
def test_a_backend_that_is_not_a_name_is_refused(backend):
    for call in (*calls(backend), lambda X, y: set_config(backend=backend)):
        with pytest.raises((ValueError, TypeError), match="backend"):
            call(X, Y)


# Backends that cannot serve


@pytest.mark.usefixtures("no_cupy")
@pytest.mark.parametrize("call", calls("cupy"), ids=CALL_IDS)
def test_explicit_backend_that_cannot_serve_says_why_and_what_can(call):
    with pytest.raises(BackendUnavailableError) as error:
        call(X, Y)
    message = str(error.value)
    assert "'cupy' is unavailable: CuPy is not installed" in message
    assert "Available here: numba" in message


@pytest.mark.usefixtures("no_cupy")
def test_backend_of_the_context_that_cannot_serve_falls_back_with_a_warning():
    with (
        config_context(backend="cupy"),
        pytest.warns(BackendFallbackWarning, match=r"configuration.*CuPy is not.*Using 'numba'"),
    ):
        assert Lasso().fit(X, Y).backend_ == "numba"


@pytest.mark.usefixtures("no_cupy")
@pytest.mark.parametrize("call", calls("auto"), ids=CALL_IDS)
def test_backend_of_the_environment_that_cannot_serve_falls_back_with_a_warning(call, monkeypatch):
    monkeypatch.setenv(ENVIRONMENT, "cupy")
    with pytest.warns(BackendFallbackWarning, match="SPARSEREG_BACKEND") as caught:
        call(X, Y)
    assert len(caught) == 1
    assert caught[0].filename == __file__  # points at the user's call


def test_fallback_is_logged(register, monkeypatch, caplog):
    register(fake=FakeBackend(problem="no device."))
    monkeypatch.setenv(ENVIRONMENT, "fake")
    with pytest.warns(BackendFallbackWarning):
        Lasso().fit(X, Y)
    assert "no device." in caplog.text


def test_a_choice_that_can_serve_is_quiet(register):
    register(fake=FakeBackend())
    with warnings.catch_warnings(), config_context(backend="fake"):
        warnings.simplefilter("error")
        Lasso().fit(X, Y)


def test_refused_backend_leaves_the_estimator_as_it_was(register):
    register(fake=FakeBackend(problem="no device."))
    model = Lasso().fit(X, Y)
    before = dict(vars(model))
    with pytest.raises(BackendUnavailableError, match=r"no device\."):
        model.set_params(backend="fake").fit(X, Y)
    assert vars(model) == before | {"backend": "fake"}


# Backends of third parties


def test_registered_backend_computes(register):
    register(fake=FakeBackend())
    model = Lasso(alpha=0.1, backend="fake").fit(X, Y)
    assert model.backend_ == "fake"
    np.testing.assert_array_equal(model.coef_, Lasso(alpha=0.1, backend="numba").fit(X, Y).coef_)


def test_backends_are_listed_with_their_reasons(register):
    register(fake=FakeBackend(), broken=FakeBackend(problem="no device."))
    listed = {name: (available, why) for name, available, why in list_backends()}
    assert listed["fake"] == (True, "")
    assert listed["broken"] == (False, "no device.")
    assert listed["numba"] == (True, "")
    assert listed["cupy"][0] is False


def test_backend_that_cannot_be_imported_is_unavailable(register):
    register(missing=None)
    with pytest.raises(BackendUnavailableError, match=r"'missing'.*cannot be imported"):
        Lasso(backend="missing").fit(X, Y)
    listed = {name: (available, why) for name, available, why in list_backends()}
    assert listed["missing"][0] is False
    assert listed["missing"][1].count("is unavailable") <= 1


def test_backend_whose_check_fails_does_not_hide_the_others(register):
    class Broken(FakeBackend):
        def available(self):
            raise OSError("driver is gone")

    register(broken=Broken())
    listed = {name: (available, why) for name, available, why in list_backends()}
    assert listed["numba"] == (True, "")
    assert "driver is gone" in listed["broken"][1]
    with pytest.raises(BackendUnavailableError, match="driver is gone"):
        Lasso(backend="broken").fit(X, Y)


def test_built_in_name_cannot_be_taken_over(register):
    register(numba=FakeBackend())
    assert Lasso(backend="numba").fit(X, Y).backend_ == "numba"


# Everything follows X


@pytest.mark.parametrize("module", ["cupy", "cupy._core.core", "cupyx.scipy.sparse._csr"])
def test_auto_follows_a_cupy_array(monkeypatch, module):
    device = FakeBackend()
    device.name = "cupy"
    monkeypatch.setattr("sparsereg.gpu.backend", device)
    assert resolve_backend("auto", array_of(module)) is device


@pytest.mark.usefixtures("no_cupy")
def test_auto_does_not_copy_a_cupy_array_to_the_cpu():
    with pytest.raises(BackendUnavailableError, match="'cupy' is unavailable"):
        Lasso().fit(array_of("cupy"), Y)


def test_numba_refuses_a_cupy_array_and_says_what_to_do():
    with pytest.raises(TypeError, match=r"CuPy array.*X\.get\(\)"):
        Lasso(backend="numba").fit(array_of("cupy"), Y)


def test_auto_follows_an_array_that_a_third_party_owns(register):
    register(fake=FakeBackend())
    assert resolve_backend("auto", array_of("fake_arrays")).name == "fake"


@pytest.mark.parametrize("data", [X, X.tolist(), np.asfortranarray(X), np.matrix(X).A])
def test_auto_computes_on_the_cpu_for_anything_else(data):
    assert resolve_backend("auto", data).name == "numba"
