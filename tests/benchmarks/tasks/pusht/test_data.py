# SPDX-License-Identifier: Apache-2.0
"""The demonstrations of PushT: the planner solves it, its faults are visible, and datasets arrive whole."""

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from lerobot.datasets.lerobot_dataset import LeRobotDataset

pytest.importorskip("gym_pusht", reason="needs the extra 'pusht'")

from lerobot_ambient.benchmarks.tasks.pusht import data as pusht_data
from lerobot_ambient.benchmarks.tasks.pusht import demonstrations as pusht_demonstrations
from lerobot_ambient.benchmarks.tasks.pusht.data import make_pusht_data, one
from lerobot_ambient.benchmarks.tasks.pusht.demonstrations import Demonstration
from lerobot_ambient.benchmarks.tasks.pusht.demonstrator import Demonstrator, Imagination, along, shortest_route
from lerobot_ambient.benchmarks.tasks.pusht.environment import KeypointPushTEnv
from lerobot_ambient.benchmarks.tasks.pusht.pushes import best_push, distance, predict
from lerobot_ambient.benchmarks.tasks.pusht.styles import CLEAN, FAULTS, style_of
from lerobot_ambient.benchmarks.tasks.pusht.task import FPS, GOAL, OUTLINE, RADIUS, TABLE, clearance, place
from lerobot_ambient.benchmarks.tasks.shared.motion import mean_squared_acceleration
from lerobot_ambient.cli.laboratory import make_data

POSE = np.array([300.0, 220.0, 0.4])


def make(root: Path, **changes: Any) -> dict[str, dict[str, Any]]:
    arguments = {"fault": "broken", "reach": 0.1, "target_episodes": 1, "source_episodes": 2, "progress": False}
    return make_pusht_data(root, **{**arguments, **changes})


def equal(first: Demonstration, second: Demonstration) -> bool:
    return all(np.array_equal(first.episode[key], second.episode[key]) for key in first.episode)


# The planner.


def test_the_model_pushes_as_the_simulator_does() -> None:
    """Each of its pushes until the pusher leaves the edge: the corners lie within four pixels."""
    origins, angles, starts, directions = predict(np.array([complex(POSE[0], POSE[1])]), POSE[2:])
    world = Imagination(friction=0.0)
    tried = 0
    for push in range(starts.shape[1]):
        strides = int(np.isfinite(origins[:, 0, push]).sum()) - 1
        if strides < 3:
            continue
        way = 6.0 + 4.0 * strides
        simulated = world.poses(POSE, complex(starts[0, push]), complex(directions[0, push]), way)[-1]
        model = np.array([origins[strides, 0, push].real, origins[strides, 0, push].imag, angles[strides, 0, push]])
        assert distance(np.array(complex(*simulated[:2])), simulated[2], model) < 4.0
        tried += 1
    assert tried >= 8


def test_the_distance_is_that_of_the_corners() -> None:
    wanted = np.sqrt(np.mean(np.abs(place(POSE, OUTLINE) - place(GOAL, OUTLINE)) ** 2))
    assert distance(np.array(complex(POSE[0], POSE[1])), POSE[2]) == pytest.approx(wanted)


def test_the_way_to_a_push_keeps_off_the_t() -> None:
    for pusher in (120.0 + 120.0j, 300.0 + 420.0j):
        route = shortest_route(pusher, best_push(POSE, pusher).start, POSE)
        assert route is not None and route[0] == pusher
        places = along(route, speed=4.0)
        assert abs(places[-1] - route[-1]) < 1e-9
        assert clearance(places, POSE).min() >= RADIUS


def test_the_planner_solves_gym_pushts_own_starts() -> None:
    """With its own hands: the environment judges."""
    env, demonstrator = KeypointPushTEnv(), Demonstrator(CLEAN)
    for seed in (2, 5):
        env.reset(seed=seed)
        ended = False
        while not ended:
            planned = demonstrator.commands(env.pusher, env.pose, np.random.default_rng(seed))
            assert planned is not None
            for command in np.concatenate(planned):
                *_, terminated, truncated, info = env.step(command.astype(np.float32))
                ended = terminated or truncated
                if ended:
                    break
        assert info["is_success"], f"seed {seed}: {info['coverage']:.2f} of the mark covered"


# The demonstrations.


