# SPDX-License-Identifier: Apache-2.0
"""Poses of an end effector, steps between them, and the numbers in which a policy learns either.

T = (R, p)               a pose: R orients the tool in the base's axes, p (m) is where it is
T_1 T_2                  = (R_1 R_2, R_1 p_2 + p_1)
step from T to G         delta_base:   dp = p_G - p_T            w = log(R_G R_T')      in the base's axes
                         delta_tool:   dp = R_T' (p_G - p_T)     w = log(R_T' R_G)      in the tool's axes
                         delta_mixed:  dp of the first, w of the second

learned                  pose: p and two columns of R;  step: dp and w.  See rotations.py.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from lerobot_ambient.data.declared.end_effector import FrameConfig
from lerobot_ambient.data.kinematics.rotations import (
    from_columns,
    from_roll_pitch_yaw,
    from_vectors,
    to_columns,
    to_vectors,
)

POSE = tuple(f"ee.{name}" for name in ("x", "y", "z", "r11", "r21", "r31", "r12", "r22", "r32"))
"""The dimensions of a learned pose: position (m), and the first two columns of the rotation's matrix."""
STEP = tuple(f"ee.{name}" for name in ("dx", "dy", "dz", "dwx", "dwy", "dwz"))
"""The dimensions of a learned step: of the position (m), and a rotation vector (rad)."""
GRIPPER = "ee.gripper_pos"
"""As LeRobot's kinematic processors call it."""


class Poses(NamedTuple):
    """N poses: rotation (N, 3, 3), position (N, 3) in metres."""

    rotation: NDArray[np.float64]
    position: NDArray[np.float64]

    def then(self, other: Poses) -> Poses:
        """T_1 T_2; one pose goes with all of the other side."""
        moved = (self.rotation @ other.position[..., None])[..., 0] + self.position
        return Poses(self.rotation @ other.rotation, moved)

    def inverse(self) -> Poses:
        back = self.rotation.swapaxes(-1, -2)
        return Poses(back, -(back @ self.position[..., None])[..., 0])

    def matrices(self) -> NDArray[np.float64]:
        """(N, 4, 4) homogeneous."""
        made = np.zeros((len(self.position), 4, 4))
        made[:, :3, :3], made[:, :3, 3], made[:, 3, 3] = self.rotation, self.position, 1.0
        return made

    @classmethod
    def of_matrices(cls, matrices: NDArray[np.float64]) -> Poses:
        """Inverse of `matrices`."""
        return cls(matrices[:, :3, :3], matrices[:, :3, 3])


def frame_of(config: FrameConfig) -> Poses:
    """A declared frame as one pose, (1, 3, 3) and (1, 3)."""
    rotation = from_roll_pitch_yaw(np.radians(np.asarray(config.rotation, dtype=np.float64)))
    return Poses(rotation[None], np.asarray(config.translation, dtype=np.float64)[None])


def is_identity(frame: Poses) -> bool:
    return bool(np.array_equal(frame.rotation[0], np.eye(3)) and not frame.position.any())


def step_between(now: Poses, goal: Poses, kind: str) -> NDArray[np.float64]:
    """(N, 6) steps from poses to goals: position (m), rotation vector (rad)."""
    back = now.rotation.swapaxes(-1, -2)
    moved = goal.position - now.position
    if kind == "delta_tool":
        moved = (back @ moved[..., None])[..., 0]
    turned = goal.rotation @ back if kind == "delta_base" else back @ goal.rotation
    return np.concatenate([moved, to_vectors(turned)], axis=-1)


def take_step(now: Poses, step: NDArray[np.float64], kind: str) -> Poses:
    """Inverse of `step_between`: the goals of (N, 6) steps."""
    moved, turned = step[..., :3], from_vectors(step[..., 3:])
    if kind == "delta_tool":
        moved = (now.rotation @ moved[..., None])[..., 0]
    rotation = turned @ now.rotation if kind == "delta_base" else now.rotation @ turned
    return Poses(rotation, now.position + moved)


def in_other_frames(step: NDArray[np.float64], kind: str, base: Poses, tool: Poses) -> NDArray[np.float64]:
    """(N, 6) steps of T as steps of base · T · tool, of the same kind; the tool is only turned, not moved.

    A moved tool goes another way where it turns, which the step alone does not tell.
    """
    assert not tool.position.any()
    of_position = tool.rotation[0].T if kind == "delta_tool" else base.rotation[0]
    of_rotation = base.rotation[0] if kind == "delta_base" else tool.rotation[0].T
    return np.concatenate([step[..., :3] @ of_position.T, step[..., 3:] @ of_rotation.T], axis=-1)


def encode(poses: Poses) -> NDArray[np.float64]:
    """(N, 9) numbers of `POSE`."""
    return np.concatenate([poses.position, to_columns(poses.rotation)], axis=-1)


def decode(values: NDArray[np.float64]) -> Poses:
    """Inverse of `encode`; of numbers that a policy made, whose columns are not quite orthonormal, the nearest by Gram
    and Schmidt."""
    return Poses(from_columns(values[..., 3:]), values[..., :3])
