# SPDX-License-Identifier: Apache-2.0
"""Held-out errors that are made up: a table of ratios by level and band, with episodes that scatter about it."""

import numpy as np

from lerobot_ambient.annotate.heldout.bands import Bands
from lerobot_ambient.annotate.heldout.errors import TARGET, HeldOutErrors

SIGMAS = np.array([0.025, 0.15, 0.27, 0.5, 0.86, 1.0])
MAZE = np.array(
    [
        [0.04, 0.15, 0.40, 0.86, 0.91, 1.20],
        [0.16, 0.31, 0.67, 1.26, 2.29, 4.74],
        [0.25, 0.43, 0.69, 1.12, 0.98, 1.07],
        [0.49, 0.69, 0.74, 1.14, 1.04, 1.11],
        [0.91, 1.11, 0.90, 1.21, 1.11, 1.30],
        [0.91, 1.11, 0.90, 1.21, 1.11, 1.30],
    ]
)
"""Co-training in the maze as it was first measured, by hand and with one seed."""
ENERGY = np.array([1.0, 0.3, 0.1, 0.03, 0.01, 0.005])
"""How the error of the target alone lies over the bands."""


def errors_of(ratios, *, sigmas=SIGMAS, episodes=50, folds=5, scatter=0.1, training=0.0, seed=0, name="cotrain"):
    """`HeldOutErrors` of a design whose true ratio (L, B) is known.

    Args:
        scatter: of an episode's log error, drawn anew for both designs; what they share is three times that.
        training: of a fold's log error, of the second design alone.
    """
    rng = np.random.default_rng(seed)
    levels, bands = ratios.shape
    fold = np.arange(episodes) % folds
    easy = 3 * scatter * rng.standard_normal((episodes, 1, 1))
    energies = {}
    for design, table in ((TARGET, np.ones_like(ratios)), (name, ratios)):
        own = scatter * rng.standard_normal((episodes, levels, bands))
        luck = training * rng.standard_normal(folds)[fold][:, None, None] if design == name else 0.0
        energies[design] = (np.exp(easy + own + luck) * table * ENERGY[:bands])[..., None]
    return HeldOutErrors(sigmas, Bands(16), np.arange(episodes), fold, energies)
