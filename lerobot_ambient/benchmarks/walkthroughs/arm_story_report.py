# SPDX-License-Identifier: Apache-2.0
"""What the story from recording to rollout took, and whether the arm was commanded at its rate."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lerobot_ambient.benchmarks.engine.estimated_windows import printed_windows
from lerobot_ambient.benchmarks.walkthroughs.arm_story import ArmStoryOptions
from lerobot_ambient.integration.commands.stages import Stage


def results_of(options: ArmStoryOptions, stages: Sequence[Stage]) -> dict[str, Any]:
    """Read the finished stages.

    Returns:
        `stages`, seconds by name; `windows`; and `control`, for each command that moved the arm: wanted and found
        frames or commands, and for the base rollout the intervals (ms) in which the arm got its goals.
    """
    at = {stage.folder.name: stage for stage in stages}
    goals = _read(at["rollout"].folder / "states.json")["follower"]["commands"]
    wanted = round(options.rollout_seconds * options.fps)
    control = {
        name: _frames(at[name], episodes * seconds * options.fps)
        for name, episodes, seconds in (
            ("target", options.episodes, options.episode_seconds),
            ("source", options.episodes, options.episode_seconds),
            ("rollout_recorded", options.rollout_episodes, options.rollout_seconds),
        )
    }
    control["rollout"] = {"wanted": wanted, "found": goals["count"], "share": _share(goals["count"], wanted), **goals}
    return {
        "experiment": "arm-story",
        "fps": options.fps,
        "stages": {stage.folder.name: stage.seconds for stage in stages},
        "windows": printed_windows(at["windows"].log, ("source", "method", "sigma_min")),
        "control": control,
    }


def text_of(results: dict[str, Any]) -> str:
    """The results as lines."""
    lines = ["stage               seconds"]
    lines += [f"{name:18s} {seconds:8.0f}" for name, seconds in results["stages"].items()]
    lines += [f"{'together':18s} {sum(results['stages'].values()):8.0f}", ""]
    lines += [f"sigma_min of {one['source']}: {one['sigma_min']:.3f} ({one['method']})" for one in results["windows"]]
    lines += ["", f"at {results['fps']} Hz          wanted   found   share"]
    for name, found in results["control"].items():
        lines.append(f"{name:18s} {found['wanted']:6d} {found['found']:7d} {100 * found['share']:6.0f} %")
    base = results["control"]["rollout"]
    if base["median_ms"] is not None:
        lines.append(
            f"goals reached the arm every {base['median_ms']:.0f} ms (median), 95 % within {base['p95_ms']:.0f} ms, "
            f"the longest gap was {base['longest_ms']:.0f} ms; a step has {1000 / results['fps']:.0f} ms"
        )
    return "\n".join(lines)


def _frames(stage: Stage, wanted: float) -> dict[str, Any]:
    found = int(_read(stage.run_folder / "meta" / "info.json")["total_frames"])
    return {"wanted": round(wanted), "found": found, "share": _share(found, round(wanted))}


def _share(found: int, wanted: int) -> float:
    return round(found / wanted, 3)


def _read(path: Path) -> dict[str, Any]:
    values: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return values
