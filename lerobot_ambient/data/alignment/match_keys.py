# SPDX-License-Identifier: Apache-2.0
"""Which feature of a source is most likely which of the target's: `actions` is `action`, `image` is a camera."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from lerobot.utils.constants import ACTION, OBS_ENV_STATE, OBS_STATE

from lerobot_ambient.data.alignment.match_names import similarity, words_of

Features = Mapping[str, Mapping[str, Any]]

# In the order of preference where a source has several.
_CALLED = {
    ACTION: ("action", "actions", "act", "ctrl", "control", "controls", "command", "commands"),
    OBS_STATE: (
        "state",
        "states",
        "qpos",
        "proprio",
        "proprioception",
        "joint",
        "joints",
        "position",
        "positions",
        "pos",
    ),
    OBS_ENV_STATE: ("environment", "env", "object", "objects", "goal"),
}
_SAYS_NOTHING = frozenset(
    {"observation", "observations", "obs", "images", "image", "img", "camera", "cam", "rgb", "color"}
)


def match_numbers(missing: Sequence[str], target: Features, offered: Features) -> dict[str, tuple[str, str]]:
    """For target features without a partner: (the source's key, why).

    Args:
        missing: numeric keys of the target.
        target, offered: feature specs of the target, and those of the source that nothing else uses.
    """
    found: dict[str, tuple[str, str]] = {}
    for key in missing:
        left = [other for other in offered if other not in {taken for taken, _ in found.values()}]
        best = max(left, key=lambda other: _likeness(key, other, target, offered), default=None)
        if best is not None and _likeness(key, best, target, offered)[0] > 0:
            found[key] = (best, f"what others call {key}" if key in _CALLED else "similar name")
    return found


def match_cameras(missing: Sequence[str], offered: Sequence[str]) -> dict[str, tuple[str, str]]:
    """For target cameras without a partner: (the source's key, why); similar names first, then by order."""
    if len(missing) == 1 and len(offered) == 1:
        return {missing[0]: (offered[0], "the only camera left on both sides")}
    found: dict[str, tuple[str, str]] = {}
    left, right = list(missing), list(offered)
    scores = sorted(
        (-similarity(_view(key), _view(other)), i, j)
        for i, key in enumerate(missing)
        for j, other in enumerate(offered)
    )
    for score, i, j in scores:
        if score < -0.4 and missing[i] in left and offered[j] in right:
            found[missing[i]] = (offered[j], "similar name")
            left.remove(missing[i])
            right.remove(offered[j])
    return found | {key: (other, "by order: check the view") for key, other in zip(left, right, strict=False)}


def _likeness(key: str, other: str, target: Features, offered: Features) -> tuple[float, float, bool]:
    """Larger is likelier: by what the key is customarily called, by its spelling, by an equal shape."""
    words, known = words_of(other), _CALLED.get(key)
    same_shape = tuple(target[key]["shape"]) == tuple(offered[other]["shape"])
    if known is None:
        score = similarity(words_of(key)[1:], words)
        return (score if score >= 0.6 else 0.0, 0.0, same_shape)
    ranks = [known.index(word) for word in words if word in known]
    # `observation.environment_state` is no state, and `action.joint_position` no observation.
    foreign = {word for role, names in _CALLED.items() if role != key for word in names[:2]} - set(known)
    if not ranks or foreign.intersection(words):
        return (0.0, 0.0, False)
    return (1.0 - 0.05 * min(ranks), -float(len(words)), same_shape)


def _view(key: str) -> list[str]:
    """What a camera's key says about its view."""
    return [word for word in words_of(key) if word not in _SAYS_NOTHING]
