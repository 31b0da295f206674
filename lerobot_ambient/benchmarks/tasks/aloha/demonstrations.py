# SPDX-License-Identifier: Apache-2.0
"""A scripted demonstrator of ALOHA's cube transfer, in two qualities.

The right gripper fetches the cube and holds it up in the middle, the left one takes it there, and both part. What is
scripted is where the grippers are and when: phases, each with the poses that both arms have reached at its end.
Inverse kinematics turns the poses into joint angles, the joints move between them by minimum jerk (Flash and Hogan,
1985), and what results is played in gym-aloha's physics. The demonstrator looks at the cube once, at the start.

A style says how well that is done. The `target` is prompt and straight; the `source` trembles, hesitates, takes
detours, aims badly, and is slower or faster. An attempt counts if the left gripper alone holds the cube above the
table at the end, within the limit of 400 steps that `lerobot-eval` allows. One that does not is drawn again, cube and
all, so a demonstration always shows the task done, well or badly.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context

import numpy as np
from numpy.typing import NDArray

from lerobot_ambient.benchmarks.tasks.aloha.reach import Reach
from lerobot_ambient.benchmarks.tasks.aloha.scene import FPS, SUCCESS, AlohaScene
from lerobot_ambient.benchmarks.tasks.shared.demonstration_record import KINDS, Kind
from lerobot_ambient.benchmarks.tasks.shared.motion import minimum_jerk
from lerobot_ambient.core.arrays import Floats

LIMIT = 400
"""A demonstration has fewer steps than this, LeRobot's `episode_length` of the environment."""
ATTEMPTS = 20
_STREAM = 0x616C6F68
"""First word of every spawn key, so that no demonstration shares a stream with another task's."""
_DOWN, _SIDEWAYS = 1.2, math.pi / 2
"""Pitch of the right gripper, and roll of the left: its fingers close above and below the cube, between the others.
At a pitch of 0.9 the right wrist would be straight over cubes near its middle line, where it is singular."""
_MEETING = np.array([0.0, 0.5, 0.25])
_HELD = 10
"""Steps at the end, in half of which at least the left finger must be found to touch the cube above the table: where
the hand trembles the contact comes and goes."""


@dataclass(frozen=True)
class Style:
    """How a demonstrator moves.

    Args:
        pace: least and greatest factor on the duration of everything, drawn once; 1 takes 5 s.
        tremor: standard deviation of what is added to the target of each of the twelve joints each step, in rad.
        pause: probability of a pause before a phase.
        longest_pause: in s; a pause is uniform up to that.
        detour: by up to how many rad waists, shoulders and elbows bow out where there is room.
        aim: standard deviation of the error in where the cube is taken to be, per axis of the table, in m.
    """

    pace: tuple[float, float]
    tremor: float
    pause: float
    longest_pause: float
    detour: float
    aim: float


STYLES: dict[Kind, Style] = {
    "target": Style(pace=(0.97, 1.03), tremor=0.0, pause=0.0, longest_pause=0.0, detour=0.0, aim=0.0),
    "source": Style(pace=(0.8, 1.2), tremor=0.008, pause=0.25, longest_pause=0.5, detour=0.2, aim=0.004),
}
_ARMS = [*range(6), *range(7, 13)]
"""The dimensions of the twelve joints; the other two are the grippers'."""
_BOWING = [0, 1, 2, 7, 8, 9]
"""Those of waists, shoulders and elbows."""


@dataclass(frozen=True)
class Phase:
    """What both arms have reached after `seconds`.

    Args:
        seconds: at pace 1.
        left, right: poses (6,) of the grippers, see `reach.py`.
        openings: of the left and the right gripper, 0 closed to 1 open.
        free: nothing is in the way, so there is room for a detour.
    """

    seconds: float
    left: Floats
    right: Floats
    openings: tuple[float, float]
    free: bool = False


@dataclass(frozen=True)
class Played:
    """An attempt as it went.

    Args:
        seed: of the environment's reset, which places the cube.
        states, actions: float32 (frames, 14), the state before each action.
        qpos: (frames, 23), MuJoCo's positions at the states, from which pictures are drawn.
        rewards: int (frames,), after each action.
    """

    seed: int
    states: NDArray[np.float32]
    actions: NDArray[np.float32]
    qpos: Floats
    rewards: NDArray[np.int64]

    @property
    def success(self) -> bool:
        """Whether the left gripper, alone by then, held the cube above the table in the last steps."""
        return int((self.rewards[-_HELD:] == SUCCESS).sum()) >= _HELD // 2


