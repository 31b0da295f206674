# SPDX-License-Identifier: Apache-2.0
"""How far PushT's policies come: the share of the mark that the T covers at best, beside the success at 95 %.

Success asks for the last millimetre. A policy that brings the T home and leaves it a little turned counts there like
one that never touches it; gym-pusht's own score, the coverage over 0.95, knows them apart. The policies of `reproduce
pusht` are rolled out on its first layouts, with noise of its own, so shares at 0.95 may differ a little from the page.

python -m lerobot_ambient.benchmarks.studies.pusht_coverage outputs/pusht --results-dir docs/results
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lerobot.envs.utils import preprocess_observation

from lerobot_ambient.benchmarks.engine.crossed import Trainings, difference
from lerobot_ambient.benchmarks.engine.study_run import FINAL_EVAL_SEED, TRAINING, finished_below
from lerobot_ambient.benchmarks.pages.figures import draw_curve, with_interval
from lerobot_ambient.benchmarks.studies.looks.denoising import open_policy
from lerobot_ambient.benchmarks.studies.pusht import REACH, SOURCES, STUDY
from lerobot_ambient.benchmarks.tasks.pusht.environment import KeypointPushTEnv
from lerobot_ambient.benchmarks.tasks.pusht.task import EPISODE_LENGTH
from lerobot_ambient.core.arrays import Floats
from lerobot_ambient.data.files.replace_file import replace_file
from lerobot_ambient.figures.style import styled, subplots, write_png_and_svg
from lerobot_ambient.integration.commands.results import SUCCESS, Rollouts
from lerobot_ambient.integration.commands.training_stage import LAST_CHECKPOINT

LAYOUTS = 100
BOUNDS = (0.5, 0.6, 0.7, 0.8, 0.9, 0.95)
"""Shares of the mark that are asked for; the last is success."""
FILE = "pusht-coverage.json"
"""In the output folder: what was rolled out before."""


def best_coverage(policy: Path, layouts: int = LAYOUTS, length: int = EPISODE_LENGTH) -> Floats:
    """The largest share of the mark that the T covers during each rollout, (layouts,), in [0, 1].

    Args:
        policy: folder of a pretrained `ambient_diffusion` policy.
        layouts: number of rollouts, on the first layouts of the study's evaluation.
        length: step limit of an episode.
    """
    opened = open_policy(policy)
    acting: Any = opened.policy
    worlds = [KeypointPushTEnv(reach=REACH, episode_length=length) for _ in range(layouts)]
    seen = [world.reset(seed=FINAL_EVAL_SEED + index)[0] for index, world in enumerate(worlds)]
    best, running = np.zeros(layouts), np.ones(layouts, dtype=bool)
    torch.manual_seed(0)
    acting.reset()
    while running.any():
        observed = preprocess_observation({key: np.stack([one[key] for one in seen]) for key in seen[0]})
        with torch.inference_mode():
            commands = opened.after(acting.select_action(opened.before(observed))).numpy()
        for index in np.flatnonzero(running):
            seen[index], _, terminated, truncated, told = worlds[index].step(commands[index])
            best[index] = max(best[index], told["coverage"])
            running[index] = not (terminated or truncated)
    return best


def measure(run: Path, file: Path) -> dict[str, dict[int, Floats]]:
    """The best coverages of every final policy below the output folder of `reproduce pusht`, by arm and training.

    What `file` holds of the same policies is taken from there; it is written after each policy.

    Raises:
        ValueError: there is no finished policy.
    """
    known = {one["key"]: one for one in _read(file)}
    told: list[dict[str, Any]] = []
    names = {one.folder: one.name for one in STUDY.conditions(STUDY.defaults, STUDY.full)}
    for key, folder in finished_below(run).items():
        arm, _, seed = folder.name.rpartition("-seed")
        if arm not in names:
            continue
        if key not in known:
            print(f"rolling out {folder.name}", flush=True)
            coverage = best_coverage(folder / TRAINING / LAST_CHECKPOINT)
            known[key] = {"arm": names[arm], "seed": int(seed), "key": key, "coverage": coverage.round(4).tolist()}
        told.append(known[key])
        text = json.dumps({"layouts": LAYOUTS, "policies": told}).replace('{"arm"', '\n{"arm"')
        replace_file(file, f"{text}\n".encode())
    if not told:
        raise ValueError(
            f"{run} holds no finished policy (final/*/eval/done.json); `reproduce pusht` makes them there."
        )
    found: dict[str, dict[int, Floats]] = {name: {} for name in STUDY.order}
    for one in told:
        found[one["arm"]][one["seed"]] = np.array(one["coverage"])
    return {name: by_seed for name, by_seed in found.items() if by_seed}


def reaching(bound: float, coverages: Mapping[int, Floats]) -> Trainings:
    """Rollouts that count as successes where the T covered so much of its mark."""
    return Trainings({seed: Rollouts(best >= bound, np.zeros(len(best))) for seed, best in coverages.items()})


@styled
def draw_coverage(found: Mapping[str, Mapping[int, Floats]], path: Path) -> Path:
    """The share of rollouts that reach a coverage, a panel a fault, with 95 % intervals over trainings and layouts.

    Args:
        found: best coverages by arm and training.
        path: without suffix; a PNG and an SVG are written.

    Returns:
        The PNG's path.
    """
    figure, axes = subplots(1, len(SOURCES.names), figsize=(4.4 * len(SOURCES.names), 3.6), sharey="row")
    for axis, fault in zip(axes.flat, SOURCES.names, strict=True):
        names = [name for name in found if name == "target_only" or name.partition(":")[2].startswith(fault)]
        for index, name in enumerate(names):
            shares = [with_interval(SUCCESS, reaching(bound, found[name])) for bound in BOUNDS]
            apart = 0.006 * (index - (len(names) - 1) / 2)
            draw_curve(axis, [bound + apart for bound in BOUNDS], shares, name, 100.0, conditions=names)
        axis.set_xticks(BOUNDS, [f"{bound:g}" for bound in BOUNDS])
        axis.set_xlabel("share of the mark that the T covers at best")
        axis.set_title(fault)
        axis.legend(loc="lower left", fontsize=7)
    axes[0][0].set_ylabel("rollouts (%)")
    axes[0][0].set_ylim(bottom=0)
    return write_png_and_svg(figure, path)


def _read(file: Path) -> list[dict[str, Any]]:
    if not file.is_file():
        return []
    held = json.loads(file.read_text(encoding="utf-8"))
    return held["policies"] if held["layouts"] == LAYOUTS else []


def _table(found: Mapping[str, Mapping[int, Floats]], bounds: Sequence[float]) -> str:
    """A line for each arm: shares at some bounds, and less the target alone, paired."""
    lines = ["arm, then of each coverage: rollouts that reach it (less the target alone) [95 %]"]
    for name, coverages in found.items():
        cells = []
        for bound in bounds:
            ours = reaching(bound, coverages)
            less = difference(SUCCESS, ours, reaching(bound, found["target_only"])) if "target_only" in found else None
            told = f" ({100 * less.value:+.1f} [{100 * less.low:+.1f}, {100 * less.high:+.1f}])" if less else ""
            cells.append(f"{bound:g}: {100 * ours.pooled.rate:.1f} %{told}")
        lines.append(f"{name}  " + "  ".join(cells))
    return "\n".join(lines)


def main() -> None:
    """Roll out, draw, and print a table."""
    parser = argparse.ArgumentParser(description="How far PushT's policies come.")
    parser.add_argument("run", type=Path, help="output folder of `lerobot-ambient reproduce pusht`")
    parser.add_argument("--results-dir", type=Path, required=True, help="for the figure")
    args = parser.parse_args()
    args.results_dir.mkdir(parents=True, exist_ok=True)
    found = measure(args.run, args.run / FILE)
    draw_coverage(found, args.results_dir / "pusht-coverage")
    print(_table(found, BOUNDS[-3:]))


if __name__ == "__main__":
    main()
