"""Data of the benchmarks: seeded generators, scikit-learn's bundled data, optional real data.

The real data sets come from third parties and are never part of the repository. They are read
from the folder named by the environment variable SPARSEREG_DATA or, if it is not set, from
``../shared/data`` beside a source tree; without them the rest runs and the report says so.

Dense columns are centered and scaled to unit variance and y likewise, so that every solver can be
run without an intercept and solves the same problem.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from scipy import sparse
from scipy.signal import lfilter
from scipy.special import ndtri

from .problem import Matrix, Problem, Vector

__all__ = [
    "Dataset",
    "Unavailable",
    "UnknownDataset",
    "diabetes",
    "genotypes",
    "one_alpha",
    "paths",
    "real",
    "text",
    "toeplitz",
]

_N_FOLDS = 5


class UnknownDataset(ValueError):
    """A name that no data set has; the message lists those there are."""


class Unavailable(Exception):
    """A data set that is not here; the message says why."""


@dataclass(frozen=True)
class Dataset:
    """A named problem without its alpha, built on demand.

    Attributes
    ----------
    name : str
    description : str
        Where the data come from.
    load : callable
        Returns (X, y), or raises `Unavailable`.
    """

    name: str
    description: str
    load: Callable[[], tuple[Matrix, Vector]]

    def problem(self) -> Problem:
        """Build the data, as a `Problem` whose alphas are still to be set."""
        from sklearn.model_selection import KFold

        X, y = self.load()
        folds = np.empty(len(y), dtype=np.int64)
        shuffled = KFold(_N_FOLDS, shuffle=True, random_state=0).split(y)
        for fold, (_, test) in enumerate(shuffled):
            folds[test] = fold
        return Problem(X, y, alphas=np.empty(0), folds=folds)


def one_alpha(quick: bool) -> list[Dataset]:
    """Return the data of single fits, small ones if `quick`."""
    if quick:
        return _quick()
    return [
        *_every_real(),
        _toeplitz(200, 20_000, 0.5),
        _toeplitz(20_000, 500, 0.5),
        _text(20_000, 64_000, 1_200_000),
        _toeplitz(1000, 10_000, 0.9),
    ]


def paths(quick: bool) -> list[Dataset]:
    """Return the data of paths and of cross-validation, small ones if `quick`."""
    if quick:
        return _quick()
    return [
        *_every_real(),
        _toeplitz(10_000, 1000, 0.5),
        _text(20_000, 64_000, 1_200_000),
        _genotypes(2000, 10_000),
    ]


def toeplitz(
    n_samples: int, n_features: int, rho: float, *, snr: float = 3.0, seed: int = 0
) -> tuple[Matrix, Vector]:
    """Draw Gaussian rows with correlation ``rho**|i - j|`` and a sparse linear response.

    Parameters
    ----------
    n_samples, n_features : int
    rho : float
        Correlation of neighboring columns.
    snr : float, default=3
        Variance of the signal over that of the noise.
    seed : int, default=0

    Returns
    -------
    X : ndarray of shape (n_samples, n_features)
    y : ndarray of shape (n_samples,)
        One column in ten rows or columns, whichever is fewer, has a coefficient of +1 or -1.
    """
    rng = np.random.default_rng(seed)
    noise = rng.standard_normal((n_samples, n_features))
    noise[:, 1:] *= np.sqrt(1 - rho**2)
    X = lfilter([1.0], [1.0, -rho], noise, axis=1)  # x_j = rho x_(j-1) + noise_j
    signal = _signal(X, max(min(n_samples, n_features) // 10, 1), rng)
    return _standardized(X, signal + rng.normal(0, signal.std() / np.sqrt(snr), n_samples))


def text(
    n_samples: int, n_features: int, nnz: int, *, n_topics: int = 20, seed: int = 0
) -> tuple[Matrix, Vector]:
    """Draw a document-term matrix as tf-idf would leave it, and a sparse linear response.

    Word frequencies follow Zipf's law; a document's topic shuffles their ranks, which correlates
    the columns. Every word occurs in some document and every row has unit norm.

    Parameters
    ----------
    n_samples, n_features : int
        Documents and words.
    nnz : int
        Nonzeros to aim at; what comes out is within a few percent.
    n_topics : int, default=20
    seed : int, default=0

    Returns
    -------
    X : csc_matrix of shape (n_samples, n_features)
        Not centered.
    y : ndarray of shape (n_samples,)
        Centered, of unit variance.
    """
    rng = np.random.default_rng(seed)
    X = _document_terms(n_samples, n_features, nnz, n_topics, rng)

    documents_with_word = np.diff(X.indptr)
    X.data = np.log1p(X.data) * np.repeat(
        np.log(n_samples / documents_with_word) + 1, documents_with_word
    )
    row_norms = np.sqrt(np.bincount(X.indices, weights=X.data**2, minlength=n_samples))
    X.data /= row_norms[X.indices]

    # Words that occur in a percent of the documents or so carry the signal.
    frequent = np.flatnonzero(documents_with_word >= max(n_samples // 200, 3))
    signal = _signal(X[:, frequent], max(min(n_samples, len(frequent)) // 20, 1), rng)
    y = signal + rng.normal(0, signal.std(), n_samples)
    return X, (y - y.mean()) / y.std()


def genotypes(
    n_samples: int, n_features: int, *, n_causal: int = 100, seed: int = 0
) -> tuple[Matrix, Vector]:
    """Draw genetic markers in linkage blocks, and a trait of heritability one half.

    A marker counts the rare alleles, 0, 1 or 2, on two haplotypes. A haplotype has the allele where
    a latent Gaussian is below the quantile of the allele's frequency. The latent values follow an
    AR(1) of correlation 0.9 within a block of 20 to 100 markers and are independent between blocks;
    the frequency belongs to the block and is uniform on [0.05, 0.5]. Neighbors are then strongly
    correlated, and often equal in most rows.

    Parameters
    ----------
    n_samples, n_features : int
    n_causal : int, default=100
        Markers with an effect, at random places and normally distributed.
    seed : int, default=0

    Returns
    -------
    X : ndarray of shape (n_samples, n_features)
        Standardized; a marker without variation would be left out.
    y : ndarray of shape (n_samples,)
    """
    rng = np.random.default_rng(seed)
    rho = 0.9
    X = np.empty((n_samples, n_features), order="F")
    start = 0
    while start < n_features:
        block = slice(start, min(start + int(rng.integers(20, 101)), n_features))
        latent = rng.standard_normal((2, n_samples, block.stop - start))
        latent[:, :, 1:] *= np.sqrt(1 - rho**2)
        latent = lfilter([1.0], [1.0, -rho], latent, axis=2)
        X[:, block] = (latent < ndtri(rng.uniform(0.05, 0.5))).sum(axis=0)
        start = block.stop
    causal = rng.choice(n_features, min(n_causal, n_features), replace=False)
    signal = _standardized(X[:, causal], X[:, 0])[0]
    signal = np.asarray(signal @ rng.standard_normal(signal.shape[1]))
    return _standardized(X, signal + rng.normal(0, signal.std(), n_samples))


def diabetes(degree: int) -> tuple[Matrix, Vector]:
    """Return scikit-learn's diabetes data with all products of up to `degree` columns."""
    from sklearn.datasets import load_diabetes
    from sklearn.preprocessing import PolynomialFeatures

    X, y = load_diabetes(return_X_y=True)
    return _standardized(PolynomialFeatures(degree, include_bias=False).fit_transform(X), y)


