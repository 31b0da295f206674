# SPDX-License-Identifier: Apache-2.0
"""`lerobot-rollout` with a flow policy that reads a task: checked against the robot, timed, and it moves the arm."""

import pytest

from ...policy.flow import conftest as tiny
from ...policy.flow.mixtures import ambient_config
from ...policy.flow.tiny import statistics
from . import test_lerobot_rollout as stock

pytestmark = pytest.mark.usefixtures("feetech")
tiny_folder, tiny_config, rollout = tiny.tiny_folder, tiny.tiny_config, stock.rollout


def save(folder, config):
    """A checkpoint of an untrained ambient policy of this arm's joints."""
    from lerobot.policies.factory import get_policy_class, make_pre_post_processors

    names = {"action": list(stock.NAMES), "observation.state": list(stock.NAMES)}
    ours = ambient_config(config, feature_names=names)
    get_policy_class(ours.type)(ours).save_pretrained(folder)
    for processor in make_pre_post_processors(ours, dataset_stats=statistics(ours)):
        processor.save_pretrained(folder)
    return folder


@pytest.mark.parametrize("family", ["smolvla", "multi_task_dit"])
def test_it_is_timed_and_moves_the_arm(family, start_arm, rollout, tiny_config, tmp_path, capfd):
    arm = start_arm("follower")
    # A vision-language-action model may know more cameras than the robot has; a model that stacks them may not.
    cameras = ["observation.images.table", *(["observation.images.other"] if family == "smolvla" else [])]
    policy = save(tmp_path / "policy", tiny_config(family, cameras=cameras, **_frames(family)))
    rollout(arm, policy, "--duration=1", "--task=pick up the cube", "--fps=2000")
    told = capfd.readouterr().err
    assert "(Euler, 2 steps), a control step at 2000 Hz" in told
    steps = {"smolvla": "num_steps", "multi_task_dit": "num_integration_steps"}[family]
    assert f"What helps: fewer steps by --policy.{steps}, or --fps=" in told
    assert ("The robot has no camera 'observation.images.other'" in told) == (family == "smolvla")
    assert arm.state()["commands"]["count"] > 0
    assert arm.state()["torque"] == [False] * 6


def _frames(family):
    # CLIP takes one size; SmolVLA brings any to its own.
    return {"image_resize_shape": (32, 32)} if family == "multi_task_dit" else {}
