# SPDX-License-Identifier: Apache-2.0
"""The policy against the robot it is to move: joints, cameras, and whether there is time for it.

LeRobot 0.6.1 refuses a rollout when the robot lacks some cameras and also has some that the policy does not know. It
does not compare joints: with another number of them the network fails once the arm holds torque, with other names or
another order it moves the wrong ones.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from typing import Any

from lerobot.configs import FeatureType
from lerobot.robots import make_robot_from_config
from lerobot.utils.constants import ACTION, OBS_IMAGES, OBS_STATE

from lerobot_ambient.data.alignment.match_names import match_dimensions
from lerobot_ambient.data.files.dimension_names import is_numbered
from lerobot_ambient.policy.options.mixture_options import MixtureOptions
from lerobot_ambient.policy.shared.latency import chunk_seconds, slow_warning

logger = logging.getLogger(__name__)

EMPTY_CAMERA = f"{OBS_IMAGES}.empty_camera_"
"""Of LeRobot's `empty_cameras`: pictures that a policy makes itself, for cameras that nobody has."""


def is_ambient(cfg: Any) -> bool:
    """Whether a rollout's policy is of our type."""
    return isinstance(cfg.policy, MixtureOptions)


def refuse_other_robot(cfg: Any) -> None:
    """Compare the policy of a LeRobot RolloutConfig with its robot, which is made but not connected.

    Raises:
        ValueError: other joints or another order of them, or a camera that the robot lacks or has in another size.
    """
    robot = make_robot_from_config(cfg.robot)
    problems = differences(cfg.policy, robot.action_features, robot.observation_features, cfg.rename_map)
    if problems:
        raise ValueError(
            f"the policy {cfg.policy.pretrained_path} was trained for another robot than this {robot.name}:\n"
            + "\n".join(problems)
        )


def differences(
    policy: MixtureOptions,
    actions: Mapping[str, Any],
    observations: Mapping[str, Any],
    rename_map: Mapping[str, str],
) -> list[str]:
    """Say how a robot's features differ from what the policy was trained on; both sides in each line.

    Args:
        policy: of a checkpoint. One that was trained before names were kept is compared by sizes.
        actions, observations: LeRobot's `action_features` and `observation_features` of the robot.
        rename_map: of the rollout, from the robot's keys to the policy's.
    """
    if policy.target_end_effector is not None:
        from lerobot_ambient.integration.deployment import end_effector

        found = end_effector.differences(policy, actions, observations)
        return found + _cameras(policy, observations, rename_map)
    # As LeRobot's rollout chooses what goes to the policy.
    joints = [key for key, kind in observations.items() if kind is float and key.endswith((".pos", ".vel"))]
    commands = [key for key in actions if key.endswith((".pos", ".vel"))]
    assert policy.action_feature is not None and policy.robot_state_feature is not None
    sizes = policy.action_feature.shape[0], policy.robot_state_feature.shape[0]
    found = _joints(policy, {ACTION: (sizes[0], commands), OBS_STATE: (sizes[1], joints)})
    return found + _cameras(policy, observations, rename_map)


def _cameras(policy: MixtureOptions, observations: Mapping[str, Any], rename_map: Mapping[str, str]) -> list[str]:
    """One line for every camera that the robot lacks, or has in another size."""
    found = []
    pictures = {f"{OBS_IMAGES}.{key}": kind[:2] for key, kind in observations.items() if isinstance(kind, tuple)}
    cameras = {rename_map.get(key, key): size for key, size in pictures.items()}
    for key, feature in policy.input_features.items():
        if feature.type != FeatureType.VISUAL:
            continue
        size = tuple(feature.shape[1:])
        if key not in cameras:
            if key.startswith(EMPTY_CAMERA):
                continue
            if not policy.needs_every_camera and cameras.keys() & policy.image_features.keys():
                logger.warning(
                    "The robot has no camera '%s': the policy acts without it. That is right if its target had none "
                    "either; otherwise call a camera '%s' in --robot.cameras, or use --rename_map.",
                    *(key, key.removeprefix(f"{OBS_IMAGES}.")),
                )
                continue
            found.append(
                f"  cameras: the policy needs '{key}', the robot has {sorted(cameras) or 'none'}. Call the camera "
                f"'{key.removeprefix(OBS_IMAGES + '.')}' in --robot.cameras, or use --rename_map."
            )
        elif not policy.resizes_frames and cameras[key] != size:
            found.append(
                f"  camera '{key}': the policy needs (height, width) {size}, the robot gives {cameras[key]}. Set "
                "height and width in --robot.cameras."
            )
    return found


