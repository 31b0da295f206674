# SPDX-License-Identifier: Apache-2.0
"""One demonstration of PushT: the demonstrator's commands, what its style makes of them, and what is recorded."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache

import numpy as np
from numpy.typing import NDArray

from lerobot_ambient.benchmarks.tasks.pusht.demonstrator import Demonstrator, along, pairs
from lerobot_ambient.benchmarks.tasks.pusht.environment import KeypointPushTEnv, rub
from lerobot_ambient.benchmarks.tasks.pusht.styles import Style
from lerobot_ambient.benchmarks.tasks.pusht.task import EPISODE_LENGTH, TABLE
from lerobot_ambient.benchmarks.tasks.shared.lowdim_writer import Episode
from lerobot_ambient.core.arrays import Floats

PATIENCE = 3
"""A demonstrator with a fault may take so many times as long as a rollout."""
ATTEMPTS = 20
_ARRIVED = 4.0
"""How near the corners must be to a goal that is not gym-pusht's, root mean square, pixels."""
_MOVED = 3.0
"""By how much a T that was touched on the way to a push must lie elsewhere for another plan."""


@dataclass(frozen=True)
class Demonstration:
    """An episode, and how many were begun until one came to its end, this one included."""

    episode: Episode
    attempts: int


@cache
def _demonstrator(style: Style) -> Demonstrator:
    return Demonstrator(style)


def _attempt(env: KeypointPushTEnv, style: Style, sequence: np.random.SeedSequence) -> Episode | None:
    """One episode; None if it does not bring the T to the goal in time."""
    start, moves = sequence.spawn(2)
    observation, _ = env.reset(seed=int(start.generate_state(1, np.uint64)[0]))
    rub(env.inner, style.friction)
    rng = np.random.default_rng(moves)
    frames = []
    waiting: deque[NDArray[np.float32]] = deque([env.pusher.astype(np.float32)] * style.delay)
    arrived = ended = False
    for wish in _broken(env, style, rng) if rng.random() < style.broken else _wishes(env, style, rng):
        shaken = np.clip(wish + rng.normal(0.0, 1.0, 2) * style.tremble, 0.0, TABLE).astype(np.float32)
        frames.append((observation["agent_pos"], observation["environment_state"], shaken))
        waiting.append(shaken)
        observation, _, terminated, truncated, _ = env.step(waiting.popleft())
        arrived, ended = terminated or arrived, terminated or truncated
        if ended:
            break
    else:
        # It has stopped by itself: at a goal of its own, or because nothing was to come of it.
        arrived = bool(frames)
    if not arrived:
        return None
    names = ("observation.state", "observation.environment_state", "action")
    return {key: np.stack(values) for key, values in zip(names, zip(*frames, strict=True), strict=True)}


def _wishes(
    env: KeypointPushTEnv, style: Style, rng: np.random.Generator, pushes: int | None = None
) -> Iterator[Floats]:
    """The commands of an episode, each asked for when the one before has been followed."""
    demonstrator = _demonstrator(style)
    done = 0
    while pushes is None or done < pushes:
        pose = env.pose
        if style.shift != (0.0, 0.0, 0.0) and demonstrator.left(pose) < _ARRIVED:
            return
        planned = demonstrator.commands(env.pusher, pose, rng)
        if planned is None:
            # Out of the way, to look at it from elsewhere.
            yield from _wander(env, style, rng)
            continue
        walk, stroke = planned
        for command in walk:
            yield from _hesitating(command, style, rng)
        if demonstrator.moved(pose, env.pose) < _MOVED:
            for command in stroke:
                yield from _hesitating(command, style, rng)
        done += 1


def _hesitating(command: Floats, style: Style, rng: np.random.Generator) -> Iterator[Floats]:
    pause = int(rng.integers(2, 9)) if style.hesitate and rng.random() < style.hesitate else 0
    for _ in range(1 + pause):
        yield command


def _wander(env: KeypointPushTEnv, style: Style, rng: np.random.Generator) -> Iterator[Floats]:
    """Across the table to anywhere, whatever is in the way."""
    route = np.array([complex(*env.pusher), complex(*rng.uniform(50.0, 450.0, 2))])
    yield from pairs(along(route, style.walk))


def _broken(env: KeypointPushTEnv, style: Style, rng: np.random.Generator) -> Iterator[Floats]:
    """A broken episode: some pushes to a place that is not the goal, or none; then it walks about, through the T."""
    if rng.random() < 0.5:
        elsewhere = tuple(float(value) for value in rng.uniform((-100.0, -100.0, -2.0), (100.0, 100.0, 2.0)))
        yield from _wishes(env, replace(style, shift=elsewhere, broken=0.0), rng, pushes=3)  # type: ignore[arg-type]
    for _ in range(int(rng.integers(2, 5))):
        yield from _wander(env, style, rng)


def demonstration(number: int, style: Style, reach: float, stream: tuple[int, ...], seed: int) -> Demonstration:
    """Demonstration `number` of a style, pure in its arguments. It does not depend on how many are made.

    Args:
        number: of the episode.
        style: of its demonstrator.
        reach: how far from the goal it starts, see `KeypointPushTEnv`.
        stream: first words of its spawn key.
        seed: of all demonstrations.

    Raises:
        RuntimeError: no attempt came to its end.
    """
    slow = EPISODE_LENGTH if style == Style() else PATIENCE * EPISODE_LENGTH
    env = KeypointPushTEnv(reach=reach, episode_length=slow)
    for attempts in range(1, ATTEMPTS + 1):
        sequence = np.random.SeedSequence(seed, spawn_key=(*stream, number, attempts))
        episode = _attempt(env, style, sequence)
        if episode is not None:
            return Demonstration(episode, attempts)
    raise RuntimeError(f"pusht, {style}: demonstration {number} of seed {seed} failed {ATTEMPTS} times")
