# SPDX-License-Identifier: Apache-2.0
"""One entry of the catalogue: what a public dataset holds, dimension by dimension, and where each fact is from.

An entry is a YAML file; docs/reference/catalogue.md shows one and says what every key means. Everything is checked
here when a file is read, so that what uses an entry need not: a message names the file, the key, what is written and
what may be.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from lerobot.utils.constants import ACTION, OBS_STATE

KINDS = {
    "joint": "joint positions",
    "joint_delta": "steps of joints",
    "ee_absolute": "poses of an end effector",
    "ee_delta": "steps of an end effector",
    "ee_velocity": "velocities of an end effector",
    "mixed": "several of these",
    "none": "nothing: always 0",
}
"""What the numbers of a feature are."""

FRAMES = {
    "base": "the robot's base",
    "tool": "the end effector itself",
    "camera": "a camera",
    "base_and_tool": "the robot's base for positions, the end effector itself for rotations",
    "unknown": "not known",
}
"""In which axes a pose or a step of an end effector is written."""

STEPS = {
    "relative": "a step's rotation is turned on the state's",
    "difference": "a step is the next pose's numbers less the state's, angle by angle",
}
"""How a step of an end effector leads from a pose to the next."""

ROTATIONS = {
    "none": "no rotation among the numbers",
    "rpy": "roll, pitch, yaw about the fixed axes x, y, z: R = Rz(yaw) Ry(pitch) Rx(roll)",
    "ypr": "yaw, pitch, roll in this order",
    "euler_zxy": "scipy's Rotation.as_euler('zxy')",
    "euler": "three angles of an order that is not known",
    "rotation_vector": "axis times angle",
    "quaternion_xyzw": "unit quaternion, scalar last",
    "quaternion": "unit quaternion of an order that is not known",
    "matrix": "rows or columns of a matrix",
}
"""How the rotation of a pose or of a step is written."""

ROLES = ("third_person", "wrist", "left_wrist", "right_wrist", "head", "tactile")
"""What a camera looks from; a number tells further ones apart, `third_person_2`."""

_ENDS = re.compile(rf"({'|'.join(ROLES)})(_[2-9])?")
_FACTS = ("repo_id", "license", "robot", "fps", "cameras", ACTION, OBS_STATE)
_DIGITS = re.compile(r"\d+$")


@dataclass(frozen=True)
class FeatureSchema:
    """What the numbers of one feature are.

    Args:
        kind: one of KINDS.
        names: what each dimension is, all different; the names that it is aligned by.
        frame: one of FRAMES, of end effectors; None of joints.
        rotation: one of ROTATIONS.
        step: one of STEPS, of ee_delta.
        units: unit of the positions, rotations, joints, as far as known: {position: m, rotation: rad, joint: rad}.
        gripper: for each gripper its values when open and closed, {gripper: {open: 1.0, closed: 0.0}}.
        stored: the names in the dataset's own info.json, where they are others or say nothing (motor_0, ...).
        gain: how far a step of 1 moves, in these units, where it is not 1; see Source.action_gain.
        padding: dimensions that are always 0.
        note: what else is to be known.
    """

    kind: str
    names: tuple[str, ...]
    frame: str | None = None
    rotation: str = "none"
    units: Mapping[str, str] = field(default_factory=dict)
    gripper: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    stored: tuple[str, ...] | None = None
    gain: float | Mapping[str, float] | None = None
    padding: tuple[str, ...] = ()
    note: str | None = None
    step: str = "relative"

    @property
    def is_stepwise(self) -> bool:
        """Whether these numbers say how far to move, not where to."""
        return self.kind in ("joint_delta", "ee_delta", "ee_velocity")


@dataclass(frozen=True)
class CameraSchema:
    """A camera: one of ROLES, height and width of its images, what else is to be known, and the order of its colours,
    rgb or bgr where red and blue are swapped in the recording."""

    role: str
    shape: tuple[int, int] | None = None
    note: str | None = None
    colours: str = "rgb"


@dataclass(frozen=True)
class Entry:
    """A dataset as the catalogue knows it.

    Args:
        name: by which it is called, `openx/toto`.
        repo_id: on the Hub; None where no converted copy is known, so that one has to be made and given.
        robot: what the dataset's own info.json calls it, or the customary name in lower case.
        fps: frames per second.
        cameras: by the dataset's own keys.
        features: numbers that a policy reads, by the dataset's own keys.
        license: as its publisher states it; None where that is not known.
        revision: branch, tag or commit; None for the one that LeRobot itself asks for.
        arms: how many.
        format: version of LeRobot's format.
        rename: the dataset's own keys to LeRobot's, as in Source.
        also: other copies on the Hub.
        quirks: what surprised others.
        evidence: per fact, the references it is from.
        unverified: per fact, what of it could not be checked, and why it may be wrong.
        path: the file it was read from.
        digest: of its content.
    """

    name: str
    repo_id: str | None
    robot: str
    fps: float
    cameras: Mapping[str, CameraSchema]
    features: Mapping[str, FeatureSchema]
    evidence: Mapping[str, tuple[str, ...]]
    unverified: Mapping[str, str] = field(default_factory=dict)
    license: str | None = None
    revision: str | None = None
    arms: int = 1
    format: str = "v3.0"
    rename: Mapping[str, str] = field(default_factory=dict)
    also: tuple[str, ...] = ()
    quirks: tuple[str, ...] = ()
    path: str = ""
    digest: str = ""

    def feature(self, key: str) -> FeatureSchema | None:
        """What LeRobot's `action` or `observation.state` is in this dataset; None where nothing is known of it."""
        own = next((own for own, renamed in self.rename.items() if renamed == key), None if key in self.rename else key)
        return None if own is None else self.features.get(own)

    @property
    def action(self) -> FeatureSchema | None:
        return self.feature(ACTION)

    @property
    def state(self) -> FeatureSchema | None:
        return self.feature(OBS_STATE)

    @property
    def is_complete(self) -> bool:
        """Whether every dimension of its actions and states is named."""
        return self.action is not None and self.state is not None

    def camera_of(self, role: str) -> str | None:
        """The dataset's own key of the camera with a role; None where it has none."""
        return next((key for key, camera in self.cameras.items() if camera.role == role), None)


