# SPDX-License-Identifier: Apache-2.0
import pytest
import torch

from lerobot_ambient.core.noise_levels import NoiseSchedule, vp_to_ve
from lerobot_ambient.core.windows import EVERYTHING, NOTHING, Window

STEP = 1e-6


def admits(window: Window, *levels: float) -> list[bool]:
    return window.admits(torch.tensor(levels, dtype=torch.float64)).tolist()


def test_sigma_min_is_strict():
    assert admits(Window(0.3), 0.3 - STEP, 0.3, 0.3 + STEP, 1.0, 0.0) == [False, False, True, True, False]


def test_sigma_max_is_strict():
    window = Window(sigma_min=1.0, sigma_max=0.2)
    assert admits(window, 0.0, 0.2 - STEP, 0.2, 0.2 + STEP, 1.0) == [True, True, False, False, False]


def test_both_bounds_leave_the_middle_out():
    window = Window(sigma_min=0.6, sigma_max=0.2)
    assert admits(window, 0.1, 0.2, 0.4, 0.6, 0.7) == [True, False, False, False, True]


def test_equal_bounds_exclude_just_that_level():
    assert admits(Window(sigma_min=0.5, sigma_max=0.5), 0.5 - STEP, 0.5, 0.5 + STEP) == [True, False, True]


@pytest.mark.parametrize("window", [Window(0.0), Window(0.0, 0.3), Window(0.2, 0.3), EVERYTHING])
def test_everything(window):
    assert window.is_everything
    assert all(admits(window, 0.0, 0.2, 0.25, 0.3, 1.0))


def test_nothing():
    assert NOTHING.is_nothing
    assert not any(admits(NOTHING, 0.0, 0.5, 1.0))


@pytest.mark.parametrize("value", [-1e-9, 1.0 + 1e-9, float("nan"), 300.0])
def test_levels_outside_the_unit_interval_are_refused(value):
    with pytest.raises(ValueError, match=r"sigma_min = .* is outside \[0, 1\]"):
        Window(value)
    with pytest.raises(ValueError, match=r"sigma_max = .* is outside \[0, 1\]"):
        Window(0.5, value)


def test_buffer_bounds_the_amplification_by_s_max():
    s_max = 4.0
    buffered = Window(0.3).buffered(s_max)
    r_min, r = (vp_to_ve(torch.tensor(w.sigma_min, dtype=torch.float64)) for w in (Window(0.3), buffered))
    # The factor the images code prints for s_max = 4.
    assert float(r / r_min) == pytest.approx(1.1547, abs=1e-4)
    assert float(r**2 / (r**2 - r_min**2)) == pytest.approx(s_max)


def test_buffer_leaves_open_and_closed_windows_alone():
    assert EVERYTHING.buffered(4.0) is EVERYTHING
    assert Window(1.0, 0.2).buffered(4.0) == Window(1.0, 0.2)
    with pytest.raises(ValueError, match="must exceed 1, got 1"):
        Window(0.3).buffered(1.0)


def test_effective_levels_are_those_of_the_schedule():
    schedule = NoiseSchedule(torch.tensor([0.1, 0.2, 0.3, 0.9], dtype=torch.float64))
    assert Window(0.2).effective(schedule) == (0.3, None)
    assert Window(0.95, 0.2).effective(schedule) == (None, 0.1)
    assert EVERYTHING.effective(schedule) == (0.1, None)


@pytest.mark.parametrize(
    ("window", "text"),
    [
        (Window(0.0), "[0, 1]"),
        (Window(0.3), "(0.3, 1]"),
        (Window(1.0, 0.2), "[0, 0.2)"),
        (Window(0.6, 0.2), "[0, 0.2) U (0.6, 1]"),
        (NOTHING, "nothing"),
    ],
)
def test_repr_is_the_interval(window, text):
    assert repr(window) == text
