# SPDX-License-Identifier: Apache-2.0
"""Where ALOHA's grippers are at given joint angles, and the joint angles that bring them somewhere.

Symbols: q the six joint angles of an arm in rad; a pose (6,) holds the place of the tool point in m, in the world's
frame, and yaw, pitch, roll in rad. The gripper's axes in the world are the columns of Rz(yaw) Ry(pitch) Rx(roll): x
is the direction in which it reaches, and its fingers close along y. A positive pitch points down.

The inverse is damped least squares (Wampler, 1986): with e the error of place and rotation and J the Jacobian,
dq = J^T (J J^T + damping I)^-1 e. It always starts at the same posture, bent as for reaching down (right) or across
(left), so the angles follow from the pose alone and lie on the same branch: a wrist that is led through its straight
posture may come out turned by half a turn.
"""

from __future__ import annotations

import math
from typing import Literal

import mujoco
import numpy as np

from lerobot_ambient.core.arrays import Floats

Side = Literal["left", "right"]
TOOL = np.array([0.14, 0.0, 0.0])
"""The tool point between the fingers, in the gripper's frame; the finger tips lie 1.4 cm further."""
_FIRST = {"left": 0, "right": 8}
"""The first of each arm's joints in qpos, of its velocities and of its actuators."""
_READY: dict[Side, Floats] = {
    "left": np.array([0.0, -0.6, 0.8, 0.0, -0.2, math.pi / 2]),
    "right": np.array([0.0, -0.6, 0.8, 0.0, 0.7, 0.0]),
}
"""Where the inverse starts."""
_DAMPING = 1e-4
_ITERATIONS = 100
_STRIDE = 0.1
"""An iteration takes at most this much of the error, in m and rad, per axis: the Jacobian holds nearby only."""
_EXACT = 1e-6
"""It ends at errors below this."""


def rotation(angles: Floats) -> Floats:
    """The gripper's axes as columns (3, 3), of yaw, pitch and roll (3,)."""
    (cy, cp, cr), (sy, sp, sr) = np.cos(angles), np.sin(angles)
    about_z = np.array([[cy, -sy, 0.0], [sy, cy, 0.0], [0.0, 0.0, 1.0]])
    about_y = np.array([[cp, 0.0, sp], [0.0, 1.0, 0.0], [-sp, 0.0, cp]])
    about_x = np.array([[1.0, 0.0, 0.0], [0.0, cr, -sr], [0.0, sr, cr]])
    return about_z @ about_y @ about_x


class Reach:
    """Kinematics of the two arms of a model; it moves a copy of the model's state, never a simulation's.

    Args:
        model: gym-aloha's, as MuJoCo's MjModel.
    """

    def __init__(self, model: mujoco.MjModel) -> None:
        self._model, self._data = model, mujoco.MjData(model)
        self._body = {side: model.body(f"vx300s_{side}/gripper_link").id for side in _FIRST}

    def tool(self, side: Side, q: Floats) -> tuple[Floats, Floats]:
        """Place (3,) and axes (3, 3) of the tool at the joint angles q (6,)."""
        first = _FIRST[side]
        self._data.qpos[first : first + 6] = q
        mujoco.mj_kinematics(self._model, self._data)
        axes = self._data.xmat[self._body[side]].reshape(3, 3).copy()
        return self._data.xpos[self._body[side]] + axes @ TOOL, axes

    def solve(self, side: Side, pose: Floats) -> Floats:
        """Joint angles (6,) within their limits that bring the tool to a pose (6,).

        Raises:
            ValueError: if they do not get within 1 mm and 0.01 rad.
        """
        q, axes = _READY[side], rotation(pose[3:])
        low, high = self._model.jnt_range[_FIRST[side] : _FIRST[side] + 6].T
        for _ in range(_ITERATIONS):
            error = self._error(side, q, pose[:3], axes)
            if np.abs(error).max() < _EXACT:
                break
            jacobian = self._jacobian(side)
            wanted = np.clip(error, -_STRIDE, _STRIDE)
            q = np.clip(
                q + jacobian.T @ np.linalg.solve(jacobian @ jacobian.T + _DAMPING * np.eye(6), wanted), low, high
            )
        error = self._error(side, q, pose[:3], axes)
        if np.linalg.norm(error[:3]) > 1e-3 or np.linalg.norm(error[3:]) > 0.01:
            raise ValueError(
                f"the {side} gripper does not reach {np.round(pose, 3).tolist()}: "
                f"{1000 * np.linalg.norm(error[:3]):.1f} mm and {np.linalg.norm(error[3:]):.3f} rad are left"
            )
        return q

    def _error(self, side: Side, q: Floats, place: Floats, axes: Floats) -> Floats:
        """What is left to the goal (6,); the rotation as half the sum of the axes' cross products, right to first
        order."""
        here, now = self.tool(side, q)
        return np.concatenate([place - here, 0.5 * np.cross(now.T, axes.T).sum(axis=0)])

    def _jacobian(self, side: Side) -> Floats:
        """Of place and rotation by the arm's six joints (6, 6), where `tool` was asked last."""
        mujoco.mj_comPos(self._model, self._data)
        linear, angular = np.zeros((2, 3, self._model.nv))
        body = self._body[side]
        point = self._data.xpos[body] + self._data.xmat[body].reshape(3, 3) @ TOOL
        mujoco.mj_jac(self._model, self._data, linear, angular, point, body)
        first = _FIRST[side]
        return np.concatenate([linear, angular])[:, first : first + 6]