def read_entry(name: str, values: Any, path: str, references: Sequence[str], digest: str) -> Entry:
    """An entry from the values of its file.

    Args:
        name: of the entry.
        values: as YAML gives them.
        path: of the file, for messages.
        references: that `evidence` may name.
        digest: of the file's content.

    Raises:
        ValueError: naming the file, the key, what is there and what may be.
    """
    reader = _Reader(path)
    top = reader.mapping(values, "the file", allowed=_KEYS, needed=("robot", "fps", "cameras", "features", "evidence"))
    cameras = {
        str(key): reader.camera(camera, f"cameras.{key}")
        for key, camera in reader.mapping(top["cameras"], "cameras").items()
    }
    features = {
        str(key): reader.feature(feature, f"features.{key}")
        for key, feature in reader.mapping(top["features"], "features").items()
    }
    entry = Entry(
        name=name,
        repo_id=reader.text(top.get("repo_id"), "repo_id"),
        robot=reader.text(top["robot"], "robot") or "",
        fps=reader.positive(top["fps"], "fps"),
        cameras=cameras,
        features=features,
        evidence={
            str(fact): reader.texts(which, f"evidence.{fact}")
            for fact, which in reader.mapping(top["evidence"], "evidence").items()
        },
        unverified={
            str(fact): reader.text(why, f"unverified.{fact}") or ""
            for fact, why in reader.mapping(top.get("unverified", {}), "unverified").items()
        },
        license=reader.text(top.get("license"), "license"),
        revision=reader.text(top.get("revision"), "revision"),
        arms=reader.one_of(top.get("arms", 1), "arms", (1, 2)),
        format=reader.text(top.get("format", "v3.0"), "format") or "",
        rename=reader.renamed(top.get("rename", {}), [*cameras, *features]),
        also=reader.texts(top.get("also", []), "also"),
        quirks=reader.texts(top.get("quirks", []), "quirks"),
        path=path,
        digest=digest,
    )
    reader.check_facts(entry, references)
    return entry


_KEYS = (
    *("repo_id", "revision", "license", "robot", "arms", "fps", "format", "also", "cameras", "features", "rename"),
    *("quirks", "evidence", "unverified"),
)
_FEATURE_KEYS = (
    *("kind", "names", "frame", "rotation", "step", "units", "gripper", "stored", "gain", "padding", "note"),
)
_UNITS = {
    "position": ("m", "mm", "m/s"),
    "rotation": ("rad", "deg", "rad/s"),
    "joint": ("rad", "deg", "percent", "rad/s"),
}


