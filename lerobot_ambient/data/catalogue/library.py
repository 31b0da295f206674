# SPDX-License-Identifier: Apache-2.0
"""The entries that come with this package, and a user's own: read once, found by name or repo_id, filtered.

A user's own entries are files or folders that the environment variable LEROBOT_AMBIENT_CATALOGUE names, separated like
the folders of PATH, or a path ending in .yaml in the place of a name. In a folder an entry is named by where its file
lies, `mine/arm.yaml` is `mine/arm`; a single file by its own name. An entry of a user's stands before one of the
package that has the same name.
"""

from __future__ import annotations

import difflib
import hashlib
import os
import re
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from lerobot_ambient.data.catalogue.entry import KINDS, ROLES, Entry, read_entry

VARIABLE = "LEROBOT_AMBIENT_CATALOGUE"
_OWN = Path(__file__).parent / "entries"
_REFERENCES = "references.yaml"
_SUFFIXES = (".yaml", ".yml")
_PINNED = re.compile(r"(.+)@([0-9a-f]{8})")
# The C parser reads the whole catalogue in a tenth of the time; not every build of PyYAML has it.
_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def entries(more: Sequence[str | Path] = ()) -> dict[str, Entry]:
    """All entries by name, in the order of their names.

    Args:
        more: further files or folders, before those that the environment names.

    Raises:
        ValueError: a file that is no entry, or a path that is not there.
    """
    named = [path for path in os.environ.get(VARIABLE, "").split(os.pathsep) if path]
    found = dict(_packaged())
    for place in reversed([*map(str, more), *named]):
        found |= _below(Path(place))
    return dict(sorted(found.items()))


def entry(name: str, more: Sequence[str | Path] = ()) -> Entry:
    """One entry, by its name or the path of its file.

    Raises:
        ValueError: there is none; with the names that are alike.
    """
    if name.endswith(_SUFFIXES):
        return next(iter(_below(Path(name)).values()))
    known = entries(more)
    if name in known:
        return known[name]
    alike = difflib.get_close_matches(name, known, n=3, cutoff=0.5)
    alike += [one for one in known if name.split("/")[-1] in one and one not in alike][:3]
    hint = f" Did you mean {', '.join(alike)}?" if alike else ""
    raise ValueError(
        f"the catalogue has no entry '{name}'.{hint} `lerobot-ambient catalogue` lists its {len(known)}; your own are "
        f"found by their path, or through the environment variable {VARIABLE}."
    )


def entry_of(repo_id: str) -> Entry | None:
    """The first entry of a dataset on the Hub, of the dataset itself or of a copy; None where there is none."""
    return next((one for one in entries().values() if repo_id == one.repo_id or repo_id in one.also), None)


def chosen(
    known: Sequence[Entry],
    *,
    robot: str | None = None,
    action: str | None = None,
    camera: str | None = None,
    arms: int | None = None,
) -> list[Entry]:
    """Those that have all that is asked for.

    Args:
        known: to choose from.
        robot: part of the robot's name, or of the entry's.
        action: kind of its actions, one of KINDS, or its beginning: `ee` stands for all of end effectors.
        camera: role of a camera, one of ROLES; `wrist` stands for any wrist.
        arms: how many.

    Raises:
        ValueError: a kind or a role that there is not.
    """
    if action is not None and not any(kind.startswith(action) for kind in KINDS):
        raise ValueError(f"no kind of actions begins with '{action}'; there are {', '.join(KINDS)}.")
    if camera is not None and not any(camera in role for role in ROLES):
        raise ValueError(f"no camera is called '{camera}'; there are {', '.join(ROLES)}.")

    def fits(one: Entry) -> bool:
        kind = "" if one.action is None else one.action.kind
        return (
            (robot is None or robot.lower() in one.robot.lower() or robot.lower() in one.name.lower())
            and (action is None or kind.startswith(action))
            and (camera is None or any(camera in seen.role for seen in one.cameras.values()))
            and (arms is None or arms == one.arms)
        )

    return [one for one in known if fits(one)]


def pinned(name: str, one: Entry) -> str:
    """The name by which an entry was asked for, with the digest of what it says: `openx/toto@1a2b3c4d`."""
    return f"{name}@{one.digest}"


def unpinned(name: str) -> tuple[str, str | None]:
    """A name, and the digest that stands behind it, or None."""
    match = _PINNED.fullmatch(name)
    return (name, None) if match is None else (match[1], match[2])


def references() -> dict[str, dict[str, str]]:
    """What the evidence of the package's own entries names: what each is, where, and of when."""
    return dict(_references(_OWN / _REFERENCES))


@cache
def _packaged() -> dict[str, Entry]:
    return _below(_OWN)


def _below(place: Path) -> dict[str, Entry]:
    if place.is_file():
        return {place.stem: _read(place, place.stem, _references_beside(place.parent))}
    if not place.is_dir():
        raise ValueError(
            f"there is no catalogue entry at {place} (that is {place.absolute()}); give a YAML file, or a folder of "
            "them."
        )
    known = _references_beside(place)
    files = sorted(path for path in place.rglob("*") if path.suffix in _SUFFIXES and path.name != _REFERENCES)
    named = {path.relative_to(place).with_suffix("").as_posix(): path for path in files}
    return {name: _read(path, name, known) for name, path in named.items()}


def _references_beside(folder: Path) -> dict[str, dict[str, str]]:
    """The package's references, and those of a folder."""
    own = folder / _REFERENCES
    return references() | (_references(own) if own.is_file() else {})


def _read(path: Path, name: str, known: dict[str, dict[str, str]]) -> Entry:
    content = path.read_bytes()
    return read_entry(name, _parsed(content, path), _shown(path), list(known), hashlib.sha256(content).hexdigest()[:8])


def _references(path: Path) -> dict[str, dict[str, str]]:
    values = _parsed(path.read_bytes(), path)
    for name, one in values.items() if isinstance(values, dict) else [("", values)]:
        if not isinstance(one, dict) or not {"what", "where"} <= one.keys():
            raise ValueError(f"{_shown(path)}: the reference {name!r} is {one!r}; write what it is and where.")
    return dict(values)


def _parsed(content: bytes, path: Path) -> Any:
    try:
        return yaml.load(content, Loader=_LOADER)
    except yaml.YAMLError as error:
        raise ValueError(f"catalogue entry {_shown(path)} is no YAML: {error}") from error


def _shown(path: Path) -> str:
    """A path as messages name it: that of a packaged entry from the package on."""
    return path.relative_to(_OWN.parents[3]).as_posix() if path.is_relative_to(_OWN) else str(path)
