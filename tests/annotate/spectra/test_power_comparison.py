# SPDX-License-Identifier: Apache-2.0
"""The test behind spectra and crops: significance by dealing episodes, quantiles, options."""

import numpy as np
import pytest
import scipy.stats

from lerobot_ambient.annotate.spectra.power_comparison import CompareOptions, UnitMoments, compare, student_quantile


def moments(scale, units, seed):
    squares = (scale * np.random.default_rng(seed).normal(size=(units, 10, 4))) ** 2
    return UnitMoments(np.full(units, 10), np.zeros((units, 4)), squares.sum(1))


def test_a_permutation_is_significant_as_rarely_as_it_claims():
    found = [compare(moments(1.0, 12, 2 * s), moments(1.0, 30, 2 * s + 1), CompareOptions()) for s in range(300)]
    # Adjusted p-values: their minimum over coordinates is uniform between datasets of one law.
    smallest = [comparison.p_value.min() for comparison in found]
    assert scipy.stats.kstest(smallest, "uniform").pvalue > 0.01


def test_only_units_of_one_stratum_are_exchanged():
    target, source = moments(1.0, 20, 0), moments(3.0, 20, 1)
    assert compare(target, source, CompareOptions()).parted.all()
    mixed = (np.arange(20) % 2, np.arange(20) % 2)
    assert compare(target, source, CompareOptions(), mixed).parted.all()
    alone = (np.zeros(20, dtype=np.int64), np.ones(20, dtype=np.int64))
    assert (compare(target, source, CompareOptions(), alone).p_value == 1.0).all()


@pytest.mark.parametrize("p", [0.95, 0.975, 0.9999])
def test_student_quantiles_are_scipys(p):
    freedom = np.array([1.0, 2.0, 3.7, 12.0, 250.0, 1e6])
    np.testing.assert_allclose(student_quantile(p, freedom), scipy.stats.t.ppf(p, freedom), rtol=5e-3)


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ({"min_ratio": 1.0}, "min_ratio = 1.0 must be above 1"),
        ({"confidence": 0.995}, r"confidence = 0.995 must lie in \(0.5, 0.99\]"),
        ({"confidence": 0.5}, "confidence = 0.5 must lie in"),
        ({"seed": -1}, "seed = -1 must not be negative"),
        ({"max_values": 0}, "max_values = 0 must be positive"),
    ],
)
def test_options_out_of_range_are_refused(option, message):
    with pytest.raises(ValueError, match=message):
        CompareOptions(**option)
