# SPDX-License-Identifier: Apache-2.0
"""`lerobot-rollout` with a policy of ours on the virtual arm: it moves, another robot is refused, faults end it."""

import json
import sys
import termios
import threading
import time
from functools import partialmethod

import numpy as np
import pytest
import torch

from lerobot_ambient.benchmarks.walkthroughs.arm_story_video import HEIGHT, WIDTH, write_video
from lerobot_ambient.data.declared.end_effector import EndEffectorConfig
from lerobot_ambient.data.kinematics.chain import parse_chain
from lerobot_ambient.data.kinematics.poses import GRIPPER, POSE, encode
from lerobot_ambient.testing.virtual_arm.geometry import TIP, urdf
from lerobot_ambient.testing.virtual_arm.joints import JOINTS
from lerobot_ambient.testing.virtual_arm.motion import REST

pytestmark = pytest.mark.usefixtures("feetech")
NAMES = [f"{joint.name}.pos" for joint in JOINTS]


def save_policy(folder, *, names=NAMES, camera="table", **options):
    """A checkpoint of an untrained policy that sees six joints and one camera."""
    from lerobot.configs import FeatureType, PolicyFeature
    from lerobot.policies import make_pre_post_processors

    from lerobot_ambient.policy.diffusion.configuration_ambient_diffusion import AmbientDiffusionConfig
    from lerobot_ambient.policy.diffusion.modeling_ambient_diffusion import AmbientDiffusionPolicy

    config = AmbientDiffusionConfig(
        device="cpu",
        push_to_hub=False,
        denoiser="mlp",
        mlp_width=32,
        mlp_depth=1,
        horizon=8,
        n_action_steps=4,
        resize_shape=(32, 32),
        pretrained_backbone_weights=None,
        use_group_norm=True,
        noise_scheduler_type="DDIM",
        num_inference_steps=2,
        feature_names={"action": list(names), "observation.state": list(names)},
        **options,
    )
    size = len(names)
    config.input_features = {
        "observation.state": PolicyFeature(FeatureType.STATE, (size,)),
        f"observation.images.{camera}": PolicyFeature(FeatureType.VISUAL, (3, HEIGHT, WIDTH)),
    }
    config.output_features = {"action": PolicyFeature(FeatureType.ACTION, (size,))}
    low, high = torch.tensor([-10.0] * size), torch.tensor([10.0] * size)
    stats = {key: {"min": low, "max": high} for key in ("action", "observation.state")}
    stats[f"observation.images.{camera}"] = {"mean": torch.full((3, 1, 1), 0.5), "std": torch.full((3, 1, 1), 0.2)}
    torch.manual_seed(0)
    AmbientDiffusionPolicy(config).save_pretrained(folder)
    for processor in make_pre_post_processors(config, dataset_stats=stats):
        processor.save_pretrained(folder)
    return folder


@pytest.fixture
def rollout(tmp_path, monkeypatch):
    """rollout(arm, policy, *options): stock lerobot-rollout in this process, with a video file as the camera."""
    from lerobot.cameras.opencv import OpenCVCamera
    from lerobot.scripts import lerobot_rollout

    # LeRobot ends a rollout whose last picture is half a second old, with an OSError as of a pulled cable; so long can
    # a crowded machine keep the camera's thread waiting.
    monkeypatch.setattr(OpenCVCamera, "read_latest", partialmethod(OpenCVCamera.read_latest, max_age_ms=20_000))
    write_video(tmp_path / "table.avi", fps=20)
    camera = {"type": "video_file", "index_or_path": str(tmp_path / "table.avi"), "fps": 20}
    camera |= {"width": WIDTH, "height": HEIGHT, "warmup_s": 0}

    def run(arm, policy, *options):
        arguments = [
            "--robot.type=so101_follower",
            f"--robot.port={arm.spec.port}",
            f"--robot.id={arm.spec.port.name}",
            f"--robot.calibration_dir={arm.spec.calibration_dir}",
            f"--robot.cameras={json.dumps({'table': camera})}",
            f"--policy.path={policy}",
            *("--fps=20", "--device=cpu", "--play_sounds=false", "--return_to_initial_position=false"),
            *options,
        ]
        monkeypatch.setattr(sys, "argv", ["lerobot-rollout", *arguments])
        lerobot_rollout.main()

    return run


