# SPDX-License-Identifier: Apache-2.0
"""What every environment of this project must do, as one function: `check_environment`.

LeRobot's rollout leans on habits that gymnasium does not check: is_success in the last info, a step limit under
`_max_episode_steps`, same-step resets, and rewards that still sum to the episode's metric when the first
reward of the next episode is added.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import gymnasium as gym
import numpy as np
import torch
from gymnasium.vector import AutoresetMode, SyncVectorEnv
from numpy.typing import NDArray

MakeEnv = Callable[[], "gym.Env[Any, Any]"]
Policy = Callable[["gym.Env[Any, Any]", Any, np.random.Generator], NDArray[Any]]
EpisodeReturn = Callable[["gym.Env[Any, Any]"], float]


class ConformanceError(AssertionError):
    """An environment breaks the contract; the message says which part and how."""


def require(holds: bool, message: str) -> None:
    """Raise ConformanceError with `message` unless `holds`."""
    if not holds:
        raise ConformanceError(message)


def _random_policy(env: gym.Env[Any, Any], observation: Any, rng: np.random.Generator) -> NDArray[Any]:
    """A uniform draw from a bounded Box action space."""
    space = env.action_space
    require(isinstance(space, gym.spaces.Box), f"the action space is {space}, not a Box")
    assert isinstance(space, gym.spaces.Box)
    require(space.is_bounded(), f"the action space {space} is not bounded")
    return rng.uniform(space.low, space.high).astype(space.dtype)


@dataclass(frozen=True)
class _Subject:
    """The environment under test and how to drive it."""

    make_env: MakeEnv
    policy: Policy
    idle_policy: Policy
    episode_return: EpisodeReturn | None
    seeds: tuple[int, ...]


@dataclass(frozen=True)
class _Record:
    """One episode."""

    observations: list[Any]
    rewards: list[float]
    info: dict[str, Any]
    terminated: bool
    truncated: bool


def _flat(observation: Any) -> list[NDArray[Any]]:
    if isinstance(observation, dict):
        return [leaf for key in sorted(observation) for leaf in _flat(observation[key])]
    return [np.asarray(observation)]


def _same(first: Any, second: Any) -> bool:
    return all(np.array_equal(a, b) for a, b in zip(_flat(first), _flat(second), strict=True))


def _limit(env: gym.Env[Any, Any]) -> int:
    require(env.has_wrapper_attr("_max_episode_steps"), "the environment has no _max_episode_steps")
    limit = env.get_wrapper_attr("_max_episode_steps")
    require(isinstance(limit, int) and limit >= 1, f"_max_episode_steps is {limit!r}, not a positive integer")
    return int(limit)


def _check_result(env: gym.Env[Any, Any], observation: Any, info: dict[str, Any], when: str) -> None:
    require(
        env.observation_space.contains(observation),
        f"{when}: the observation {observation!r} is not in {env.observation_space} (shape, type or bounds)",
    )
    success = info.get("is_success")
    require(isinstance(success, (bool, np.bool_)), f"{when}: info['is_success'] is {success!r}, not a bool")


def _episode(env: gym.Env[Any, Any], subject: _Subject, seed: int) -> _Record:
    rng = np.random.default_rng(np.random.SeedSequence(seed))
    observation, info = env.reset(seed=seed)
    _check_result(env, observation, info, f"reset(seed={seed})")
    require(not info["is_success"], f"reset(seed={seed}) already reports success")
    record = _Record([observation], [], info, False, False)
    limit = _limit(env)
    while not (record.terminated or record.truncated):
        step = len(record.rewards) + 1
        require(step <= limit, f"seed {seed}: no end after the limit of {limit} steps")
        action = subject.policy(env, observation, rng)
        observation, reward, terminated, truncated, info = env.step(action)
        _check_result(env, observation, info, f"seed {seed}, step {step}")
        require(math.isfinite(float(reward)), f"seed {seed}, step {step}: the reward is {reward}")
        require(
            isinstance(terminated, bool) and isinstance(truncated, bool),
            f"seed {seed}, step {step}: terminated and truncated are {terminated!r} and {truncated!r}, not bools",
        )
        require(
            step == 1 or not info["is_success"] or terminated or truncated,
            f"seed {seed}, step {step}: success does not end the episode",
        )
        record = _Record(
            [*record.observations, observation], [*record.rewards, float(reward)], info, terminated, truncated
        )
    return record


def _check_specs(subject: _Subject) -> None:
    """Observations, infos, rewards and ends follow the spaces and the contract; only bounded Box actions."""
    env = subject.make_env()
    _random_policy(env, None, np.random.default_rng(0))
    for seed in subject.seeds:
        _episode(env, subject, seed)
    env.close()


def _check_determinism(subject: _Subject) -> None:
    """Two instances give the same episode for the same reset seed, whatever went before, and not for all seeds."""
    first, second = subject.make_env(), subject.make_env()
    starts = []
    for seed in subject.seeds:
        one = _episode(first, subject, seed)
        second.reset(seed=seed + 1)
        np.random.seed(seed + 17)
        random.seed(seed + 17)
        torch.manual_seed(seed + 17)
        two = _episode(second, subject, seed)
        require(
            len(one.rewards) == len(two.rewards)
            and one.rewards == two.rewards
            and all(map(_same, one.observations, two.observations)),
            f"reset(seed={seed}) is not deterministic: two instances gave different episodes",
        )
        starts.append(one.observations[0])
    require(
        not all(_same(starts[0], start) for start in starts[1:]),
        f"the reset seed has no effect: seeds {subject.seeds} all start with {starts[0]!r}",
    )


def _check_global_rng(subject: _Subject) -> None:
    """No global generator (random, numpy, torch) is read or advanced."""
    random.seed(1)
    np.random.seed(1)
    torch.manual_seed(1)
    before = (random.getstate(), str(np.random.get_state()), torch.get_rng_state().tolist())
    env = subject.make_env()
    _episode(env, subject, subject.seeds[0])
    if env.render_mode is not None:
        env.render()
    after = (random.getstate(), str(np.random.get_state()), torch.get_rng_state().tolist())
    for name, old, new in zip(("random", "numpy.random", "torch"), before, after, strict=True):
        require(old == new, f"the environment draws from the global generator of {name}; use self.np_random")


def _check_return(subject: _Subject) -> None:
    """Rewards sum to the documented figure of the episode, and the first reward is 0, because LeRobot's rollout adds
    the first reward of the next episode to every sum."""
    if subject.episode_return is None:
        return
    env = subject.make_env()
    for seed in subject.seeds:
        record = _episode(env, subject, seed)
        wanted, found = subject.episode_return(env), sum(record.rewards)
        require(
            bool(np.isclose(found, wanted, rtol=1e-9, atol=1e-9)),
            f"seed {seed}: the rewards sum to {found}, the documented return is {wanted}",
        )
        require(record.rewards[0] == 0.0, f"seed {seed}: the first reward is {record.rewards[0]}, not 0")


def _check_order(subject: _Subject) -> None:
    """A step before the first reset, or after the end without a reset, is an error."""
    env = subject.make_env()
    action = _random_policy(env, None, np.random.default_rng(0))
    for when in ("before the first reset", "after the end of an episode"):
        if when.startswith("after"):
            _episode(env, subject, subject.seeds[0])
        try:
            env.step(action)
        except gym.error.ResetNeeded:
            continue
        raise ConformanceError(f"step() {when} raised no ResetNeeded")


def _check_limit(subject: _Subject) -> None:
    """An episode that neither succeeds nor fails is truncated, not terminated, at exactly `_max_episode_steps`."""
    env = subject.make_env()
    limit = _limit(env)
    record = _episode(env, replace(subject, policy=subject.idle_policy), subject.seeds[0])
    require(
        record.truncated and not record.terminated and len(record.rewards) == limit,
        f"an idle episode ends after {len(record.rewards)} steps with terminated={record.terminated}, "
        f"truncated={record.truncated}; it must be truncated after {limit} steps",
    )


def _check_render(subject: _Subject) -> None:
    """render() gives uint8 (height, width, 3) of one size, and the picture changes during an episode."""
    env = subject.make_env()
    require(env.render_mode == "rgb_array", f"render_mode is {env.render_mode!r}, make it 'rgb_array' here")
    require("render_fps" in env.metadata, "metadata has no render_fps")
    env.reset(seed=subject.seeds[0])
    first = env.render()
    _episode(env, subject, subject.seeds[0])
    last = env.render()
    for picture in (first, last):
        require(isinstance(picture, np.ndarray), f"render() gave {type(picture).__name__}, not an array")
        assert isinstance(picture, np.ndarray)
        require(
            picture.dtype == np.uint8 and picture.ndim == 3 and picture.shape[2] == 3,
            f"render() gave {picture.dtype} {picture.shape}, not uint8 (height, width, 3)",
        )
    require(
        not np.array_equal(np.asarray(first), np.asarray(last)),
        "render() shows the same picture before and after an episode",
    )


def _check_vector(subject: _Subject) -> None:
    """Under SyncVectorEnv with same-step resets, final_info carries is_success and episodes equal single ones."""
    seeds = list(subject.seeds)
    alone = [_episode(subject.make_env(), subject, seed) for seed in seeds]
    vector = SyncVectorEnv([subject.make_env] * len(seeds), autoreset_mode=AutoresetMode.SAME_STEP)
    generators = [np.random.default_rng(np.random.SeedSequence(seed)) for seed in seeds]
    observations, _ = vector.reset(seed=[*seeds], options={"lerobot_new_rollout": True})
    ended: set[int] = set()
    sums = np.zeros(len(seeds))
    for _ in range(max(len(record.rewards) for record in alone)):
        actions = np.stack(
            [subject.policy(env, _row(observations, k), generators[k]) for k, env in enumerate(vector.envs)]
        )
        observations, rewards, terminated, truncated, info = vector.step(actions)
        for k in np.flatnonzero(terminated | truncated):
            require("final_info" in info, "the vector environment gives no final_info at the end of an episode")
            if int(k) not in ended:
                sums[k] += rewards[k]
                success = info["final_info"]["is_success"][k]
                require(
                    bool(success) == bool(alone[k].info["is_success"]),
                    f"seed {seeds[k]}: final_info says is_success={success}, the single run says otherwise",
                )
                ended.add(int(k))
        running = [k for k in range(len(seeds)) if k not in ended]
        sums[running] += rewards[running]
    require(len(ended) == len(seeds), "the vector run's episodes last longer than the single ones")
    wanted = np.array([sum(record.rewards) for record in alone])
    require(bool(np.allclose(sums, wanted, rtol=1e-6)), f"rewards sum to {sums} in a vector, to {wanted} alone")
    vector.close()


def _row(observations: Any, index: int) -> Any:
    if isinstance(observations, dict):
        return {key: _row(values, index) for key, values in observations.items()}
    return observations[index]


_CHECKS: tuple[Callable[[_Subject], None], ...] = (
    _check_specs,
    _check_determinism,
    _check_global_rng,
    _check_return,
    _check_order,
    _check_limit,
    _check_render,
    _check_vector,
)


def check_environment(
    make_env: MakeEnv,
    *,
    idle_policy: Policy,
    policy: Policy = _random_policy,
    episode_return: EpisodeReturn | None = None,
    seeds: tuple[int, ...] = (0, 1, 2),
) -> None:
    """Run every check on an environment.

    Args:
        make_env: gives a fresh instance with render_mode "rgb_array".
        policy: from (environment, observation, generator) to an action; it must be a function of these alone. Choose
            one whose episodes are long enough to be interesting.
        idle_policy: a policy that neither succeeds nor fails.
        episode_return: what the rewards of the episode just ended are documented to sum to, from the environment;
            None if the task documents none.
        seeds: reset seeds, at least two.

    Raises:
        ConformanceError: for the first broken part. The global generators' states are restored in any case.
    """
    if len(seeds) < 2:
        raise ValueError(f"check_environment: seeds is {seeds}, give at least two")
    states = random.getstate(), np.random.get_state(), torch.get_rng_state()
    try:
        for check in _CHECKS:
            check(_Subject(make_env, policy, idle_policy, episode_return, seeds))
    finally:
        random.setstate(states[0])
        np.random.set_state(states[1])
        torch.set_rng_state(states[2])
