# SPDX-License-Identifier: Apache-2.0
"""Whether a target has the features a policy learns from, and which of its own are probably meant."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from lerobot.utils.constants import ACTION, OBS_IMAGES, OBS_PREFIX, OBS_STATE

from lerobot_ambient.data.alignment.match_keys import match_numbers
from lerobot_ambient.data.files.camera_specs import CAMERA_DTYPES
from lerobot_ambient.data.files.policy_numbers import NO_NUMBERS
from lerobot_ambient.data.reading.open_dataset import is_bookkeeping


def require_policy_keys(
    name: str, features: Mapping[str, Mapping[str, Any]], declared: Mapping[str, str] | None = None
) -> None:
    """Refuse a target without actions, or without observations.

    Args:
        name: of the target, for messages.
        features: its feature specs, under the keys the policy sees (`policy.target_rename` applied).
        declared: `policy.target_rename`, which the proposed one goes on from.

    Raises:
        ValueError: what is missing, the features there are, and the `policy.target_rename` to write.
    """
    if ACTION in features and features[ACTION]["dtype"] in NO_NUMBERS:
        raise ValueError(
            f"the target '{name}' holds no numbers in '{ACTION}': meta/info.json says dtype "
            f"'{features[ACTION]['dtype']}'. Write its true dtype there, or rename another feature to '{ACTION}' with "
            "--policy.target_rename."
        )
    missing = [] if ACTION in features else [f"feature '{ACTION}'"]
    if not any(key.startswith(OBS_PREFIX) for key in features):
        missing.append(f"observation (a feature whose key begins with '{OBS_PREFIX}')")
    if not missing:
        return
    own = [key for key in features if not is_bookkeeping(key)]
    raise ValueError(
        f"the target '{name}' has no {' and no '.join(missing)}; it has {own}. {_renaming(features, declared or {})}"
    )


def _renaming(features: Mapping[str, Mapping[str, Any]], declared: Mapping[str, str]) -> str:
    """The option that renames what is probably meant."""
    offered = {
        key: spec
        for key, spec in features.items()
        if spec["dtype"] not in NO_NUMBERS and not is_bookkeeping(key) and not key.startswith(OBS_PREFIX)
    }
    observed = any(key.startswith(OBS_PREFIX) for key in features)
    wanted = [key for key in (ACTION, OBS_STATE) if key not in features and not (key == OBS_STATE and observed)]
    found = match_numbers(
        wanted, {key: {"shape": ()} for key in wanted}, {k: v for k, v in offered.items() if k != ACTION}
    )
    rename = dict(declared) | {own: key for key, (own, _) in found.items()}
    cameras = [
        key for key, spec in features.items() if spec["dtype"] in CAMERA_DTYPES and not key.startswith(OBS_PREFIX)
    ]
    rename |= {key: f"{OBS_IMAGES}.{key.rsplit('.', 1)[-1]}" for key in cameras}
    guessed = rename if ACTION in features or ACTION in found else rename | {"KEY": ACTION}
    if guessed == declared:
        return f"No other feature can be meant: record or convert the dataset with what it observes, as '{OBS_STATE}'."
    meant = (
        "Say which is meant"
        if guessed == rename
        else f"None resembles '{ACTION}': say in the place of KEY which is meant"
    )
    return f"{meant}, with --policy.target_rename='{json.dumps(guessed)}'."
