# SPDX-License-Identifier: Apache-2.0
from bisect import bisect_left, bisect_right

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lerobot_ambient.core.noise_levels import NoiseSchedule
from lerobot_ambient.core.windows import EVERYTHING, Window
from lerobot_ambient.data.batches.array_store import store_arrays
from lerobot_ambient.data.sampling.grouping import WindowGroups, split_windows

LEVELS = [0.125, 0.25, 0.5, 0.75, 1.0]
SCHEDULE = NoiseSchedule(torch.tensor(LEVELS, dtype=torch.float64))
# Levels themselves and values between them, all exact in float32.
BOUNDS = st.sampled_from([0.0, 0.0625, 0.125, 0.1875, 0.25, 0.375, 0.5, 0.625, 0.75, 0.875, 1.0])


def split(sigma_min, sigma_max, starts=(0,), stops=None, schedule=SCHEDULE) -> WindowGroups:
    stops = (len(sigma_min),) if stops is None else stops
    return split_windows(
        np.array(sigma_min, np.float32), np.array(sigma_max, np.float32), np.array(starts), np.array(stops), schedule
    )


def by_hand(sigma_min, sigma_max, kept) -> list[tuple[Window, list[int]]]:
    """One frame after the other, in Python."""
    members: dict[tuple[int, int], list[int]] = {}
    for frame in kept:
        low, high = bisect_right(LEVELS, sigma_min[frame]), bisect_left(LEVELS, sigma_max[frame])
        everything = Window(sigma_min[frame], sigma_max[frame]).is_everything
        members.setdefault((0, 0) if everything else (low, high), []).append(frame)
    groups = []
    for _, frames in sorted(members.items()):
        windows = [Window(sigma_min[frame], sigma_max[frame]) for frame in frames]
        windows = [EVERYTHING if window.is_everything else window for window in windows]
        low, high = max(window.sigma_min for window in windows), min(window.sigma_max for window in windows)
        groups.append((Window(low, high), frames))
    return groups


def frames_of(groups: WindowGroups) -> list[list[int]]:
    return [part.tolist() for part in np.split(groups.order, np.cumsum(groups.counts)[:-1])]


@given(
    bounds=st.lists(st.tuples(BOUNDS, BOUNDS), min_size=3, max_size=80),
    cuts=st.lists(st.integers(0, 80), min_size=2, max_size=6, unique=True),
    block=st.sampled_from([1, 7, 1 << 18]),
)
@settings(max_examples=150, deadline=None)
def test_groups_are_those_found_frame_by_frame(bounds, cuts, block):
    sigma_min, sigma_max = (list(column) for column in zip(*bounds, strict=True))
    cuts = sorted(min(cut, len(bounds)) for cut in cuts)
    runs = [(a, b) for a, b in zip(cuts[::2], cuts[1::2], strict=False) if a < b] or [(0, len(bounds))]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("lerobot_ambient.data.sampling.grouping._BLOCK", block)
        groups = split(sigma_min, sigma_max, *zip(*runs, strict=True))
    kept = [frame for a, b in runs for frame in range(a, b)]
    expected = by_hand(sigma_min, sigma_max, kept)
    assert list(zip(groups.windows, frames_of(groups), strict=True)) == expected
    tags = np.full(len(bounds), groups.no_group)
    for group, (_, frames) in enumerate(expected):
        tags[frames] = group
    assert groups.group_of_frame.tolist() == tags.tolist()


@given(bounds=st.lists(st.tuples(BOUNDS, BOUNDS), min_size=1, max_size=40))
@settings(max_examples=50, deadline=None)
def test_every_frame_admits_the_timesteps_of_its_groups_window(bounds):
    groups = split(*(list(column) for column in zip(*bounds, strict=True)))
    for window, frames in zip(groups.windows, frames_of(groups), strict=True):
        for frame in frames:
            assert torch.equal(Window(*bounds[frame]).admits(SCHEDULE.sigmas), window.admits(SCHEDULE.sigmas))


def test_bounds_are_strict():
    levels = np.float32([0.1875, 0.25, 0.375])
    assert split(levels, [0.0] * 3).group_of_frame.tolist() == [0, 1, 1]
    # sigma_max alone: frames that admit nothing above.
    assert split([1.0] * 3, levels).group_of_frame.tolist() == [0, 0, 1]
    assert split([0.5, 0.5], [0.5, 0.5625]).windows == [EVERYTHING, Window(0.5, 0.5)]


def test_a_frame_takes_four_bytes_and_its_tag_one():
    rng = np.random.default_rng(0)
    groups = split(rng.random(70_000), np.zeros(70_000))
    assert (groups.order.dtype, groups.group_of_frame.dtype) == (np.uint32, np.uint8)
    assert groups.nbytes == 5 * 70_000
    assert repr(groups) == "WindowGroups(5 groups, 70000 of 70000 frames, 5 B each)"


def test_more_groups_than_sixteen_bits_hold():
    schedule = NoiseSchedule(torch.linspace(0.001, 1.0, 1000, dtype=torch.float64))
    rng = np.random.default_rng(0)
    sigma_min = rng.random(300_000).astype(np.float32)
    sigma_max = (sigma_min * rng.random(300_000)).astype(np.float32)
    groups = split(sigma_min, sigma_max, [0], [299_990], schedule=schedule)
    assert len(groups) > 1 << 16
    assert groups.group_of_frame.dtype == np.uint32
    assert (groups.group_of_frame[299_990:] == groups.no_group).all()
    assert np.array_equal(groups.group_of_frame[groups.order], np.repeat(np.arange(len(groups)), groups.counts))
    assert np.array_equal(np.sort(groups.order), np.arange(299_990))


def test_groups_can_be_kept_in_a_folder(tmp_path):
    rng = np.random.default_rng(0)
    groups = split(rng.random(100), rng.random(100))
    again = WindowGroups(**store_arrays(tmp_path / "groups", groups.arrays()))
    assert again.windows == groups.windows
    assert not again.order.flags.writeable
    for name, array in groups.arrays().items():
        assert np.array_equal(getattr(again, name), array)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([0.5] * 4, [0.0] * 3), "sigma_min has 4 frames, sigma_max 3"),
        (([0.5] * 4, [0.0] * 4, [], []), "at least one of them"),
        (([0.5] * 4, [0.0] * 4, [0, 2], [2, 2]), "non-empty, ascending and disjoint"),
        (([0.5] * 4, [0.0] * 4, [0, 1], [2, 3]), "non-empty, ascending and disjoint"),
        (([0.5] * 4, [0.0] * 4, [0], [5]), "from 0 to 5, but there are 4 frames"),
    ],
)
def test_what_does_not_fit_is_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        split(*arguments)


def test_arrays_that_do_not_belong_together_are_refused():
    arrays = split([0.3, 0.6, 0.6], [0.0] * 3).arrays()
    with pytest.raises(ValueError, match="different numbers of groups"):
        WindowGroups(**arrays | {"sigma_min": np.zeros(3, np.float32)})
    with pytest.raises(ValueError, match="counts add up to 3, the index has 2"):
        WindowGroups(**arrays | {"order": arrays["order"][:2]})
    with pytest.raises(ValueError, match="300 groups do not fit tags of type uint8"):
        WindowGroups(np.zeros(300), np.zeros(300), np.ones(300, int), np.arange(300), np.zeros(300, np.uint8))
