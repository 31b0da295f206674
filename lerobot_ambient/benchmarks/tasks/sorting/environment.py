# SPDX-License-Identifier: Apache-2.0
"""Block sorting as a gymnasium environment: a gripper over a table, coloured blocks, two bins."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from lerobot_ambient.benchmarks.tasks.sorting.render import Scene, SortingPainter
from lerobot_ambient.benchmarks.tasks.sorting.task import (
    BLOCK_FEATURES,
    CLOSED,
    DEFAULT_BLOCKS,
    FPS,
    GRASP_RADIUS,
    GRIPPER_STEP,
    MAX_BLOCKS,
    MAX_STEP,
    RIGHT_REWARD,
    STEPS_PER_BLOCK,
    TASK,
    VIEWS,
    WRONG_REWARD,
    Layout,
    View,
    bin_at,
    draw_layout,
)
from lerobot_ambient.core.arrays import Floats, Ints

Observation = dict[str, NDArray[np.float32]]
_BOUNDS = {
    "x": (-1, 1),
    "y": (-1, 1),
    "colour": (-1, 1),
    "sorted": (0, 1),
    "x_from_hand": (-2, 2),
    "y_from_hand": (-2, 2),
}
"""Least and greatest of what is observed of a block."""
_FAR = 4.0
"""Longer than any distance on the table."""


class SortingEnv(gym.Env[Observation, NDArray[np.float32]]):
    """A gripper carries red blocks to the left bin and blue blocks to the right bin, seen from above.

    Observation, float32: `agent_pos` (3,), the gripper's position (x, y) and its closure (0 open, 1 closed);
    `environment_state`, for every block x, y, colour (-1 red, 1 blue) and sorted (0 or 1), in the view "wrist" also
    its x and y less the gripper's; then the colour that is held (0 for none), then with `condition` a 1, see `data.py`.
    Blocks are listed from the nearest to the farthest from the gripper, those in a bin last, so that small networks
    need not search.

    Action: float32 (3,), the desired next position and closure. The gripper moves straight there by at most
    `MAX_STEP`, and its closure by at most `GRIPPER_STEP`. When the closure rises to `CLOSED` it grasps the nearest
    block within `GRASP_RADIUS`, the bound included; when it falls below, the block stays where it is: over a bin it
    is sorted for good, elsewhere it lies on the table.

    End: the episode terminates when every block is in a bin, with success if each is in the right one. It is
    truncated after `episode_length` steps.

    Reward: `RIGHT_REWARD` for a block put into the right bin, `WRONG_REWARD` for one put into the wrong bin. The sum
    tells both numbers, see `task.decode_return`. A first step earns nothing: no block is held then.

    Info, at reset and every step: `is_success`, `correct`, `wrong`.

    Args:
        blocks: how many, 1 to `MAX_BLOCKS`.
        condition: whether `environment_state` ends with the flag of the target demonstrations.
        view: "table" or "wrist", see above.
        episode_length: step limit; None gives `STEPS_PER_BLOCK` for every block.
        render_mode: None or "rgb_array".
        image_size: height and width of the rendered picture in pixels.
    """

    metadata = {"render_modes": ["rgb_array"], "render_fps": FPS}  # noqa: RUF012 (gymnasium's declaration)

    def __init__(
        self,
        blocks: int = DEFAULT_BLOCKS,
        condition: bool = False,
        view: View = "table",
        episode_length: int | None = None,
        render_mode: str | None = None,
        image_size: int = 192,
    ) -> None:
        limit = STEPS_PER_BLOCK * blocks if episode_length is None else episode_length
        if not 1 <= blocks <= MAX_BLOCKS:
            raise ValueError(f"SortingEnv: blocks is {blocks}, must be 1 to {MAX_BLOCKS}")
        if view not in VIEWS:
            raise ValueError(f"SortingEnv: view is {view!r}, must be one of {VIEWS}")
        if limit < 1:
            raise ValueError(f"SortingEnv: episode_length is {limit}, must be at least 1")
        if render_mode not in (None, "rgb_array"):
            raise ValueError(f"SortingEnv: render_mode is {render_mode!r}, must be None or 'rgb_array'")
        self.blocks = blocks
        self.condition = condition
        self.view = view
        self.render_mode = render_mode
        self.task = self.task_description = TASK
        # LeRobot's rollout reads its step limit from this name.
        self._max_episode_steps = limit
        self._painter = SortingPainter(image_size)
        hand = spaces.Box(np.array([-1, -1, 0], np.float32), np.ones(3, np.float32))
        each = [_BOUNDS[feature] for feature in BLOCK_FEATURES[view]]
        bounds = np.array([*(each * blocks), (-1, 1), *([(1, 1)] if condition else [])], np.float32)
        seen = spaces.Box(bounds[:, 0], bounds[:, 1])
        self.observation_space = spaces.Dict(  # type: ignore[assignment]
            {"agent_pos": hand, "environment_state": seen}
        )
        self.action_space = hand
        self._place(Layout(np.zeros((blocks, 2)), np.zeros(blocks, np.int64), np.zeros(2)))
        self._running = False

    @property
    def hand(self) -> Floats:
        """The gripper's position and closure, shape (3,)."""
        return self._hand.copy()

    @property
    def block_positions(self) -> Floats:
        """Shape (blocks, 2)."""
        return self._positions.copy()

    @property
    def colours(self) -> Ints:
        """Shape (blocks,)."""
        return self._colours.copy()

    @property
    def bins(self) -> Ints:
        """The bin of every block, -1 on the table, shape (blocks,)."""
        return self._bins.copy()

    @property
    def held(self) -> int | None:
        """The block in the gripper."""
        return self._held

    @property
    def correct(self) -> int:
        """Number of blocks in the right bin."""
        return int((self._bins == self._colours).sum())

    @property
    def wrong(self) -> int:
        """Number of blocks in the wrong bin."""
        return int((self._bins >= 0).sum()) - self.correct

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observation, dict[str, Any]]:
        """Start an episode.

        Args:
            seed: of the layout, and of those of later resets without a seed.
            options: `layout`, a `Layout` with as many blocks, replaces the drawn one; other keys are the caller's own.
        """
        super().reset(seed=seed)
        layout = draw_layout(self.np_random, self.blocks)
        layout = (options or {}).get("layout", layout)
        if len(layout.blocks) != self.blocks:
            raise ValueError(f"SortingEnv: the layout has {len(layout.blocks)} blocks, the environment {self.blocks}")
        self._place(layout)
        return self._observation(), self._info()

    def step(self, action: NDArray[np.float32]) -> tuple[Observation, float, bool, bool, dict[str, Any]]:
        """Move towards `action`, a position and a closure of shape (3,).

        Raises:
            gymnasium.error.ResetNeeded: before the first reset and after the end of an episode.
            ValueError: if the action is not three finite numbers.
        """
        if not self._running:
            raise gym.error.ResetNeeded("SortingEnv: no episode is running; call reset() before step()")
        wish = np.asarray(action, dtype=np.float64)
        if wish.shape != (3,) or not np.isfinite(wish).all():
            raise ValueError(f"SortingEnv: the action must be three finite numbers, not {action!r}")
        was_closed = self._hand[2] >= CLOSED
        move = np.clip(wish[:2], -1.0, 1.0) - self._hand[:2]
        self._hand[:2] += move * min(1.0, MAX_STEP / max(float(np.hypot(*move)), MAX_STEP))
        closing = min(max(wish[2], 0.0), 1.0) - self._hand[2]
        self._hand[2] += min(max(closing, -GRIPPER_STEP), GRIPPER_STEP)
        is_closed = self._hand[2] >= CLOSED
        reward = 0.0
        if self._held is not None:
            self._positions[self._held] = self._hand[:2]
            if not is_closed:
                reward = self._release(self._held)
        elif is_closed and not was_closed:
            self._grasp()
        self._steps += 1
        self._trail.append((float(self._hand[0]), float(self._hand[1]), self._held))
        terminated = bool((self._bins >= 0).all())
        truncated = not terminated and self._steps >= self._max_episode_steps
        self._running = not (terminated or truncated)
        return self._observation(), reward, terminated, truncated, self._info()

    def render(self) -> NDArray[np.uint8] | None:  # type: ignore[override]
        """Bins, blocks, gripper and trail as uint8 (image_size, image_size, 3); None without a mode."""
        if self.render_mode is None:
            return None
        return self._painter.paint(Scene(self._positions, self._colours, self._hand, self._trail))

    def _place(self, layout: Layout) -> None:
        self._positions = layout.blocks.astype(np.float64)
        self._colours = layout.colours.astype(np.int64)
        self._bins: Ints = np.full(self.blocks, -1, dtype=np.int64)
        self._hand: Floats = np.append(layout.gripper, 0.0)
        self._held: int | None = None
        self._trail: list[tuple[float, float, int | None]] = [
            (float(layout.gripper[0]), float(layout.gripper[1]), None)
        ]
        self._steps = 0
        self._running = True

    def _grasp(self) -> None:
        distances = np.hypot(*(self._positions - self._hand[:2]).T)
        distances[self._bins >= 0] = np.inf
        nearest = int(distances.argmin())
        if distances[nearest] <= GRASP_RADIUS:
            self._held = nearest
            self._positions[nearest] = self._hand[:2]

    def _release(self, block: int) -> float:
        """The reward for letting go of a block here."""
        self._held = None
        found = bin_at(self._hand[:2])
        if found is None:
            return 0.0
        self._bins[block] = found
        return RIGHT_REWARD if found == self._colours[block] else WRONG_REWARD

    def _observation(self) -> Observation:
        width = len(BLOCK_FEATURES[self.view])
        state = np.empty(width * self.blocks + 1 + self.condition, dtype=np.float32)
        table = state[: width * self.blocks].reshape(self.blocks, width)
        sorted_ = self._bins >= 0
        order = np.argsort(np.hypot(*(self._positions - self._hand[:2]).T) + _FAR * sorted_, kind="stable")
        table[:, :2] = self._positions[order]
        table[:, 2] = 2 * self._colours[order] - 1
        table[:, 3] = sorted_[order]
        if self.view == "wrist":
            table[:, 4:] = self._positions[order] - self._hand[:2]
        state[table.size] = 0.0 if self._held is None else 2 * self._colours[self._held] - 1
        if self.condition:
            state[-1] = 1.0
        return {"agent_pos": self._hand.astype(np.float32), "environment_state": state}

    def _info(self) -> dict[str, Any]:
        correct = self.correct
        return {"is_success": correct == self.blocks, "correct": correct, "wrong": self.wrong}
