# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from lerobot.datasets.sampler import EpisodeAwareSampler
from scipy import stats

from lerobot_ambient.data.batches.array_store import store_arrays
from lerobot_ambient.data.sampling.sampler import FrameIndex, GroupedFrames, MixtureSampler

FRAMES = GroupedFrames(
    [
        (np.array([0, 12]), np.array([10, 20])),  # 18 frames in two runs
        (np.array([20]), np.array([120])),  # 100 frames
        (np.array([120, 130, 140]), np.array([121, 132, 200])),  # 63 frames in three runs
    ]
)
LAW = np.array([0.5, 0.3, 0.2])


def members(group: int) -> set[int]:
    runs = [[(0, 10), (12, 20)], [(20, 120)], [(120, 121), (130, 132), (140, 200)]][group]
    return {frame for low, high in runs for frame in range(low, high)}


def epochs(sampler: MixtureSampler, n: int) -> list[list[int]]:
    return [list(sampler) for _ in range(n)]


def test_frames_of_a_group_are_exactly_its_runs():
    for group in range(3):
        rank = np.arange(FRAMES.counts[group])
        assert set(FRAMES.frame(np.full_like(rank, group), rank).tolist()) == members(group)


@given(
    law=st.lists(st.floats(0.0, 1.0), min_size=3, max_size=3).filter(lambda p: sum(p) > 0.01),
    size=st.integers(1, 500),
    seed=st.integers(0, 1000),
)
@settings(max_examples=80, deadline=None)
def test_counts_are_within_one_of_their_expectation_and_add_up(law, size, seed):
    p = np.array(law) / sum(law)
    sampler = MixtureSampler(FRAMES, p, seed=seed, epoch_size=size)
    for epoch in range(4):
        counts = sampler.counts(epoch)
        assert counts.sum() == size
        assert (np.abs(counts - size * p) < 1.0 + 1e-6).all()
        assert not counts[p == 0].any()


def test_counts_are_right_on_average_even_for_rare_groups():
    law = np.array([0.9, 0.0996, 0.0004])
    sampler = MixtureSampler(FRAMES, law, seed=5, epoch_size=500)
    drawn = sum(int(sampler.counts(epoch)[2]) for epoch in range(5000))
    # 0.2 draws an epoch are expected, each a Bernoulli(0.2) of the systematic rounding.
    assert stats.binomtest(drawn, 5000, 0.2).pvalue > 1e-4


def test_an_epoch_draws_what_counts_says():
    sampler = MixtureSampler(FRAMES, LAW, seed=3)
    for epoch, frames in enumerate(epochs(sampler, 3)):
        assert [sum(f in members(g) for f in frames) for g in range(3)] == sampler.counts(epoch).tolist()


def test_no_frame_twice_before_all_of_its_group_across_epochs():
    sampler = MixtureSampler(FRAMES, LAW, seed=3)
    drawn = [frame for frames in epochs(sampler, 7) for frame in frames]
    for group in range(3):
        mine = [frame for frame in drawn if frame in members(group)]
        size = len(members(group))
        laps = [mine[i : i + size] for i in range(0, len(mine), size)]
        assert len(laps) > 2
        assert all(len(set(lap)) == len(lap) for lap in laps)
        assert laps[0] != laps[1]


def test_draws_are_pure_in_seed_epoch_position():
    sampler = MixtureSampler(FRAMES, LAW, seed=3)
    whole = [list(sampler), list(sampler)]
    np.random.seed(1)
    torch.manual_seed(1)
    fresh = MixtureSampler(FRAMES, LAW, seed=3)
    fresh.set_epoch(1)
    assert list(fresh) == whole[1]
    fresh.set_epoch(0)
    assert list(fresh) == whole[0]
    assert list(MixtureSampler(FRAMES, LAW, seed=4)) != whole[0]
    assert whole[0] != whole[1]


def test_global_random_state_is_neither_read_nor_written():
    before = torch.get_rng_state(), np.random.get_state()[1].tolist()
    list(MixtureSampler(FRAMES, LAW, seed=3))
    after = torch.get_rng_state(), np.random.get_state()[1].tolist()
    assert torch.equal(before[0], after[0])
    assert before[1] == after[1]


def test_resume_continues_where_it_stopped():
    whole = epochs(MixtureSampler(FRAMES, LAW, seed=9), 4)
    resumed = MixtureSampler(FRAMES, LAW, seed=9)
    resumed.load_state_dict({"epoch": 2, "start_index": 50})
    assert list(resumed) == whole[2][50:]
    assert list(resumed) == whole[3]
    assert len(resumed) == len(whole[0])


def test_accelerates_own_epoch_count_does_not_undo_a_resume():
    from accelerate import Accelerator
    from torch.utils.data import DataLoader

    numbers = list(range(200))
    whole = epochs(MixtureSampler(FRAMES, LAW, seed=9), 4)
    resumed = MixtureSampler(FRAMES, LAW, seed=9)
    resumed.load_state_dict({"epoch": 2, "start_index": 50})
    loader = Accelerator(cpu=True).prepare(DataLoader(numbers, batch_size=7, sampler=resumed))
    assert torch.cat(list(loader)).tolist() == whole[2][50:]
    assert torch.cat(list(loader)).tolist() == whole[3]


