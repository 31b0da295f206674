# SPDX-License-Identifier: Apache-2.0
"""ALOHA's cube transfer: the quick scene is the stock one, the arms reach, the demonstrators succeed."""

import subprocess
import sys
from typing import Any

import gymnasium
import numpy as np
import pytest

from lerobot_ambient.benchmarks.tasks.aloha.gl import drawing_environment, require_aloha, require_gl

pytest.importorskip("gym_aloha", reason="ALOHA IS NOT TRIED: install the extra aloha")
from lerobot_ambient.benchmarks.tasks.aloha import demonstrations as aloha_demonstrations
from lerobot_ambient.benchmarks.tasks.aloha.demonstrations import (
    KINDS,
    LIMIT,
    STYLES,
    Phase,
    Style,
    attempt,
    demonstration,
    demonstrations,
    motion,
    phases_of,
)
from lerobot_ambient.benchmarks.tasks.aloha.reach import Reach, rotation
from lerobot_ambient.benchmarks.tasks.aloha.scene import FPS, NAMES, SUCCESS, AlohaScene
from lerobot_ambient.benchmarks.tasks.shared.motion import minimum_jerk


@pytest.fixture(scope="module")
def scene() -> AlohaScene:
    return AlohaScene()


@pytest.fixture(scope="module")
def reach(scene: AlohaScene) -> Reach:
    return Reach(scene.physics.model.ptr)


@pytest.fixture(scope="module")
def gl() -> None:
    try:
        require_gl()
    except OSError as error:
        pytest.skip(f"ALOHA'S PICTURES ARE NOT TRIED: {error}")


# Drawing.


def test_egl_is_chosen_where_nothing_else_is() -> None:
    assert drawing_environment({}) == {"MUJOCO_GL": "egl"}
    assert drawing_environment({"MUJOCO_GL": ""}) == {"MUJOCO_GL": "egl"}
    assert drawing_environment({"MUJOCO_GL": "osmesa"}) == {}
    assert drawing_environment({"DISPLAY": ":0"}) == {}


def test_an_opengl_that_cannot_be_had_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(command: list[str], **_: Any) -> subprocess.CompletedProcess[str]:
        assert command[0] == sys.executable
        return subprocess.CompletedProcess(command, 1, "", "Traceback\nImportError: Cannot initialize\nlater\n")

    monkeypatch.setenv("MUJOCO_GL", "egl")
    monkeypatch.setattr("lerobot_ambient.benchmarks.tasks.aloha.gl.subprocess.run", failing)
    with pytest.raises(OSError, match=r"MUJOCO_GL=egl: ImportError: Cannot initialize\. .*libegl1"):
        require_gl()


def test_a_missing_gym_aloha_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lerobot_ambient.benchmarks.tasks.aloha.gl.importlib.util.find_spec", lambda name: None)
    with pytest.raises(ModuleNotFoundError, match=r"gym-aloha.*pip install.*\[aloha\]"):
        require_aloha()


# The scene.


def test_the_scene_is_the_stock_environment(scene: AlohaScene, gl: None) -> None:
    """State, reward and picture after the same reset and actions, exactly."""
    import gym_aloha  # noqa: F401  (registers the environment)

    stock = gymnasium.make("gym_aloha/AlohaTransferCube-v0", obs_type="pixels_agent_pos", disable_env_checker=True)
    observation, _ = stock.reset(seed=5)
    scene.reset(5)
    home = scene.state
    rng = np.random.default_rng(0)
    for _ in range(2):
        assert np.array_equal(scene.state, observation["agent_pos"].astype(np.float32))
        action = (home + rng.normal(0.0, 0.2, 14)).astype(np.float32)
        observation, reward, *_ = stock.step(action)
        assert scene.step(action) == reward
    assert np.array_equal(scene.state, observation["agent_pos"].astype(np.float32))
    assert np.array_equal(scene.picture_of(scene.qpos), observation["pixels"]["top"])
    assert len(NAMES) == 14 and FPS == 50


# The arms.


def test_angles_turn_the_gripper_as_they_say() -> None:
    assert rotation(np.zeros(3)) == pytest.approx(np.eye(3))
    down = rotation(np.array([0.0, np.pi / 2, 0.0]))
    assert down[:, 0] == pytest.approx([0.0, 0.0, -1.0], abs=1e-12)
    rolled = rotation(np.array([np.pi, 0.0, np.pi / 2]))
    assert rolled[:, 0] == pytest.approx([-1.0, 0.0, 0.0], abs=1e-12)
    assert rolled[:, 1] == pytest.approx([0.0, 0.0, 1.0], abs=1e-12)


