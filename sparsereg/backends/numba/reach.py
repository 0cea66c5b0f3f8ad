"""Sphere tests of all columns at several points; see :mod:`sparsereg.solvers.reach`."""

from __future__ import annotations

import numpy as np

from sparsereg.backends.numba.jit import REASSOCIATE, kernel

# Columns at a time: what is combined of them stays in cache.
_BLOCK = 512
# What is left of a residual below this share of it says nothing about its direction.
_DEPENDENT = 1e-8


@kernel(fastmath=REASSOCIATE)
def dot(a, b):
    """Return a'b."""
    total = 0.0
    for i in range(a.shape[0]):
        total += a[i] * b[i]
    return total


@kernel(fastmath={"contract"})
def add_multiple(share, row, out):
    """Add ``share * row`` to out."""
    for i in range(out.shape[0]):
        out[i] += share * row[i]


@kernel()
def multiply(share, out):
    """Multiply out by a number."""
    for i in range(out.shape[0]):
        out[i] *= share


@kernel()
def _combine(known, points, rounding):
    """Return the shares of known residuals that come nearest to each point, and how near.

    Twice is enough: Gram-Schmidt. ``basis = recipe @ known`` is orthonormal, or zero. What rounding
    may do to a sum of known gradients with these shares is added to the distances.
    """
    m = known.shape[0]
    basis, recipe, sizes = known.copy(), np.zeros((m, m)), np.empty(m)
    for i in range(m):
        recipe[i, i] = 1.0
        sizes[i] = np.sqrt(dot(known[i], known[i]))
        for _ in range(2):
            for e in range(i):
                share = dot(basis[e], basis[i])
                add_multiple(-share, basis[e], basis[i])
                add_multiple(-share, recipe[e], recipe[i])
        size = np.sqrt(dot(basis[i], basis[i]))
        scale = 1.0 / size if size > _DEPENDENT * sizes[i] else 0.0
        multiply(scale, basis[i])
        multiply(scale, recipe[i])

    shares, distances = np.zeros((points.shape[0], m)), np.empty(points.shape[0])
    for k in range(points.shape[0]):
        left = points[k].copy()
        for i in range(m):
            share = dot(basis[i], left)
            add_multiple(-share, basis[i], left)
            add_multiple(share, recipe[i], shares[k])
        distances[k] = np.sqrt(dot(left, left))
        for i in range(m):
            distances[k] += rounding * abs(shares[k, i]) * sizes[i]
    return shares, distances


@kernel(fastmath={"contract"})
def within_reach(known, gradients, points, lengths, levels, l1, positive, rounding):
    """Return for each column whether a ball around a combination of gradients leaves its bound."""
    shares, radii = _combine(known, points, rounding)
    p = lengths.shape[0]
    reached = np.zeros(p, dtype=np.bool_)
    center = np.empty(_BLOCK)
    for start in range(0, p, _BLOCK):
        stop = min(start + _BLOCK, p)
        length, bound, found = lengths[start:stop], l1[start:stop], reached[start:stop]
        for k in range(points.shape[0]):
            radius, level = radii[k] / np.sqrt(points.shape[1]), levels[k]
            center[:] = 0.0
            for i in range(known.shape[0]):
                share, row = shares[k, i], gradients[i, start:stop]
                for c in range(stop - start):
                    center[c] += share * row[c]
            for c in range(stop - start):
                size = center[c] if positive else abs(center[c])
                found[c] |= not size + radius * length[c] <= level * bound[c]
    return reached
