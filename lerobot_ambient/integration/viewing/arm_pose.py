# SPDX-License-Identifier: Apache-2.0
"""Where the links of an SO-100 or SO-101 are in each frame of an episode, for a drawing beside its curves."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lerobot_ambient.testing.virtual_arm.geometry import links, moving_tip
from lerobot_ambient.testing.virtual_arm.joints import JOINTS, places_of_joints


def arm_poses(names: Sequence[str], values: NDArray[np.float64]) -> dict[str, Any] | None:
    """The arm's points by frame; None where these are not the joints of such an arm, or some are not known.

    Args:
        names: (D,) of the dimensions.
        values: (T, D) in degrees, the gripper in percent.

    Returns:
        `points` (T, 14): forward and up in centimetres of base, shoulder, elbow, wrist, root of the jaws, fixed tip and
        moving tip; `pan` (T,) degrees to the left about the base.
    """
    places = places_of_joints(names)
    if places is None or np.isnan(values[:, places]).any():
        return None
    points = []
    for row in values[:, places].tolist():
        angles = dict(zip((joint.name for joint in JOINTS), row, strict=True))
        flat = np.concatenate([links(angles), moving_tip(angles)[None]]).reshape(-1)
        points.append(np.round(100 * flat, 1).tolist())
    return {"points": points, "pan": np.round(values[:, places[0]], 2).tolist()}
