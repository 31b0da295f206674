# SPDX-License-Identifier: Apache-2.0
"""Whether a dataset is what its entry says: every disagreement by name, and which of them would change a meaning.

What an entry says of a number is only right if it stands at the place that the entry means: as many dimensions, in the
entry's order. Another rate, camera or robot is worth knowing, and changes no meaning.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from lerobot_ambient.data.catalogue.entry import Entry, FeatureSchema, generic
from lerobot_ambient.data.catalogue.library import entry as entry_named
from lerobot_ambient.data.catalogue.library import entry_of, unpinned
from lerobot_ambient.data.files.camera_specs import CAMERA_DTYPES, camera_shape
from lerobot_ambient.data.files.dimension_names import read_names

Features = Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True)
class Disagreement:
    """One thing that a catalogue entry and a dataset's own metadata say differently.

    Args:
        what: such as `fps`, `action` or a camera's key.
        entry, dataset: what each of the two says.
        changes_meaning: whether numbers would be taken for what they are not.
    """

    what: str
    entry: str
    dataset: str
    changes_meaning: bool = False

    def __str__(self) -> str:
        return f"{self.what}: the entry says {self.entry}, the dataset {self.dataset}"


def disagreements(
    entry: Entry,
    *,
    fps: float,
    robot_type: str | None,
    features: Features,
    rename: Mapping[str, str] | None = None,
    named: Mapping[str, Sequence[str]] | None = None,
) -> list[Disagreement]:
    """Everything that an entry and a dataset's own metadata say differently, what changes a meaning first.

    Args:
        entry: of the catalogue.
        fps, robot_type: of meta/info.json.
        features: of meta/info.json; under the keys that `rename` gives them, where that is given.
        rename: the dataset's own keys to those of `features`.
        named: per key of `features`, the names that a user gives its dimensions, which stand above the entry's.
    """
    keys = rename or {}
    found = [
        one
        for own, schema in entry.features.items()
        for one in _numbers(own, schema, features.get(keys.get(own, own)), (named or {}).get(keys.get(own, own)))
    ]
    if not math.isclose(fps, entry.fps, rel_tol=1e-3):
        found.append(Disagreement("fps", f"{entry.fps:g}", f"{fps:g}"))
    if robot_type is not None and robot_type.lower() not in ("unknown", entry.robot.lower()):
        found.append(Disagreement("robot", entry.robot, robot_type))
    for own, camera in entry.cameras.items():
        spec = features.get(keys.get(own, own))
        if spec is None or spec["dtype"] not in CAMERA_DTYPES:
            there = [key for key, one in features.items() if one["dtype"] in CAMERA_DTYPES]
            found.append(Disagreement(own, f"it is a camera ({camera.role})", f"has the cameras {there}"))
        elif (
            camera.shape is not None
            and len(spec["shape"]) in (2, 3)
            and tuple(camera_shape(dict(spec))[1:]) != camera.shape
        ):
            height, width = camera_shape(dict(spec))[1:]
            found.append(Disagreement(own, f"{camera.shape[0]}x{camera.shape[1]} pixels", f"{height}x{width}"))
    return sorted(found, key=lambda one: not one.changes_meaning)


def _numbers(
    own: str, schema: FeatureSchema, spec: Mapping[str, Any] | None, named: Sequence[str] | None
) -> list[Disagreement]:
    """Of one numeric feature: whether it is there, its dimensions, and their names."""
    count = len(schema.names)
    if spec is None:
        return [Disagreement(own, f"it has {count} dimensions", "has no such feature", changes_meaning=True)]
    size = math.prod(int(axis) for axis in spec["shape"]) if spec["dtype"] not in CAMERA_DTYPES else 0
    if size != count:
        said = f"{count} dimensions {list(schema.names)}"
        return [Disagreement(own, said, f"{size or 'a camera, none'}", changes_meaning=True)]
    if named is not None and tuple(named) != schema.names:
        return []
    written = read_names(spec)
    if written.are_numbers or generic(written.names) or written.names in (schema.names, schema.stored):
        return []
    if schema.stored is None or generic(schema.stored):
        said = f"its dimensions are {list(schema.names)}"
    else:
        said = f"it calls its dimensions {list(schema.stored)}"
    return [Disagreement(own, said, f"{list(written.names)}", changes_meaning=True)]


class Metadata(Protocol):
    """What is read of LeRobot's metadata of a dataset."""

    @property
    def fps(self) -> Any: ...
    @property
    def robot_type(self) -> Any: ...
    @property
    def features(self) -> Any: ...


