# SPDX-License-Identifier: Apache-2.0
"""The policies of LeRobot that have an ambient form, and why the others have none."""

from __future__ import annotations

from lerobot_ambient.policy.flow.family import Family
from lerobot_ambient.policy.flow.multi_task_dit import MultiTaskDit
from lerobot_ambient.policy.flow.openpi import Pi0, Pi05, SmolVla
from lerobot_ambient.policy.flow.sampled import Eo1, FastWam, Groot, MolmoAct2, VlaJepa, WallX
from lerobot_ambient.policy.flow.xvla import XVla

PREFIX = "ambient_"
"""Of the ambient form's name; the stock policy's follows."""

_KNOWN = (SmolVla(), Pi0(), Pi05(), MultiTaskDit(), Eo1(), Groot(), VlaJepa(), WallX(), MolmoAct2(), FastWam(), XVla())

FAMILIES: dict[str, Family] = {family.stock: family for family in _KNOWN}
"""By LeRobot's name of the stock policy."""
