# SPDX-License-Identifier: Apache-2.0
"""Whether a source speaks the target's language: same keys, shapes, names and frame rate."""

from __future__ import annotations

from typing import Any

from lerobot.utils.constants import ACTION, OBS_PREFIX

from lerobot_ambient.data.open_source import CAMERA_DTYPES, OpenSource


def is_policy_feature(key: str) -> bool:
    """Whether the policy reads this feature."""
    return key == ACTION or key.startswith(OBS_PREFIX)


def differences(target: OpenSource, source: OpenSource) -> list[str]:
    """What keeps the source from being merged, one line each; empty when it fits."""
    lines = []
    if source.meta.fps != target.meta.fps:
        lines.append(f"fps: target {target.meta.fps}, source {source.meta.fps}")
    for key, wanted in target.features.items():
        if not is_policy_feature(key):
            continue
        offered = source.features.get(key)
        if offered is None:
            others = [k for k in source.features if k not in target.features and not k.startswith("next.")]
            lines.append(f"{key}: missing in the source (it has {others}); map one with rename: {{<its key>: {key}}}")
            continue
        lines.extend(_feature_differences(key, wanted, offered))
    return lines


def require_compatible(target: OpenSource, source: OpenSource) -> None:
    """Refuse a source that cannot be merged.

    Raises:
        ValueError: both sides of every difference.
    """
    lines = differences(target, source)
    if lines:
        listing = "\n".join(f"  {line}" for line in lines)
        raise ValueError(f"source '{source.name}' does not fit the target '{target.name}':\n{listing}")


def _feature_differences(key: str, wanted: dict[str, Any], offered: dict[str, Any]) -> list[str]:
    lines = []
    kinds = ["camera" if spec["dtype"] in CAMERA_DTYPES else "numbers" for spec in (wanted, offered)]
    if kinds[0] != kinds[1]:
        return [f"{key}: target holds {kinds[0]} ({wanted['dtype']}), source {kinds[1]} ({offered['dtype']})"]
    if tuple(wanted["shape"]) != tuple(offered["shape"]):
        lines.append(f"{key}: target has shape {tuple(wanted['shape'])}, source {tuple(offered['shape'])}")
    elif kinds[0] == "numbers":
        names, others = _flat_names(wanted.get("names")), _flat_names(offered.get("names"))
        if names and others and names != others:
            pairs = [f"{i}: {a} / {b}" for i, (a, b) in enumerate(zip(names, others, strict=False)) if a != b]
            lines.append(f"{key}: dimensions are named differently (target / source): {', '.join(pairs)}")
    return lines


def _flat_names(names: Any) -> list[str]:
    """Feature names as one list; some data sets write {"motors": [...]}."""
    if isinstance(names, dict):
        return [str(name) for group in names.values() for name in (group if isinstance(group, list) else [group])]
    return [str(name) for name in names or []]
