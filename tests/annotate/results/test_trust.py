# SPDX-License-Identifier: Apache-2.0
"""What counts as full trust, and what keeps a window from being it for want of evidence."""

import dataclasses
import itertools

import numpy as np
import pytest
import torch

from lerobot_ambient.annotate.results.found_windows import Finding
from lerobot_ambient.annotate.results.trust import admits_everything, full_trust_reasons, partly_trusted, tolerated
from lerobot_ambient.core.noise_levels import NoiseSchedule
from lerobot_ambient.core.windows import Window

LEVELS = torch.tensor([0.025, 0.1, 0.4, 0.8, 1.0], dtype=torch.float64)
CELLS = NoiseSchedule(LEVELS, LEVELS - 0.02, torch.clamp(LEVELS + 0.02, max=1.0), law="a law")


@pytest.mark.parametrize("schedule", [NoiseSchedule(LEVELS), CELLS], ids=["timesteps", "cells"])
def test_full_trust_is_every_level_that_a_policy_draws(schedule):
    bounds = [0.0, 0.004, 0.005, 0.01, 0.025, 0.05, 0.1, 0.3, 0.41, 0.8, 1.0]
    low, high = np.array(list(itertools.product(bounds, bounds))).T
    windows = [Window(float(a), float(b)) for a, b in zip(low, high, strict=True)]
    expected = [bool(window.admits_of(schedule).all()) for window in windows]
    assert admits_everything(low, high, schedule).tolist() == expected
    assert 0 < sum(expected) < len(expected)
    assert admits_everything(low, high).tolist() == [window.is_everything for window in windows]


def finding(sigma_min, **more):
    low = np.asarray(sigma_min, dtype=np.float64)
    given = {"interval": (0.0, 0.1), "tau": 0.05, **more}
    return Finding("me/sim", "classifier", "dataset", low, np.zeros(len(low)), **given)


def test_a_level_below_the_policys_lowest_is_no_window_to_recommend():
    tiny = finding([0.01] * 4)
    assert tiny.is_recommended
    drawn = dataclasses.replace(tiny, schedule=NoiseSchedule(LEVELS))
    assert drawn.is_full_trust
    assert not drawn.is_recommended
    assert drawn.headline()[0].startswith("me/sim: no window to recommend")
    assert [line.strip() for line in drawn.headline()[1:]] == full_trust_reasons(0.05)


def test_windows_that_partly_admit_everything_say_how_many():
    some = dataclasses.replace(finding([0.0, 0.3, 0.3, 0.3]), granularity="datapoint")
    assert some.full_trust_share == some.to_dict()["full_trust_share"] == 0.25
    assert f"  {partly_trusted(0.25)}" in some.headline()
    assert partly_trusted(0.25).startswith("25% of its samples are admitted at every level.")


def test_the_blind_spot_of_tau_is_that_of_a_perfect_classifier():
    # A part f is of a kind that the target never shows, the rest is as the target is.
    for tau in (0.02, 0.05, 0.1):
        f = tolerated(tau)
        assert (1 - f) / (2 - f) == pytest.approx(0.5 - tau)
    assert tolerated(0.05) == pytest.approx(0.1818, abs=1e-4)


def test_what_spectra_show_keeps_the_safe_end_up():
    seen = finding([0.0] * 3, sigma_min_safe=np.full(3, 0.02))
    beside = seen.beside_spectra((0.07, 0.9), 0.216)
    assert beside.taking("safe").as_written == (0.216, 0.0)
    assert beside.taking("estimate").is_full_trust
    assert "spectra show one up to 0.216" in beside.notes[-1]
    assert beside.to_dict()["bury_range"] == [0.07, 0.9]
    assert beside.to_dict()["gaussian"] == 0.216
    assert "spectra: burying levels 0.070 to 0.900, Gaussian score 0.216" in beside.headline()[0]
    # Where classifiers see as much, and of samples one by one, nothing is changed.
    for same in (
        finding([0.3] * 3, sigma_min_safe=np.full(3, 0.4)),
        dataclasses.replace(seen, granularity="datapoint"),
    ):
        after = same.beside_spectra((0.07, 0.9), 0.216)
        assert np.array_equal(after.sigma_min_safe, same.sigma_min_safe)
        assert after.notes == same.notes


def test_a_level_comes_with_what_is_known_of_it():
    with pytest.raises(ValueError, match=r"'me/sim': a level comes with the interval \(classifier\) or the bury_range"):
        finding([0.1], interval=None)