def real(name: str) -> tuple[Matrix, Vector]:
    """Read a real data set; classes are fitted as numbers, of several responses the first.

    Raises
    ------
    Unavailable
        If the folder or the file is not here.
    """
    folder = _data_folder()
    if folder is None:
        raise Unavailable("the folder of real data is not here; set SPARSEREG_DATA to its path")
    file = folder / f"{name}.npz"
    if not file.is_file():
        raise Unavailable(f"the data folder has no {file.name}")
    with np.load(file, allow_pickle=False) as arrays:
        y = arrays["y"] if "y" in arrays else arrays["Y"][:, 0]
        return _standardized(arrays["X"], y)


def _toeplitz(n: int, p: int, rho: float) -> Dataset:
    name = f"toeplitz-{rho:g}-{n}x{p}"
    return Dataset(name, "generated: AR(1) columns", partial(toeplitz, n, p, rho))


def _text(n: int, p: int, nnz: int) -> Dataset:
    return Dataset(f"text-{n}x{p}", "generated: Zipf words, tf-idf", partial(text, n, p, nnz))


def _genotypes(n: int, p: int) -> Dataset:
    source = "generated: markers 0/1/2 in linkage blocks"
    return Dataset(f"genotypes-{n}x{p}", source, partial(genotypes, n, p))


