# SPDX-License-Identifier: Apache-2.0
"""Datasets whose motion answers to what is seen: a goal on either side, and a hand that goes there, or not."""

import numpy as np

from lerobot_ambient.benchmarks.tasks.shared.lowdim_writer import write_low_dim_dataset
from lerobot_ambient.cli.__main__ import main

FPS, FRAMES = 10, 24
FEATURES = {
    "observation.state": {"dtype": "float32", "shape": (2,), "names": ["x.pos", "y.pos"]},
    "observation.environment_state": {"dtype": "float32", "shape": (2,), "names": ["goal.x", "goal.y"]},
    "action": {"dtype": "float32", "shape": (2,), "names": ["x.pos", "y.pos"]},
}


def episode(rng, *, wrong=False, jitter=0.0):
    """One way to the goal that is seen, or to the other side; the actions shake by `jitter`."""
    goal = rng.choice([-1.0, 1.0]) * np.array([1.0, 0.5]) + 0.1 * rng.standard_normal(2)
    end = -goal if wrong else goal
    start = 0.2 * rng.standard_normal(2)
    share = (1 - np.cos(np.pi * np.linspace(0, 1, FRAMES + 1)))[:, None] / 2
    path = start + share * (end - start)
    action = path[1:] + jitter * rng.standard_normal((FRAMES, 2))
    return {
        "observation.state": path[:-1].astype(np.float32),
        "observation.environment_state": np.tile(goal, (FRAMES, 1)).astype(np.float32),
        "action": action.astype(np.float32),
    }


def write(root, repo_id, episodes, seed, **fault):
    """A dataset of such episodes; returns its folder."""
    rng = np.random.default_rng(seed)
    made = [episode(rng, **fault) for _ in range(episodes)]
    write_low_dim_dataset(root, repo_id, FPS, FEATURES, made, "reach")
    return root


def command(home, source, capsys):
    """run(*arguments) puts `source` beside the target of `home` to the held-out method; returns its code and output."""

    def run(*arguments):
        words = ["annotate", "--method=heldout", "--folds=3", "--steps=200", "--shares=0.3"]
        place = f"--work-dir={home / 'work'}"
        code = main([*words, place, *options(home / "target", home / source), *arguments])
        return code, capsys.readouterr()

    return run


def options(target, *sources):
    """Words of lerobot-train for a tiny policy on them."""
    listed = ", ".join(f'{{"repo_id": "me/{one.name}", "root": "{one}"}}' for one in sources)
    return [
        *("--policy.type=ambient_diffusion", "--policy.device=cpu", "--policy.push_to_hub=false"),
        *("--dataset.repo_id=me/target", f"--dataset.root={target}", f"--policy.sources=[{listed}]"),
        *("--policy.denoiser=mlp", "--policy.mlp_width=32", "--policy.mlp_depth=1", "--policy.horizon=8"),
        *("--policy.n_action_steps=4", "--policy.drop_n_last_frames=0", "--policy.prediction_type=sample"),
        *("--policy.optimizer_lr=3e-3", "--policy.scheduler_warmup_steps=10", "--policy.ema_decay=0.99"),
    ]
