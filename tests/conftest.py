"""Fixtures that several folders of tests share."""

import pytest


@pytest.fixture
def global_random_seed():
    """The seed that scikit-learn's own tests ask for by this name."""
    return 42
