# SPDX-License-Identifier: Apache-2.0
"""One motion, recorded as joints and in the ways of others, is the same numbers in the target's space."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from lerobot_ambient.data.declared.alignment import DimensionConfig
from lerobot_ambient.data.declared.end_effector import EndEffectorConfig, FrameConfig, PoseConfig
from lerobot_ambient.data.declared.sources import Source
from lerobot_ambient.data.kinematics.chain import parse_chain
from lerobot_ambient.data.kinematics.poses import GRIPPER, POSE, STEP, Poses, decode, frame_of, step_between
from lerobot_ambient.data.kinematics.shared_space import for_checkpoint, in_shared_space
from lerobot_ambient.data.mixture import make_mixture
from lerobot_ambient.data.reading.open_dataset import OpenedDataset, open_dataset
from lerobot_ambient.testing.virtual_arm.geometry import TIP, urdf
from lerobot_ambient.testing.virtual_arm.joints import JOINTS

from ..small_recipe import OPTIONS, RECIPE

MOTORS = [f"{joint.name}.pos" for joint in JOINTS]
POSED = ["px", "py", "pz", "roll", "pitch", "yaw", "grip"]
CHAIN = parse_chain(urdf(), TIP, "the virtual arm")


@pytest.fixture
def space(tmp_path):
    """EndEffectorConfig of the virtual arm, with further options."""
    file = tmp_path / "arm.urdf"
    file.write_text(urdf(), encoding="utf-8")
    return lambda **options: EndEffectorConfig(**{"urdf": str(file), "tip": TIP, **options})


def opened(action, state, names, config, state_names=None):
    features = {
        "action": {"dtype": "float32", "shape": (action.shape[1],), "names": list(names)},
        "observation.state": {"dtype": "float32", "shape": (state.shape[1],), "names": list(state_names or names)},
    }
    columns = {"action": action.astype(np.float32), "observation.state": state.astype(np.float32)}
    ends = {"episode_ids": np.array([0]), "starts": np.array([0]), "stops": np.array([len(action)])}
    declared = Source("me/x", end_effector=config)
    return OpenedDataset(
        name="me/x", config=declared, meta=None, features=features, columns=columns, storage=None, **ends
    )


def motion(n=200):
    """Joints (n + 1, 6) in degrees and percent, and the poses of their tip."""
    rng = np.random.default_rng(0)
    joints = 40.0 * np.sin(np.linspace(0, 5, n + 1)[:, None] * rng.uniform(0.5, 2, 6) + rng.uniform(0, 6, 6))
    joints[:, 5] = 50.0 + joints[:, 5]
    return joints, CHAIN.forward(np.radians(joints[:, :5]))


def part(poses, which):
    return Poses(poses.rotation[which], poses.position[which])


def as_joints(config):
    joints, _ = motion()
    return opened(joints[1:], joints[:-1], MOTORS, config)


def posed(poses, gripper):
    euler = Rotation.from_matrix(poses.rotation).as_euler("xyz")
    return np.concatenate([poses.position, euler, gripper[:, None]], axis=-1)


def as_steps(config, kind, base, tool, *, scales=(1.0, 1.0)):
    """The motion in other axes, its actions as steps in radians or in a controller's units."""
    joints, poses = motion()
    own = base.inverse().then(poses).then(tool.inverse())
    now, goal = part(own, slice(None, -1)), part(own, slice(1, None))
    step = step_between(now, goal, kind)
    euler = Rotation.from_rotvec(step[:, 3:]).as_euler("xyz")
    action = np.concatenate([step[:, :3] / scales[0], euler / scales[1], joints[1:, 5:]], axis=-1)
    return opened(action, posed(now, joints[:-1, 5]), POSED, config)


def pose_config(**options):
    return PoseConfig(POSED[:3], POSED[3:6], gripper="grip", **options)


def test_joints_become_the_poses_of_the_tip(space):
    made = in_shared_space(as_joints(config := space()), config)
    joints, poses = motion()
    assert made.features["action"]["names"] == [*POSE, GRIPPER] == made.features["observation.state"]["names"]
    for key, which in (("action", slice(1, None)), ("observation.state", slice(None, -1))):
        found = decode(made.columns[key][:, :9].astype(np.float64))
        np.testing.assert_allclose(found.position, poses.position[which], atol=1e-6)
        np.testing.assert_allclose(found.rotation, poses.rotation[which], atol=1e-6)
        np.testing.assert_allclose(made.columns[key][:, 9], joints[which, 5], rtol=1e-6)
    assert made.columns["action"].dtype == np.float32


