# SPDX-License-Identifier: Apache-2.0
"""What of large datasets is looked at, and how rollouts are found."""

import numpy as np
import pytest

from lerobot_ambient.data.declared.sources import Source
from lerobot_ambient.integration.viewing.opened import Bounds, Chosen, open_to_view, rollout_sources, spread_part

from .conftest import EVIL, SOURCE_LENGTHS


def test_all_episodes_at_the_bound_and_fewer_one_beyond():
    lengths = np.full(10, 30)
    assert spread_part(lengths, Bounds(10, 300)).tolist() == list(range(10))
    assert len(spread_part(lengths, Bounds(9, 300))) == 9
    assert len(spread_part(lengths, Bounds(10, 299))) == 9


def test_the_part_is_stretches_of_neighbours_spread_over_the_dataset():
    part = spread_part(np.full(100_000, 1_000), Bounds())
    assert len(part) == 200
    starts = part[np.flatnonzero(np.diff(part, prepend=-2) > 1)]
    assert starts.tolist() == [place * 100_000 // 8 for place in range(8)]


def test_a_part_keeps_within_its_frames_though_some_episodes_are_long():
    lengths = np.full(1000, 10)
    lengths[500:] = 5_000
    part = spread_part(lengths, Bounds(episodes=100, frames=20_000))
    assert lengths[part].sum() <= 20_000
    assert len(part) >= 2


def test_one_episode_is_looked_at_however_long_it_is():
    assert spread_part(np.array([10**8, 10**8]), Bounds(5, 1000)).tolist() == [0]


def test_many_datasets_share_what_eight_may_take():
    assert Bounds(200, 8000).among(8) == Bounds(200, 8000)
    assert Bounds(200, 8000).among(80) == Bounds(20, 800)


def test_only_the_chosen_episodes_are_read(config, arm_data):
    opened = open_to_view(config(), bounds=Bounds(episodes=3))
    assert opened.totals == {"me/target": (7, 281), EVIL: (8, sum(SOURCE_LENGTHS))}
    assert [source.episodes for source in opened.mixture.sources] == [[0, 2, 4], [0, 2, 5]]
    assert len(opened.mixture.dataset.columns) == 40 + 36 + 42 + 70 + 76 + 78


def test_a_selection_is_chosen_from_and_not_left(arm_data):
    chosen = Chosen(Bounds(episodes=2))
    source = Source("me/sim", root=str(arm_data.source), episodes=[1, 2, 4, 7])
    assert chosen(source, "sim").episodes == [1, 4]
    assert chosen.totals == {"sim": (4, 80 + 76 + 72 + 82)}


def test_rollouts_are_called_by_their_folder(arm_data, tmp_path):
    (one,) = rollout_sources(str(arm_data.rollouts), None)
    assert (one.repo_id, one.root) == ("rollouts", str(arm_data.rollouts))
    assert rollout_sources("me/mine", "somewhere") == [Source("me/mine", root="somewhere")]
    assert rollout_sources("me/mine", None) == [Source("me/mine")]
    with pytest.raises(ValueError, match=r"no meta/info\.json. Rollouts are recorded by lerobot-rollout"):
        rollout_sources(str(tmp_path), None)


def test_a_folder_of_recordings_gives_each_of_them_by_their_numbers(tmp_path, caplog):
    for number in range(30):
        meta = tmp_path / "maze_0" / f"env_{number}" / "meta"
        meta.mkdir(parents=True)
        (meta / "info.json").write_text("{}")
    found = rollout_sources(str(tmp_path), None)
    assert [one.repo_id for one in found] == [f"maze_0/env_{number}" for number in range(24)]
    assert found[10].root == str(tmp_path / "maze_0" / "env_10")
    assert "holds 30 recordings; the first 24 are shown" in caplog.text


def test_no_episodes_are_refused():
    with pytest.raises(ValueError, match="--episodes must be at least 1, got 0"):
        Bounds(episodes=0)