def test_the_arm_is_moved_and_let_go(start_arm, rollout, tmp_path):
    arm = start_arm("follower")
    rollout(arm, save_policy(tmp_path / "policy"), "--duration=2")
    state = arm.state()
    # A crowded machine loses steps, so only the upper bound is the rate's.
    assert 5 <= state["commands"]["count"] <= 42
    assert state["torque"] == [False] * 6


@pytest.mark.parametrize(
    ("options", "messages"),
    [
        ({"names": [*NAMES[:4], "wrist_yaw.pos", "gripper.pos"]}, ["wrist_yaw.pos", "the robot .*wrist_roll.pos"]),
        ({"names": [*NAMES[:4], NAMES[5], NAMES[4]]}, ["The order differs"]),
        ({"names": NAMES[:5]}, ["action: the policy has"]),
        ({"camera": "wrist"}, [r"needs 'observation.images.wrist', the robot has \['observation.images.table'\]"]),
    ],
)
def test_another_robot_is_refused_before_it_is_touched(start_arm, rollout, tmp_path, options, messages):
    arm = start_arm("follower")
    with pytest.raises(ValueError, match="was trained for another robot than this so_follower") as refused:
        rollout(arm, save_policy(tmp_path / "policy", **options), "--duration=1")
    for message in messages:
        refused.match(message)
    # Goal_Position is written and torque switched on as soon as LeRobot connects: neither happened.
    assert arm.state()["commands"]["count"] == 0
    assert arm.state()["torque"] == [False] * 6


def test_a_policy_in_end_effector_space_moves_the_joints_and_is_recorded_in_it(start_arm, rollout, tmp_path, placo):
    from lerobot.datasets.lerobot_dataset import LeRobotDataset

    arm, names = start_arm("follower"), [*POSE, GRIPPER]
    # Bounds that the tip starts in; an untrained policy points anywhere.
    space = EndEffectorConfig(chain=urdf(), tip=TIP, bounds=[[0.1, -0.1, 0.1], [0.3, 0.1, 0.3]])
    rollout(
        *(arm, save_policy(tmp_path / "policy", names=names, target_end_effector=space), "--strategy.type=episodic"),
        *("--dataset.repo_id=me/rollout_x", f"--dataset.root={tmp_path / 'data'}", "--dataset.no_stamp=true"),
        *("--dataset.fps=20", "--dataset.num_episodes=1", "--dataset.episode_time_s=1", "--dataset.reset_time_s=0"),
        *("--dataset.single_task=x", "--dataset.push_to_hub=false", "--dataset.rgb_encoder.vcodec=h264"),
        *("--strategy.smooth_handover=false", "--strategy.reset_to_initial_position=false"),
    )
    state = arm.state()
    assert state["commands"]["count"] > 0 and state["torque"] == [False] * 6
    dataset = LeRobotDataset("me/rollout_x", root=tmp_path / "data")
    assert dataset.features["action"]["names"] == names == dataset.features["observation.state"]["names"]
    # What was observed is where the arm is: at rest in the first frame, in the axes of the base.
    chain = parse_chain(urdf(), TIP, "the virtual arm")
    at_rest = encode(chain.forward(np.radians(REST[None, :5])))[0]
    np.testing.assert_allclose(dataset[0]["observation.state"][:9], at_rest, atol=2e-3)


def test_a_camera_may_be_renamed(start_arm, rollout, tmp_path):
    arm = start_arm("follower")
    renamed = '--rename_map={"observation.images.table": "observation.images.wrist"}'
    rollout(arm, save_policy(tmp_path / "policy", camera="wrist"), "--duration=1", renamed)
    assert arm.state()["commands"]["count"] > 0


