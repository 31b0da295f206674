# SPDX-License-Identifier: Apache-2.0
"""`accelerate launch` with two CPU processes: disjoint frames, the law of one process, noise of their own.

Of the diffusion policy, whose processes lie on two machines: test_two_machines.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy import stats

from lerobot_ambient.integration.training.configured_mixture import load_train_config
from lerobot_ambient.integration.training.merged_training import make_merged_datasets

from ..policy.flow.tiny import PIXELS, as_arguments, tiny_multi_task_dit


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def two_ranks(tmp_path, preloaded_python, *words) -> list[list[dict]]:
    """What each rank trained on, step by step: see two_processes.py."""
    # What the launcher starts is preloaded too, as torchrun lets the environment say.
    command = [
        *(str(preloaded_python), "-m", "accelerate.commands.accelerate_cli", "launch"),
        *("--multi_gpu", "--num_processes=2", "--num_machines=1"),
        *("--mixed_precision=no", "--dynamo_backend=no", f"--main_process_port={free_port()}"),
        str(Path(__file__).with_name("two_processes.py")),
        str(tmp_path),
        *(f"--output_dir={tmp_path / 'run'}", "--batch_size=8", "--save_freq=0", "--seed=0", *words),
    ]
    environment = os.environ | {"PYTHON_EXEC": str(preloaded_python)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return [json.loads((tmp_path / f"rank{rank}.json").read_text()) for rank in range(2)]


def consume(ranks, mixture) -> None:
    """Together the two ranks consume exactly the stream of the sampler, batch by batch."""
    steps = len(ranks[0])
    sampler = mixture.sampler(seed=0)
    index = [int(mixture.dataset[i]["index"]) for i in range(len(mixture.dataset))]
    stream = [[index[frame] for frame in sampler] for _ in range(steps // 4)]
    batches = [epoch[i : i + 8] for epoch in stream for i in range(0, len(epoch), 8)]
    assert len(batches) // len(stream) % 2 == 0 and len(batches) >= 2 * steps
    for step in range(steps):
        for rank in range(2):
            expected = batches[2 * step + rank]
            # The short last batch of an epoch is filled up by accelerate, to keep the ranks in step.
            assert ranks[rank][step]["index"][: len(expected)] == expected


def test_two_processes_of_a_flow_policy(write_dataset, tmp_path, preloaded_python):
    pytest.importorskip("transformers")
    look = {"dims": 6, "env_state": False, "image": (PIXELS, PIXELS)}
    target = write_dataset(tmp_path / "target", "me/target", [14, 12, 16], seed=1, **look)
    sim = write_dataset(tmp_path / "sim", "me/sim", [20, 31], seed=2, **look)
    source = {"repo_id": "me/sim", "root": str(sim), "sigma_min": 0.5, "sigma_max": 0.1, "weight": 3.0}
    config = tiny_multi_task_dit(tmp_path, cameras=("observation.images.cam",))
    words = [*as_arguments(config, "ambient_multi_task_dit"), "--dataset.repo_id=me/target", f"--dataset.root={target}"]
    words += [f"--policy.sources={json.dumps([source])}", "--num_workers=0", "--steps=40"]
    words.append('--policy.mixing={"type": "ambient", "alpha": null}')
    ranks = two_ranks(tmp_path, preloaded_python, *words)
    assert [len(rank) for rank in ranks] == [40, 40]
    cfg = load_train_config(None, words)
    mixture = make_merged_datasets(cfg)[0].mixture
    consume(ranks, mixture)

    # Each rank's shares and times follow the plan, and the ranks do not share their noise.
    plan, time = mixture.plan, cfg.policy.family.time(cfg.policy)
    for rank in ranks:
        group = torch.tensor([g for step in rank for g in step["group"]])
        drawn = torch.tensor([t for step in rank for t in step["time"]])
        share = torch.bincount(group, minlength=2) / len(group)
        assert torch.allclose(share.double(), plan.group_law, atol=0.08)
        sigma = time.sigma_of(drawn)[group == 1]
        assert bool(((sigma <= 0.1) | (sigma > 0.5)).all()) and bool((sigma <= 0.1).any()) and bool((sigma > 0.5).any())
        u = time.law.cdf(time.tau_of(drawn)).numpy()
        for one in range(2):
            law = np.concatenate([[0.0], plan.timestep_law[one].cumsum(0).numpy()])
            cumulative = np.interp(u[group.numpy() == one], np.linspace(0.0, 1.0, len(law)), law)
            assert stats.kstest(cumulative, "uniform").pvalue > 1e-4
    ours, theirs = ({time for step in rank for time in step["time"]} for rank in ranks)
    assert not ours & theirs
