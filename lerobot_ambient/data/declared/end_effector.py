# SPDX-License-Identifier: Apache-2.0
"""How a user declares where a dataset's end-effector poses are: in joints and a URDF, or in its own dimensions.

policy:
  target_end_effector: {urdf: so101.urdf, tip: gripper_frame_link}          # joints in degrees, LeRobot's names
  sources:
    - repo_id: openx/bridge                                                 # steps of a pose, the gripper from 0 to 1
      end_effector:
        action: {position: [x, y, z], rotation: [roll, pitch, yaw], kind: delta_base, gripper: gripper}
        state: {position: [x, y, z], rotation: [roll, pitch, yaw], gripper: gripper}
        base: {rotation: [0, 0, 90]}
      dimensions: {action: {ee.gripper_pos: {scale: 100}}, observation.state: {ee.gripper_pos: {scale: 100}}}

A pose is that of the tip in the base's axes, position in metres. A *step* is the way from the state's pose to the
action's: (dp, dR) with R' = dR R in the base's axes or R' = R dR in the tool's.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

FORMS = {
    "euler_xyz": 3,
    "rotation_vector": 3,
    "quaternion_xyzw": 4,
    "quaternion_wxyz": 4,
    "columns": 6,
    "rows": 6,
    "matrix": 9,
}
"""How a rotation is written, and in how many numbers. euler_xyz is roll, pitch, yaw about the fixed axes x, y, z, in
radians; a rotation vector is axis times angle; columns and rows are the first two of the matrix, matrix is row by row.
"""
KINDS = ("absolute", "delta_base", "delta_tool", "delta_mixed", "difference")
"""A pose, or a step: in the base's axes, in the tool's, or with its position in the base's and its rotation in the
tool's, as LeRobot's `EEReferenceAndDelta` has it; or the difference of a pose's numbers and the state's, angle by
angle, which is no step about fixed axes where the arm is turned."""
UNITS = ("degrees", "radians", "normalized")
"""Of joints. normalized: -100 and 100 are the URDF's lower and upper limit, as far as the calibration reached them."""


@dataclass
class FrameConfig:
    """A fixed change of axes.

    Args:
        rotation: roll, pitch, yaw in degrees about the fixed axes x, y, z.
        translation: x, y, z in metres.
    """

    rotation: list[float] = field(default_factory=lambda: [0.0, 0.0, 0.0])
    translation: list[float] = field(default_factory=lambda: [0.0, 0.0, 0.0])

    def __post_init__(self) -> None:
        for name, unit in (("rotation", "degrees"), ("translation", "metres")):
            values = getattr(self, name)
            if len(values) != 3 or not all(map(math.isfinite, values)):
                raise ValueError(f"a frame's {name} is three finite numbers, in {unit}; got {values}.")


@dataclass
class PoseConfig:
    """Which of a feature's dimensions hold a pose, or a step of one. Dimensions without names are "0", "1", ...

    Args:
        position: names of its x, y, z.
        rotation: names of the numbers of its rotation, in the order of `form`.
        form: how the rotation is written: euler_xyz, rotation_vector, quaternion_xyzw, quaternion_wxyz, columns, rows
            or matrix. Of a step euler_xyz or rotation_vector.
        kind: absolute; or a step from the state's pose: delta_base, delta_tool or delta_mixed; or difference, where the
            pose is the state's numbers and the action's added up. The state then has the same form.
        gripper: name of the gripper's dimension; None without one.
        gripper_ends: its numbers when closed and when open, by which it becomes 0 and 1; as recorded when None.
        position_scale: metres of a position of 1; a controller's, where steps go from -1 to 1.
        rotation_scale: radians of an angle of 1, of euler_xyz and rotation_vector; 0.0174533 where they are degrees.
    """

    position: list[str]
    rotation: list[str]
    form: str = "euler_xyz"
    kind: str = "absolute"
    gripper: str | None = None
    gripper_ends: list[float] | None = None
    position_scale: float = 1.0
    rotation_scale: float = 1.0

    def __post_init__(self) -> None:
        _require_choice("form", self.form, tuple(FORMS))
        _require_choice("kind", self.kind, KINDS)
        if len(self.position) != 3:
            raise ValueError(f"a pose's position names its x, y and z; got {self.position}.")
        if len(self.rotation) != FORMS[self.form]:
            raise ValueError(
                f"a pose's rotation of form {self.form} has {FORMS[self.form]} numbers, and {len(self.rotation)} are "
                f"named: {self.rotation}."
            )
        if self.kind != "absolute" and FORMS[self.form] != 3:
            raise ValueError(f"a step's rotation is of form euler_xyz or rotation_vector, not {self.form}.")
        for name in ("position_scale", "rotation_scale"):
            value = getattr(self, name)
            if not (math.isfinite(value) and value > 0.0):
                raise ValueError(f"a pose's {name} must be positive and finite, got {value}.")
        if self.rotation_scale != 1.0 and FORMS[self.form] != 3:
            raise ValueError(f"a rotation of form {self.form} has no unit; remove rotation_scale.")
        _require_ends(self.gripper_ends, self.gripper)