@pytest.mark.parametrize("learn", ["absolute", "delta_base", "delta_tool"])
@pytest.mark.parametrize("kind", ["delta_base", "delta_tool", "delta_mixed"])
@pytest.mark.parametrize("moved", [False, True])
def test_steps_of_another_robot_become_what_is_learned(space, learn, kind, moved):
    config = space(learn=learn)
    wanted = in_shared_space(as_joints(config), config).columns
    base = FrameConfig([0.0, 0.0, 90.0], [0.1, 0.0, 0.2])
    tool = FrameConfig([180.0, 0.0, 45.0], [0.0, 0.0, 0.1] if moved else [0.0, 0.0, 0.0])
    scales = (0.05, 0.5)
    action = pose_config(kind=kind, position_scale=scales[0], rotation_scale=scales[1])
    declared = EndEffectorConfig(action=action, state=pose_config(), base=base, tool=tool)
    source = as_steps(declared, kind, frame_of(base), frame_of(tool), scales=scales)
    made = in_shared_space(source, config)
    names = [*(POSE if learn == "absolute" else STEP), GRIPPER]
    assert made.features["action"]["names"] == names
    for key in ("action", "observation.state"):
        np.testing.assert_allclose(made.columns[key], wanted[key], atol=2e-5)


@pytest.mark.parametrize("learn", ["absolute", "delta_base"])
def test_differences_of_a_poses_numbers_lead_to_the_next_pose(space, learn):
    # As in BridgeData: turned about z by more than a radian, a step of roll is none about the base's x.
    config = space(learn=learn)
    wanted = in_shared_space(as_joints(config), config).columns["action"]
    joints, poses = motion()
    numbers = posed(poses, joints[:, 5])
    action, state = np.diff(numbers, axis=0), numbers[:-1].copy()
    action[:, 6] = 100.0 - joints[1:, 5]
    pose = {"state": pose_config()}
    declared = EndEffectorConfig(action=pose_config(kind="difference", gripper_ends=[100.0, 0.0]), **pose)
    made = in_shared_space(opened(action, state, POSED, declared), config).columns["action"]
    np.testing.assert_allclose(made[:, :-1], wanted[:, :-1], atol=2e-5)
    np.testing.assert_allclose(100.0 * made[:, -1], wanted[:, -1], rtol=1e-5)
    turned = replace(declared, action=pose_config(kind="delta_base"))
    other = in_shared_space(opened(action, state, POSED, turned), config).columns["action"]
    assert np.abs(other[:, 3:-1] - wanted[:, 3:-1]).max() > 0.01
    with pytest.raises(ValueError, match="difference of numbers of form euler_xyz, and its state's form is None"):
        EndEffectorConfig(action=pose_config(kind="difference"))


def test_steps_that_are_learned_need_no_state(space):
    config = space(learn="delta_base")
    base = FrameConfig([0.0, 0.0, 90.0])
    declared = EndEffectorConfig(action=pose_config(kind="delta_base"), base=base)
    source = as_steps(declared, "delta_base", frame_of(base), frame_of(FrameConfig()))
    made = in_shared_space(source, config)
    wanted = in_shared_space(as_joints(config), config).columns["action"]
    np.testing.assert_allclose(made.columns["action"], wanted, atol=2e-5)
    assert made.computed == {"action": "delta_base"} and made.features["observation.state"]["names"] == POSED


@pytest.mark.parametrize(
    ("learn", "config", "message"),
    [
        ("absolute", {"action": pose_config(kind="delta_base")}, "steps .delta_base., and the policy learns absolute"),
        ("delta_tool", {"action": pose_config()}, "the policy learns steps .delta_tool., and its actions are poses"),
        (
            "delta_base",
            {"action": pose_config(kind="delta_base"), "tool": FrameConfig(translation=[0.0, 0.0, 0.1])},
            r"its tool is moved by \[0.0, 0.0, 0.1\] m, which needs the pose of each frame",
        ),
    ],
)
def test_what_needs_the_states_pose_says_so(space, learn, config, message):
    identity = frame_of(FrameConfig())
    with pytest.raises(ValueError, match=message):
        in_shared_space(as_steps(EndEffectorConfig(**config), "delta_base", identity, identity), space(learn=learn))


def test_a_declaration_that_does_not_fit_is_refused_with_both_sides(space):
    joints, target = as_joints(None), space()
    for config, message in (
        (None, r"does not say where its own are: its action has \['shoulder_pan.pos'"),
        (space(gripper="hand.pos"), r"no dimension 'hand.pos' for the gripper; it has \['shoulder_pan.pos'"),
        (EndEffectorConfig(action=pose_config()), r"names \['px', .*, and action has \['shoulder_pan.pos'"),
        (space(learn="delta_base"), "gives learn, which the target alone says"),
        (space(tip="hand"), "has no link 'hand'"),
    ):
        with pytest.raises(ValueError, match=message):
            in_shared_space(replace(joints, config=replace(joints.config, end_effector=config)), target)
    with pytest.raises(ValueError, match="declares end_effector and the target does not"):
        in_shared_space(as_joints(target), None)
    assert in_shared_space(joints, None) is joints