def checked_entry(
    name: str,
    catalogue: str | None,
    meta: Metadata,
    named: Mapping[str, Sequence[str]],
    rename: Mapping[str, str],
) -> list[str]:
    """What a source's entry and its dataset say differently without changing a meaning, a line each.

    Args:
        name: of the source, for the message.
        catalogue: the entry it names, with or without a digest; None where it names none.
        meta: of the dataset.
        named, rename: the source's dimension_names and rename.

    Raises:
        ValueError: the dataset is not what the entry says it is; all disagreements in one message.
    """
    if catalogue is None:
        return []
    word, digest = unpinned(catalogue)
    try:
        entry = entry_named(word)
    except ValueError:
        return [f"its catalogue entry {word} is not here, so it is not compared; its options are those written down."]
    notes = []
    if digest and digest != entry.digest:
        notes.append(
            f"its options are those of an older catalogue entry {word} ({digest}, now {entry.digest}); "
            f"`catalogue: {word}` without them takes the new ones."
        )
    given = {own: named[to] for own in entry.features if (to := rename.get(own, own)) in named}
    found = disagreements(entry, fps=float(meta.fps), robot_type=meta.robot_type, features=meta.features, named=given)
    if any(one.changes_meaning for one in found):
        raise ValueError(refusal(name, entry, found))
    return [*notes, *([differing(entry, found)] if found else [])]


def differing(entry: Entry, found: Sequence[Disagreement]) -> str:
    """All disagreements of a dataset with its entry in one line."""
    return f"its catalogue entry {entry.name} and its own metadata differ: {'; '.join(map(str, found))}."


def doubtful(entry: Entry) -> str | None:
    """What of an entry's numbers and cameras could not be verified, in one line; None where everything was."""
    facts = [fact for fact in entry.unverified if fact.startswith(("cameras", *entry.features))]
    if not facts:
        return None
    why = f"`lerobot-ambient catalogue {entry.name}` says why"
    return f"its catalogue entry {entry.name} could not verify {', '.join(facts)}; {why}."


def remarks(catalogue: str | None, repo_id: str, meta: Metadata) -> list[str]:
    """What is worth knowing of a dataset by its entry, or by that of its repo_id: what differs, what is doubtful."""
    try:
        entry = entry_of(repo_id) if catalogue is None else entry_named(unpinned(catalogue)[0])
    except ValueError:
        entry = None
    if entry is None:
        return []
    found = disagreements(entry, fps=float(meta.fps), robot_type=meta.robot_type, features=meta.features)
    doubt = doubtful(entry) if catalogue is not None else None
    return [*([differing(entry, found)] if found else []), *([doubt] if doubt else [])]


def refusal(name: str, entry: Entry, found: Sequence[Disagreement]) -> str:
    """Why a dataset is not taken for what its entry says, and what to do; all disagreements in one message."""
    listing = "\n".join(f"  {one}" for one in found)
    return (
        f"'{name}' is not what the catalogue entry {entry.name} ({entry.path}) says:\n{listing}\n"
        "Numbers would be taken for what they are not. If this is another version of the dataset, give the `revision` "
        "that the entry is of; if the entry is wrong, correct a copy of its file and name that, `catalogue: "
        "mine.yaml`; or say beside it what is right, `dimension_names: {action: [...]}`, or leave `catalogue` out."
    )
