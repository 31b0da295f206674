# SPDX-License-Identifier: Apache-2.0
"""Plays the recorded actions of ALOHA's demonstrations in the stock environment, as LeRobot makes it.

    python -m lerobot_ambient.benchmarks.walkthroughs.aloha_replay ROOT EPISODES FILE

ROOT holds the datasets `target` and `source` of `make-data aloha`; the first EPISODES of each are played, and FILE
says how they ended.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
from lerobot.datasets.lerobot_dataset import LeRobotDataset
from lerobot.envs import make_env, make_env_config, preprocess_observation
from numpy.typing import NDArray

from lerobot_ambient.benchmarks.tasks.shared.demonstration_record import RECORD

KINDS = ("target", "source")


def replay(env: Any, seed: int, states: NDArray[np.float32], actions: NDArray[np.float32]) -> dict[str, Any]:
    """Play one episode until the environment ends it.

    Args:
        env: LeRobot's vector environment with one ALOHA.
        seed: of the reset with which the episode was recorded.
        states, actions: as recorded, (frames, 14).

    Returns:
        `success`; `steps` that were played; `frames` that were recorded; and `largest_state_difference` between what
        the environment showed and what was recorded, in rad or openings.
    """
    observation, _ = env.reset(seed=[seed])
    success, steps, difference = False, 0, 0.0
    for state, action in zip(states, actions, strict=True):
        shown = preprocess_observation(observation)["observation.state"][0].numpy()
        difference = max(difference, float(np.abs(shown - state).max()))
        observation, _, terminated, truncated, info = env.step(action[None])
        steps += 1
        if terminated[0] or truncated[0]:
            success = bool(info["final_info"]["is_success"][0])
            break
    return {"success": success, "steps": steps, "frames": len(actions), "largest_state_difference": difference}


def replay_all(root: Path, episodes: int) -> dict[str, list[dict[str, Any]]]:
    """Play the first episodes of the target and of the source, `root/target` and `root/source`."""
    env = make_env(make_env_config("aloha", task="AlohaTransferCube-v0"), n_envs=1)["aloha"][0]
    try:
        return {kind: _replay_dataset(env, root / kind, episodes) for kind in KINDS}
    finally:
        env.close()


def _replay_dataset(env: Any, root: Path, episodes: int) -> list[dict[str, Any]]:
    summary = json.loads((root / RECORD).read_text(encoding="utf-8"))["summary"]
    table = LeRobotDataset(summary["repo_id"], root=root).hf_dataset.with_format("numpy")
    numbers = np.asarray(table["episode_index"][:])
    states, actions = (np.stack(table[key][:]).astype(np.float32) for key in ("observation.state", "action"))
    found = []
    for number, seed in enumerate(summary["reset_seeds"][:episodes]):
        one = replay(env, seed, states[numbers == number], actions[numbers == number])
        print(f"{root.name}, episode {number}: {one}", flush=True)
        found.append(one)
    return found


if __name__ == "__main__":
    folder, count, file = Path(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3])
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(replay_all(folder, count), indent=2) + "\n", encoding="utf-8")
