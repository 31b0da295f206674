# SPDX-License-Identifier: Apache-2.0
"""The closed form against the bound it minimises."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lerobot_ambient.core.evidence_share import clean_share, clean_shares


def bound(alpha, distance, n_target, n_source, capacity):
    error = np.sqrt(capacity * (alpha**2 / n_target + (1 - alpha) ** 2 / n_source))
    return error + (1 - alpha) * distance


@given(
    st.floats(0.0, 1.0),
    st.integers(1, 500),
    st.integers(1, 50_000),
    st.floats(0.1, 1000.0),
)
def test_it_minimises_the_bound(distance, n_target, n_source, capacity):
    alpha = clean_share(distance, n_target, n_source, capacity)
    grid = np.linspace(0.0, 1.0, 20_001)
    least = bound(grid, distance, n_target, n_source, capacity).min()
    assert bound(alpha, distance, n_target, n_source, capacity) <= least + 1e-9


def test_equal_laws_concatenate_and_far_ones_leave_the_target_alone():
    assert clean_share(0.0, 50, 5000, 10.0) == pytest.approx(50 / 5050)
    assert clean_share(1.0, 50, 5000, 10.0) == 1.0
    assert clean_share(0.0, 50, 5000, 10.0) < clean_share(0.2, 50, 5000, 10.0) < clean_share(0.4, 50, 5000, 10.0) < 1.0


def test_the_bound_itself_and_both_neighbours():
    n_target, capacity = 64, 16.0
    at = (capacity / n_target) ** 0.5
    assert clean_share(at, n_target, 1000, capacity) == 1.0
    assert clean_share(at + 1e-6, n_target, 1000, capacity) == 1.0
    assert clean_share(at - 1e-6, n_target, 1000, capacity) == pytest.approx(1.0, abs=1e-3)


def test_a_curve_falls_and_never_drops_the_target():
    shares = clean_shares([1.0, 0.4, 0.45, 0.1, 0.0], 50, 5000, 10.0, at_least=0.05)
    assert shares == sorted(shares, reverse=True)
    assert shares[0] == 1.0
    assert shares[2] == shares[1]
    assert shares[-1] == 0.05


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((1.5, 1, 1, 1.0), r"lies in \[0, 1\], got 1.5"),
        ((0.5, 0, 1, 1.0), "n_target must be positive and finite, got 0"),
        ((0.5, 1, 1, float("inf")), "capacity must be positive and finite, got inf"),
    ],
)
def test_values_outside_their_range_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        clean_share(*arguments)
