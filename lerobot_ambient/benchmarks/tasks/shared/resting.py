# SPDX-License-Identifier: Apache-2.0
"""An environment that rests once its episode has ended, while others of its batch go on."""

from __future__ import annotations

from typing import Any

import gymnasium as gym


class RestsAfterEpisode(gym.Wrapper[Any, Any, Any, Any]):
    """Repeats the end of an episode at no cost until it is reset by somebody.

    `lerobot-eval` steps a batch until its last episode has ended, and gymnasium resets each of the others at once: they
    run episodes that nobody looks at. Such a reset comes without arguments; one with a seed or options is a rollout's.
    As in LeRobot's `FreezeAfterEpisodeEnd`, which thaws on an option of LeRobot's only, the reward is not repeated.
    """

    def __init__(self, env: gym.Env[Any, Any]) -> None:
        super().__init__(env)
        self._end: tuple[Any, float, bool, bool, dict[str, Any]] | None = None
        self._picture: Any = None

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """As the environment's; without arguments after an episode, the episode's last observation."""
        if self._end is not None and seed is None and options is None:
            return self._end[0], self._end[4]
        self._end = self._picture = None
        return self.env.reset(seed=seed, options=options)

    def step(self, action: Any) -> tuple[Any, Any, bool, bool, dict[str, Any]]:
        """As the environment's; after an episode, its end again, without the reward."""
        if self._end is not None:
            return self._end
        observation, reward, terminated, truncated, info = self.env.step(action)
        if terminated or truncated:
            self._end = (observation, 0.0, terminated, truncated, info)
        return observation, reward, terminated, truncated, info

    def render(self) -> Any:
        """As the environment's; after an episode it is painted once."""
        if self._end is None:
            return self.env.render()
        if self._picture is None:
            self._picture = self.env.render()
        return self._picture
