# SPDX-License-Identifier: Apache-2.0
"""The numbers a policy reads: one float32 vector a frame, whatever type and shape they were stored in.

LeRobot writes every type NumPy has, and stores a feature of shape (1,) as a bare number. Its own reader hands both
on as they are, and its diffusion policy fails on them: weights are float32, chunks have three axes. What the policy
does not read keeps LeRobot's types and shapes, except bool observations: its normaliser cannot subtract those.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from lerobot.utils.constants import ACTION, OBS_ENV_STATE, OBS_PREFIX, OBS_STATE
from numpy.typing import NDArray

from lerobot_ambient.data.files.camera_specs import CAMERA_DTYPES

NO_NUMBERS = (*CAMERA_DTYPES, "string", "language")
"""Types of features that hold no numbers."""
READ_BY_POLICY = (ACTION, OBS_STATE, OBS_ENV_STATE)
"""Numeric features that a diffusion policy reads. Others are merged where every dataset has them."""

Specs = dict[str, dict[str, Any]]
Columns = dict[str, NDArray[Any]]


def as_policy_numbers(
    features: Mapping[str, dict[str, Any]], columns: Mapping[str, NDArray[Any]]
) -> tuple[Specs, Columns]:
    """Feature specs and columns with what the policy reads as (N, D) float32; True is 1 and False is 0.

    Args:
        features: LeRobot feature specs.
        columns: (N, ...) numbers by key, (N,) where the shape is (1,).

    Returns:
        The specs, which say what the columns now are, and the columns. float32 numbers keep their bits.
    """
    specs, numbers = dict(features), dict(columns)
    for key, values in columns.items():
        spec = features[key]
        if key in READ_BY_POLICY:
            shape = tuple(spec["shape"]) or (1,)
            numbers[key] = values.astype(np.float32, copy=False).reshape(len(values), *shape)
            specs[key] = {**spec, "dtype": "float32", "shape": shape}
        elif key.startswith(OBS_PREFIX) and values.dtype == np.bool_:
            numbers[key] = values.astype(np.float32)
            specs[key] = {**spec, "dtype": "float32"}
    return specs, numbers


def require_vectors(name: str, features: Mapping[str, dict[str, Any]]) -> None:
    """Refuse a target in which a feature that the policy reads is no vector.

    Of a source only what the target has is read, so that there the alignment looks for it.

    Raises:
        ValueError: the feature with its shape, the shape it needs, and how to get there.
    """
    for key, spec in features.items():
        if spec["dtype"] not in NO_NUMBERS and (problem := axes_problem(key, spec)) is not None:
            raise ValueError(f"'{name}': {problem}.")


def axes_problem(key: str, spec: Mapping[str, Any]) -> str | None:
    """Why a feature that the policy reads is no vector, and what to do; None where it is one."""
    shape = tuple(spec["shape"])
    if key not in READ_BY_POLICY or len(shape) <= 1:
        return None
    size = int(np.prod(shape))
    chunk = (
        f"; if a row is one of {shape[0]} future actions, shape ({shape[1]},) and `value[0]`"
        if key == ACTION and len(shape) == 2 and 1 not in shape
        else ""
    )
    return (
        f"{key}: has the shape {shape}, and the policy reads one vector a frame, here ({size},). Write the dataset "
        f"with shape ({size},) and `value.reshape(-1)` in add_frame{chunk}"
    )