def test_a_demonstration_is_pure_in_its_arguments() -> None:
    first = one(3, "source", "delayed", 0.1, 0)
    np.random.seed(0)
    assert equal(first, one(3, "source", "delayed", 0.1, 0))
    others = (one(4, "source", "delayed", 0.1, 0), one(3, "source", "delayed", 0.1, 1))
    starts = [made.episode["observation.state"][0].tolist() for made in (first, *others)]
    starts += [one(3, kind, "none", 0.1, 0).episode["observation.state"][0].tolist() for kind in ("target", "source")]
    assert len({tuple(start) for start in starts}) == 5
    assert {values.dtype for values in first.episode.values()} == {np.dtype(np.float32)}
    assert first.episode["action"].min() >= 0.0 and first.episode["action"].max() <= TABLE


@pytest.fixture(scope="module")
def clean() -> list[Demonstration]:
    return [one(number, "source", "none", 0.15, 0) for number in range(3)]


def acceleration(made: list[Demonstration]) -> float:
    return float(np.mean([mean_squared_acceleration(one.episode["action"], FPS) for one in made]))


def test_a_target_demonstration_succeeds_when_its_actions_are_played_again(clean: list[Demonstration]) -> None:
    episode = clean[0].episode
    env = KeypointPushTEnv()
    corners = episode["observation.environment_state"][0]
    env.reset(options={"pusher": episode["observation.state"][0], "pose": _pose_of(corners)})
    results = [env.step(action) for action in episode["action"]]
    assert results[-1][2] and results[-1][4]["is_success"] and not any(result[2] for result in results[:-1])


def _pose_of(corners: np.ndarray) -> tuple[float, float, float]:
    """The pose at which the T has these keypoints: the bar's outer corners lie 60 to either side of the origin."""
    world = KeypointPushTEnv()
    world.reset(options={"pusher": (60.0, 60.0), "pose": (300.0, 300.0, 0.0)})
    local = world.inner.get_obs()["environment_state"].reshape(-1, 2) - 300.0
    there = corners.reshape(-1, 2).astype(np.float64)
    one, two = local @ (1, 1j), there @ (1, 1j)
    turn = np.vdot(one - one.mean(), two - two.mean())
    origin = two.mean() - turn / abs(turn) * one.mean()
    return origin.real, origin.imag, float(np.angle(turn))


def test_trembling_hands_shake(clean: list[Demonstration]) -> None:
    made = [one(0, "source", "trembling", 0.15, 0)]
    assert acceleration(made) > 3.0 * acceleration(clean)


def test_slow_hands_take_longer_and_wait(clean: list[Demonstration]) -> None:
    made = [one(number, "source", "slow", 0.15, 0) for number in range(2)]
    speeds = [
        np.mean([np.linalg.norm(np.diff(one.episode["action"], axis=0), axis=1).mean() for one in some])
        for some in (clean, made)
    ]
    assert speeds[1] < 0.6 * speeds[0]


def _lag(made: Demonstration) -> int:
    """By how many steps the pusher's motion follows the commands'."""
    moves, wishes = (np.diff(made.episode[key], axis=0) for key in ("observation.state", "action"))
    scores = [np.sum(moves[lag:] * wishes[: len(wishes) - lag]) for lag in range(8)]
    return int(np.argmax(scores))


def test_delayed_hands_follow_three_steps_later(clean: list[Demonstration]) -> None:
    assert _lag(one(0, "source", "delayed", 0.15, 0)) == _lag(clean[0]) + 3


def test_another_goal_leads_elsewhere() -> None:
    made = one(0, "source", "goal", 0.15, 0)
    wanted = style_of("goal").goal
    x, y, angle = _pose_of(made.episode["observation.environment_state"][-1])
    assert distance(np.array(complex(x, y)), angle, wanted) < 15.0
    assert distance(np.array(complex(x, y)), angle, GOAL) > 30.0


def test_friction_changes_what_a_push_does() -> None:
    start, direction = place(POSE, -30.0 - (RADIUS + 2.0) * 1j), np.exp(1j * (POSE[2] + np.pi / 2 + 0.5))
    ends = [Imagination(friction).poses(POSE, complex(start), complex(direction), 60.0)[-1] for friction in (0.0, 1.0)]
    assert distance(np.array(complex(*ends[0][:2])), ends[0][2], ends[1]) > 5.0