def _diabetes(degree: int) -> Dataset:
    source = f"scikit-learn: diabetes, products up to degree {degree}"
    return Dataset(f"diabetes-{degree}", source, partial(diabetes, degree))


def _real(name: str) -> Dataset:
    return Dataset(name, "real data, not in the repository", partial(real, name))


def _every_real() -> list[Dataset]:
    return [_real(name) for name in ("riboflavin", "leukemia", "colon", "wheat")]


def _quick() -> list[Dataset]:
    return [
        _toeplitz(100, 1000, 0.5),
        _toeplitz(1000, 100, 0.5),
        _text(1000, 3000, 20_000),
        _genotypes(200, 1000),
        _diabetes(2),
    ]


def _data_folder() -> Path | None:
    named = os.environ.get("SPARSEREG_DATA")
    folder = Path(named) if named else Path(__file__).resolve().parents[2] / "shared" / "data"
    return folder if folder.is_dir() else None


def _signal(X: Matrix, n_informative: int, rng: np.random.Generator) -> Vector:
    support = np.linspace(0, X.shape[1] - 1, n_informative).astype(int)
    return np.asarray(X[:, support] @ rng.choice([-1.0, 1.0], n_informative))


def _standardized(X: np.ndarray, y: np.ndarray) -> tuple[Matrix, Vector]:
    X = np.asfortranarray(X, dtype=np.float64)
    X -= X.mean(axis=0)
    scale = X.std(axis=0)
    varying = scale > 1e-12 * scale.max()
    if not varying.all():
        X, scale = np.asfortranarray(X[:, varying]), scale[varying]
    X /= scale
    y = np.asarray(y, dtype=np.float64)
    return X, (y - y.mean()) / y.std()


def _document_terms(
    n_samples: int, n_features: int, nnz: int, n_topics: int, rng: np.random.Generator
) -> sparse.csc_matrix:
    """Draw word counts: a document or two for each word, then words of documents by Zipf's law."""
    log_rank = np.log(np.arange(1, n_features + 1))
    cumulative = np.cumsum(1 / np.arange(1, n_features + 1))
    cumulative /= cumulative[-1]
    word_of_rank = np.array(
        [np.argsort(log_rank + rng.normal(0, 0.7, n_features)) for _ in range(n_topics)]
    )
    topic = rng.integers(n_topics, size=n_samples)
    length = rng.lognormal(0, 0.5, n_samples)
    length /= length.sum()

    rows = rng.integers(n_samples, size=2 * n_features)
    columns = np.tile(np.arange(n_features), 2)
    shape = (n_samples, n_features)
    while True:  # words repeat within a document, so it takes a few rounds
        counts = sparse.csc_matrix((np.ones(len(rows)), (rows, columns)), shape=shape)
        missing = nnz - counts.nnz
        if missing <= 0.01 * nnz:
            break
        new_rows = rng.choice(n_samples, size=missing, p=length)
        ranks = np.searchsorted(cumulative, rng.random(missing))
        rows = np.concatenate([rows, new_rows])
        columns = np.concatenate([columns, word_of_rank[topic[new_rows], ranks]])
    counts.sort_indices()
    return counts
