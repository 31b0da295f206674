# SPDX-License-Identifier: Apache-2.0
"""Bands along a chunk: their energies add up, a motion lies in the band of its frequency, names are in Hz."""

import math

import pytest
import torch

from lerobot_ambient.annotate.chunks.chunk_set import ActionAxes
from lerobot_ambient.annotate.heldout.bands import Bands


@pytest.mark.parametrize("horizon", [1, 2, 3, 8, 16, 50])
def test_bands_split_the_energy(horizon):
    error = torch.randn(5, horizon, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    bands = Bands(horizon)
    energies = bands.energies(error)
    assert energies.shape == (5, len(bands), 3)
    torch.testing.assert_close(energies.sum(1), (error**2).sum(1))
    assert [low for low, _ in bands.edges] == [0, *(high for _, high in bands.edges[:-1])]
    assert bands.edges[-1][1] == horizon


def test_a_motion_lies_in_the_band_of_its_frequency():
    bands = Bands(16, ActionAxes(fps=10.0))
    assert bands.edges == ((0, 1), (1, 2), (2, 3), (3, 5), (5, 9), (9, 16))
    for number, (low, high) in enumerate(bands.edges):
        for k in range(low, high):
            wave = torch.cos(math.pi * (torch.arange(16) + 0.5) * k / 16).reshape(1, 16, 1)
            energies = bands.energies(wave)[0, :, 0]
            assert energies[number] == pytest.approx(float((wave**2).sum()), rel=1e-5)


def test_names():
    assert Bands(16, ActionAxes(fps=10.0)).names[:4] == ("0 Hz", "0.312 Hz", "0.625 Hz", "0.938-1.25 Hz")
    assert Bands(4).names == (
        "0.000 cycles per step",
        "0.125 cycles per step",
        "0.250 cycles per step",
        "0.375 cycles per step",
    )
    with pytest.raises(ValueError, match="horizon of at least 1, got 0"):
        Bands(0)
