# SPDX-License-Identifier: Apache-2.0
"""Rotations of many frames: from every form in which datasets write them to matrices, and the forms that are learned.

columns    the first two columns of the matrix, six numbers: a continuous form, unlike angles and quaternions, which
           jump somewhere (Zhou et al., On the Continuity of Rotation Representations in Neural Networks, CVPR 2019,
           https://arxiv.org/abs/1812.07035). Any six numbers give a rotation, by Gram and Schmidt.
vector     axis times angle (rad): zero for no turn, and continuous up to half a turn; of steps, which are small.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lerobot_ambient.data.declared.end_effector import FORMS

Matrices = NDArray[np.float64]
"""(N, 3, 3) rotation matrices."""

_SMALL = 1e-6


def to_matrices(values: NDArray[np.float64], form: str) -> Matrices:
    """(N, K) numbers of a form to (N, 3, 3).

    Raises:
        ValueError: numbers that are no rotation, such as a quaternion of length 0.
    """
    if values.shape[-1] != FORMS[form]:
        raise ValueError(f"a rotation of form {form} has {FORMS[form]} numbers, not {values.shape[-1]}.")
    if form == "euler_xyz":
        return from_roll_pitch_yaw(values)
    if form == "rotation_vector":
        return from_vectors(values)
    if form == "columns":
        return from_columns(values)
    if form == "rows":
        return from_columns(values).swapaxes(-1, -2)
    if form == "matrix":
        square = values.reshape(-1, 3, 3)
        return from_columns(np.concatenate([square[..., 0], square[..., 1]], axis=-1))
    quaternions = values if form == "quaternion_xyzw" else values[:, [1, 2, 3, 0]]
    lengths = np.linalg.norm(quaternions, axis=-1)
    if (lengths < _SMALL).any():
        raise ValueError(f"a quaternion of length 0, at frame {int(np.argmin(lengths))}, is no rotation.")
    rotation: Matrices = _rotation().from_quat(quaternions).as_matrix()
    return rotation


def from_vectors(vectors: NDArray[np.float64]) -> Matrices:
    """(N, 3) rotation vectors to (N, 3, 3)."""
    rotation: Matrices = _rotation().from_rotvec(vectors).as_matrix()
    return rotation


def to_vectors(rotation: Matrices) -> NDArray[np.float64]:
    """(N, 3, 3) to (N, 3) rotation vectors, of length in [0, pi]."""
    vectors: NDArray[np.float64] = _rotation().from_matrix(rotation).as_rotvec()
    return vectors


def from_columns(values: NDArray[np.float64]) -> Matrices:
    """(N, 6) two columns, not necessarily orthonormal, to (N, 3, 3), by Gram and Schmidt.

    Raises:
        ValueError: columns that are 0 or parallel.
    """
    first, second = values[..., :3], values[..., 3:]
    x, length = _unit(first)
    y, height = _unit(second - (second * x).sum(-1, keepdims=True) * x)
    if (np.minimum(length, height) < _SMALL).any():
        place = int(np.argmin(np.minimum(length, height)))
        raise ValueError(f"two columns that are 0 or parallel, at frame {place}, are no rotation: {values[place]}.")
    return np.stack([x, y, np.cross(x, y)], axis=-1)


def to_columns(rotation: Matrices) -> NDArray[np.float64]:
    """(N, 3, 3) to (N, 6): the inverse of `from_columns`."""
    return np.concatenate([rotation[..., 0], rotation[..., 1]], axis=-1)


def from_roll_pitch_yaw(angles: NDArray[np.float64]) -> Matrices:
    """(..., 3) radians about the fixed axes x, y, z, as in URDF: R = R_z(yaw) R_y(pitch) R_x(roll)."""
    (cr, cp, cy), (sr, sp, sy) = (np.moveaxis(f(angles), -1, 0) for f in (np.cos, np.sin))
    rows = [
        [cy * cp, cy * sp * sr - sy * cr, cy * sp * cr + sy * sr],
        [sy * cp, sy * sp * sr + cy * cr, sy * sp * cr - cy * sr],
        [-sp, cp * sr, cp * cr],
    ]
    return np.stack([np.stack(row, axis=-1) for row in rows], axis=-2)


def turned(rows: NDArray[np.float64], axis: NDArray[np.float64], angles: NDArray[np.float64]) -> NDArray[np.float64]:
    """R turned further about one axis of its own: R (I + sin(a) K + (1 - cos(a)) K²), Rodrigues' formula.

    Args:
        rows: (3 N, 3) the rows of N rotations under each other.
        axis: (3,) of unit length; K is its cross product.
        angles: (N,) rad.
    """
    x, y, z = axis
    cross = np.array([[0.0, -z, y], [z, 0.0, -x], [-y, x, 0.0]])
    sine, rest = np.repeat(np.sin(angles), 3)[:, None], np.repeat(1.0 - np.cos(angles), 3)[:, None]
    return rows + sine * (rows @ cross) + rest * (rows @ (cross @ cross))


def angles_between(one: Matrices, other: Matrices) -> NDArray[np.float64]:
    """(N,) rad in [0, pi] by which two orientations differ, exact for small ones too."""
    # |R - S| (Frobenius) = 2 sqrt(2) sin(angle / 2); the arc cosine of the trace loses half of the digits at 0.
    chord = np.linalg.norm(one - other, axis=(-2, -1)) / (2.0 * math.sqrt(2.0))
    return 2.0 * np.arcsin(np.clip(chord, 0.0, 1.0))


def _unit(vectors: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    lengths = np.linalg.norm(vectors, axis=-1)
    return vectors / np.maximum(lengths, _SMALL)[..., None], lengths


def _rotation() -> Any:
    """SciPy's rotations, of many frames in one call.

    Raises:
        ImportError: the extra is not installed.
    """
    try:
        from scipy.spatial.transform import Rotation
    except ImportError as error:
        raise ImportError(
            "end_effector needs SciPy's rotations: pip install 'lerobot_policy_ambient_diffusion[kinematics]'."
        ) from error
    return Rotation
