# SPDX-License-Identifier: Apache-2.0
"""Which of a dataset's dimensions are the joints of a chain, and their numbers in its units."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from lerobot_ambient.data.kinematics.chain import Chain

_SLACK = math.radians(10.0)
_FEW = 0.01


def joint_positions(chain: Chain, values: NDArray[np.float64], unit: str) -> NDArray[np.float64]:
    """Joints in a dataset's unit as positions of the chain, rad (m for prismatic joints).

    Args:
        chain: the arm.
        values: (N, J) in the chain's order.
        unit: degrees, radians or normalized. A prismatic joint's number is taken in metres where they are not
            normalized.
    """
    scale, offset = _affine(chain, unit)
    return values * scale + offset


def joint_values(chain: Chain, positions: NDArray[np.float64], unit: str) -> NDArray[np.float64]:
    """Inverse of `joint_positions`."""
    scale, offset = _affine(chain, unit)
    return (positions - offset) / scale


def _affine(chain: Chain, unit: str) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """(J,) scale and offset from a unit to rad or m."""
    if unit == "normalized":
        low, high = chain.limits
        endless = [joint.name for joint in chain.moving if not math.isfinite(joint.limits[0])]
        if endless:
            raise ValueError(
                f"the joints {endless} have no limits in the URDF, so normalized positions of them mean nothing; give "
                "them limits (a revolute joint), or record in degrees."
            )
        return (high - low) / 200.0, (low + high) / 2.0
    turn = math.radians(1.0) if unit == "degrees" else 1.0
    scale = np.array([1.0 if joint.kind == "prismatic" else turn for joint in chain.moving])
    return scale, np.zeros(len(scale))


def chain_columns(chain: Chain, joints: Mapping[str, str], names: Sequence[str], what: str) -> list[int]:
    """(J,) places of the chain's joints among a feature's dimensions.

    Args:
        chain: the arm.
        joints: joint to dimension, as declared; empty for NAME.pos.
        names: of the feature's dimensions.
        what: dataset and feature, for messages.

    Raises:
        ValueError: a joint that the chain does not have, one that is not given, or a dimension that is not there.
    """
    unknown = [joint for joint in joints if joint not in chain.names]
    missing = [joint for joint in chain.names if joints and joint not in joints]
    if unknown or missing:
        said = [f"no joint {unknown} moves '{chain.tip}'"] if unknown else []
        said += [f"nothing is said of {missing}"] if missing else []
        raise ValueError(
            f"{what}: end_effector.joints must name the {len(chain.names)} joints between '{chain.root}' and "
            f"'{chain.tip}', {chain.names}: {', and '.join(said)}."
        )
    wanted = {joint: joints.get(joint, f"{joint}.pos") for joint in chain.names}
    absent = [dimension for dimension in wanted.values() if dimension not in names]
    if absent:
        example = ", ".join(f"{joint}: {names[min(i, len(names) - 1)]}" for i, joint in enumerate(chain.names))
        raise ValueError(
            f"{what} has no dimension {absent} for the joints of '{chain.tip}'; it has {names}. Say which holds which, "
            f"end_effector: {{joints: {{{example}}}}} if they stand in this order."
        )
    return [list(names).index(wanted[joint]) for joint in chain.names]


def looks_otherwise(chain: Chain, values: NDArray[np.float64], unit: str) -> str | None:
    """What to say where joints look as those of another unit do; None where they do not.

    Args:
        chain: the arm.
        values: (N, J) as recorded.
        unit: that is declared.
    """
    turning = [place for place, joint in enumerate(chain.moving) if joint.kind != "prismatic"]
    reach = float(np.abs(values[:, turning]).max(initial=0.0))
    if unit == "degrees" and 0.0 < reach <= 2.0 * math.pi:
        return f"no joint is ever further than {reach:.3g} from 0, as in radians"
    if unit != "normalized" and 99.0 <= reach <= 100.0:
        return "joints end at 100 or -100, as normalized ones do (LeRobot's use_degrees=false)"
    return None


def beyond_limits(chain: Chain, positions: NDArray[np.float64]) -> str | None:
    """What to say where joints are often further than 10 degrees beyond their limits; None where they are not.

    Args:
        chain: the arm.
        positions: (N, J) rad or m.
    """
    low, high = chain.limits
    outside = ((positions < low - _SLACK) | (positions > high + _SLACK)).mean(0)
    found = [
        f"{joint.name} runs over {least:.3g}..{most:.3g}, the URDF's limits are "
        f"{joint.limits[0]:.3g}..{joint.limits[1]:.3g}"
        for joint, share, least, most in zip(chain.moving, outside, positions.min(0), positions.max(0), strict=True)
        if share > _FEW
    ]
    return f"{'; '.join(found)} (rad)" if found else None
