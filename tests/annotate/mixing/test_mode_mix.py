# SPDX-License-Identifier: Apache-2.0
"""Which modes windows let through: exact counts, no alarm by chance, an alarm where they follow modes."""

import json

import numpy as np
import pytest
import torch

from lerobot_ambient.annotate.buckets.partition import Buckets, by_cluster, by_stretch, one_bucket
from lerobot_ambient.annotate.buckets.windows import bucket_windows
from lerobot_ambient.annotate.chunks.chunk_set import ArrayChunks
from lerobot_ambient.annotate.classifier.held_out import ChunkScores
from lerobot_ambient.annotate.mixing.mode_mix import mode_mix, mode_mixes

SIGMAS = np.linspace(0.05, 0.95, 10)


def modes_of(labels, count=2):
    return Buckets(np.asarray(labels), count, lambda mode: f"mode {mode}")


def two_modes(episodes=200, chunks=10, seed=0):
    """A target of two modes, episode by episode; the source covers the second badly: c is low there at low noise."""
    rng = np.random.default_rng(seed)
    mode = np.repeat(rng.permutation(episodes) % 2, chunks)
    episode = np.repeat(np.arange(episodes), chunks)
    x_0 = 4.0 * mode[:, None, None] + 0.1 * rng.normal(size=(len(mode), 3, 2))
    data = ArrayChunks("target", torch.tensor(x_0, dtype=torch.float32), episode)
    c = np.where(mode[:, None] == 1, 0.5 * SIGMAS, 0.5)
    scores = ChunkScores(
        np.arange(len(mode)), episode, episode * 0, c.astype(np.float32), np.zeros(c.shape, np.float32)
    )
    return data, mode, scores


def test_mixes_are_counted_exactly():
    # Six episodes of two chunks; one of each mode, and five episodes with one early chunk.
    episode = np.repeat(np.arange(6), 2)
    mode = np.tile([0, 1], 6)
    early = np.array([1, 0] * 3 + [0, 1] * 2 + [0, 0], dtype=bool)
    found = mode_mix("d", "g", modes_of(mode), episode, np.where(early, 0.2, 0.9), np.array([0.1, 0.2, 0.3, 0.95]))
    np.testing.assert_allclose(found.whole, [0.5, 0.5])
    # The bound is strict: at 0.2 nothing is admitted yet.
    np.testing.assert_allclose(found.share, [0.0, 0.0, 5 / 12, 1.0])
    assert np.isnan(found.mix[:2]).all() and np.isnan(found.shift[:2]).all() and np.isnan(found.chance[:2]).all()
    np.testing.assert_allclose(found.mix[2:], [[3 / 5, 2 / 5], [0.5, 0.5]])
    np.testing.assert_allclose(found.shift[2:], [0.1, 0.0], atol=1e-15)
    # Each of the five episodes has one chunk, 1/2 away from the mix in either mode: s = sqrt(5 (1/2)^2) / 5.
    np.testing.assert_allclose(found.chance[2:], [np.sqrt(2 / np.pi) * np.sqrt(5 / 4) / 5, 0.0], atol=1e-15)
    weights = np.array([5 / 12, 1.0])
    assert found.excess == pytest.approx((weights * (found.shift - found.chance)[2:]).sum() / weights.sum())


def test_a_window_of_zero_admits_everything_even_at_level_zero():
    found = mode_mix("d", "g", modes_of([0, 1]), np.arange(2), np.zeros(2), np.array([0.0, 0.5]))
    np.testing.assert_array_equal(found.share, [1.0, 1.0])
    np.testing.assert_array_equal(found.shift, [0.0, 0.0])


def test_levels_carried_by_a_handful_of_episodes_are_not_judged():
    episode = np.repeat(np.arange(100), 10)
    mode = np.arange(1000) % 2
    for episodes, judged in ((1, False), (4, False), (5, True)):
        found = mode_mix(
            "d", "g", modes_of(mode), episode, np.where(episode < episodes, 0.0, 0.9), np.array([0.5, 0.95])
        )
        assert found.share[0] == pytest.approx(episodes / 100)
        assert found.judged.tolist() == [judged, True]
    # Four episodes of ten chunks and one of a single chunk count as fewer than five.
    lopsided = np.where((episode < 4) | (np.arange(1000) == 40), 0.0, 0.9)
    assert not mode_mix("d", "g", modes_of(mode), episode, lopsided, np.array([0.5])).judged[0]


def test_windows_per_data_set_shift_nothing():
    data, _, scores = two_modes()
    windows = bucket_windows(scores, SIGMAS, one_bucket(len(data))).sigma_min_per_chunk
    (found,) = mode_mixes(data, {"dataset": windows}, SIGMAS)
    assert 0 < found.judged.sum() < len(SIGMAS)
    np.testing.assert_array_equal(found.shift[found.judged], 0.0)
    np.testing.assert_array_equal(found.chance[found.judged], 0.0)
    assert found.excess == 0.0
    np.testing.assert_array_equal(found.share, windows[0] < SIGMAS)


