# SPDX-License-Identifier: Apache-2.0
"""Poses and steps: every map with its inverse, and the forms against SciPy's."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from lerobot_ambient.data.declared.end_effector import FORMS, FrameConfig
from lerobot_ambient.data.kinematics.poses import (
    POSE,
    STEP,
    Poses,
    decode,
    encode,
    frame_of,
    in_other_frames,
    step_between,
    take_step,
)
from lerobot_ambient.data.kinematics.rotations import angles_between, from_columns, to_matrices, to_vectors, turned

N = 10_000


def poses(seed, n=N):
    rng = np.random.default_rng(seed)
    return Poses(Rotation.random(n, random_state=rng).as_matrix(), rng.uniform(-1, 1, (n, 3)))


def assert_same(one, other, *, metres=1e-9, radians=1e-7):
    assert np.abs(one.position - other.position).max() < metres
    assert angles_between(one.rotation, other.rotation).max() < radians


@pytest.mark.parametrize("form", FORMS)
def test_every_form_gives_the_matrices_that_it_was_made_of(form):
    r = Rotation.random(100, random_state=0)
    matrices = r.as_matrix()
    written = {
        "euler_xyz": r.as_euler("xyz"),
        "rotation_vector": r.as_rotvec(),
        "quaternion_xyzw": 3.0 * r.as_quat(),
        "quaternion_wxyz": -r.as_quat()[:, [3, 0, 1, 2]],
        "columns": np.concatenate([matrices[:, :, 0], matrices[:, :, 1]], axis=-1),
        "rows": np.concatenate([matrices[:, 0], matrices[:, 1]], axis=-1),
        "matrix": matrices.reshape(-1, 9),
    }[form]
    np.testing.assert_allclose(to_matrices(written, form), matrices, atol=1e-12)


def test_numbers_that_are_no_rotation_are_refused_with_their_frame():
    with pytest.raises(ValueError, match="a quaternion of length 0, at frame 1"):
        to_matrices(np.array([[0, 0, 0, 1.0], [0, 0, 0, 0]]), "quaternion_xyzw")
    with pytest.raises(ValueError, match="0 or parallel, at frame 1"):
        from_columns(np.array([[1, 0, 0, 0, 1, 0], [1, 0, 0, 2, 0, 0.0]]))


def test_columns_that_a_policy_made_give_a_rotation_near_them():
    exact = poses(0)
    noisy = encode(exact) + np.random.default_rng(1).normal(scale=1e-3, size=(N, len(POSE)))
    made = decode(noisy)
    np.testing.assert_allclose(
        made.rotation @ made.rotation.swapaxes(-1, -2), np.broadcast_to(np.eye(3), (N, 3, 3)), atol=1e-12
    )
    assert angles_between(made.rotation, exact.rotation).max() < 0.01


def test_learned_poses_go_there_and_back_in_float32():
    exact = poses(0)
    again = decode(encode(exact).astype(np.float32).astype(np.float64))
    assert_same(exact, again, metres=1e-6, radians=1e-6)


@pytest.mark.parametrize("kind", ["delta_base", "delta_tool", "delta_mixed"])
def test_steps_go_there_and_back(kind):
    now, goal = poses(0), poses(1)
    step = step_between(now, goal, kind)
    assert step.shape == (N, len(STEP)) and np.linalg.norm(step[:, 3:], axis=1).max() <= np.pi + 1e-9
    assert_same(take_step(now, step, kind), goal)
    np.testing.assert_allclose(step_between(now, now, kind), 0.0, atol=1e-7)


def test_the_kinds_differ_in_their_axes():
    quarter = Poses(Rotation.from_euler("z", [90], degrees=True).as_matrix(), np.zeros((1, 3)))
    ahead = np.array([[1.0, 0, 0, 0.1, 0, 0]])
    for kind, moved, axis in (
        ("delta_base", [1, 0, 0], 0),
        ("delta_tool", [0, 1, 0], 1),
        ("delta_mixed", [1, 0, 0], 1),
    ):
        goal = take_step(quarter, ahead, kind)
        np.testing.assert_allclose(goal.position[0], moved, atol=1e-12)
        in_base = to_vectors(goal.rotation @ quarter.rotation.swapaxes(-1, -2))[0]
        np.testing.assert_allclose(in_base, 0.1 * np.eye(3)[axis], atol=1e-12)


@pytest.mark.parametrize("kind", ["delta_base", "delta_tool", "delta_mixed"])
def test_steps_in_other_axes_are_those_of_the_moved_poses(kind):
    base = frame_of(FrameConfig([10.0, 20.0, 90.0], [0.1, 0.2, 0.3]))
    tool = frame_of(FrameConfig([0.0, 90.0, 180.0]))
    now, goal = poses(0), poses(1)
    moved = in_other_frames(step_between(now, goal, kind), kind, base, tool)
    assert_same(take_step(base.then(now).then(tool), moved, kind), base.then(goal).then(tool))


def test_a_pose_and_its_inverse_are_nothing():
    one = poses(0)
    for both in (one.then(one.inverse()), one.inverse().then(one)):
        assert_same(both, Poses(np.broadcast_to(np.eye(3), (N, 3, 3)), np.zeros((N, 3))))
    assert_same(Poses.of_matrices(one.matrices()), one, metres=0.0 + 1e-15, radians=1e-15)


def test_a_turn_about_an_axis_is_scipys():
    axis, angles = np.array([0.6, 0.0, 0.8]), np.linspace(-7, 7, 50)
    before = Rotation.random(50, random_state=0)
    rows = turned(before.as_matrix().reshape(-1, 3), axis, angles)
    expected = (before * Rotation.from_rotvec(angles[:, None] * axis)).as_matrix()
    np.testing.assert_allclose(rows.reshape(-1, 3, 3), expected, atol=1e-12)
