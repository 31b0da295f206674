# SPDX-License-Identifier: Apache-2.0
"""How long a whole `lerobot-train` takes with our policy against stock diffusion: same data, network, batch, steps.

The two commands run in turn (A B A B ...), each as a process of its own, and every pair gives one ratio; what
drifts on the machine hits both. Nothing is asserted: a machine's load is not a property of the code.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from lerobot_ambient.integration.commands.stages import stock_command

_NETWORK = (
    *("--policy.push_to_hub=false", "--policy.device=cpu", "--policy.horizon=16", "--policy.n_action_steps=8"),
    *("--policy.down_dims=[32, 64]", "--policy.drop_n_last_frames=7", "--policy.optimizer_lr=1e-3"),
)


@dataclass(frozen=True)
class TrainPair:
    """Seconds of one run of each command; `ratio` is ours over stock."""

    ours: float
    stock: float
    ratio: float


def bench_train(repo_id: str, root: Path, *, pairs: int, steps: int, batch_size: int, workers: int) -> dict[str, Any]:
    """Time both commands.

    Args:
        repo_id, root: a low-dimensional dataset with observation.environment_state, as stock diffusion needs.
        pairs: how often each command runs.
        steps, batch_size, workers: of both commands.

    Raises:
        ValueError: a command failed; the end of its output is in the message.
    """
    common = [
        f"--dataset.repo_id={repo_id}",
        f"--dataset.root={root}",
        "--dataset.use_imagenet_stats=false",
        f"--batch_size={batch_size}",
        f"--steps={steps}",
        f"--num_workers={workers}",
        "--save_checkpoint=false",
        "--env_eval_freq=0",
        *_NETWORK,
    ]
    measured = []
    for _ in range(pairs):
        ours = _seconds([*common, "--policy.type=ambient_diffusion"])
        stock = _seconds([*common, "--policy.type=diffusion"])
        measured.append(TrainPair(ours, stock, ours / stock))
    ratios = [pair.ratio for pair in measured]
    return {
        "steps": steps,
        "batch_size": batch_size,
        "workers": workers,
        "pairs": [asdict(pair) for pair in measured],
        "ratio": {"min": min(ratios), "median": statistics.median(ratios), "max": max(ratios)},
    }


def _seconds(arguments: Sequence[str]) -> float:
    with tempfile.TemporaryDirectory() as folder:
        command = [*stock_command("lerobot-train", "lerobot.scripts.lerobot_train"), *arguments]
        began = time.perf_counter()
        done = subprocess.run(
            [*command, f"--output_dir={folder}/run"],
            capture_output=True,
            text=True,
            check=False,
            env=os.environ | {"OMP_NUM_THREADS": "1"},
        )
        seconds = time.perf_counter() - began
    if done.returncode != 0:
        raise ValueError(f"{' '.join(command)} failed with {done.returncode}:\n{done.stderr[-2000:]}")
    return seconds
