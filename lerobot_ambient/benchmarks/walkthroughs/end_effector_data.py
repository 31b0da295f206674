# SPDX-License-Identifier: Apache-2.0
"""Demonstrations of reaching four poses: few on the virtual SO-101 in joints, many by an arm that steps a pose.

    python -m lerobot_ambient.benchmarks.walkthroughs.end_effector_data FOLDER EPISODES SOURCE_EPISODES FPS

Which pose is reached is seen from the start: a sector of the pan for each, which the motion stays in. FOLDER gets the
virtual arm's URDF, `target` (joints, LeRobot's names and units) and `source`: the same motions in the way of much of
Open-X, steps of a pose in axes that are turned by 90 degrees, roll, pitch and yaw, a gripper from 0 to 1, at half the
rate.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from lerobot.datasets.lerobot_dataset import LeRobotDataset
from numpy.typing import NDArray

from lerobot_ambient.data.declared.end_effector import FrameConfig
from lerobot_ambient.data.kinematics.chain import parse_chain
from lerobot_ambient.data.kinematics.poses import Poses, frame_of, step_between
from lerobot_ambient.testing.virtual_arm.geometry import TIP, urdf
from lerobot_ambient.testing.virtual_arm.joints import JOINTS

GOALS = {
    "far left, open": (50.0, -5.0, 35.0, 40.0, 20.0, 80.0),
    "left, closed": (15.0, -35.0, 30.0, 10.0, -20.0, 10.0),
    "right, open": (-15.0, 10.0, 15.0, 45.0, -30.0, 80.0),
    "far right, closed": (-50.0, -30.0, 5.0, 40.0, 30.0, 10.0),
}
"""The demonstrated poses as joints: degrees, the gripper in percent open."""
_SECTOR = 12.0
"""Degrees of the pan to both sides of a goal's, within which a demonstration of it begins."""
TURNED = FrameConfig([0.0, 0.0, 90.0], [0.05, 0.0, 0.0])
"""How the source's base lies in the target's."""
MOVES, HOLDS = 2.5, 1.5
"""Seconds of a demonstration."""
MOTORS = [f"{joint.name}.pos" for joint in JOINTS]
STEPPED = ["x", "y", "z", "roll", "pitch", "yaw", "gripper"]


def start_of(goal: Sequence[float], rng: np.random.Generator) -> NDArray[np.float64]:
    """(6,) joints from which a demonstration of a goal begins."""
    around = np.array([goal[0], -60.0, 60.0, 30.0, 0.0, 45.0])
    return around + rng.uniform(-1.0, 1.0, 6) * [_SECTOR, 12.0, 12.0, 12.0, 24.0, 15.0]


def demonstration(goal: Sequence[float], rng: np.random.Generator, fps: float) -> NDArray[np.float64]:
    """(T + 1, 6) joints from a start to a goal, with a minimum of jerk, and there for a while."""
    start = start_of(goal, rng)
    share = np.clip(np.arange(0.0, MOVES + HOLDS, 1.0 / fps) / MOVES, 0.0, 1.0)[:, None]
    path: NDArray[np.float64] = start + (10 * share**3 - 15 * share**4 + 6 * share**5) * (np.asarray(goal) - start)
    return path


def write_data(folder: Path, episodes: int, source_episodes: int, fps: int) -> None:
    """Write the URDF and both datasets."""
    for name in ("target", "source"):
        shutil.rmtree(folder / name, ignore_errors=True)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "arm.urdf").write_text(urdf(), encoding="utf-8")
    joints = (path for path in _demonstrations(episodes, 0, fps))
    _write(folder / "target", "me/reach", MOTORS, fps, ((path[1:], path[:-1]) for path in joints))
    slow = max(1, fps // 2)
    _write(
        folder / "source", "me/steps", STEPPED, slow, (_stepped(p) for p in _demonstrations(source_episodes, 1, slow))
    )


def _demonstrations(episodes: int, seed: int, fps: float) -> Iterator[NDArray[np.float64]]:
    goals = list(GOALS.values())
    for episode in range(episodes):
        rng = np.random.default_rng(np.random.SeedSequence([seed, episode]))
        yield demonstration(goals[episode % len(goals)], rng, fps)


def _stepped(path: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """(T, 7) actions and states of the other arm, which makes the same motion."""
    from scipy.spatial.transform import Rotation

    poses = frame_of(TURNED).inverse().then(parse_chain(urdf(), TIP, "the arm").forward(np.radians(path[:, :5])))
    now, goal = (Poses(poses.rotation[part], poses.position[part]) for part in (slice(None, -1), slice(1, None)))
    step = step_between(now, goal, "delta_base")
    turned = Rotation.from_rotvec(step[:, 3:]).as_euler("xyz")
    angles = Rotation.from_matrix(now.rotation).as_euler("xyz")
    grip = path[:, 5:] / 100.0
    return np.hstack([step[:, :3], turned, grip[1:]]), np.hstack([now.position, angles, grip[:-1]])


def _write(root: Path, repo_id: str, names: Sequence[str], fps: int, episodes: Any) -> None:
    spec = {"dtype": "float32", "shape": (len(names),), "names": list(names)}
    dataset = LeRobotDataset.create(
        repo_id=repo_id, fps=fps, features={"action": spec, "observation.state": spec}, root=root, use_videos=False
    )
    for actions, states in episodes:
        for action, state in zip(actions.astype(np.float32), states.astype(np.float32), strict=True):
            dataset.add_frame({"action": action, "observation.state": state, "task": "reach"})
        dataset.save_episode()
        print(f"{repo_id}: {dataset.num_episodes} episodes", flush=True)
    dataset.finalize()


if __name__ == "__main__":
    write_data(Path(sys.argv[1]), *(int(word) for word in sys.argv[2:5]))