def phases_of(cube: Floats, meeting: Floats) -> tuple[Phase, ...]:
    """The script for a cube at `cube` (3,), handed over at `meeting` (3,), both in m."""
    reach = np.array([-math.cos(_DOWN), 0.0, -math.sin(_DOWN)])

    def right(place: Floats) -> Floats:
        return np.array([*place, math.pi, _DOWN, 0.0])

    def left(x: float, z: float = 0.0) -> Floats:
        return np.array([*(meeting + np.array([x, 0.0, z])), 0.0, 0.0, _SIDEWAYS])

    grasp = right(np.array([cube[0], cube[1], 0.025]))
    above = right(grasp[:3] - 0.09 * reach)
    meet, away = right(meeting), right(meeting - 0.1 * reach)
    far, near, back = left(-0.13), left(0.0), left(-0.1, 0.02)
    return (
        Phase(1.0, far, above, (1.0, 1.0), free=True),
        Phase(0.5, far, grasp, (1.0, 1.0)),
        Phase(0.3, far, grasp, (1.0, 0.0)),
        Phase(1.0, far, meet, (1.0, 0.0), free=True),
        Phase(0.6, near, meet, (1.0, 0.0)),
        Phase(0.3, near, meet, (0.0, 0.0)),
        Phase(0.3, near, meet, (0.0, 1.0)),
        Phase(0.7, back, away, (0.0, 1.0)),
        Phase(0.3, back, away, (0.0, 1.0)),
    )


def motion(phases: Sequence[Phase], waypoints: Floats, style: Style, rng: np.random.Generator) -> NDArray[np.float32]:
    """Joint targets, step by step.

    Args:
        phases: the script.
        waypoints: (phases + 1, 14), as actions; the first is where the arms are at the start.
        style: how it is performed.
        rng: of the performance.

    Returns:
        float32 (steps, 14): actions of the environment.
    """
    pace = rng.uniform(*style.pace)
    pieces = []
    for at, goal, phase in zip(waypoints[:-1], waypoints[1:], phases, strict=True):
        pause = rng.uniform(0.0, style.longest_pause) if rng.random() < style.pause else 0.0
        share = minimum_jerk(max(2, round(phase.seconds * pace * FPS)))[:, None]
        bow = np.zeros(14)
        bow[_BOWING] = rng.uniform(-style.detour, style.detour, len(_BOWING)) * phase.free
        pieces.append(np.repeat(at[None], round(pause * FPS), axis=0))
        pieces.append(at + share * (goal - at) + np.sin(np.pi * share) * bow)
    path = np.concatenate(pieces)
    path[:, _ARMS] += rng.normal(0.0, 1.0, (len(path), len(_ARMS))) * style.tremor
    return path.astype(np.float32)


def attempt(scene: AlohaScene, reach: Reach, style: Style, sequence: np.random.SeedSequence) -> Played:
    """One performance, pure in style and sequence; whether it succeeded is for the caller to ask."""
    start, performance = sequence.spawn(2)
    seed = int(start.generate_state(1, np.uint32)[0])
    rng = np.random.default_rng(performance)
    scene.reset(seed)
    cube = scene.cube
    cube[:2] += rng.normal(0.0, 1.0, 2) * style.aim
    meeting = _MEETING + rng.uniform(-0.02, 0.02, 3)
    phases = phases_of(cube, meeting)
    waypoints = [scene.state.astype(np.float64)]
    for phase in phases:
        left, right = reach.solve("left", phase.left), reach.solve("right", phase.right)
        waypoints.append(np.array([*left, phase.openings[0], *right, phase.openings[1]]))
    actions = motion(phases, np.stack(waypoints), style, rng)
    states, qpos, rewards = [], [], []
    for action in actions:
        states.append(scene.state)
        qpos.append(scene.qpos)
        rewards.append(scene.step(action))
    return Played(seed, np.stack(states), actions, np.stack(qpos), np.array(rewards))


def demonstration(number: int, kind: Kind, seed: int) -> tuple[Played, int]:
    """Demonstration `number` of a kind and how many attempts it took, pure in the arguments.

    Raises:
        RuntimeError: if every one of ATTEMPTS attempts fails.
    """
    scene = AlohaScene()
    reach = Reach(scene.physics.model.ptr)
    for retry in range(ATTEMPTS):
        sequence = np.random.SeedSequence(seed, spawn_key=(_STREAM, KINDS.index(kind), number, retry))
        played = attempt(scene, reach, STYLES[kind], sequence)
        if played.success and len(played.actions) < LIMIT:
            return played, retry + 1
    raise RuntimeError(f"aloha, {kind}: demonstration {number} of seed {seed} failed {ATTEMPTS} times")


def demonstrations(kind: Kind, count: int, seed: int, processes: int) -> Iterator[tuple[Played, int]]:
    """The first `count` demonstrations of a kind, in order; `processes` does not change them."""
    make = partial(demonstration, kind=kind, seed=seed)
    if processes == 1:
        yield from map(make, range(count))
        return
    with ProcessPoolExecutor(processes, mp_context=get_context("forkserver")) as pool:
        yield from pool.map(make, range(count))
