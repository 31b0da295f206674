# SPDX-License-Identifier: Apache-2.0
"""The maze experiment's own figures: the paths of demonstrations and rollouts, and what the policies denoise."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from lerobot_ambient.benchmarks.engine.crossed import Trainings
from lerobot_ambient.benchmarks.engine.trajectories import Trajectory, read_demonstrations, read_recordings
from lerobot_ambient.benchmarks.pages.comparison import trainings_of
from lerobot_ambient.benchmarks.pages.maze_animation import FAILED, FAILED_END, draw_animation
from lerobot_ambient.benchmarks.pages.maze_animation import draw_maze as draw_walls
from lerobot_ambient.benchmarks.studies.looks.denoising import Denoising, denoise
from lerobot_ambient.benchmarks.tasks.maze.environment import MazeEnv
from lerobot_ambient.benchmarks.tasks.maze.geometry import DEFAULT_MAZE_SEED, Maze
from lerobot_ambient.figures.families import colour, label
from lerobot_ambient.figures.style import styled, subplots, write_png_and_svg
from lerobot_ambient.integration.commands.results import Measure

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from lerobot_ambient.benchmarks.engine.outcome import Outcome
    from lerobot_ambient.benchmarks.engine.study import Figure

_COMPARED = ("target_only", "cotrain", "ambient")
LEVELS, DRAWS = (0.95, 0.5, 0.1), 8
_TASK_SEED = 500_000
"""Of the start and the goal that are shown; far from those of any evaluation."""


def draw_maze(outcome: Outcome, begin: Path) -> Sequence[Figure]:
    """The paths of demonstrations and rollouts, and what the policies denoise."""
    return [*_trajectories(outcome, begin), *_denoising(outcome, begin)]


def _trajectories(outcome: Outcome, begin: Path) -> Sequence[Figure]:
    """The paths of both datasets, and the first rollouts of every condition that is not a variant."""
    first: dict[str, list[Trajectory]] = {}
    for run in outcome.runs:
        if run.recordings is not None and run.condition.name not in first and ":" not in run.condition.name:
            first[run.condition.name] = read_recordings(run.recordings)
    if not first or "" not in outcome.data:
        return []
    demonstrations = {str(kind): read_demonstrations(root) for kind, root in outcome.data[""].items()}
    path = begin.with_name(f"{begin.name}-trajectories")
    return [
        (
            draw_trajectories(demonstrations, first, trainings_of(outcome), outcome.study.measures[0], path),
            "Twenty demonstrations of each dataset, and the same twenty tasks rolled out by each arm. Dot: start; "
            "grey with a cross: failed. MSA: mean squared acceleration of all successful rollouts.",
        ),
        (
            draw_animation(
                demonstrations,
                {name: some for name, some in first.items() if name in _COMPARED},
                begin.with_name(f"{begin.name}-moving"),
            ),
            "The first twelve of them as they move, all at one pace: the demonstrations, and the three arms that "
            "tell the story.",
        ),
    ]


def _denoising(outcome: Outcome, begin: Path) -> Sequence[Figure]:
    """One task and its first chunk, by the first policy of each of three conditions."""
    env = MazeEnv()
    seen, _ = env.reset(seed=_TASK_SEED)
    observation = {f"observation.{to}": seen[key] for key, to in _OBSERVED.items()}
    found: dict[str, list[Denoising]] = {}
    for run in outcome.runs:
        if run.policy is not None and run.condition.name in _COMPARED and run.condition.name not in found:
            found[run.condition.name] = denoise(run.policy, observation, LEVELS, DRAWS)
    if not found:
        return []
    path = begin.with_name(f"{begin.name}-denoising")
    return [
        (
            _draw_denoising(found, seen["agent_pos"], path),
            f"From global to local: what each policy takes its noisy chunk for, {DRAWS} chunks at one start at three "
            "noise levels on the way from noise to action. Grey: the noisy chunk, where it lies in the frame. Line: "
            "the denoiser's estimate of the chunk without noise.",
        )
    ]


_OBSERVED = {"agent_pos": "state", "environment_state": "environment_state"}


@styled
def draw_trajectories(
    demonstrations: Mapping[str, Sequence[Trajectory]],
    paths: Mapping[str, Sequence[Trajectory]],
    conditions: Mapping[str, Trainings],
    smoothness: Measure,
    path: Path,
) -> Path:
    """Small multiples of the maze: the demonstrations, then the recorded rollouts of every condition.

    Args:
        demonstrations: by "target" and "source".
        paths: recorded rollouts by condition.
        conditions: all trainings by condition, for the numbers in the titles.
        smoothness: that is shown beside the success.
        path: without suffix; a PNG and an SVG are written.

    Returns:
        The PNG's path.
    """
    panels = [(f"{kind}\n(demonstrations)", "#444444", list(some)) for kind, some in demonstrations.items()]
    for name, some in paths.items():
        rate, value = conditions[name].pooled.rate, smoothness.of(conditions[name].pooled)
        numbers = f"{100 * rate:.1f} %" + ("" if value is None else f", MSA {value:.2f}")
        panels.append((f"{label(name)}\n{numbers}", colour(name), list(some)))
    columns = len(panels) if len(panels) <= 5 else math.ceil(len(panels) / 2)
    rows = math.ceil(len(panels) / columns)
    maze = Maze.from_seed(DEFAULT_MAZE_SEED)
    figure, axes = subplots(rows, columns, figsize=(2.15 * columns, 2.45 * rows))
    for axis in axes.flat[len(panels) :]:
        axis.set_axis_off()
    for axis, (title, shade, trajectories) in zip(axes.flat, panels, strict=False):
        draw_walls(axis, maze)
        for one in sorted(trajectories, key=lambda one: one.success):
            ink = shade if one.success else FAILED
            axis.plot(*one.points.T, color=ink, linewidth=0.9, alpha=0.85 if one.success else 0.7)
            axis.plot(*one.points[0], marker="o", markersize=2.2, color=ink)
            if not one.success:
                axis.plot(*one.points[-1], marker="x", markersize=4, color=FAILED_END, markeredgewidth=1.1)
        axis.set_title(title, color=shade)
    return write_png_and_svg(figure, path)


@styled
def _draw_denoising(conditions: Mapping[str, Sequence[Denoising]], start: NDArray[np.floating], path: Path) -> Path:
    """A row a condition, a column a noise level: noisy chunks and estimates of the clean ones, in the maze.

    Args:
        conditions: chunks of two-dimensional positions at the same levels for every condition.
        start: where the robot is, (2,).
        path: without suffix; a PNG and an SVG are written.

    Returns:
        The PNG's path.
    """
    estimates = np.concatenate([one.clean.reshape(-1, 2) for levels in conditions.values() for one in levels])
    reach = 1.15 * float(np.abs(estimates - start).max())
    columns = len(next(iter(conditions.values())))
    figure, axes = subplots(len(conditions), columns, figsize=(2.3 * columns, 2.35 * len(conditions)))
    maze = Maze.from_seed(DEFAULT_MAZE_SEED)
    for row, (name, levels) in zip(axes, conditions.items(), strict=True):
        for axis, one in zip(row, levels, strict=True):
            draw_walls(axis, maze)
            axis.plot(*one.noisy.reshape(-1, 2).T, ".", markersize=1.8, color=FAILED, alpha=0.6)
            for chunk in one.clean:
                axis.plot(*chunk.T, color=colour(name), linewidth=1.1, alpha=0.8)
            axis.plot(*start, marker="o", markersize=4, color="black")
            axis.set(xlim=(start[0] - reach, start[0] + reach), ylim=(start[1] - reach, start[1] + reach))
            axis.set_title(f"{label(name)}, $\\sigma$ = {one.sigma:.2f}", color=colour(name))
    return write_png_and_svg(figure, path)
