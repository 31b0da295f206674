# SPDX-License-Identifier: Apache-2.0
"""What `catalogue: openx/toto` in a source means: the options that its entry stands for.

The name is kept with the digest of the entry that was used, `openx/toto@1a2b3c4d`, and so goes into checkpoints and
configurations beside the options themselves: they are read again as they were, also where the entry has changed since
or is not there.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from lerobot_ambient.data.catalogue.entry import ROLES, Entry
from lerobot_ambient.data.catalogue.library import entry, pinned, unpinned


@dataclass(frozen=True)
class Beside:
    """What a source says itself, on which it depends what its entry stands for.

    Args:
        views: role of a camera to the target's key, such as {wrist: observation.images.wrist}. The dataset's camera
            of that role is renamed to it; where it has none, black images stand for it.
        rename: the source's own, which stands above the entry's.
        repo_id: the source's own; empty for the entry's.
    """

    views: Mapping[str, str]
    rename: Mapping[str, str]
    repo_id: str


def options_of(one: Entry, beside: Beside) -> dict[str, Any]:
    """Options of a Source that an entry stands for, as plain values; those that it leaves open are not among them.

    Args:
        one: the entry.
        beside: what the source says itself.

    Raises:
        ValueError: an unknown role, two for one key, or an entry without a repo_id.
    """
    # Many conversions call every robot unknown.
    options: dict[str, Any] = {"rename": dict(one.rename), "group": one.robot.lower()}
    if one.repo_id is not None:
        options["repo_id"] = one.repo_id
    if one.revision is not None and beside.repo_id in ("", one.repo_id):
        # A commit is of one repository.
        options["revision"] = one.revision
    swapped = [key for key, camera in one.cameras.items() if camera.colours == "bgr"]
    if swapped and beside.repo_id not in one.also:
        # The other copies are another converter's, which swaps them back.
        options["bgr"] = swapped
    keys = {**one.rename, **beside.rename}
    named = {
        keys.get(key, key): list(feature.names)
        for key, feature in one.features.items()
        if feature.stored is not None and feature.stored != feature.names
    }
    options["dimension_names"] = named
    if (action := one.action) is not None and action.kind not in ("mixed", "none"):
        options["action_type"] = "delta" if action.is_stepwise else "absolute"
        if action.gain is not None:
            options["action_gain"] = action.gain
    return _with_views(options, one, beside.views)


def _with_views(options: dict[str, Any], one: Entry, views: Mapping[str, str]) -> dict[str, Any]:
    roles = [camera.role for camera in one.cameras.values()]
    unknown = [role for role in views if role.rstrip("_23456789") not in ROLES]
    if unknown:
        raise ValueError(f"views of '{one.name}' name {unknown}; its cameras are {roles}, others are {list(ROLES)}.")
    if len(set(views.values())) < len(views):
        raise ValueError(f"views of '{one.name}' give one key to several cameras: {dict(views)}.")
    seen = {role: one.camera_of(role) for role in views}
    rename = options["rename"] | {own: views[role] for role, own in seen.items() if own and own != views[role]}
    # A camera of the target's key that looks from elsewhere makes room.
    spare = [key for key in one.cameras if key in views.values() and key not in seen.values() and key not in rename]
    rename |= {key: f"unused.{key.rsplit('.', 1)[-1]}" for key in spare}
    absent = {views[role]: {"fill": 0.0} for role, own in seen.items() if own is None}
    return {key: value for key, value in {**options, "rename": rename, "cameras": absent}.items() if value != {}}


def resolved(catalogue: str, beside: Beside) -> tuple[str, dict[str, Any]]:
    """The pinned name of an entry, and the options that it stands for.

    Raises:
        ValueError: no such entry, or views that do not fit it.
    """
    one = entry(catalogue)
    return pinned(catalogue, one), options_of(one, beside)


def stands_for(catalogue: str, beside: Beside) -> dict[str, Any]:
    """The options behind a pinned name, where the entry is there and still says the same; nothing otherwise."""
    name, digest = unpinned(catalogue)
    try:
        one = entry(name)
    except ValueError:
        return {}
    return options_of(one, beside) if one.digest == digest else {}