def test_a_policy_that_is_too_slow_is_told_and_its_sampler_can_be_changed(start_arm, rollout, tmp_path, capfd):
    arm, policy = start_arm("follower"), save_policy(tmp_path / "policy")
    sampler = ("--policy.noise_scheduler_type=DDPM", "--policy.num_inference_steps=3")
    rollout(arm, policy, "--duration=0.2", "--fps=2000", *sampler)
    told = capfd.readouterr().err
    assert "one chunk of 4 actions takes" in told
    assert "(DDPM, 3 steps), a control step at 2000 Hz" in told


LASTING = {
    # fault: what LeRobot raises in the end, and which motors are still under torque
    "no_answer:motor=3": ((ConnectionError,), [False, False, True, False, False, False]),
    "checksum:motor=3": ((ConnectionError,), [False] * 6),
    "truncated:motor=3": ((ConnectionError,), [False] * 6),
    "overload:motor=3": ((RuntimeError,), [False] * 6),
    "unplugged": ((OSError, termios.error), [True] * 6),
}


@pytest.mark.parametrize("fault", LASTING)
def test_a_lasting_fault_ends_the_rollout_and_what_was_recorded_stays(start_arm, rollout, tmp_path, fault):
    from lerobot.datasets.lerobot_dataset import LeRobotDataset

    arm, root = start_arm("follower"), tmp_path / "data"
    errors, torque = LASTING[fault]
    # An episode has at most 20 commands, so this is in the second or a later one.
    striker = _strike_after(arm, 25, f"fault {fault}")
    with pytest.raises(errors) as raised:
        rollout(
            *(arm, save_policy(tmp_path / "policy"), "--strategy.type=episodic", "--dataset.repo_id=me/rollout_x"),
            *(f"--dataset.root={root}", "--dataset.no_stamp=true", "--dataset.fps=20", "--dataset.num_episodes=8"),
            *("--dataset.episode_time_s=1", "--dataset.reset_time_s=0", "--dataset.single_task=x"),
            *("--dataset.push_to_hub=false", "--dataset.rgb_encoder.vcodec=h264", "--strategy.smooth_handover=false"),
            "--strategy.reset_to_initial_position=false",
        )
    striker.join(5)
    notes = " ".join(getattr(raised.value, "__notes__", []))
    assert "Torque is off" in notes
    assert arm.state()["torque"] == torque
    # A camera that still plays when the interpreter ends aborts it.
    assert [thread.name for thread in threading.enumerate() if thread.name.endswith("_read_loop")] == []
    dataset = LeRobotDataset("me/rollout_x", root=root)
    assert dataset.num_episodes >= 1
    assert dataset[len(dataset) - 1]["observation.images.table"].shape == (3, HEIGHT, WIDTH)


@pytest.mark.parametrize(("fault", "torque"), [("no_answer:motor=3:for=0.9", False), ("unplugged:for=0.9", True)])
def test_a_fault_that_passes_ends_the_rollout_too(start_arm, rollout, tmp_path, fault, torque):
    arm = start_arm("follower")
    striker = _strike_after(arm, 3, f"fault {fault}")
    with pytest.raises((OSError, termios.error)):
        rollout(arm, save_policy(tmp_path / "policy"), "--duration=60", "--return_to_initial_position=true")
    striker.join(5)
    assert arm.state()["torque"] == [torque] * 6


def _strike_after(arm, commands: int, command: str) -> threading.Thread:
    """A thread that sends `command` once the arm got so many goals."""

    def strike() -> None:
        deadline = time.monotonic() + 100
        while arm.state()["commands"]["count"] < commands and time.monotonic() < deadline:
            time.sleep(0.05)
        arm.tell(command)

    thread = threading.Thread(target=strike, daemon=True)
    thread.start()
    return thread
