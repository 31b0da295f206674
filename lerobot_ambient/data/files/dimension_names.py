# SPDX-License-Identifier: Apache-2.0
"""The names of a feature's dimensions, in every form that LeRobot and the known converters write.

    ["x", "y"]                                 a list
    [["x", "y"]], [["x"], ["y"]]               lists in a list (conversions of Unitree's recordings)
    {"x": 0, "y": 1}                           places by name (LeRobot's gamepad and keyboard)
    {"0": "x", "1": "y"}                       names by place
    {"motors": ["x", "y"]}                     names by group; several groups stand one after the other
    {"left": {"x": 0}, "right": {"x": 1}}      places by name and group
    [["left", "right"], ["x", "y", "z"]]       names by axis, of a feature with several axes

A name that several groups have is called by its group too, "left.x". Dimensions without names are called by their
numbers, "0", "1", and so on. Names that cannot be read without a doubt are not guessed: they count as none, and
`Names.problem` says why, so that no other dataset is laid onto them by place.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

_WHOLE = frozenset(
    {"action", "actions", "act", "ctrl", "control", "state", "states", "observation", "observations", "obs", "proprio"}
    | {"robot", "joint", "joints", "motor", "motors", "axis", "axes", "dim", "dims", "dimension", "dimensions", "size"}
    | {"feature", "features", "vector", "value", "values", "data", "pos", "position", "positions", "qpos", "qvel"}
    | {"vel", "velocity", "velocities", "pose", "ee", "eef", "env", "environment", "channel", "channels"}
)
"""Words that name a feature or its axis, not one of its dimensions."""

_Leaf = tuple[tuple[str, ...], str | int]
"""Groups from the outside in, and what stands there: a name, or with names as groups a place."""


@dataclass(frozen=True)
class Names:
    """What a dataset says about the dimensions of one feature.

    Args:
        names: one a dimension, all different; "0", "1", ... where none could be read.
        problem: why what is written cannot be read, or None.
    """

    names: tuple[str, ...]
    problem: str | None = None

    def __post_init__(self) -> None:
        assert len(set(self.names)) == len(self.names), self.names

    @property
    def are_numbers(self) -> bool:
        """Whether the dimensions are called by their numbers."""
        return is_numbered(self.names)


def dimension_names(spec: Mapping[str, Any]) -> list[str]:
    """A feature's dimension names in the order of its numbers; "0", "1", ... where none can be read."""
    return list(read_names(spec).names)


def is_numbered(names: Sequence[str]) -> bool:
    """Whether these are the names of dimensions that have none: their numbers."""
    return list(names) == [str(i) for i in range(len(names))]


def with_names(
    features: Mapping[str, dict[str, Any]], declared: Mapping[str, Sequence[str]], name: str
) -> dict[str, dict[str, Any]]:
    """Feature specs with the names that a user declares in place of those that are written.

    Args:
        features: LeRobot feature specs.
        declared: per feature, one name a dimension.
        name: of the dataset, for messages.

    Raises:
        ValueError: a feature that is not there, or names that do not fit it.
    """
    result = dict(features)
    for key, names in declared.items():
        if key not in features:
            raise ValueError(f"'{name}': names are declared for the dimensions of '{key}'; it has {sorted(features)}.")
        size = math.prod(features[key]["shape"])
        if len(names) != size or len(set(names)) != size:
            raise ValueError(
                f"'{name}': {key} has {size} dimensions and needs as many different names, declared are {list(names)}."
            )
        result[key] = {**features[key], "names": list(names)}
    return result


def read_names(spec: Mapping[str, Any]) -> Names:
    """Read the names of a LeRobot feature spec.

    Args:
        spec: `shape` and `names`; a feature of several axes is numbered with the last one fastest.
    """
    shape = tuple(int(size) for size in spec["shape"])
    size = math.prod(shape)
    numbers = tuple(str(i) for i in range(size))
    written = spec.get("names")
    if _says_nothing(written):
        return Names(numbers)
    try:
        names = _read(written, shape)
    except ValueError as error:
        return Names(numbers, str(error))
    return Names(numbers if names is None else names)