def test_windows_that_follow_a_mode_are_reported():
    data, _, scores = two_modes()
    buckets = {"point": by_stretch(data.episode, 1), "bucket": by_cluster(data, 2)}
    windows = {name: bucket_windows(scores, SIGMAS, b).sigma_min_per_chunk for name, b in buckets.items()}
    for found in mode_mixes(data, windows, SIGMAS, modes=2):
        # Below sigma = 0.9 only the covered mode is seen; half of it should be the other.
        early = SIGMAS <= 0.9
        np.testing.assert_allclose(found.share[early], 0.5)
        np.testing.assert_allclose(found.shift[early], 0.5)
        np.testing.assert_allclose(np.sort(found.mix[early], axis=1), np.tile([0.0, 1.0], (early.sum(), 1)))
        assert (found.chance[early] < 0.1).all()
        # (0.5 - chance) over levels that admit half, and 0 at the last, which admits all.
        assert 0.3 < found.excess < 0.5
        assert found.worst is not None and SIGMAS[found.worst] <= 0.9
        text = "\n".join(found.lines())
        assert "50.0% admitted, shift 0.500" in text and "makes 100.0% of it, 50.0% of all" in text


@pytest.mark.parametrize("unit", ["chunk", "episode", "stretch"])
def test_windows_that_know_nothing_of_modes_show_what_chance_gives(unit):
    """Over 60 seeds the mean shift is the chance computed, whether modes and windows vary within episodes or not."""
    shifts, chances, excesses = [], [], []
    for seed in range(60):
        rng = np.random.default_rng([seed, 17])
        episode = np.repeat(np.arange(80), 20)
        # Modes in stretches of ten chunks, windows drawn per unit.
        mode = np.repeat(rng.choice(3, 160, p=[0.6, 0.3, 0.1]), 10)
        repeats = {"chunk": 1, "stretch": 5, "episode": 20}[unit]
        sigma_min = np.repeat(rng.uniform(0.0, 1.0, 1600 // repeats), repeats)
        found = mode_mix("d", unit, modes_of(mode, 3), episode, sigma_min, np.array([0.2, 0.5, 0.8]))
        shifts.append(found.shift)
        chances.append(found.chance)
        excesses.append(found.excess)
    shift, chance = np.mean(shifts, axis=0), np.mean(chances, axis=0)
    error = np.std(shifts, axis=0, ddof=1) / np.sqrt(60)
    assert (np.abs(shift - chance) < 3 * error).all()
    assert abs(np.mean(excesses)) < 0.01


def test_modes_are_capped_at_the_chunks_there_are():
    data = ArrayChunks("few", torch.arange(12.0).reshape(3, 2, 2), np.arange(3))
    (found,) = mode_mixes(data, {"dataset": np.zeros(3)}, SIGMAS)
    np.testing.assert_allclose(found.whole, 1 / 3)
    np.testing.assert_array_equal(found.shift, 0.0)


def test_results_are_the_same_every_time_and_leave_the_global_generator_alone():
    data, _, scores = two_modes(episodes=40)
    windows = {"point": bucket_windows(scores, SIGMAS, by_stretch(data.episode, 1)).sigma_min_per_chunk}
    np.random.seed(1)
    state = np.random.get_state()[1].tolist()
    first = mode_mixes(data, windows, SIGMAS)[0].to_dict()
    assert np.random.get_state()[1].tolist() == state
    np.random.seed(2)
    assert mode_mixes(data, windows, SIGMAS)[0].to_dict() == first


def test_json_has_null_where_a_level_is_not_judged():
    found = mode_mix("d", "g", modes_of([0, 1]), np.arange(2), np.array([0.5, 0.5]), np.array([0.1, 0.9]))
    entry = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    assert entry["shift"] == [None, 0.0] and entry["mix"] == [[None, None], [0.5, 0.5]] and entry["excess"] == 0.0
    never = mode_mix("d", "g", modes_of([0, 1]), np.arange(2), np.ones(2), np.array([0.1, 0.9]))
    assert json.loads(json.dumps(never.to_dict(), allow_nan=False))["excess"] is None
    assert never.worst is None and "not judged" in never.lines()[0]


def test_arrays_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="'d': modes of 2 chunks, episodes of 3, windows of 2"):
        mode_mix("d", "g", modes_of([0, 1]), np.arange(3), np.zeros(2), SIGMAS)
    with pytest.raises(ValueError, match=r"'d': the noise levels must ascend, got \[0.5, 0.1\]"):
        mode_mix("d", "g", modes_of([0, 1]), np.arange(2), np.zeros(2), np.array([0.5, 0.1]))
