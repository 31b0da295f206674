# SPDX-License-Identifier: Apache-2.0
"""Episodes that a source has in common with the target are told of, whatever the datasets are called."""

import numpy as np
import pytest
from lerobot.utils.constants import ACTION

from lerobot_ambient.data.alignment.copied_episodes import by_mark, copied_episodes
from lerobot_ambient.data.declared.sources import Source
from lerobot_ambient.data.mixture import make_mixture

from ..small_recipe import OPTIONS, RECIPE


@pytest.fixture(scope="module")
def folder(tmp_path_factory, write_dataset):
    """A recording and its copy; what another hand recorded."""
    made = tmp_path_factory.mktemp("copies")
    for name, seed in (("recording", 0), ("other", 1)):
        write_dataset(made / name, f"me/{name}", [9, 12, 9], seed=seed)
    write_dataset(made / "copy", "me/recording", [9, 12, 9])
    return made


def told(caplog, folder, source, **fields):
    caplog.clear()
    target = Source("me/recording", root=str(folder / "recording"), episodes=fields.pop("target_episodes", None))
    mixture = make_mixture(target, [Source("me/else", root=str(folder / source), **fields)], OPTIONS, RECIPE)
    return mixture, [record.getMessage() for record in caplog.records if "action for action" in record.getMessage()]


def test_a_copy_is_told_of_and_another_recording_is_not(caplog, folder):
    _, (line,) = told(caplog, folder, "copy")
    assert line.startswith("'me/else': all its episodes are the target's, action for action (episodes 0, 1, 2).")
    assert line.endswith("Remove the source.")
    assert told(caplog, folder, "other")[1] == []


def test_what_it_says_to_do_ends_it(caplog, folder):
    _, (line,) = told(caplog, folder, "copy", target_episodes=[1])
    assert line.startswith("'me/else': 1 of its 3 episodes are the target's, action for action (episodes 1).")
    assert line.endswith("Leave them out with its `episodes`.")
    assert told(caplog, folder, "copy", target_episodes=[1], episodes=[0, 2])[1] == []


def test_an_episode_with_the_same_ends_is_not_a_copy(folder, caplog):
    mixture, _ = told(caplog, folder, "copy")
    target, source = mixture.sources
    assert copied_episodes(target, source, by_mark(target)) == [0, 1, 2]
    actions = np.array(source.columns[ACTION])
    actions[int(source.starts[1]) + 3] += 1e-3
    source.columns[ACTION] = actions
    assert copied_episodes(target, source, by_mark(target)) == [0, 2]
