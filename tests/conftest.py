"""Fixtures that several folders of tests share."""

import random
import secrets

import pytest
from hypothesis import settings

# The same examples every time: what fails here fails for everybody.
settings.register_profile("same examples", derandomize=True, deadline=None, database=None)
settings.load_profile("same examples")


@pytest.fixture
def global_random_seed():
    """The seed that scikit-learn's own tests ask for by this name."""
    return 42


@pytest.fixture(autouse=True)
def _same_secrets(monkeypatch):
    """Let clients draw what they drew last time: a test of their reports cannot pass by luck."""
    generator = random.Random(0)
    monkeypatch.setattr(secrets, "randbits", generator.getrandbits)
    monkeypatch.setattr(secrets, "randbelow", generator.randrange)


@pytest.fixture
def step_by_step(monkeypatch):
    """Leave data of few rows to the drivers, which go step by step as on larger data."""
    from sparsereg.solvers import few_rows

    for limits in ("_OF_PATHS", "_OF_FITS"):
        monkeypatch.setattr(few_rows, limits, (0, 0))