@dataclass(frozen=True)
class _Reader:
    """Values of one file, each checked for what it may be."""

    path: str

    def fail(self, key: str, there: Any, fix: str) -> ValueError:
        return ValueError(f"catalogue entry {self.path}: {key} is {there!r}; {fix}")

    def mapping(
        self, values: Any, key: str, *, allowed: Sequence[str] = (), needed: Sequence[str] = ()
    ) -> Mapping[str, Any]:
        if not isinstance(values, Mapping):
            raise self.fail(key, values, "write a mapping of keys to values.")
        unknown = [name for name in values if allowed and name not in allowed]
        if unknown:
            raise self.fail(key, list(map(str, values)), f"it knows no {unknown}; the keys are {list(allowed)}.")
        missing = [name for name in needed if name not in values]
        if missing:
            raise self.fail(key, list(map(str, values)), f"it lacks {missing}.")
        return values

    def text(self, value: Any, key: str) -> str | None:
        if value is not None and not (isinstance(value, str) and value.strip()):
            raise self.fail(key, value, "write a text, in quotes where YAML would read a number, or null.")
        return value

    def texts(self, value: Any, key: str) -> tuple[str, ...]:
        if not isinstance(value, list) or not all(isinstance(one, str) and one for one in value):
            raise self.fail(key, value, "write a list of texts.")
        return tuple(value)

    def positive(self, value: Any, key: str) -> float:
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < math.inf:
            raise self.fail(key, value, "write a positive number.")
        return float(value)

    def one_of(self, value: Any, key: str, known: Sequence[Any]) -> Any:
        if value not in known or isinstance(value, bool):
            raise self.fail(key, value, f"write one of {', '.join(map(str, known))}.")
        return value

    def camera(self, values: Any, key: str) -> CameraSchema:
        given = self.mapping(values, key, allowed=("role", "shape", "colours", "note"), needed=("role",))
        if not isinstance(given["role"], str) or not _ENDS.fullmatch(given["role"]):
            fix = f"write one of {', '.join(ROLES)}; further ones are numbered, {ROLES[0]}_2."
            raise self.fail(f"{key}.role", given["role"], fix)
        shape = given.get("shape")
        if shape is not None and not (
            isinstance(shape, list) and len(shape) == 2 and all(isinstance(size, int) and size > 0 for size in shape)
        ):
            raise self.fail(f"{key}.shape", shape, "write [height, width] in pixels, or leave it out.")
        return CameraSchema(
            role=given["role"],
            shape=tuple(shape) if shape else None,
            note=self.text(given.get("note"), f"{key}.note"),
            colours=self.one_of(given.get("colours", "rgb"), f"{key}.colours", ("rgb", "bgr")),
        )

    def feature(self, values: Any, key: str) -> FeatureSchema:
        given = self.mapping(values, key, allowed=_FEATURE_KEYS, needed=("kind", "names"))
        names = self.texts(given["names"], f"{key}.names")
        if len(set(names)) < len(names) or not names:
            raise self.fail(f"{key}.names", list(names), "write one name a dimension, all different.")
        kind = self.one_of(given["kind"], f"{key}.kind", tuple(KINDS))
        frame = given.get("frame")
        if kind.startswith("ee_") and frame is None:
            raise self.fail(f"{key}.frame", frame, f"of {kind} write one of {', '.join(FRAMES)}.")
        if frame is not None:
            self.one_of(frame, f"{key}.frame", tuple(FRAMES))
        return FeatureSchema(
            kind=kind,
            names=names,
            frame=frame,
            rotation=self.one_of(given.get("rotation", "none"), f"{key}.rotation", tuple(ROTATIONS)),
            units=self.units(given.get("units", {}), f"{key}.units"),
            gripper=self.gripper(given.get("gripper", {}), f"{key}.gripper", names),
            stored=self.stored(given.get("stored"), f"{key}.stored", len(names)),
            gain=self.gain(given.get("gain"), f"{key}.gain", names),
            padding=self.among(given.get("padding", []), f"{key}.padding", names),
            note=self.text(given.get("note"), f"{key}.note"),
            step=self.step(given.get("step", "relative"), f"{key}.step", kind),
        )

    def step(self, value: Any, key: str, kind: str) -> str:
        self.one_of(value, key, tuple(STEPS))
        if value != "relative" and kind != "ee_delta":
            raise self.fail(key, value, f"leave it out: its numbers are {KINDS[kind]}, no ee_delta.")
        return str(value)

    def units(self, value: Any, key: str) -> dict[str, str]:
        units = self.mapping(value, key, allowed=tuple(_UNITS))
        return {what: self.one_of(unit, f"{key}.{what}", _UNITS[what]) for what, unit in units.items()}

    def gripper(self, value: Any, key: str, names: Sequence[str]) -> dict[str, Mapping[str, float]]:
        found: dict[str, Mapping[str, float]] = {}
        for name, ends in self.mapping(value, key, allowed=names).items():
            ends = self.mapping(ends, f"{key}.{name}", allowed=("open", "closed"), needed=("open", "closed"))
            for end, number in ends.items():
                if isinstance(number, bool) or not isinstance(number, int | float) or not math.isfinite(number):
                    raise self.fail(f"{key}.{name}.{end}", number, "write the number that is recorded then.")
            found[name] = {end: float(number) for end, number in ends.items()}
        return found

    def stored(self, value: Any, key: str, count: int) -> tuple[str, ...] | None:
        """`motors` stands for motor_0, motor_1, ...; `null` in the file for the names themselves."""
        if value is None:
            return None
        if value == "motors":
            return tuple(f"motor_{i}" for i in range(count))
        names = self.texts(value, key)
        if len(names) != count:
            raise self.fail(key, list(names), f"write {count} names, as many as `names` has, or motors.")
        return names

    def gain(self, value: Any, key: str, names: Sequence[str]) -> float | dict[str, float] | None:
        if value is None or not isinstance(value, Mapping):
            return None if value is None else self.positive(value, key)
        given = self.mapping(value, key, allowed=names)
        return {name: self.positive(number, f"{key}.{name}") for name, number in given.items()}

    def among(self, value: Any, key: str, names: Sequence[str]) -> tuple[str, ...]:
        chosen = self.texts(value, key)
        unknown = [name for name in chosen if name not in names]
        if unknown:
            raise self.fail(key, list(chosen), f"{unknown} are none of {list(names)}.")
        return chosen

    def renamed(self, value: Any, keys: Sequence[str]) -> dict[str, str]:
        rename = dict(self.mapping(value, "rename"))
        unknown = [key for key in rename if key not in keys]
        if unknown:
            raise self.fail("rename", rename, f"{unknown} are neither among its cameras nor its features.")
        return {str(key): self.text(to, f"rename.{key}") or "" for key, to in rename.items()}

    def check_facts(self, entry: Entry, references: Sequence[str]) -> None:
        """Every fact has a reference, or says that it could not be verified."""
        # A fact is named as in the file; below a feature or the cameras also in parts, `action.frame`.
        known = {fact for fact in _FACTS if fact not in (ACTION, OBS_STATE)} | set(entry.features)
        facts = [*(fact for fact in entry.evidence), *(fact for fact in entry.unverified)]
        strange = [fact for fact in facts if not any(fact == one or fact.startswith(f"{one}.") for one in known)]
        if strange:
            raise self.fail(
                "evidence and unverified", facts, f"{strange} are no facts of it; those are {sorted(known)}."
            )
        bare = sorted(one for one in known if one not in entry.evidence and one not in entry.unverified)
        if bare:
            raise self.fail(
                "evidence",
                sorted(entry.evidence),
                f"say where {bare} are from, or list them under unverified with why.",
            )
        for fact, which in entry.evidence.items():
            lost = [one for one in which if one not in references]
            if lost or not which:
                raise self.fail(
                    f"evidence.{fact}", list(which), f"write some of {sorted(references)}, or add to references.yaml."
                )


def generic(names: Sequence[str]) -> bool:
    """Whether names only number the dimensions, `motor_0`, `3`, as converters write them that know no better."""
    heads = {_DIGITS.sub("", name).rstrip("_.") for name in names}
    numbers = [match[0] for name in names if (match := _DIGITS.search(name))]
    return heads <= {""} | _NUMBERED and len(heads) == 1 and numbers == [str(i) for i in range(len(names))]


_NUMBERED = {"motor", "motors", "dim", "state", "action", "value", "feature", "axis"}