def state_differences(policy: MixtureOptions, joints: Sequence[str]) -> list[str]:
    """Say how the joints that a robot observes differ from those of the policy's state; both sides in each line."""
    if policy.target_end_effector is not None:
        return [
            "  the policy acts in end-effector space, and LeRobot's asynchronous client sends its numbers to the "
            "joints as they are. Use lerobot-rollout, which has LeRobot's inverse kinematics between the two."
        ]
    assert policy.robot_state_feature is not None
    return _joints(policy, {OBS_STATE: (policy.robot_state_feature.shape[0], joints)})


def _joints(policy: MixtureOptions, robot: Mapping[str, tuple[int, Sequence[str]]]) -> list[str]:
    """One line for every feature whose joints differ, and where names alone differ, how to say so.

    Args:
        policy: of a checkpoint.
        robot: by feature, the policy's number of dimensions and the robot's joints.
    """
    found: list[str] = []
    unnamed: dict[str, list[str]] = {}
    renamed: dict[str, list[str]] = {}
    for key, (size, have) in robot.items():
        names = policy.target_dimension_names.get(key) or (policy.feature_names or {}).get(key)
        both = f"  {key}: the policy has {names},\n    the robot {list(have)}."
        if names is None or is_numbered(names):
            if size == len(have):
                unnamed[key] = list(have)
            else:
                found.append(f"  {key}: the policy has {size} dimensions without names, the robot {list(have)}.")
        elif len(names) != size:
            found.append(f"  {key}: target_dimension_names has {len(names)} names for the policy's {size} dimensions.")
        elif sorted(names) == sorted(have) and list(names) != list(have):
            found.append(f"{both} The order differs: record or convert the target in the robot's order.")
        elif list(names) != list(have):
            found.append(f"{both} Use the robot that the target was recorded with.")
            pairs = match_dimensions(names, have)
            if len(names) == len(pairs) and [pairs[name].take for name in names] == list(have):
                renamed[key] = list(have)
    if unnamed:
        logger.warning(
            "The target's dimensions had no names that could be read, so only their number was compared with the "
            "robot's. Check that they are %s, in this order, and say so with %s",
            *(" and ".join(str(names) for names in {str(n): n for n in unnamed.values()}.values()), _declare(unnamed)),
        )
    if renamed and len(renamed) == len(found):
        is_old = any(name.startswith("main_") for key in renamed for name in (policy.feature_names or {}).get(key, []))
        found.append(
            "  If these are the same joints, in the same units and from the same zero, say so in the rollout or the "
            f"training:\n    {_declare(renamed)}" + (f"\n  {_OLD_NAMES}" if is_old else "")
        )
    return found


_OLD_NAMES = (
    "Recordings with names like main_shoulder_pan are older than LeRobot's present calibration and count from another "
    "zero: convert the dataset first (https://huggingface.co/docs/lerobot/backwardcomp) and train on that."
)


def _declare(names: Mapping[str, Sequence[str]]) -> str:
    return f"--policy.target_dimension_names='{json.dumps(names)}'"


def warn_if_slow(policy: Any, fps: float, preprocess: Any = None) -> None:
    """Time the policy on this machine, and log a warning where a chunk takes longer than a control step.

    Args:
        policy: that acts.
        fps: control steps a second.
        preprocess: the policy's own pipeline, for a policy that reads the task as tokens.
    """
    message = slow_warning(min(chunk_seconds(policy, rounds=2, preprocess=preprocess)), policy.config, fps)
    if message is not None:
        logger.warning(message)
