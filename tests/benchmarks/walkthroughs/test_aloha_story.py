# SPDX-License-Identifier: Apache-2.0
"""The story on gym-aloha: its stages, its sizes, the replay in the stock environment, and the rest of it in small."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lerobot_ambient.benchmarks.walkthroughs.aloha_story import AlohaStoryOptions, stages_of
from lerobot_ambient.benchmarks.walkthroughs.aloha_story_report import results_of, text_of, write_page
from lerobot_ambient.integration.commands.stages import StageRunner
from lerobot_ambient.integration.commands.training_stage import LAST_CHECKPOINT

ORDER = ["data", "replay", "windows", "train", "eval"]
WITHOUT = "THE STORY ON ALOHA IS NOT TRIED: install the extra aloha"


def test_the_stages_stand_in_their_order_and_use_lerobots_commands(tmp_path, monkeypatch):
    for name in ("MUJOCO_GL", "DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    stages = stages_of(AlohaStoryOptions(tmp_path))
    assert [stage.folder.name for stage in stages] == ORDER
    for stage, command in zip(stages, ["ambient", "aloha_replay", "ambient", "train", "eval"], strict=True):
        names = (f"lerobot-{command}", f"lerobot_{command}", f".{command}")
        assert any(name in word for word in stage.command for name in names), command
    drawing = [stage.folder.name for stage in stages if stage.environment == {"MUJOCO_GL": "egl"}]
    assert drawing == ["data", "replay", "eval"]


def test_no_key_depends_on_where_the_story_lies(tmp_path):
    here, there = (stages_of(AlohaStoryOptions(tmp_path / name)) for name in ("here", "there"))
    assert [stage.key for stage in here] == [stage.key for stage in there]
    longer = stages_of(AlohaStoryOptions(tmp_path / "here", steps=7, processes=1))
    changed = [a.folder.name for a, b in zip(here, longer, strict=True) if a.key != b.key]
    assert changed == ["train", "eval"]


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"source_episodes": 1}, "at least 2"),
        ({"steps": 0}, "steps is 0"),
        ({"target_episodes": 2, "replays": 3}, "replays is 3, but a dataset has only 2"),
    ],
)
def test_sizes_that_make_no_story_are_refused(tmp_path, changed, message):
    with pytest.raises(ValueError, match=message):
        AlohaStoryOptions(tmp_path, **changed)


@pytest.fixture
def unfilmed(tmp_path, monkeypatch):
    """The data stage as if it were done: whole demonstrations, with grey pictures, which cost nothing."""
    pytest.importorskip("gym_aloha", reason=WITHOUT)
    from lerobot_ambient.benchmarks.tasks.aloha import data as aloha_data
    from lerobot_ambient.benchmarks.tasks.aloha.demonstrations import demonstration

    def film(number: int, kind: Any, seed: int, size: tuple[int, int]) -> aloha_data.Film:
        played, attempts = demonstration(number, kind, seed)
        return aloha_data.Film(played, attempts, np.full((len(played.actions), *size, 3), 90, dtype=np.uint8))

    monkeypatch.setattr(aloha_data, "filmed", film)
    options = AlohaStoryOptions(
        tmp_path,
        target_episodes=2,
        source_episodes=2,
        height=48,
        steps=2,
        batch_size=2,
        inference_steps=2,
        eval_episodes=1,
        episode_length=2,
        replays=1,
    )
    data = stages_of(options)[0]
    aloha_data.make_aloha_data(data.run_folder, target_episodes=2, source_episodes=2, height=48, seed=0, progress=False)
    (data.folder / "done.json").write_text(json.dumps({"key": data.key, "seconds": 1.0}))
    return options


@pytest.fixture
def blind(monkeypatch):
    """The stock environment with black pictures, which are drawn in no time."""
    engine = pytest.importorskip("dm_control.mujoco.engine", reason=WITHOUT)

    def render(self: Any, height: int = 240, width: int = 320, **_: Any) -> np.ndarray:
        return np.zeros((height, width, 3), dtype=np.uint8)

    monkeypatch.setattr(engine.Physics, "render", render)


@pytest.mark.slow
def test_recorded_actions_succeed_in_the_environment_that_lerobot_makes(unfilmed, blind):
    from lerobot_ambient.benchmarks.walkthroughs.aloha_replay import replay_all

    found = replay_all(unfilmed.output_dir / "data" / "run", 2)
    for kind, episodes in found.items():
        assert [one["success"] for one in episodes] == [True, True], kind
        for one in episodes:
            assert 100 < one["steps"] < one["frames"] < 400
            assert one["largest_state_difference"] == 0.0


@pytest.mark.slow
def test_a_replay_tells_a_wrong_order_of_the_joints(unfilmed, blind):
    from lerobot.envs import make_env, make_env_config

    from lerobot_ambient.benchmarks.tasks.aloha.demonstrations import demonstration
    from lerobot_ambient.benchmarks.walkthroughs.aloha_replay import replay

    env = make_env(make_env_config("aloha", task="AlohaTransferCube-v0"), n_envs=1)["aloha"][0]
    played, _ = demonstration(0, "target", 0)
    assert replay(env, played.seed, played.states, played.actions)["success"]
    swapped = np.roll(played.actions, 7, axis=1)
    found = replay(env, played.seed, played.states, swapped)
    assert not found["success"] and found["steps"] == found["frames"]
    assert found["largest_state_difference"] > 0.5
    env.close()


@pytest.mark.slow
@pytest.mark.usefixtures("preloaded_commands")
def test_the_rest_of_the_story_in_small(unfilmed, tmp_path):
    from lerobot_ambient.benchmarks.tasks.aloha.gl import require_gl

    try:
        require_gl()
    except OSError as error:
        pytest.skip(f"THE STORY ON ALOHA IS NOT TRIED: {error}")
    stages = stages_of(unfilmed)
    replay = stages[1]
    replay.run_folder.mkdir(parents=True)
    # Two hundred steps of three pictures take minutes; another test plays them without.
    ended = {kind: [{"success": True, "steps": 1, "frames": 1}] for kind in ("target", "source")}
    (replay.run_folder / "replay.json").write_text(json.dumps(ended))
    (replay.folder / "done.json").write_text(json.dumps({"key": replay.key, "seconds": 1.0}))
    StageRunner(tmp_path, 1, progress=False).run([stages], "aloha")
    results = results_of(unfilmed, stages, "lerobot-ambient reproduce aloha")
    (arm,) = results["arms"]
    assert list(results["stages"]) == ORDER and arm["trials"] == 1
    assert [one["source"] for one in arm["windows"]] == ["ambient/aloha_source"]
    assert "rollouts: 0 of 1 succeed" in text_of(results)
    assert sum(results["evaluation"]["came_to"].values()) == 1
    assert "how far they came: nothing 1, right gripper on the cube 0" in text_of(results)
    page, numbers = write_page(results, tmp_path / "results")
    assert json.loads(numbers.read_text()) == results
    assert "| target | 2 | 2 |" in page.read_text()
    config = json.loads((Path(tmp_path) / "train" / LAST_CHECKPOINT / "config.json").read_text())
    assert config["input_features"]["observation.images.top"]["shape"] == [3, 48, 64]
    assert config["output_features"]["action"]["shape"] == [14]
    assert config["feature_names"]["action"][13] == "right_arm_gripper"