def _read(written: Any, shape: tuple[int, ...]) -> tuple[str, ...] | None:
    """The names; None where only the axes are named.

    Raises:
        ValueError: why they cannot be read.
    """
    size = math.prod(shape)
    leaves = _leaves(written, ())
    groups = _groups(written)
    by_axis = len(shape) > 1 and groups is not None and tuple(map(len, groups)) == shape
    if any(isinstance(value, int) for _, value in leaves):
        return _by_place(leaves, size)
    names = [str(value) for _, value in leaves]
    if by_axis and len(names) == size:
        raise ValueError(f"{written} may name {size} dimensions or the axes of the shape {shape}")
    if by_axis and groups is not None:
        return _distinct([".".join(places) for places in product(*groups)], written)
    if len(names) == size:
        if len(set(names)) < size:
            names = [".".join((*(group for group in path if group), str(value))) for path, value in leaves]
        return _distinct(names, written)
    # As a camera's height, width, channels; and what converters write that name the feature instead: ["actions"].
    if len(names) == len(shape) and not any(path for path, _ in leaves) and (len(shape) > 1 or _is_whole(names[0])):
        return None
    raise ValueError(f"it names {len(names)} of {size} dimensions: {written}")


def _leaves(written: Any, path: tuple[str, ...]) -> list[_Leaf]:
    """Every name, or place, with the groups it stands in; lists in lists are groups without a name."""
    if isinstance(written, Mapping):
        if _are_places(written):
            return [(path, str(written[key])) for key in sorted(written, key=int)]
        return [leaf for key, value in written.items() for leaf in _leaves(value, (*path, str(key)))]
    if isinstance(written, Sequence) and not isinstance(written, str):
        if all(isinstance(value, (str, int, float)) for value in written):
            return [(path, str(value)) for value in written]
        return [leaf for value in written for leaf in _leaves(value, (*path, ""))]
    if isinstance(written, str):
        return [(path, written)]
    if isinstance(written, int) and not isinstance(written, bool) and path and path[-1]:
        return [(path, written)]
    raise ValueError(f"{written!r} is no name of a dimension")


def _are_places(written: Mapping[Any, Any]) -> bool:
    """{"0": "x", "1": "y"}: the key is the place."""
    keys = [str(key) for key in written]
    return sorted(keys) == sorted(str(i) for i in range(len(keys))) and all(
        isinstance(value, str) for value in written.values()
    )


def _by_place(leaves: Sequence[_Leaf], size: int) -> tuple[str, ...]:
    """Names that stand as keys, in the order of their places; groups may count together or each from 0."""
    if len(leaves) != size or not all(isinstance(value, int) for _, value in leaves):
        raise ValueError(f"it gives places to {len(leaves)} of {size} dimensions: {_shown(leaves)}")
    places = [int(value) for _, value in leaves]
    ordered = sorted(leaves, key=lambda leaf: int(leaf[1]))
    if sorted(places) != list(range(size)):
        groups = list(dict.fromkeys(path[:-1] for path, _ in leaves))
        ordered = []
        for group in groups:
            mine = sorted((leaf for leaf in leaves if leaf[0][:-1] == group), key=lambda leaf: int(leaf[1]))
            if [value for _, value in mine] != list(range(len(mine))):
                raise ValueError(f"its places are {places}, not 0 to {size - 1}: {_shown(leaves)}")
            ordered += mine
    names = [path[-1] for path, _ in ordered]
    if len(set(names)) < size:
        names = [".".join(path) for path, _ in ordered]
    return _distinct(names, _shown(leaves))


def _groups(written: Any) -> list[list[str]] | None:
    """The lists of a list of lists or of a mapping of lists; None where it is neither."""
    parts = list(written.values()) if isinstance(written, Mapping) else written
    if isinstance(parts, str) or not isinstance(parts, Sequence) or not parts:
        return None
    if not all(isinstance(part, Sequence) and not isinstance(part, str) for part in parts):
        return None
    return [[str(name) for name in part] for part in parts]


def _distinct(names: Sequence[str], written: Any) -> tuple[str, ...]:
    repeated = sorted(name for name, count in Counter(names).items() if count > 1)
    if repeated:
        raise ValueError(f"it names {', '.join(repr(name) for name in repeated)} more than once: {written}")
    return tuple(names)


def _shown(leaves: Sequence[_Leaf]) -> str:
    return "{" + ", ".join(f"{'.'.join(path)}: {value}" for path, value in leaves) + "}"


def _is_whole(name: str) -> bool:
    return _WHOLE.issuperset(re.findall("[a-z]+|[0-9]+", name.lower()))


def _says_nothing(written: Any) -> bool:
    if isinstance(written, Mapping):
        return all(_says_nothing(value) for value in written.values())
    if isinstance(written, Sequence) and not isinstance(written, str):
        return all(_says_nothing(value) for value in written)
    return written is None or written == ""