@dataclass
class EndEffectorConfig:
    """Where a dataset's end-effector poses are. On the target it also says what the policy learns.

    Args:
        urdf: file of the arm, for actions and states in joint positions.
        tip: the link in it whose pose is meant, e.g. gripper_frame_link.
        joints: each moving joint of the chain from the URDF's root to the tip, and the dimension that holds it; when
            empty, each joint NAME is held by the dimension NAME.pos, as LeRobot's robots call them.
        unit: of the joints in the dataset: degrees (LeRobot's `use_degrees`), radians, or normalized.
        gripper: the gripper's dimension among the joints; None without one. Its number stays as it is.
        action: where the action holds a pose or a step; None for joint positions.
        state: where observation.state holds a pose; None for joint positions, and where no URDF is given for none.
        base: how the dataset's base lies in the target's: a pose T becomes base · T. For poses in a camera's axes, the
            camera in the target's base.
        tool: how the target's tool lies in the dataset's: T becomes T · tool.
        learn: of the target: what the policy learns, absolute poses (the default), delta_base or delta_tool.
        orientation_weight: of the target: how much a radian counts beside a metre (both squared) where an arm of less
            than six joints cannot have both; LeRobot's inverse kinematics.
        bounds: of the target: smallest and largest x, y, z (m) that the arm is sent to; written by training where it is
            None, the target's poses and 5 cm more.
        chain: written by training: the URDF's chain, with which the checkpoint needs no file.
    """

    urdf: str | None = None
    tip: str | None = None
    joints: dict[str, str] = field(default_factory=dict)
    unit: str = "degrees"
    gripper: str | None = "gripper.pos"
    action: PoseConfig | None = None
    state: PoseConfig | None = None
    base: FrameConfig = field(default_factory=FrameConfig)
    tool: FrameConfig = field(default_factory=FrameConfig)
    learn: str | None = None
    orientation_weight: float = 0.01
    bounds: list[list[float]] | None = None
    chain: str | None = None

    def __post_init__(self) -> None:
        _require_choice("unit", self.unit, UNITS)
        _require_choice("learn", self.learn, (None, *KINDS[:3]))
        has_chain = self.urdf is not None or self.chain is not None
        if has_chain and self.tip is None:
            raise ValueError("end_effector gives a urdf and no tip; name the link whose pose is meant, tip: <link>.")
        if not has_chain and (self.tip is not None or self.joints):
            raise ValueError("end_effector names a tip or joints, which are a URDF's; add urdf: <file>.")
        if self.state is not None and self.state.kind != "absolute":
            raise ValueError(f"end_effector's state is a pose, kind: absolute; got {self.state.kind}.")
        if self.action is not None and self.action.kind == "difference":
            form = None if self.state is None else self.state.form
            if form != self.action.form:
                raise ValueError(
                    f"end_effector's action is a difference of numbers of form {self.action.form}, and its state's "
                    f"form is {form}; say where the state holds its pose in this form, state: {{position: [...], "
                    "rotation: [...]}."
                )
        if not (math.isfinite(self.orientation_weight) and self.orientation_weight >= 0.0):
            raise ValueError(f"end_effector's orientation_weight must be 0 or more, got {self.orientation_weight}.")
        if self.bounds is not None and not _is_box(self.bounds):
            raise ValueError(
                f"end_effector's bounds are [[x, y, z], [x, y, z]] in metres, the smallest first; got {self.bounds}."
            )

    @property
    def is_partial(self) -> bool:
        """Whether it does not say where the actions are: beside a catalogue entry, which does."""
        return self.urdf is None and self.chain is None and self.action is None

    def require_whole(self, what: str) -> None:
        """Refuse it where nothing says where the actions are.

        Raises:
            ValueError: naming the dataset.
        """
        if self.is_partial:
            raise ValueError(
                f"{what}: end_effector needs a urdf with its tip for actions in joint positions, or action: "
                "{position: [...], rotation: [...]} for actions that are poses."
            )

    @property
    def learned(self) -> str:
        """What a policy learns whose target is declared so."""
        return self.learn or "absolute"

    def require_source(self, name: str) -> None:
        """Refuse on a source what is the target's to say.

        Raises:
            ValueError: naming the source and the options.
        """
        default = EndEffectorConfig(urdf="", tip="")
        options = ("learn", "orientation_weight", "bounds", "chain")
        said = [option for option in options if getattr(self, option) != getattr(default, option)]
        if said:
            raise ValueError(
                f"source '{name}': end_effector gives {', '.join(said)}, which the target alone says; move it to "
                "policy.target_end_effector."
            )


def _require_ends(ends: Sequence[float] | None, gripper: str | None) -> None:
    if ends is None:
        return
    if len(ends) != 2 or not all(map(math.isfinite, ends)) or ends[0] == ends[1]:
        raise ValueError(f"a pose's gripper_ends are its numbers when closed and when open, two of them; got {ends}.")
    if gripper is None:
        raise ValueError(f"a pose gives gripper_ends {ends} and no gripper; name its dimension, gripper: <name>.")


def _is_box(bounds: Sequence[Sequence[float]]) -> bool:
    return (
        len(bounds) == 2
        and all(len(corner) == 3 for corner in bounds)
        and all(math.isfinite(low) and math.isfinite(high) and low < high for low, high in zip(*bounds, strict=True))
    )


def _require_choice(name: str, value: str | None, known: Sequence[str | None]) -> None:
    if value not in known:
        choices = ", ".join(choice for choice in known if choice is not None)
        raise ValueError(f"end_effector: {name} must be one of {choices}; got '{value}'.")
