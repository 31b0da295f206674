# SPDX-License-Identifier: Apache-2.0
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from lerobot_ambient.data.sampling.permutation import derive_key, permute


@given(size=st.integers(1, 3000), words=st.tuples(st.integers(0, 2**63 - 1), st.integers(0, 2**31)))
@settings(max_examples=60, deadline=None)
def test_it_is_a_bijection(size, words):
    image = permute(np.arange(size), size, derive_key(*words))
    assert np.array_equal(np.sort(image), np.arange(size))


def test_any_position_can_be_asked_alone_and_sizes_may_differ():
    sizes = np.array([3, 100, 5000, 33, 1])
    keys = derive_key(np.arange(5))
    position = np.array([2, 57, 4999, 0, 0])
    together = permute(position, sizes, keys)
    alone = [permute(position[i : i + 1], int(sizes[i]), keys[i : i + 1])[0] for i in range(5)]
    assert together.tolist() == alone


@pytest.mark.parametrize("size", [2, 3, 4, 5])
def test_small_permutations_are_uniform_over_all_of_them(size):
    trials = 100_000
    position = np.tile(np.arange(size), trials)
    image = permute(position, size, np.repeat(derive_key(np.arange(trials)), size)).reshape(trials, size)
    code = (image * size ** np.arange(size)).sum(1)
    counts = np.unique(code, return_counts=True)[1]
    assert len(counts) == math.factorial(size)
    assert stats.chisquare(counts).pvalue > 1e-4


@pytest.mark.parametrize("size", [33, 50, 1009])
def test_large_permutations_place_pairs_uniformly(size):
    trials = 400_000
    position = np.tile([0, size // 2], trials)
    first, second = permute(position, size, np.repeat(derive_key(np.arange(trials)), 2)).reshape(trials, 2).T
    assert stats.chisquare(np.bincount(first, minlength=size)).pvalue > 1e-4
    gap = (second - first) % size
    assert stats.chisquare(np.bincount(gap, minlength=size)[1:]).pvalue > 1e-4


def test_neighbours_do_not_stay_neighbours():
    size, trials = 500, 2000
    position = np.tile([10, 11], trials)
    first, second = permute(position, size, np.repeat(derive_key(np.arange(trials)), 2)).reshape(trials, 2).T
    adjacent = (np.abs(first - second) == 1).sum()
    assert stats.binomtest(int(adjacent), trials, 2 / size).pvalue > 1e-4


@given(size=st.integers(1, 10**12), seed=st.integers(0, 1000))
@settings(max_examples=40, deadline=None)
def test_one_size_for_all_is_the_same_permutation_as_a_size_each(size, seed):
    position = np.random.default_rng(seed).integers(0, size, 50)
    key = derive_key(seed)
    each = permute(position, np.full(50, size), np.repeat(key, 50))
    assert permute(position, size, key).tolist() == each.tolist()
