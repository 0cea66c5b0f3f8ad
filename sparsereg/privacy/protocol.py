"""What everybody agrees on before anybody reports: a public, frozen, hashed value.

A protocol says which statistic of a record (x, y) is reported and with which public bounds:

``"gram"``   all products of z = (x_S, k, s y) with each other, as the vector svec(z z') whose norm
             is ||z||^2: X'X, X'y and y'y of the features S at once, without any assumption;
``"score"``  (x_S, k) (y - f(x)), the gradient of the squared loss at public coefficients, with
             f(x) = x' coef + k intercept. At zero it is x y;
``"label"``  y alone; x is public.

k is the value of the constant column, ``x_radius / sqrt(n_features)``, and there is none without an
intercept. S is ``support``. Bounds are enforced on the client by scaling x to ``x_radius``,
clipping y to ``y_bound`` and scaling the statistic to ``radius``. They never come from the data.

NumPy and the standard library only: this file is part of the client.
"""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass, fields
from functools import cached_property
from hashlib import blake2b
from numbers import Integral, Real
from typing import Any

from sparsereg.privacy.gaussian import GaussianMechanism, calibrated
from sparsereg.privacy.mechanisms import (
    SubsetMechanism,
    best_subset_size,
    best_window,
    default_codewords,
)

# The second one has noise in the place of outputs.
_FORMAT, _NOISY_FORMAT = 1, 2
_OF_OUTPUTS, _OF_NOISE = {"n_outputs", "subset_size"}, {"delta", "noise_std"}
# Below, the 64 bits of a threshold could not tell the two probabilities apart.
MIN_EPSILON, MAX_EPSILON = 1e-6, 20.0
# With a delta: below this epsilon, noise does not fit into a report.
_MIN_NOISY_EPSILON, _MIN_DELTA, _MAX_DELTA = 0.01, 1e-12, 0.01
_MAX_DIMENSION = 65_000
_MAX_CODEWORDS = 1 << 15


