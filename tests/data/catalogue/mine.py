# SPDX-License-Identifier: Apache-2.0
"""An entry of a user's own for the tests: a target that moves an end effector in steps, with two cameras."""

from typing import Any

import yaml

from lerobot_ambient.data.catalogue.entry import Entry, read_entry

FRONT, WRIST = "observation.images.front", "observation.images.wrist"
POSE = ["x", "y", "z", "roll", "pitch", "yaw", "gripper"]
VALUES: dict[str, Any] = {
    "repo_id": "me/arm",
    "robot": "arm",
    "fps": 10,
    "cameras": {FRONT: {"role": "third_person", "shape": [24, 32]}, WRIST: {"role": "wrist", "shape": [24, 32]}},
    "features": {
        "action": {
            "kind": "ee_delta",
            "frame": "base",
            "rotation": "rpy",
            "names": POSE,
            "gripper": {"gripper": {"open": 1, "closed": 0}},
        },
        "observation.state": {"kind": "ee_absolute", "frame": "base", "rotation": "rpy", "names": POSE},
    },
    "evidence": {},
    "unverified": dict.fromkeys(
        ("repo_id", "license", "robot", "fps", "cameras", "action", "observation.state"), "made up"
    ),
}


def changed(**keys: Any) -> dict[str, Any]:
    """The values with some changed; `None` takes a key away."""
    return {key: value for key, value in {**VALUES, **keys}.items() if value is not None}


def text(values: dict[str, Any]) -> str:
    """As the file of an entry."""
    return yaml.safe_dump(values, sort_keys=False)


def mine() -> Entry:
    """The entry."""
    return read_entry("mine/arm", VALUES, "mine/arm.yaml", [], "00000000")
