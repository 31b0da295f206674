# SPDX-License-Identifier: Apache-2.0
"""Predicted chunks against a recording for which every number is known."""

from types import SimpleNamespace

import numpy as np
import pytest

from lerobot_ambient.annotate.chunks.chunk_set import ActionAxes
from lerobot_ambient.integration.judging.episodes import Episodes
from lerobot_ambient.integration.judging.judgement import (
    Measured,
    action_error,
    error_over_steps,
    jerk_ratio,
    seam_ratio,
    spectrum_ratio,
)
from lerobot_ambient.integration.judging.measure import Predictions

LENGTHS, STEPS, EXECUTED = (24, 32, 28), 8, 4


def recorded():
    """Three episodes of two joints with curved motions."""
    rng = np.random.default_rng(0)
    parts = []
    for length in LENGTHS:
        t = np.arange(length) / 10.0
        parts.append(np.stack([np.sin(t * rng.uniform(1, 3)), 5.0 * np.cos(t * rng.uniform(1, 3))], axis=1))
    stops = np.cumsum(LENGTHS)
    spans = np.stack([stops - LENGTHS, stops], axis=1)
    return Episodes(None, np.concatenate(parts), spans, (0, 1, 2), ActionAxes(("x", "y"), 10.0))


def measured(change=lambda chunk, index: chunk):
    """The recording's own chunks, every `EXECUTED` frames, after `change`."""
    episodes = recorded()
    chunks, owner, frames = [], [], []
    for place, length in enumerate(LENGTHS):
        for frame in range(0, length - STEPS + 1, EXECUTED):
            start = episodes.spans[place, 0] + frame
            chunks.append(change(episodes.actions[start : start + STEPS], len(chunks)))
            owner.append(place)
            frames.append(frame)
    predictions = Predictions(np.array(chunks), np.array(owner), np.array(frames), EXECUTED)
    return Measured(SimpleNamespace(name="one"), episodes, "none", predictions)


def test_what_repeats_the_recording_is_what_was_recorded():
    one = measured()
    assert action_error(one).value == pytest.approx(0.0, abs=1e-5)
    assert jerk_ratio(one).value == pytest.approx(1.0)
    assert seam_ratio(one).value == pytest.approx(1.0)
    np.testing.assert_allclose(spectrum_ratio(one)[0], 1.0, rtol=1e-6)


def test_an_offset_is_an_error_in_standard_deviations_and_no_jerk():
    offset = 0.5 * recorded().scale
    one = measured(lambda chunk, _: chunk + offset)
    assert action_error(one).value == pytest.approx(0.5)
    np.testing.assert_allclose(error_over_steps(one)[0], 0.5, rtol=1e-6)
    assert jerk_ratio(one).value == pytest.approx(1.0)
    # Every chunk has it, so the chunks join as before.
    assert seam_ratio(one).value == pytest.approx(1.0)


def test_chunks_that_disagree_jump_at_their_seams_alone():
    offset = 0.5 * recorded().scale
    one = measured(lambda chunk, index: chunk + offset * (-1) ** index)
    assert jerk_ratio(one).value == pytest.approx(1.0)
    assert seam_ratio(one).value > 3.0


def test_tremor_is_seen_in_jerk_and_in_the_highest_band():
    tremor = 0.05 * np.array([(-1.0) ** step for step in range(STEPS)])[:, None]
    one = measured(lambda chunk, _: chunk + tremor * recorded().scale)
    # The third difference of (-1)^n is eight times as large.
    assert jerk_ratio(one).value > 10.0
    ratio = spectrum_ratio(one)[0]
    assert ratio[-1] > 3.0
    assert ratio[0] == pytest.approx(1.0, abs=0.05)


def test_half_of_the_motion_is_half_of_the_jerk():
    assert jerk_ratio(measured(lambda chunk, _: 0.5 * chunk)).value == pytest.approx(0.5)


def test_beyond_the_end_nothing_is_compared():
    one = measured()
    late = Predictions(np.full((1, STEPS, 2), 1e9), np.array([0]), np.array([LENGTHS[0] - 1]), EXECUTED)
    late.chunks[0, 0] = one.episodes.actions[LENGTHS[0] - 1]
    alone = Measured(one.checkpoint, one.episodes, "none", late)
    assert alone.motion.counts.sum() == 1.0
    assert alone.motion.error.sum() == pytest.approx(0.0)
    assert jerk_ratio(alone) is None
    assert seam_ratio(alone) is None
