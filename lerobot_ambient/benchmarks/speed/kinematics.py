# SPDX-License-Identifier: Apache-2.0
"""Whether forward and inverse kinematics agree on random configurations of an arm, and what each costs.

Forward are the poses that a policy is trained on, of all frames at once; its peer is LeRobot's kinematics (placo), one
configuration a call. Inverse is what moves the robot: LeRobot's solver, from joints a few degrees away, as they are in
a control loop. What it returns is held against the pose by the forward kinematics of training.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import numpy as np
from tqdm import tqdm

from lerobot_ambient.data.declared.end_effector import EndEffectorConfig
from lerobot_ambient.data.kinematics.end_effector import chain_of
from lerobot_ambient.data.kinematics.joints import joint_values
from lerobot_ambient.data.kinematics.poses import Poses
from lerobot_ambient.data.kinematics.rotations import angles_between
from lerobot_ambient.integration.deployment.arm_kinematics import ArmKinematics

METRES, RADIANS = 1e-4, 1e-3
"""Within which a pose and that of the joints that were found for it agree."""
_RESTARTS = 50


@dataclass(frozen=True)
class KinematicsMeasured:
    """What was found.

    Args:
        joints: names of the arm's moving joints.
        configurations: drawn evenly within the joints' limits (a continuous joint's: half a turn each way).
        start_degrees: the search begins that far away, in every joint evenly to both sides, within the limits.
        forward: microseconds of processor time a pose, `ours_us` and `placo_us`, and the largest difference of the two
            in `metres` and `radians`.
        inverse: milliseconds of processor time a pose, `ms`; how many `agree`; how many did so without beginning
            again, `at_once`; the largest differences of all in `metres` and `radians`.
    """

    joints: list[str]
    configurations: int
    start_degrees: float
    forward: dict[str, float]
    inverse: dict[str, float]

    @property
    def agrees(self) -> bool:
        """Whether all of the configurations do."""
        return self.inverse["agree"] == self.configurations


def bench_kinematics(
    config: EndEffectorConfig, *, configurations: int, start_degrees: float = 10.0, seed: int = 0, progress: bool = True
) -> KinematicsMeasured:
    """Draw configurations, and go from each to its pose and back.

    Args:
        config: of the arm, as `policy.target_end_effector`.
        configurations: how many.
        start_degrees: see `KinematicsMeasured`.
        seed: of the draws.
        progress: whether to show how far it is.

    Raises:
        ImportError: the extra `kinematics` is not installed.
    """
    chain = chain_of(config, "the arm")
    assert chain is not None
    motors = [config.joints.get(name, f"{name}.pos").removesuffix(".pos") for name in chain.names]
    arm = ArmKinematics(config, motors)
    rng = np.random.default_rng(np.random.SeedSequence([seed, 1]))
    low, high = np.clip(chain.limits, -np.pi, np.pi)
    drawn = rng.uniform(low, high, (configurations, len(chain.names)))
    away = np.radians(rng.uniform(-start_degrees, start_degrees, drawn.shape))
    starts = joint_values(chain, np.clip(drawn + away, low, high), config.unit)

    poses, ours = _timed(lambda: chain.forward(drawn))
    # Without the frames that a policy's axes may add, which both directions have.
    plain = ArmKinematics(EndEffectorConfig(chain=chain.to_urdf(), tip=chain.tip, joints=config.joints), motors)
    degrees = np.degrees(drawn)
    peers, theirs = _timed(lambda: np.array([plain.forward_kinematics(row) for row in degrees]))
    found, at_once = np.empty_like(drawn), 0
    began = time.process_time()
    for i in tqdm(range(configurations), desc="inverse", unit="pose", disable=not progress, mininterval=1.0):
        goal = Poses(poses.rotation[i : i + 1], poses.position[i : i + 1])
        start, weights = arm.positions(starts[i]), (1.0, config.orientation_weight)
        found[i], left = arm.solve(start, goal, weights)
        if left[0] <= METRES and left[1] <= RADIANS:
            at_once += 1
        else:
            found[i], _ = arm.solve(start, goal, weights, restarts=_RESTARTS)
    inverse = time.process_time() - began
    metres, radians = _differences(poses, chain.forward(found))
    apart = _differences(poses, Poses.of_matrices(peers))
    return KinematicsMeasured(
        joints=chain.names,
        configurations=configurations,
        start_degrees=start_degrees,
        forward={
            "ours_us": 1e6 * ours / configurations,
            "placo_us": 1e6 * theirs / configurations,
            "metres": float(apart[0].max()),
            "radians": float(apart[1].max()),
        },
        inverse={
            "ms": 1e3 * inverse / configurations,
            "at_once": at_once,
            "agree": int(((metres <= METRES) & (radians <= RADIANS)).sum()),
            "metres": float(metres.max()),
            "radians": float(radians.max()),
        },
    )


def _timed(work: Any) -> tuple[Any, float]:
    """What it returns, and seconds of processor time."""
    began = time.process_time()
    made = work()
    return made, time.process_time() - began


def _differences(one: Poses, other: Poses) -> tuple[np.ndarray, np.ndarray]:
    """(N,) metres and (N,) radians."""
    return np.linalg.norm(one.position - other.position, axis=-1), angles_between(one.rotation, other.rotation)