def test_three_in_ten_are_broken(monkeypatch: pytest.MonkeyPatch) -> None:
    """The share is that of the style, and a broken one is kept although it comes to nothing."""
    broken = []
    play = pusht_demonstrations._broken
    monkeypatch.setattr(pusht_demonstrations, "_wishes", lambda env, style, rng, pushes=None: iter([env.pusher]))
    monkeypatch.setattr(
        pusht_demonstrations, "_broken", lambda env, style, rng: broken.append(style) or iter([env.pusher])
    )
    for number in range(100):
        one(number, "source", "broken", 1.0, 0)
    # Four standard errors of a share of 0.3 among 100.
    assert len(broken) / 100 == pytest.approx(0.3, abs=0.18)
    monkeypatch.setattr(pusht_demonstrations, "_broken", play)
    env = KeypointPushTEnv()
    env.reset(seed=0)
    for wish in play(env, style_of("broken"), np.random.default_rng(1)):
        *_, terminated, truncated, info = env.step(wish.astype(np.float32))
        if terminated or truncated:
            break
    assert env._steps > 20 and not info["is_success"]


def test_failures_are_drawn_again_and_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []

    def second_time(env: KeypointPushTEnv, style: Any, sequence: np.random.SeedSequence) -> Any:
        seen.append(sequence.spawn_key[-2:])
        return {"action": np.zeros((1, 2))} if len(seen) == 2 else None

    monkeypatch.setattr(pusht_demonstrations, "_attempt", second_time)
    assert one(5, "target", "none", 1.0, 0).attempts == 2
    assert seen == [(5, 1), (5, 2)]
    monkeypatch.setattr(pusht_demonstrations, "_attempt", lambda *args: None)
    with pytest.raises(RuntimeError, match="demonstration 5 of seed 0 failed 20 times"):
        one(5, "target", "none", 1.0, 0)


def test_lerobot_reads_them_and_each_kind_can_be_made_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = make(tmp_path, kinds=("source",))
    assert list(made) == ["source"] and not (tmp_path / "target").exists()
    both = make(tmp_path)
    assert both["source"] == made["source"] and both["target"]["attempts"] >= 1
    dataset = LeRobotDataset("ambient/pusht_source", root=tmp_path / "source")
    assert dataset.num_episodes == 2 and len(dataset) == both["source"]["frames"] and dataset.fps == 10
    assert dataset[0]["observation.environment_state"].shape == (16,)
    monkeypatch.setattr(pusht_data, "one", None)
    assert make(tmp_path) == both, "nothing is made again"
    with pytest.raises(ValueError, match=r"was made with \{'fault': 'broken'"):
        make(tmp_path, fault="slow")
    with pytest.raises(ValueError, match=r"was made with \{'reach': 0.1\}, not with \{'reach': 0.2\}"):
        make(tmp_path, reach=0.2)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"fault": "wild"}, "pusht has no fault 'wild'; choose from trembling, slow"),
        ({"reach": 0.0}, r"reach is 0.0, must be in \(0, 1\]"),
        ({"target_episodes": 0}, "target_episodes is 0, must be at least 1"),
        ({"seed": -1}, "seed is -1, must be at least 0"),
    ],
)
def test_bad_arguments_are_refused_before_anything_is_written(tmp_path: Path, change: dict, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        make(tmp_path / "m", **change)
    assert not (tmp_path / "m").exists()


def test_the_command_prints_a_summary(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    parser = argparse.ArgumentParser()
    make_data.add_parser(parser.add_subparsers())
    line = ["make-data", "pusht", "--fault=slow", f"--root={tmp_path}", "--reach=0.05", "--target-episodes=1"]
    args = parser.parse_args([*line, "--only=target", "--json"])
    assert args.run(args) == 0
    assert json.loads(capsys.readouterr().out)["target"]["attempts"] == 1
    args = parser.parse_args([*line, "--only=target"])
    assert args.run(args) == 0
    assert "target: 1 episodes" in (out := capsys.readouterr().out) and "1 attempts" in out
    choices = next(action.choices for action in _arguments_of(parser) if action.dest == "fault")
    assert choices == FAULTS


def _arguments_of(parser: argparse.ArgumentParser) -> list[argparse.Action]:
    (verbs,) = (action for action in parser._actions if isinstance(action, argparse._SubParsersAction))
    tasks = verbs.choices["make-data"]
    (kinds,) = (action for action in tasks._actions if isinstance(action, argparse._SubParsersAction))
    return list(kinds.choices["pusht"]._actions)
