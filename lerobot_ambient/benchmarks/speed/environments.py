# SPDX-License-Identifier: Apache-2.0
"""How fast the environments are: steps and resets a second, beside gymnasium's Pendulum in the same run."""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import gymnasium as gym
import numpy as np

_PEER = "Pendulum-v1"
"""Classic control in NumPy, without contacts: about the least that a step of gymnasium costs."""
_PREFIX = "ambient_"
_STRIDE = 0.02
"""Standard deviation of a random motion, as a share of the actions' range: few of them end an episode."""


@dataclass(frozen=True)
class EnvSpeed:
    """One environment.

    Args:
        env: its LeRobot type, without the prefix.
        steps_per_s: median over rounds, of the steps alone.
        resets_per_s: likewise of the resets.
        vs_pendulum: steps a second over Pendulum's, the median over rounds.
    """

    env: str
    steps_per_s: float
    resets_per_s: float
    vs_pendulum: float


def environments() -> list[str]:
    """The names of this package's environments, without their prefix."""
    from lerobot.envs.configs import EnvConfig

    import lerobot_ambient.benchmarks.tasks.configuration  # noqa: F401 (registers them)

    return sorted(name.removeprefix(_PREFIX) for name in EnvConfig.get_known_choices() if name.startswith(_PREFIX))


def bench_envs(names: Sequence[str], *, steps: int = 2000, rounds: int = 3) -> Iterator[EnvSpeed]:
    """Measure environments one after the other, each in turns with Pendulum.

    Args:
        names: of `environments()`.
        steps: of a round.
        rounds: of each environment.

    Raises:
        ValueError: a name is unknown, or `steps` or `rounds` is not positive.
        ImportError: what an environment needs is not installed.
    """
    known = environments()
    for name in names:
        if name not in known:
            raise ValueError(f"there is no environment '{name}'; known: {', '.join(known)}.")
    for label, value in (("steps", steps), ("rounds", rounds)):
        if value < 1:
            raise ValueError(f"--{label} must be at least 1, got {value}.")
    return (_speed(name, steps, rounds) for name in names)


def _speed(name: str, steps: int, rounds: int) -> EnvSpeed:
    from lerobot.envs.configs import EnvConfig

    config = EnvConfig.get_choice_class(f"{_PREFIX}{name}")()
    ours, peer = gym.make(config.gym_id, **config.gym_kwargs), gym.make(_PEER)
    times = [(_round(ours, steps, number), _round(peer, steps, number)) for number in range(rounds)]
    ours.close()
    peer.close()
    return EnvSpeed(
        name,
        statistics.median(1.0 / mine[0] for mine, _ in times),
        statistics.median(1.0 / mine[1] for mine, _ in times),
        statistics.median(other[0] / mine[0] for mine, other in times),
    )


def _round(env: gym.Env[Any, Any], steps: int, seed: int) -> tuple[float, float]:
    """Seconds a step and seconds a reset."""
    rng = np.random.default_rng(seed)
    space = env.action_space
    assert isinstance(space, gym.spaces.Box)
    stepping = resetting = 0.0
    resets, ended, observation = 0, True, None
    for number in range(steps):
        if ended:
            began = time.perf_counter()
            observation, _ = env.reset(seed=seed if number == 0 else None)
            resetting += time.perf_counter() - began
            resets += 1
        # All of ours are told where to be, so small motions start from where they are.
        here = observation["agent_pos"] if isinstance(observation, dict) else np.zeros(space.shape)
        here = here[: space.shape[0]] if len(here) >= space.shape[0] else np.zeros(space.shape)
        noise = _STRIDE * (space.high - space.low) * rng.standard_normal(space.shape)
        action = np.clip(here + noise, space.low, space.high).astype(space.dtype)
        began = time.perf_counter()
        observation, _, terminated, truncated, _ = env.step(action)
        stepping += time.perf_counter() - began
        ended = terminated or truncated
    return stepping / steps, resetting / resets
