"""
What natural images are made of
===============================

Olshausen and Field (Nature 381, 1996) looked for a dictionary in which patches of natural images
have sparse codes, and found atoms that resemble the receptive fields of simple cells of the visual
cortex V1: localized, oriented, of one spatial frequency. Here is that experiment on the two
photographs that come with scikit-learn, with two penalties of the codes.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_sample_images

from sparsereg import penalties, sparse_encode

SIDE, N_ATOMS = 12, 100
rng = np.random.default_rng(0)

# %%
# Neighboring pixels of an image are nearly equal, and a dictionary of the raw patches would be
# about that. As in the paper, the filter :math:`f e^{-(f/f_0)^4}` flattens the spectrum and removes
# the highest frequencies, which are noise and the grid of the camera. Then patches of 12 x 12
# pixels are cut out at random; flat ones say nothing and are left out.


def whiten(image):
    gray = image.mean(axis=2)
    gray = (gray - gray.mean()) / gray.std()
    rows, columns = np.fft.fftfreq(gray.shape[0]), np.fft.fftfreq(gray.shape[1])
    frequency = np.hypot(rows[:, None], columns)
    filtered = np.fft.ifft2(np.fft.fft2(gray) * frequency * np.exp(-((frequency / 0.4) ** 4))).real
    return filtered / filtered.std()


def patches(image, n):
    top = rng.integers(0, image.shape[0] - SIDE, n)
    left = rng.integers(0, image.shape[1] - SIDE, n)
    cut = np.array([image[i : i + SIDE, j : j + SIDE].ravel() for i, j in zip(top, left)])
    cut -= cut.mean(axis=1, keepdims=True)
    size = cut.std(axis=1)
    return cut[size > np.median(size) / 2]


images = [whiten(image) for image in load_sample_images().images]
signals = np.vstack([patches(image, 10_000) for image in images])
signals = rng.permutation(signals) / signals.std()
print(f"{len(signals)} patches of {SIDE} x {SIDE} pixels")

# %%
# Dictionary learning takes turns: codes of some patches in the present dictionary, then the atoms
# that are best for all codes so far, which a few sums remember (Mairal et al., JMLR 11, 2010).
# :func:`~sparsereg.sparse_encode` does the first half, under any penalty.


def learn(penalty, n_steps=80, batch=500):
    dictionary = signals[:N_ATOMS] / np.linalg.norm(signals[:N_ATOMS], axis=1, keepdims=True)
    squares, cross = np.zeros((N_ATOMS, N_ATOMS)), np.zeros((N_ATOMS, SIDE**2))
    for step in range(n_steps):
        some = signals[rng.integers(0, len(signals), batch)]
        codes = sparse_encode(some, dictionary, penalty, tol=1e-4)
        memory = 1 - 1 / (1 + step) ** 0.7  # early codes, in bad dictionaries, are forgotten
        squares = memory * squares + codes.T @ codes
        cross = memory * cross + codes.T @ some
        for k in range(N_ATOMS):
            if squares[k, k] > 0:
                atom = dictionary[k] + (cross[k] - squares[k] @ dictionary) / squares[k, k]
                dictionary[k] = atom / max(np.linalg.norm(atom), 1e-12)
    return dictionary


def mosaic(ax, atoms, title):
    side = int(len(atoms) ** 0.5)
    sheet = np.ones((side * (SIDE + 1) + 1, side * (SIDE + 1) + 1))
    for k, atom in enumerate(atoms):
        i, j = np.array(divmod(k, side)) * (SIDE + 1) + 1
        sheet[i : i + SIDE, j : j + SIDE] = atom.reshape(SIDE, SIDE) / np.abs(atom).max()
    ax.imshow(sheet, cmap="gray", vmin=-1, vmax=1)
    ax.set_title(title, loc="left")
    ax.set_axis_off()


# %%
# The atoms, in the order of how much they are used. Most are edges and bars of one place and one
# direction, as in V1; the gratings come from the tiles of the Chinese roofs. At about the same
# error CEL0, which does not shrink the coefficients it keeps, needs less than half the atoms for a
# patch. Its price is at the end of the mosaic: atoms that hardly any patch uses still look like the
# patches that they started from.
chosen = {"lasso codes": penalties.L1(2.0), "CEL0 codes": penalties.CEL0(4.0)}
held_out = signals[:2000]
fig, axes = plt.subplots(1, 2, figsize=(8, 4.3), layout="constrained")
for ax, (name, penalty) in zip(axes, chosen.items()):
    dictionary = learn(penalty)
    codes = sparse_encode(held_out, dictionary, penalty, tol=1e-4)
    left = np.sum((held_out - codes @ dictionary) ** 2) / np.sum(held_out**2)
    used = np.count_nonzero(codes, axis=1).mean()
    order = np.argsort(-np.abs(codes).sum(axis=0))
    mosaic(ax, dictionary[order], f"{name}: {used:.1f} atoms per patch")
    print(f"{name}: {used:.1f} atoms for a patch, {left:.1%} of its energy unexplained")

plt.show()