@pytest.mark.parametrize("x", [0.0, 0.1, 0.2])
@pytest.mark.parametrize("y", [0.4, 0.5, 0.6])
def test_every_pose_of_the_script_is_reached(reach: Reach, x: float, y: float) -> None:
    for phase in phases_of(np.array([x, y, 0.05]), np.array([0.0, 0.5, 0.25])):
        for side, pose in (("left", phase.left), ("right", phase.right)):
            place, axes = reach.tool(side, reach.solve(side, pose))
            assert place == pytest.approx(pose[:3], abs=1e-3)
            assert axes == pytest.approx(rotation(pose[3:]), abs=0.01)


def test_what_is_out_of_reach_is_refused(reach: Reach) -> None:
    with pytest.raises(ValueError, match=r"the left gripper does not reach \[2\.0, 0\.5"):
        reach.solve("left", np.array([2.0, 0.5, 0.25, 0.0, 0.0, 0.0]))


def test_minimum_jerk_goes_from_rest_to_rest() -> None:
    share = np.concatenate([[0.0], minimum_jerk(1000)])
    assert share[[0, 500, 1000]] == pytest.approx([0.0, 0.5, 1.0])
    speed = np.gradient(share, 0.001)
    assert speed[[0, -1]] == pytest.approx(0.0, abs=1e-4)
    assert speed.max() == pytest.approx(1.875, abs=1e-3)
    assert np.abs(np.gradient(speed, 0.001)[[1, -2]]).max() < 0.1


# The demonstrators.


def test_a_target_motion_is_smooth_and_stops_at_its_waypoints() -> None:
    pose = np.zeros(6)
    phases = [Phase(0.5, pose, pose, (1.0, 1.0)), Phase(1.0, pose, pose, (0.0, 1.0))]
    waypoints = np.random.default_rng(0).normal(size=(3, 14))
    still = Style(pace=(1.0, 1.0), tremor=0.0, pause=0.0, longest_pause=0.0, detour=0.0, aim=0.0)
    path = motion(phases, waypoints, still, np.random.default_rng(1))
    assert path.shape == (75, 14) and path.dtype == np.float32
    assert path[[24, 74]] == pytest.approx(waypoints[1:], abs=1e-6)
    assert np.array_equal(path, motion(phases, waypoints, still, np.random.default_rng(2)))


@pytest.mark.parametrize(("kind", "least"), [("target", 12), ("source", 8)])
def test_demonstrators_succeed_at_the_first_attempt(scene: AlohaScene, reach: Reach, kind: Any, least: int) -> None:
    found = [attempt(scene, reach, STYLES[kind], np.random.SeedSequence([11, number])) for number in range(12)]
    assert sum(one.success and len(one.actions) < LIMIT for one in found) >= least


def test_a_demonstration_is_pure_in_its_arguments() -> None:
    np.random.seed(0)
    one, attempts = demonstration(3, "source", 0)
    np.random.seed(1)
    again, attempts_again = demonstration(3, "source", 0)
    assert attempts == attempts_again and one.seed == again.seed
    for name in ("states", "actions", "qpos", "rewards"):
        assert np.array_equal(getattr(one, name), getattr(again, name)), name
    assert one.success and len(one.actions) < LIMIT
    assert len({demonstration(*which)[0].seed for which in ((3, "target", 0), (4, "source", 0), (3, "source", 1))}) == 3
    assert [played.seed for played, _ in demonstrations("source", 4, 0, processes=1)][3] == one.seed
    assert one.states.dtype == one.actions.dtype == np.float32


def test_the_source_is_rougher_than_the_target() -> None:
    rough = {kind: np.abs(np.diff(demonstration(0, kind, 0)[0].actions, n=2, axis=0)).mean() for kind in KINDS}
    assert rough["source"] > 5.0 * rough["target"]


def test_a_demonstrator_that_never_succeeds_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(aloha_demonstrations, "ATTEMPTS", 1)
    blind = Style(pace=(1.0, 1.0), tremor=0.0, pause=0.0, longest_pause=0.0, detour=0.0, aim=1e-9)
    monkeypatch.setitem(aloha_demonstrations.STYLES, "source", blind)
    monkeypatch.setattr(aloha_demonstrations, "LIMIT", 10)
    with pytest.raises(RuntimeError, match="aloha, source: demonstration 0 of seed 0 failed 1 times"):
        demonstration(0, "source", 0)


def test_a_success_is_a_cube_held_at_the_end(scene: AlohaScene, reach: Reach) -> None:
    played = attempt(scene, reach, STYLES["target"], np.random.SeedSequence(0))
    assert played.success and (played.rewards[-10:] == SUCCESS).all()
    assert played.rewards[:50].max() == 0
    dropped = type(played)(played.seed, played.states, played.actions, played.qpos, np.zeros_like(played.rewards))
    assert not dropped.success
