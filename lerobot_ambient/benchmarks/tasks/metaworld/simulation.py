# SPDX-License-Identifier: Apache-2.0
"""Meta-World's own environment behind few calls: a layout from a seed, a command, what is seen.

Nothing here changes its physics, its limits of speed or its signal of success, except where a source asks for another
`Physics`.
"""

from __future__ import annotations

import pickle
from copy import copy
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from lerobot_ambient.benchmarks.tasks.metaworld.task import REPEAT, MetaWorldTask, in_decimetres
from lerobot_ambient.core.arrays import Floats


@dataclass(frozen=True)
class Physics:
    """Factors on Meta-World's physics.

    Args:
        lag: of the time constant with which the hand follows its setpoint.
        friction: of sliding friction, everywhere.
    """

    lag: float = 1.0
    friction: float = 1.0

    def __post_init__(self) -> None:
        if not (self.lag > 0.0 and self.friction > 0.0):
            raise ValueError(f"Physics: lag {self.lag} and friction {self.friction} must be positive")


OWN = Physics()


class Simulation:
    """One task of Meta-World.

    Args:
        task: which.
        physics: of the hand and the contacts.
    """

    def __init__(self, task: MetaWorldTask, physics: Physics = OWN) -> None:
        # Late: the environment's description needs no physics engine.
        from metaworld.types import Task

        kind = _kind_of(task.name)
        self._env: Any = kind()
        # Like LeRobot: layouts are drawn at each reset, by a seeded generator; and the goal is shown.
        given = {"env_cls": kind.__base__, "rand_vec": None, "partially_observable": False}
        self._env.set_task(Task(env_name=task.name, data=pickle.dumps(given)))
        self._env._freeze_rand_vec = False
        self._env.seeded_rand_vec = True
        model = self._env.model
        model.eq_solref[:, 0] *= physics.lag
        model.geom_friction[:, 0] *= physics.friction
        self._seen: Floats = np.zeros(39)
        self._upright: Floats = np.zeros(4)
        self.low, self.high = self._env.mocap_low.astype(np.float64), self._env.mocap_high.astype(np.float64)
        """Bounds of the setpoint, (3,) in m."""

    def reset(self, seed: int) -> None:
        """Draw the layout of a seed; it is LeRobot's stock environment's for that seed."""
        self._env.seed(seed)
        seen, _ = self._env.reset()
        self._seen = np.asarray(seen, dtype=np.float64)
        turn = self._seen[7:11]
        self._upright = turn * np.sign(turn[np.abs(turn).argmax()])

    def act(self, command: ArrayLike) -> bool:
        """Move the setpoint towards a command (x, y, z in m, gripper in [-1, 1]) during `REPEAT` of Meta-World's steps.

        Returns:
            Whether Meta-World reports success after the last of them.
        """
        wish = np.asarray(command, dtype=np.float64)
        for left in range(REPEAT, 1, -1):
            self._move(self._towards(wish, left))
        self._seen, _, _, _, info = self._env.step(self._towards(wish, 1))
        return bool(info["success"])

    def _towards(self, wish: Floats, steps: int) -> Floats:
        """Meta-World's action that goes one of so many steps from the setpoint to a command."""
        step = (wish[:3] - self.setpoint) / (steps * self._env.action_scale)
        return np.append(np.clip(step, -1.0, 1.0), np.clip(wish[3], -1.0, 1.0))

    def _move(self, action: Floats) -> None:
        """A step of Meta-World's physics, without its observation and reward, which cost twice as much."""
        import mujoco

        env = self._env
        env.set_xyz_action(action[:3])
        env.do_simulation([action[3], -action[3]], n_frames=env.frame_skip)
        mujoco.mj_forward(env.model, env.data)

    @property
    def setpoint(self) -> Floats:
        """Where the hand is told to be, (3,) in m. The hand follows it as if by a spring."""
        place: Floats = self._env.data.mocap_pos[0].copy()
        return place

    @property
    def seen(self) -> Floats:
        """Meta-World's full observation, (39,): what is seen now, what was seen a command ago, and the goal."""
        return self._seen.copy()

    @property
    def hand(self) -> Floats:
        """The hand's position in m and the gripper's opening in [0, 1], (4,)."""
        return self._seen[:4].copy()

    @property
    def object(self) -> Floats:
        """The object's position, (3,) in m."""
        return self._seen[4:7].copy()

    @property
    def goal(self) -> Floats:
        """Where the object must go, (3,) in m."""
        return self._seen[36:39].copy()

    @property
    def state(self) -> Floats:
        """The environment state, (10,), see `task.STATE_NAMES`."""
        turn = self._seen[7:11]
        # A rotation has two quaternions; take the one near the first.
        turn = turn if turn @ self._upright >= 0.0 else -turn
        return np.concatenate([in_decimetres(self._seen[4:7]), turn, in_decimetres(self._seen[36:39])])


@cache
def _kind_of(name: str) -> Any:
    """Meta-World's environment of a task, whose physics is compiled once and copied for each of many."""
    import mujoco
    from metaworld.env_dict import ALL_V3_ENVIRONMENTS

    kind: Any = ALL_V3_ENVIRONMENTS[name]

    class Copied(kind):  # type: ignore[misc]
        def _initialize_simulation(self) -> tuple[mujoco.MjModel, mujoco.MjData]:
            model = copy(_compiled(self.fullpath))
            return model, mujoco.MjData(model)

    return Copied


@cache
def _compiled(path: str) -> Any:
    import mujoco

    return mujoco.MjModel.from_xml_path(path)


@cache
def expert_of(task: MetaWorldTask) -> Any:
    """Meta-World's scripted policy of a task; it keeps nothing between steps."""
    from metaworld import policies

    return getattr(policies, task.expert)()
