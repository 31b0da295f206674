# SPDX-License-Identifier: Apache-2.0
import pytest
import torch

from lerobot_ambient.integration.monitoring.bands import BANDS, EDGES, BandSums


def test_bands_are_named_by_their_edges_and_cover_every_level():
    assert BANDS[1] == "sigma_0.10_0.20"
    assert (EDGES[0], EDGES[-1]) == (0.0, 1.0)
    sums = BandSums()
    sums.add(torch.tensor(0.0), torch.linspace(0.0, 1.0, 101), torch.zeros(101))
    assert sum(count for _, count in sums.by_band.values()) == 101


@pytest.mark.parametrize(
    ("sigma", "band"), [(0.0, 0), (0.0999, 0), (0.1, 1), (0.2, 2), (0.8499, 4), (0.85, 5), (1.0, 5)]
)
def test_a_band_holds_its_lower_edge_and_the_last_one_both(sigma, band):
    sums = BandSums()
    sums.add(torch.tensor(2.0), torch.tensor([sigma]), torch.tensor([2.0]))
    assert sums.by_band == {BANDS[band]: (2.0, 1)}


def test_vectors_of_processes_add_up_to_the_whole():
    sigma, losses = torch.rand(50), torch.rand(50)
    whole, parts = BandSums(), [BandSums(), BandSums()]
    whole.add(losses.mean(), sigma, losses)
    for part, rows in zip(parts, (slice(0, 13), slice(13, 50)), strict=True):
        part.add(losses[rows].mean(), sigma[rows], losses[rows])
    together = BandSums.of_vector(parts[0].to_vector() + parts[1].to_vector())
    assert together.metrics("me/sim") == pytest.approx(whole.metrics("me/sim"))
    assert together.mean == pytest.approx(float(losses.mean()))


def test_without_losses_of_samples_there_is_a_mean_and_no_band():
    sums = BandSums()
    sums.add(torch.tensor(1.0), torch.rand(2), None)
    sums.add(torch.tensor(4.0), torch.rand(1), None)
    assert sums.metrics("me/sim") == {"eval_loss/me/sim": 2.0}
    assert BandSums().metrics("me/sim") == {}