def test_joints_in_another_unit_are_told(space, caplog):
    in_shared_space(as_joints(config := space(unit="radians")), config)
    assert "If the joints are not in radians, write unit: degrees" in caplog.text
    joints, _ = motion()
    for scale, said in (
        (np.pi / 180, "no joint is ever further than 0.6"),
        (99.9 / np.abs(joints[:, :5]).max(), "end at 100"),
    ):
        caplog.clear()
        in_shared_space(opened(scale * joints[1:], scale * joints[:-1], MOTORS, config := space(gripper=None)), config)
        assert said in caplog.text and "If the joints are not in degrees" in caplog.text


def test_a_second_arm_of_the_target_is_refused_and_other_motors_are_told(space, caplog):
    joints, _ = motion()
    both = np.concatenate([joints, joints], axis=1)
    config = space(joints={joint.name: f"left_{joint.name}.pos" for joint in JOINTS[:5]}, gripper="left_gripper.pos")
    names = [f"{side}_{name}" for side in ("left", "right") for name in MOTORS]
    with pytest.raises(ValueError, match=r"has one arm, and the target's action has \['right_shoulder_pan.pos', "):
        in_shared_space(opened(both[1:], both[:-1], names, config), config)
    neck = np.concatenate([joints, joints[:, :1]], axis=1)
    in_shared_space(opened(neck[1:], neck[:-1], [*MOTORS, "neck.pos"], config := space()), config)
    assert "nothing of its action's ['neck.pos'], which a rollout leaves as it is" in caplog.text


def test_a_dataset_in_the_space_stays_as_it_is(space):
    made = in_shared_space(as_joints(config := space()), config)
    again = in_shared_space(replace(made, config=Source("me/again"), computed={}), config)
    assert again.columns is made.columns and again.computed == {"action": "absolute", "observation.state": "absolute"}


def test_the_checkpoint_needs_no_file_and_refuses_another_arm(space, tmp_path):
    config = space()
    kept = for_checkpoint(config, in_shared_space(as_joints(config), config))
    (tmp_path / "arm.urdf").rename(tmp_path / "away.urdf")
    alone = in_shared_space(as_joints(kept), kept)
    np.testing.assert_array_equal(
        alone.columns["action"],
        in_shared_space(as_joints(away := replace(config, urdf=str(tmp_path / "away.urdf"))), away).columns["action"],
    )
    low, high = (np.array(corner) for corner in kept.bounds)
    positions = alone.columns["observation.state"][:, :3]
    np.testing.assert_allclose([positions.min(0) - low, high - positions.max(0)], 0.05, atol=1e-4)
    (tmp_path / "arm.urdf").write_text(urdf().replace("0.135", "0.136"), encoding="utf-8")
    with pytest.raises(ValueError, match="is not the one that the checkpoint was trained with"):
        in_shared_space(as_joints(kept), kept)


def test_a_mixture_in_the_space_is_normalised_and_resampled_in_it(space, tmp_path, write_dataset, caplog):
    target = write_dataset(tmp_path / "target", "me/target", [20], dims=6, names=MOTORS, env_state=False, spread=2.0)
    steps = write_dataset(
        tmp_path / "steps", "me/steps", [20], dims=7, names=POSED, env_state=False, spread=0.01, fps=20, seed=3
    )
    config = space(learn="delta_base")
    declared = EndEffectorConfig(action=pose_config(kind="delta_base"), state=pose_config())
    percent = {key: {GRIPPER: DimensionConfig(scale=100.0)} for key in ("action", "observation.state")}
    sources = [Source("me/steps", root=str(steps), end_effector=declared, dimensions=percent)]
    mixture = make_mixture(Source("me/target", root=str(target), end_effector=config), sources, OPTIONS, RECIPE)
    first, second = mixture.sources
    assert first.features["action"]["shape"] == (7,) and first.features["observation.state"]["shape"] == (10,)
    # Statistics are of the new numbers, and nothing is said of the recording's.
    np.testing.assert_allclose(mixture.meta.stats["action"]["max"], first.columns["action"].max(0), rtol=1e-6)
    assert "does not fit the data" not in caplog.text
    # What a source lacks is written down for its user.
    alone = replace(sources[0], end_effector=EndEffectorConfig(action=pose_config(kind="delta_base")))
    alone.dimensions = {"observation.state": {GRIPPER: DimensionConfig(take="grip"), "ee.x": DimensionConfig(fill=0.1)}}
    own = Source("me/target", root=str(target), end_effector=config)
    with pytest.raises(ValueError, match=r"means:\n  dimensions: \{observation.state: \{ee.y: \{fill: ") as refusal:
        make_mixture(own, [alone], OPTIONS, RECIPE)
    assert "inspect --suggest" not in str(refusal.value)
    # At twice the rate a step covers half of the time.
    again = open_dataset(Source("me/steps", root=str(steps), end_effector=declared), "me/steps")
    raw = in_shared_space(again, config).columns["action"]
    np.testing.assert_allclose(second.columns["action"][:, :6], 2.0 * raw[:, :6], rtol=1e-5)
    np.testing.assert_allclose(second.columns["action"][:, 6], 100.0 * raw[:, 6], rtol=1e-5)
    assert mixture.dataset[len(first)]["action"].shape == (8, 7)
