# SPDX-License-Identifier: Apache-2.0
"""Two machines, each with its own `accelerate launch` and address, that meet at one of them: disjoint frames, the law
of one process, and a resumed run goes on with the frames that come next."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import numpy as np
from scipy import stats

from lerobot_ambient.core.mixing import Ambient

from .conftest import SMALL_POLICY
from .test_joint_law import mixture_with
from .test_two_processes import free_port

ADDRESSES = ("127.0.0.1", "127.0.0.2")
BATCH, FIRST, MORE = 8, 9, 21


def on_two_machines(tmp_path: Path, preloaded_python: Path, *words: str) -> list[list[dict]]:
    """What the rank of each machine trained on, step by step: see two_processes.py."""
    meeting = ("--num_machines=2", f"--main_process_ip={ADDRESSES[0]}", f"--main_process_port={free_port()}")
    running = []
    for machine, address in enumerate(ADDRESSES):
        command = [
            *(str(preloaded_python), "-m", "accelerate.commands.accelerate_cli", "launch", "--multi_gpu"),
            *(*meeting, "--num_processes=2", f"--machine_rank={machine}"),
            *("--mixed_precision=no", "--dynamo_backend=no"),
            *(str(Path(__file__).with_name("two_processes.py")), str(tmp_path), *words),
        ]
        # The agents of torchrun know each other by these addresses.
        environment = os.environ | {"PYTHON_EXEC": str(preloaded_python), "PET_LOCAL_ADDR": address}
        running.append(
            subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        )
    said = [process.communicate(timeout=300)[1] for process in running]
    for process, text in zip(running, said, strict=True):
        assert process.returncode == 0, text[-3000:]
    return [json.loads((tmp_path / f"rank{rank}.json").read_text()) for rank in range(2)]


def test_two_machines_split_the_draws_of_one_and_go_on(roots, tmp_path, preloaded_python):
    target, sim = roots
    source = {"repo_id": "me/sim", "root": str(sim), "sigma_min": 0.5, "sigma_max": 0.1, "weight": 3.0}
    run = tmp_path / "run"
    words = ["--dataset.repo_id=me/target", f"--dataset.root={target}", f"--policy.sources={json.dumps([source])}"]
    words += ['--policy.mixing={"type": "ambient", "alpha": null}', f"--batch_size={BATCH}", "--seed=0", *SMALL_POLICY]
    words += [f"--output_dir={run}", f"--steps={FIRST}", f"--save_freq={FIRST}"]
    first = on_two_machines(tmp_path, preloaded_python, *words)
    config = run / "checkpoints/last/pretrained_model/train_config.json"
    more = ["--resume=true", f"--config_path={config}", f"--steps={FIRST + MORE}"]
    second = on_two_machines(tmp_path, preloaded_python, *more)
    assert [len(rank) for rank in first] == [FIRST] * 2 and [len(rank) for rank in second] == [MORE] * 2
    ranks = [before + after for before, after in zip(first, second, strict=True)]

    # Each place of one sampler's stream is drawn by one machine, batch by batch in turn, across the stop and epochs.
    mixture = mixture_with(roots, Ambient(None))
    sampler = mixture.sampler(seed=0)
    index = [int(mixture.dataset[i]["index"]) for i in range(len(mixture.dataset))]
    epochs = [[index[frame] for frame in sampler] for _ in range(FIRST + MORE)]
    batches = [epoch[i : i + BATCH] for epoch in epochs for i in range(0, len(epoch), BATCH)]
    for step in range(FIRST + MORE):
        for rank in range(2):
            expected = batches[2 * step + rank]
            # The short last batch of an epoch is filled up by accelerate, to keep the ranks in step.
            assert ranks[rank][step]["index"][: len(expected)] == expected

    # The pairs of both follow the plan, and no machine repeats the other's noise.
    joint = mixture.plan.joint.numpy()
    pairs = np.array([(g, t) for rank in ranks for s in rank for g, t in zip(s["group"], s["timestep"], strict=True)])
    assert joint[pairs[:, 0], pairs[:, 1]].all()
    counts = np.zeros((2, 10))
    np.add.at(counts, (pairs[:, 0], pairs[:, 1] // 10), 1)
    expected = joint.reshape(2, 10, 10).sum(2) * len(pairs)
    cells = expected > 5
    total = counts[cells].sum() / expected[cells].sum()
    assert stats.chisquare(counts[cells], expected[cells] * total).pvalue > 1e-4
    assert np.mean([one["timestep"] == other["timestep"] for one, other in zip(*ranks, strict=True)]) < 0.1
