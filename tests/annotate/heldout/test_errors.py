# SPDX-License-Identifier: Apache-2.0
"""Ratios of held-out errors: the right value, intervals that cover it, trainings that differ make them wider."""

import numpy as np
import pytest
import torch

from lerobot_ambient.annotate.heldout.bands import Bands
from lerobot_ambient.annotate.heldout.errors import ACCELERATION, POSITION, HeldOutErrors
from tests.annotate.heldout.tables import MAZE, errors_of


def test_a_ratio_is_that_of_the_mean_errors():
    errors = errors_of(MAZE, scatter=1e-9)
    ratio = errors.ratio("cotrain")
    np.testing.assert_allclose(np.exp(ratio.log[:, :POSITION]), MAZE, rtol=1e-6)
    back = errors.ratio("target", "cotrain")
    np.testing.assert_allclose(back.log, -ratio.log, atol=1e-12)
    whole = errors.energies["cotrain"].sum((2, 3)).mean(0) / errors.energies["target"].sum((2, 3)).mean(0)
    np.testing.assert_allclose(np.exp(ratio.log[:, POSITION]), whole)


def test_the_last_column_is_of_accelerations():
    """Bands weigh as second differences do: exactly, where every band is one coefficient."""
    bands = Bands(3)
    chunks = torch.randn(2, 50, 3, 1, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    first, second = (bands.energies(one).unsqueeze(1).numpy() for one in chunks)
    errors = HeldOutErrors(np.array([0.5]), bands, np.arange(50), np.arange(50) % 2, {"target": second, "s": first})
    # A chunk that goes on as its mirror image has these differences; it is what the transform takes it for.
    there, back = (torch.cat([one[:, :1], one, one[:, -1:]], dim=1).diff(n=2, dim=1) for one in chunks)
    expected = float((there**2).sum() / (back**2).sum())
    assert np.exp(errors.ratio("s").log[0, ACCELERATION]) == pytest.approx(expected)


@pytest.mark.parametrize("training", [0.0, 0.15])
def test_intervals_cover(training):
    """Of 200 draws nine in ten intervals hold the true ratio, also where each fold's training has its own luck."""
    inside = []
    for seed in range(200):
        errors = errors_of(MAZE, episodes=25, scatter=0.2, training=training, seed=seed)
        low, high = errors.ratio("cotrain").interval(0.95)
        # The mean of exp(scatter z) is the same for both designs, that of exp(training z) is not.
        truth = np.log(MAZE) + training**2 / 2
        inside.append(((low[:, :POSITION] <= truth) & (truth <= high[:, :POSITION])).mean())
    assert 0.9 <= np.mean(inside) <= 0.985


def test_dimensions_can_be_looked_at_alone():
    values = np.ones((4, 1, 1, 2))
    worse = values * np.array([1.0, 3.0])
    errors = HeldOutErrors(np.array([0.5]), Bands(1), np.arange(4), np.arange(4) % 2, {"target": values, "s": worse})
    assert np.exp(errors.ratio("s").log[0, POSITION]) == pytest.approx(2.0)
    assert np.exp(errors.ratio("s", dims=np.array([1])).log[0, POSITION]) == pytest.approx(3.0)


def test_shapes_are_checked():
    with pytest.raises(ValueError, match=r"errors of design 's' have shape \(3, 1, 1, 2\)"):
        HeldOutErrors(np.array([0.5]), Bands(1), np.arange(4), np.zeros(4, int), {"s": np.ones((3, 1, 1, 2))})