@dataclass(frozen=True)
class Protocol:
    """Public description of one round of reports.

    Parameters
    ----------
    n_features : int
        Length of x.
    epsilon : float
        Privacy loss of a report, from 1e-6 to 20.
    protect : {"record", "label"}, default="record"
        What is private: x and y, or y alone.
    statistic : {"gram", "score", "label"}, default=None
        What is reported; None is "gram" for records and "label" for labels.
    x_radius : float, default=1.0
        Public bound on the Euclidean norm of x; a longer x is scaled down to it.
    y_bound : float, default=1.0
        Public bound on the size of y; y is clipped to it.
    radius : float, default=None
        Public bound on the norm of the statistic; a longer one is scaled down to it. The noise is
        proportional to it. None is what ``x_radius`` and ``y_bound`` allow: no further clipping.
    y_scale : float, default=None
        s, the factor of y in the Gram statistic; None is ``x_radius / (2 y_bound)``.
    fit_intercept : bool, default=True
        Whether the statistic has a constant column.
    support : sequence of int, default=None
        The features S that are reported on, increasing; None is all.
    coef : sequence of float, default=None
        Coefficients at which the score is taken, of length n_features, followed by that of the
        constant column if there is one; None is zero.
    round_index : int, default=0
        Tells rounds with equal settings apart.
    n_outputs, subset_size : int, default=None
        Size K of the codebook (the number of levels of a label) and of the set that is likely to
        be reported from; None takes those with the least noise.

    delta : float, default=0.0
        0 promises pure epsilon-privacy, by reports of 24 bytes. From 1e-12 to 0.01 it is the delta
        of a Gaussian mechanism, whose reports are as long as the statistic and take many times as
        many persons for the same error: see the guide for what it is good for.
    noise_std : int, default=None
        Parameter of the discrete Gaussian noise, in units of radius / 2^50; None is the least one
        that keeps delta.

    Raises
    ------
    ValueError, TypeError
        For parameters that make no protocol.

    Examples
    --------
    >>> from sparsereg.privacy import Protocol
    >>> protocol = Protocol(n_features=100, epsilon=1.0, x_radius=10.0, y_bound=3.0)
    >>> protocol == Protocol.from_json(protocol.to_json())
    True
    >>> protocol.epsilon_effective <= 1.0
    True
    """

    n_features: int
    epsilon: float
    protect: str = "record"
    # None is replaced at construction: a reader finds the value, and so does the hash.
    statistic: str = None  # type: ignore[assignment]
    x_radius: float = 1.0
    y_bound: float = 1.0
    radius: float = None  # type: ignore[assignment]
    y_scale: float = None  # type: ignore[assignment]
    fit_intercept: bool = True
    support: tuple[int, ...] | None = None
    coef: tuple[float, ...] | None = None
    round_index: int = 0
    n_outputs: int = None  # type: ignore[assignment]
    subset_size: int = None  # type: ignore[assignment]
    delta: float = 0.0
    noise_std: int = None  # type: ignore[assignment]

    def __post_init__(self) -> None:
        self._set_whole("n_features", 1, 10**8)
        self._set_whole("round_index", 0, 2**31)
        least = _MIN_NOISY_EPSILON if self.delta else MIN_EPSILON
        _check_positive(self.epsilon, "epsilon", least, MAX_EPSILON)
        if self.delta != 0:
            _check_positive(self.delta, "delta", _MIN_DELTA, _MAX_DELTA)
        _check_positive(self.x_radius, "x_radius")
        _check_positive(self.y_bound, "y_bound")
        if not isinstance(self.fit_intercept, bool):
            raise TypeError(
                f"fit_intercept={self.fit_intercept!r} is not a bool: give True or False."
            )
        self._set("epsilon", float(self.epsilon))
        self._set("delta", float(self.delta))
        self._set("x_radius", float(self.x_radius))
        self._set("y_bound", float(self.y_bound))
        self._set_statistic()
        self._set_support()
        self._set_coef()
        self._set_radius()
        if self.delta:
            self._set_noise()
        else:
            self._set_outputs()

    def _set(self, name: str, value: Any) -> None:
        object.__setattr__(self, name, value)

    def _set_whole(self, name: str, low: int, high: int) -> None:
        _check_whole(getattr(self, name), name, low, high)
        self._set(name, int(getattr(self, name)))

    def _set_statistic(self) -> None:
        allowed = {"record": ("gram", "score"), "label": ("label",)}
        if self.protect not in allowed:
            raise ValueError(
                f'protect={self.protect!r} is not known. Give "record" (x and y are private) or '
                f'"label" (y is private and x public).'
            )
        if self.statistic is None:
            self._set("statistic", allowed[self.protect][0])
        if self.statistic not in allowed[self.protect]:
            raise ValueError(
                f"statistic={self.statistic!r} does not go with protect={self.protect!r}. Give "
                f"one of {', '.join(map(repr, allowed[self.protect]))}."
            )

    def _set_support(self) -> None:
        if self.support is None:
            return
        support = tuple(self.support)
        for feature in support:
            _check_whole(feature, "each entry of support", 0, self.n_features - 1)
        if list(support) != sorted(set(support)) or not support:
            raise ValueError(
                "support must name at least one feature, and each one once. Give the feature "
                "indices in increasing order."
            )
        if self.protect == "label":
            raise ValueError(
                "support has no meaning for labels: nothing of x is reported. Leave it out."
            )
        self._set("support", tuple(int(feature) for feature in support))

    def _set_coef(self) -> None:
        if self.coef is None:
            return
        coef = tuple(float(value) for value in self.coef)
        expected = self.n_features + int(self.fit_intercept)
        if self.statistic != "score" or len(coef) != expected or not all(map(math.isfinite, coef)):
            raise ValueError(
                f"coef has {len(coef)} entries for the statistic {self.statistic!r}. A score takes "
                f"{expected} finite ones (with that of the constant column), others take none."
            )
        self._set("coef", coef)

    def _set_radius(self) -> None:
        if self.statistic == "label":
            if self.radius is not None or self.y_scale is not None:
                raise ValueError(
                    "radius and y_scale have no meaning for labels. Bound the labels by y_bound."
                )
            return
        if self.dimension > _MAX_DIMENSION:
            raise ValueError(
                f"The statistic has {self.dimension} entries, and at most {_MAX_DIMENSION} can be "
                f'reported at once. Name fewer features in support, or use statistic="score".'
            )
        if self.statistic == "gram":
            if self.y_scale is None:
                self._set("y_scale", self.x_radius / (2.0 * self.y_bound))
            _check_positive(self.y_scale, "y_scale")
            self._set("y_scale", float(self.y_scale))
        elif self.y_scale is not None:
            raise ValueError("y_scale has no meaning for a score. Leave it out.")
        if not math.isfinite(self.largest_norm):
            raise ValueError(
                "The statistic of a record within these bounds may overflow. Give smaller "
                "x_radius, y_bound, y_scale or coef, by a change of units."
            )
        if self.radius is None:
            self._set("radius", self.largest_norm)
        _check_positive(self.radius, "radius")
        self._set("radius", float(self.radius))

    def _set_noise(self) -> None:
        if self.protect == "label":
            raise ValueError(
                f"delta={self.delta:g} buys nothing for labels: the pure mechanism has less noise. "
                f"Leave delta at 0."
            )
        if self.n_outputs is not None or self.subset_size is not None:
            raise ValueError(
                f"n_outputs and subset_size have no meaning with delta={self.delta:g}. Leave them "
                f"out, or leave delta at 0."
            )
        if self.noise_std is None:
            self._set("noise_std", calibrated(self.epsilon, self.delta, self.dimension + 1))
        self._set_whole("noise_std", 1, 1 << 61)  # values fit into 32 bits
        spent = self.mechanism.delta_effective
        if spent > self.delta:
            raise ValueError(
                f"noise_std={self.noise_std} spends a delta of {spent:.3g}, more than "
                f"delta={self.delta:g}. Leave noise_std out."
            )

    def _set_outputs(self) -> None:
        if self.noise_std is not None:
            raise ValueError("noise_std has no meaning without a delta. Leave it out.")
        if self.n_outputs is None and self.subset_size is None:
            if self.statistic == "label":
                self._set("n_outputs", best_window(self.epsilon)[0])
                self._set("subset_size", best_window(self.epsilon)[1])
            else:
                self._set("n_outputs", default_codewords(self.epsilon))
        self._set_whole("n_outputs", 2, _MAX_CODEWORDS)
        if self.subset_size is None:
            self._set("subset_size", best_subset_size(self.epsilon, self.n_outputs))
        self._set_whole("subset_size", 1, self.n_outputs - 1)

    @cached_property
    def mechanism(self) -> SubsetMechanism | GaussianMechanism:
        """The mechanism of a report, with its exact probabilities."""
        if self.delta:
            entries = self.dimension + 1
            return GaussianMechanism(self.epsilon, self.delta, entries, self.noise_std)
        return SubsetMechanism(self.epsilon, self.n_outputs, self.subset_size)

    @property
    def epsilon_effective(self) -> float:
        """The privacy loss of a report as computed from its integer threshold."""
        return self.mechanism.epsilon_effective

    @property
    def n_reported(self) -> int:
        """Number of features that are reported on, without the constant column."""
        return self.n_features if self.support is None else len(self.support)

    @property
    def constant(self) -> float:
        """The value of the constant column; 0.0 if there is none."""
        return self.x_radius / math.sqrt(self.n_features) if self.fit_intercept else 0.0

    @property
    def dimension(self) -> int:
        """Length of the statistic."""
        columns = self.n_reported + int(self.fit_intercept)
        if self.statistic == "gram":
            return (columns + 1) * (columns + 2) // 2
        return columns if self.statistic == "score" else 1

    @property
    def largest_norm(self) -> float:
        """What the norm of the statistic is at most, by ``x_radius`` and ``y_bound`` alone."""
        sq_x = self.x_radius * self.x_radius + self.constant * self.constant
        if self.statistic == "gram":
            y = self.y_scale * self.y_bound
            return sq_x + y * y
        size = math.hypot(*(self.coef or ()))
        return math.sqrt(sq_x) * (self.y_bound + size * math.sqrt(sq_x))

    def to_json(self) -> str:
        """Return the protocol as canonical JSON: what is hashed, stored and published."""
        version, others = (_NOISY_FORMAT, _OF_OUTPUTS) if self.delta else (_FORMAT, _OF_NOISE)
        values = {name: value for name, value in asdict(self).items() if name not in others}
        content = {"format": version, **values}
        return json.dumps(content, sort_keys=True, separators=(",", ":"), allow_nan=False)

    @classmethod
    def from_json(cls, text: str) -> Protocol:
        """Return the protocol that :meth:`to_json` wrote.

        Raises
        ------
        ValueError
            If it is no protocol, or one of another format.
        """
        try:
            content = json.loads(text)
            if not isinstance(content, dict):
                raise ValueError("it is not an object")
            version = content.pop("format", None)
            if version not in (_FORMAT, _NOISY_FORMAT):
                raise ValueError(f"its format is not {_FORMAT} or {_NOISY_FORMAT}")
            for name in ("support", "coef"):
                if content.get(name) is not None:
                    content[name] = tuple(content[name])
            others = _OF_NOISE if version == _FORMAT else _OF_OUTPUTS
            if set(content) != {field.name for field in fields(cls)} - others:
                raise ValueError("its fields are not those of a protocol")
            if version == _NOISY_FORMAT and not content["delta"]:
                raise ValueError("it has noise and no delta")
        except (ValueError, TypeError) as error:
            raise ValueError(
                f"This is not a protocol ({error}). Pass the text that Protocol.to_json returned."
            ) from error
        return cls(**content)

    @cached_property
    def digest(self) -> bytes:
        """Eight bytes that identify the protocol; every report carries them."""
        return blake2b(self.to_json().encode(), digest_size=8).digest()

    @property
    def id(self) -> str:
        """The digest in hexadecimal."""
        return self.digest.hex()


def _check_whole(value: Any, name: str, low: int, high: int) -> None:
    whole = isinstance(value, Integral) and not isinstance(value, bool)
    if not whole or not low <= int(value) <= high:
        raise ValueError(f"{name}={value!r} is not possible. Give an integer from {low} to {high}.")


def _check_positive(value: Any, name: str, low: float = 0.0, high: float = math.inf) -> None:
    number = isinstance(value, Real) and not isinstance(value, bool) and math.isfinite(value)
    if not number or not low <= value <= high or value == 0:
        allowed = f"number from {low:g} to {high:g}" if math.isfinite(high) else "finite number > 0"
        raise ValueError(f"{name}={value!r} is not possible. Give a {allowed}.")
