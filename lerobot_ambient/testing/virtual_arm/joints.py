# SPDX-License-Identifier: Apache-2.0
"""The six joints of an SO-100 or SO-101, and the calibration that is shipped for the virtual one.

The file written here is the one LeRobot's SO-100 and SO-101 drivers read, so that `lerobot-calibrate` is not needed.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from .registers import REGISTERS, TICKS


@dataclass(frozen=True)
class Calibration:
    """What LeRobot keeps about a motor, in its words: ticks, range_min and range_max both reachable."""

    id: int
    drive_mode: int
    homing_offset: int
    range_min: int
    range_max: int

    def __post_init__(self) -> None:
        REGISTERS["Homing_Offset"].encode(self.homing_offset)
        if not 0 <= self.range_min < self.range_max < TICKS:
            raise ValueError(
                f"motor {self.id}: the range [{self.range_min}, {self.range_max}] must rise inside [0, {TICKS - 1}]"
            )


@dataclass(frozen=True)
class Joint:
    """A joint of the virtual arm: its name, how far it moves, whether it turns freely, and its calibration."""

    name: str
    calibration: Calibration
    turns_freely: bool = False
    is_gripper: bool = False

    @property
    def stops(self) -> tuple[float, float] | None:
        """The lowest and the highest actual position in ticks; None for a joint without stops."""
        if self.turns_freely:
            return None
        offset = self.calibration.homing_offset
        return float(self.calibration.range_min + offset), float(self.calibration.range_max + offset)

    def actual_ticks(self, angle: float) -> float:
        """Return the actual position of `angle`: degrees from the middle of the range, or percent open (gripper)."""
        c = self.calibration
        if self.is_gripper:
            return c.homing_offset + c.range_min + angle / 100 * (c.range_max - c.range_min)
        return c.homing_offset + (c.range_min + c.range_max) / 2 + angle * (TICKS - 1) / 360

    def angle(self, actual_ticks: float) -> float:
        """Invert `actual_ticks`."""
        c = self.calibration
        if self.is_gripper:
            return (actual_ticks - c.homing_offset - c.range_min) / (c.range_max - c.range_min) * 100
        return (actual_ticks - c.homing_offset - (c.range_min + c.range_max) / 2) * 360 / (TICKS - 1)


JOINTS = (
    Joint("shoulder_pan", Calibration(1, 0, 64, 760, 3334)),
    Joint("shoulder_lift", Calibration(2, 0, -120, 840, 3254)),
    Joint("elbow_flex", Calibration(3, 0, 210, 900, 3100)),
    Joint("wrist_flex", Calibration(4, 0, -35, 870, 3224)),
    Joint("wrist_roll", Calibration(5, 0, 150, 0, TICKS - 1), turns_freely=True),
    Joint("gripper", Calibration(6, 0, -300, 1980, 3440), is_gripper=True),
)
"""From the base to the gripper; motor IDs 1 to 6."""


def places_of_joints(names: Sequence[str]) -> list[int] | None:
    """Where the six joints stand among `names`; None if one is not there. LeRobot adds `.pos`, once wrote `main_`."""
    plain = [name.removesuffix(".pos").removeprefix("main_") for name in names]
    wanted = [joint.name for joint in JOINTS]
    return [plain.index(name) for name in wanted] if set(wanted) <= set(plain) else None


def shipped_calibration() -> dict[str, Calibration]:
    """Return the calibration of every joint by name."""
    return {joint.name: joint.calibration for joint in JOINTS}


def factory_calibration() -> dict[str, Calibration]:
    """Return what the servos hold before the first calibration: no offset, the whole turn."""
    return {joint.name: Calibration(joint.calibration.id, 0, 0, 0, TICKS - 1) for joint in JOINTS}


def provide_calibration(folder: Path, arm_id: str) -> dict[str, Calibration]:
    """Return the calibration in `folder`/`arm_id`.json; write the shipped one there if there is no such file.

    A file that exists is never changed: it is what a real arm would remember of its last calibration.

    Raises:
        ValueError: the file is not a calibration of these six joints.
    """
    path = folder / f"{arm_id}.json"
    if path.exists():
        return _read(path)
    calibration = shipped_calibration()
    folder.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.write_text(json.dumps({name: asdict(c) for name, c in calibration.items()}, indent=4), encoding="utf-8")
    os.replace(temporary, path)
    return calibration


def _read(path: Path) -> dict[str, Calibration]:
    expected = {joint.name: joint.calibration.id for joint in JOINTS}
    try:
        calibration = {name: Calibration(**fields) for name, fields in json.loads(path.read_text("utf-8")).items()}
    except (TypeError, AttributeError, ValueError) as error:
        raise ValueError(f"{path} is not a calibration file of LeRobot ({error}); move it away or fix it") from error
    found = {name: c.id for name, c in calibration.items()}
    if found != expected:
        raise ValueError(f"{path} is for the motors {found}, the virtual arm has {expected}; choose another --id")
    return calibration
