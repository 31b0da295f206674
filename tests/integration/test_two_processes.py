# SPDX-License-Identifier: Apache-2.0
"""`accelerate launch` with two CPU processes: disjoint frames, the law of one process, noise of their own."""

from __future__ import annotations

import json
import os
import socket
import subprocess
from pathlib import Path

import numpy as np
from scipy import stats

from lerobot_ambient.core.mixing import Ambient
from lerobot_ambient.integration.commands.stages import stock_command

from .conftest import SMALL_POLICY
from .test_joint_law import SCHEDULE, mixture_with


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def test_two_processes_split_the_draws_of_one(roots, tmp_path, preloaded_python):
    target, sim = roots
    source = {"repo_id": "me/sim", "root": str(sim), "sigma_min": 0.5, "sigma_max": 0.1, "weight": 3.0}
    # The launcher is the real one; what it starts is preloaded, as torchrun lets the environment say.
    command = [
        *(*stock_command("accelerate", "accelerate.commands.accelerate_cli"), "launch"),
        *("--multi_gpu", "--num_processes=2", "--num_machines=1"),
        *("--mixed_precision=no", "--dynamo_backend=no", f"--main_process_port={free_port()}"),
        str(Path(__file__).with_name("two_processes.py")),
        str(tmp_path),
        *("--dataset.repo_id=me/target", f"--dataset.root={target}", f"--policy.sources={json.dumps([source])}"),
        *(f"--output_dir={tmp_path / 'run'}", "--batch_size=8", "--steps=120", "--save_freq=0", "--seed=0"),
        *SMALL_POLICY,
    ]
    environment = os.environ | {"PYTHON_EXEC": str(preloaded_python)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    ranks = [json.loads((tmp_path / f"rank{rank}.json").read_text()) for rank in range(2)]
    assert [len(rank) for rank in ranks] == [120, 120]

    # Together the two ranks consume exactly the stream of the sampler, batch by batch.
    mixture = mixture_with(roots, Ambient())
    sampler = mixture.sampler(seed=0)
    index = [int(mixture.dataset[i]["index"]) for i in range(len(mixture.dataset))]
    stream = [[index[frame] for frame in sampler] for _ in range(30)]
    batches = [epoch[i : i + 8] for epoch in stream for i in range(0, len(epoch), 8)]
    assert len(batches) // len(stream) % 2 == 0
    for step in range(120):
        for rank in range(2):
            expected = batches[2 * step + rank]
            # The short last batch of an epoch is filled up by accelerate, to keep the ranks in step.
            assert ranks[rank][step]["index"][: len(expected)] == expected

    # Each rank's pairs follow the plan, and the ranks do not share their noise.
    for rank in ranks:
        pairs = np.array([(g, t) for s in rank for g, t in zip(s["group"], s["timestep"], strict=True)])
        counts = np.zeros((2, 10))
        np.add.at(counts, (pairs[:, 0], pairs[:, 1] // 10), 1)
        joint = mixture.plan.joint.numpy()
        assert joint[pairs[:, 0], pairs[:, 1]].all()
        expected = joint.reshape(2, 10, 10).sum(2) * len(pairs)
        cells = expected > 5
        total = counts[cells].sum() / expected[cells].sum()
        assert stats.chisquare(counts[cells], expected[cells] * total).pvalue > 1e-4
    same = np.mean([s["timestep"] == r["timestep"] for s, r in zip(*ranks, strict=True)])
    assert same < 0.1
    assert len(SCHEDULE) == 100
