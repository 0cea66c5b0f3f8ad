"""Something else in place of a penalty is refused everywhere in the same words."""

import importlib.util

import numpy as np
import pytest

from sparsereg import SparseRegressor, SparseRegressorCV, fit_gram, penalties, sparse_encode
from sparsereg import sparse_path as path

X = np.random.default_rng(0).standard_normal((20, 4))
Y = X[:, 0]


def by_the_network(penalty):
    from sparsereg.nn import SparseMLPRegressor

    SparseMLPRegressor(4, penalty, max_iter=1).fit(X, Y)


def by_the_optimizer(penalty):
    import torch

    from sparsereg.nn import attach_prox

    parameters = [torch.nn.Parameter(torch.ones(2))]
    attach_prox(torch.optim.SGD(parameters, lr=0.1), parameters, penalty)


def by_the_layer(penalty):
    from sparsereg.nn import LassoLayer

    LassoLayer(penalty)


def by_the_activation(penalty):
    from sparsereg.nn import ProxActivation

    ProxActivation(penalty)


USES = {
    "fit": lambda penalty: SparseRegressor(penalty).fit(X, Y),
    "cross-validation": lambda penalty: SparseRegressorCV(penalty, cv=2).fit(X, Y),
    "path": lambda penalty: path(X, Y, penalty),
    "gram": lambda penalty: fit_gram(X.T @ X, X.T @ Y, 20, penalty=penalty),
    "codes": lambda penalty: sparse_encode(X, X[:3], penalty),
    "network": by_the_network,
    "optimizer": by_the_optimizer,
    "layer": by_the_layer,
    "activation": by_the_activation,
}
WITH_TORCH = {"network", "optimizer", "layer", "activation"}


@pytest.mark.parametrize("wrong", ["l1", 0.1, penalties.MCP], ids=["name", "number", "class"])
@pytest.mark.parametrize("use", USES)
def test_what_is_no_penalty_is_refused(use, wrong):
    if use in WITH_TORCH and importlib.util.find_spec("torch") is None:
        pytest.skip("torch is not installed")
    with pytest.raises(TypeError) as refusal:
        USES[use](wrong)
    message = str(refusal.value)
    assert message.startswith(f"penalty={wrong!r} ")
    assert message.endswith(
        "Give one of sparsereg.penalties, such as L1(alpha=0.1) or MCP(alpha=0.1)."
    )
