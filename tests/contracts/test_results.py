# SPDX-License-Identifier: Apache-2.0
"""`docs/results/*.json`: what every committed result says, in the form that readers of the numbers count on."""

from __future__ import annotations

import datetime
import json
import math
from typing import Any

import pytest

ARMS = ("target_only", "source_only", "cotrain", "ambient", "soft", "omni", "exclusive")
MIXINGS = ("target_only", "cotrain", "ambient", "soft", "exclusive")

WITHOUT_ARMS = {
    "oracles": ("cases", "claims"),
    "heldout-oracles": ("kinds", "claims"),
    "judgement": ("correlations", "points"),
    "recordings": ("found", "claims"),
}
"""Studies of estimators, which train no policy: what stands in them for `arms`."""


def wilson(successes: int, trials: int) -> list[float]:
    z, p = 1.959963984540054, successes / trials
    middle, half = p + z * z / (2 * trials), z * math.sqrt(p * (1 - p) / trials + z * z / (4 * trials**2))
    return [(middle - half) / (1 + z * z / trials), (middle + half) / (1 + z * z / trials)]


def results(checkout) -> dict[str, Any]:
    found = sorted((checkout / "docs" / "results").glob("*.json"))
    return {path.stem: json.loads(path.read_text()) for path in found}


def test_every_result_says_how_and_where_it_was_made(checkout):
    for name, result in results(checkout).items():
        if name.endswith("-rollouts"):
            continue
        assert result["command"].startswith("lerobot-ambient reproduce"), name
        assert isinstance(result["machine"], str), name
        datetime.date.fromisoformat(result["date"])
        parts = WITHOUT_ARMS.get(name)
        assert all(part in result for part in parts or ("arms",)), name
        assert parts or result["experiment"] == name


def test_arms_have_their_counts_and_intervals(checkout):
    arms = {(name, arm["arm"]): arm for name, result in results(checkout).items() for arm in result.get("arms", [])}
    assert len(arms) > 50
    for where, arm in arms.items():
        assert arm["arm"].partition(":")[0] in ARMS, where
        assert arm["mixing"] in MIXINGS, where
        assert arm["train_seeds"] == list(dict.fromkeys(map(int, arm["train_seeds"]))), where
        assert 0 <= arm["successes"] <= arm["trials"] > 0, where
        assert arm["wilson95"] == pytest.approx(wilson(arm["successes"], arm["trials"]), abs=1e-3), where
        for metric, value in arm["metrics"].items():
            # A metric, its interval, or both of every seed.
            assert all(isinstance(one, int | float) for one in (value if isinstance(value, list) else [value])), metric
        for window in arm["windows"]:
            assert {"source", "sigma_min", "sigma_max"} <= window.keys(), where
            assert isinstance(window["source"], str), where


def test_kept_rollouts_name_their_experiment(checkout):
    kept = {name: result for name, result in results(checkout).items() if name.endswith("-rollouts")}
    assert kept
    for name, result in kept.items():
        assert result.keys() == {"experiment", "format", "rollouts"}
        assert f"{result['experiment']}-rollouts" == name
        assert result["format"] == 1
