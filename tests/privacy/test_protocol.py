"""A protocol is a frozen public value with one spelling."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest

from sparsereg.privacy import Protocol


@pytest.mark.parametrize(
    "protocol",
    [
        Protocol(3, 1.0),
        Protocol(np.int64(3), np.float32(0.5), x_radius=2, statistic="score", radius=np.float64(3)),
        Protocol(3, 1.0, statistic="score", support=[0, 2], coef=np.array([1.0, 2.0, 0.0, 0.5])),
        Protocol(3, 1.0, protect="label", y_bound=10.0),
        Protocol(5, 3.0, fit_intercept=False, y_scale=2.0, round_index=4),
    ],
)
def test_json_round_trip_keeps_everything(protocol):
    again = Protocol.from_json(protocol.to_json())
    assert again == protocol
    assert again.id == protocol.id
    assert Protocol.from_json(again.to_json()).to_json() == protocol.to_json()


def test_every_field_changes_the_identity():
    base = Protocol(3, 1.0, statistic="score")
    others = [
        dataclasses.replace(base, **change)
        for change in (
            {"epsilon": 2.0}, {"x_radius": 2.0}, {"y_bound": 2.0}, {"radius": 2.0},
            {"fit_intercept": False}, {"support": (1,)}, {"coef": (1.0, 0.0, 0.0, 0.0)},
            {"round_index": 1}, {"n_outputs": 32}, {"subset_size": 2},
        )
    ]  # fmt: skip
    assert len({protocol.id for protocol in (base, *others)}) == len(others) + 1


def test_a_protocol_cannot_be_changed():
    with pytest.raises(dataclasses.FrozenInstanceError):
        Protocol(3, 1.0).epsilon = 2.0


def test_values_that_were_left_out_are_filled_in():
    protocol = Protocol(4, 1.0, x_radius=2.0, y_bound=0.5)
    assert (protocol.statistic, protocol.y_scale) == ("gram", 2.0)
    assert protocol.constant == 1.0
    assert protocol.radius == 2.0**2 + 1.0**2 + (2.0 * 0.5) ** 2
    assert (protocol.n_outputs, protocol.subset_size) == (64, 22)
    assert protocol.dimension == 6 * 7 // 2


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"n_features": 0}, "n_features=0 is not possible"),
        ({"n_features": 2.5}, "Give an integer"),
        ({"n_features": True}, "Give an integer"),
        ({"epsilon": 0.0}, "epsilon=0.0 is not possible"),
        ({"epsilon": np.nan}, "epsilon=nan"),
        ({"epsilon": 21.0}, "from 1e-06 to 20"),
        ({"epsilon": "1"}, "epsilon='1'"),
        ({"x_radius": -1.0}, "finite number > 0"),
        ({"y_bound": np.inf}, "y_bound=inf"),
        ({"radius": 0.0}, "radius=0.0"),
        ({"protect": "both"}, "protect='both' is not known"),
        ({"statistic": "median"}, "does not go with"),
        ({"statistic": "label"}, "does not go with"),
        ({"support": (1, 0)}, "increasing order"),
        ({"support": ()}, "at least one feature"),
        ({"support": (3,)}, "from 0 to 2"),
        ({"coef": (1.0, 0.0, 0.0, 0.0)}, "others take none"),
        ({"statistic": "score", "coef": (1.0,)}, "coef has 1 entries"),
        ({"statistic": "score", "y_scale": 1.0}, "no meaning for a score"),
        ({"protect": "label", "radius": 1.0}, "no meaning for labels"),
        ({"protect": "label", "support": (1,)}, "no meaning for labels"),
        ({"x_radius": 1e200}, "may overflow"),
        ({"statistic": "score", "coef": (1e308, 1e308, 0.0, 0.0), "radius": 1.0}, "may overflow"),
        ({"n_outputs": 1}, "n_outputs=1"),
        ({"n_outputs": 4, "subset_size": 4}, "from 1 to 3"),
        ({"n_features": 1000}, "Name fewer features"),
    ],
)
def test_wrong_settings_say_what_would_be_right(settings, message):
    with pytest.raises(ValueError, match=message):
        Protocol(**{"n_features": 3, "epsilon": 1.0, **settings})


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        "null",
        json.dumps({**json.loads(Protocol(2, 1.0).to_json()), "format": 2}),
        json.dumps({**json.loads(Protocol(2, 1.0).to_json()), "extra": 2}),
    ],
)
def test_what_is_no_protocol_is_refused(text):
    with pytest.raises(ValueError, match="This is not a protocol"):
        Protocol.from_json(text)
