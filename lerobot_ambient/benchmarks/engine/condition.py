# SPDX-License-Identifier: Apache-2.0
"""What a study compares: conditions, each one way to use the two datasets, and the sweeps that settle their values."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any, Literal

Choices = Mapping[str, float]
"""What the sweeps decided, by `Sweep.name`."""
NOTHING: Mapping[str, Any] = MappingProxyType({})
AMBIENT_ALPHA = 0.5
"""The target's share where a source is admitted, unless a study says otherwise."""


@dataclass(frozen=True, eq=False)
class Condition:
    """One way to use the target and the source; `--arms` and the results call it an arm.

    Args:
        name: target_only, source_only, cotrain, ambient, soft, omni or exclusive; a suffix after `:` names a variant.
        summary: one sentence.
        mixing: `policy.mixing`.
        source: what the recipe says of the source beside where it lies, e.g. {"sigma_min": 0.3}; None leaves it out.
        trained_on: the dataset that is `--dataset`.
        windows: estimates the source's windows, a name in `estimated_windows.WINDOW_METHODS` or `SELECTED`.
        windows_once: one window is estimated, on the sweeps' draw of the target, and every training takes its numbers,
            as it takes what the sweeps chose; else each training estimates its own, on its own draw.
        share: of the target where all of the source is admitted. The source's weight follows from it and the numbers
            of frames, when the data are there; None: the recipe says it all.
        data: which of the experiment's datasets, a key of `Study.data`.
        policy: settings of the policy that differ from the task's.
        env: options of the environment in its evaluation, e.g. {"condition": True}.
        base: fine-tunes the policy of this condition, of the same training seed, with the target alone.
        steps: optimiser steps as a share of the experiment's.
        needs: names of the sweeps whose choices it depends on.
    """

    name: str
    summary: str
    mixing: Mapping[str, Any]
    source: Mapping[str, Any] | None = field(default_factory=dict)
    trained_on: Literal["target", "source"] = "target"
    windows: str | None = None
    windows_once: bool = False
    share: float | None = None
    data: str = ""
    policy: Mapping[str, Any] = NOTHING
    env: Mapping[str, Any] = NOTHING
    base: str | None = None
    steps: float = 1.0
    needs: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.windows is not None and (self.source is None or "sigma_min" in self.source):
            raise ValueError(
                f"condition '{self.name}' has windows by '{self.windows}' and source {self.source!r}; estimated "
                "windows need a source without a sigma_min of its own."
            )
        free = self.source is not None and "weight" not in self.source
        if self.share is not None and not (free and 0.0 < self.share < 1.0):
            raise ValueError(
                f"condition '{self.name}' has share = {self.share} and source {self.source!r}; a share lies in (0, 1) "
                "and needs a source without a weight of its own."
            )
        if self.base is not None and (self.source is not None or self.policy):
            raise ValueError(
                f"condition '{self.name}' is fine-tuned from {self.base}, which is done with the target alone."
            )
        if not self.steps > 0.0:
            raise ValueError(f"condition '{self.name}' has steps = {self.steps}, which must be positive.")

    def weighted(self, target_frames: int, source_frames: int) -> Condition:
        """The same condition with the weight of the source that gives the target its `share`."""
        if self.share is None:
            return self
        weight = round(target_frames / source_frames * (1.0 - self.share) / self.share, 6)
        return replace(self, source={**(self.source or {}), "weight": weight}, share=None)

    @property
    def folder(self) -> str:
        """The name as a part of a path."""
        return self.name.replace(":", "-")


@dataclass(frozen=True, eq=False)
class Sweep:
    """One value of a condition, tried on a training seed and on evaluation seeds of their own.

    Args:
        name: by which `Choices` know the winner.
        parameter: what is swept, for tables and axes: alpha, sigma_min or sigma_max.
        values: that are tried, each once.
        condition: the condition with a value.
    """

    name: str
    parameter: str
    values: tuple[float, ...]
    condition: Callable[[float], Condition]

    def __post_init__(self) -> None:
        if not self.values or len(set(self.values)) != len(self.values):
            raise ValueError(f"the sweep '{self.name}' tries {self.values}: give at least one value, each once.")
        if not all(0.0 <= value < 1.0 for value in self.values):
            raise ValueError(f"the sweep '{self.name}' tries {self.values}: {self.parameter} lies in [0, 1).")