def test_the_surface_is_that_of_lerobots_sampler():
    theirs = EpisodeAwareSampler([0, 10], [10, 30], shuffle=True, seed=1)
    ours = MixtureSampler(FRAMES, LAW, seed=1)
    for sampler in (theirs, ours):
        assert sampler.state_dict() == {"epoch": 0, "start_index": 0}
        iter(sampler)
        assert sampler.state_dict() == {"epoch": 1, "start_index": 0}
        sampler.set_epoch(5)
        assert sampler.state_dict()["epoch"] == 5


def test_frames_inside_a_group_are_uniform_and_neighbours_independent():
    law = np.array([0.2, 0.5, 0.3])
    short = MixtureSampler(FRAMES, law, seed=0, epoch_size=40)
    group = np.digitize([frames[0] for frames in epochs(short, 3000)], [20, 120])
    assert stats.chisquare(np.bincount(group, minlength=3), 3000 * law).pvalue > 1e-4
    # Exact counts make draws of a short epoch slightly dependent (as drawing without replacement is): use a long one.
    long = np.array(list(MixtureSampler(FRAMES, law, seed=0, epoch_size=200_000)))
    group = np.digitize(long, [20, 120])
    table = np.zeros((3, 3))
    np.add.at(table, (group[:-1][::2], group[1:][::2]), 1)
    assert stats.chi2_contingency(table).pvalue > 1e-4
    inside = long[group == 1] - 20
    assert np.ptp(np.bincount(inside, minlength=100)) <= 1
    step = np.diff(inside) % 100
    # A frame repeats back to back only across a lap's end; other steps are equally likely.
    assert stats.chisquare(np.bincount(step, minlength=100)[1:]).pvalue > 1e-4


@pytest.mark.parametrize(
    ("law", "message"),
    [([0.5, 0.5], "the mixture has 3 groups"), ([0.5, 0.6, 0.5], "sum to 1"), ([1.5, -0.3, -0.2], "non-negative")],
)
def test_bad_laws_are_refused(law, message):
    with pytest.raises(ValueError, match=message):
        MixtureSampler(FRAMES, np.array(law))


def test_groups_need_frames():
    with pytest.raises(ValueError, match="group 1 has no frames"):
        GroupedFrames([(np.array([0]), np.array([3])), (np.array([5]), np.array([5]))])


def test_chunks_do_not_show(monkeypatch):
    whole = epochs(MixtureSampler(FRAMES, LAW, seed=9), 2)
    monkeypatch.setattr("lerobot_ambient.data.sampling.sampler._CHUNK", 7)
    assert epochs(MixtureSampler(FRAMES, LAW, seed=9), 2) == whole


def test_an_index_gives_the_draws_of_the_runs_it_lists(tmp_path):
    # Group 1 and 2 of FRAMES as the groups of one dataset whose first frame is at 20.
    order = np.array([*range(100), 100, 110, 111, *range(120, 180)], dtype=np.uint32)
    store = store_arrays(tmp_path / "index", {"order": order})
    for index in (order, store["order"]):
        frames = GroupedFrames([(np.array([0, 12]), np.array([10, 20])), FrameIndex(index, np.array([100, 63]), 20)])
        assert frames.counts.tolist() == FRAMES.counts.tolist()
        drawn = epochs(MixtureSampler(frames, LAW, seed=9), 2)
        assert drawn == epochs(MixtureSampler(FRAMES, LAW, seed=9), 2)


def test_groups_of_many_parts_are_looked_up_in_any_order():
    rng = np.random.default_rng(0)
    parts, members = [], []
    for part in range(300):
        counts = rng.integers(1, 6, size=1 + part % 4)
        order = rng.permutation(int(counts.sum())).astype(np.uint16)
        parts.append(FrameIndex(order, counts, 100 * part))
        members += [(100 * part + frames).tolist() for frames in np.split(order.astype(int), np.cumsum(counts)[:-1])]
    frames = GroupedFrames(parts)
    group = rng.integers(0, len(frames), size=2000)
    rank = rng.integers(0, frames.counts[group])
    assert frames.frame(group, rank).tolist() == [members[g][r] for g, r in zip(group, rank, strict=True)]


def test_the_stream_of_a_seed_never_changes():
    """A checkpoint resumes at a position of this stream, perhaps under a later version of the package."""
    sampler = MixtureSampler(FRAMES, LAW, seed=3)
    sampler.load_state_dict({"epoch": 5, "start_index": 100})
    assert list(sampler)[:12] == [6, 59, 9, 40, 197, 90, 3, 193, 27, 192, 73, 113]


def test_an_index_must_fit_its_counts():
    with pytest.raises(ValueError, match="counts add up to 4, the index has 3"):
        FrameIndex(np.arange(3), np.array([2, 2]), 0)
