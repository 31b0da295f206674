# SPDX-License-Identifier: Apache-2.0
"""A mixture whose datasets and windows all come from the Hub is the mixture of the local ones."""

from __future__ import annotations

import json
import shutil

import numpy as np
import torch
from lerobot.datasets.lerobot_dataset import LeRobotDataset

from lerobot_ambient.data.windows.windows_file import WINDOWS_PATH, WindowTable, write_windows
from lerobot_ambient.integration.training.configured_mixture import load_train_config
from lerobot_ambient.integration.training.merged_training import make_merged_datasets

from .conftest import SMALL_POLICY


def mixture(source: dict, target_root: str | None = None):
    """The merged dataset and what the checkpoint will say of it."""
    words = ["--dataset.repo_id=me/target", f"--policy.sources={json.dumps([source])}", "--policy.push_to_hub=false"]
    if target_root is not None:
        words.append(f"--dataset.root={target_root}")
    cfg = load_train_config(None, [*SMALL_POLICY, *words])
    return make_merged_datasets(cfg)[0], cfg.policy


def test_target_source_and_windows_from_the_hub_make_the_same_mixture(hub, client, roots, tmp_path):
    target, sim = (shutil.copytree(root, tmp_path / root.name) for root in roots)
    local = {"repo_id": "me/sim", "root": str(sim)}
    plain, _ = mixture(local | {"sigma_min": 0.4}, str(target))
    episode, frame = np.repeat([0, 1], [20, 23]), np.concatenate([np.arange(20), np.arange(23)])
    level = np.where(episode == 0, 0.25, 0.5).astype(np.float32)
    table = WindowTable(
        *("me/sim", episode, frame, level, np.zeros_like(level), plain.mixture.normalization, "classifier")
    )
    write_windows(table, sim / WINDOWS_PATH)
    here, policy = mixture(local | {"windows": WINDOWS_PATH}, str(target))

    client(hub)
    LeRobotDataset("me/target", root=target).push_to_hub()
    LeRobotDataset("me/sim", root=sim).push_to_hub(license="cc-by-4.0")
    shutil.rmtree(target)
    shutil.rmtree(sim)
    client(hub, token="hf_reader", cache="elsewhere")
    there, pulled = mixture({"repo_id": "me/sim", "windows": WINDOWS_PATH})
    assert pulled.mixture_fingerprint == policy.mixture_fingerprint
    assert [record.shares for record in pulled.mixture_record] == [record.shares for record in policy.mixture_record]
    assert [record.license for record in pulled.mixture_record] == ["apache-2.0", "cc-by-4.0"]
    (ours,), (theirs,) = here.__getitems__([0, 50, 70]), there.__getitems__([0, 50, 70])
    for key in ("observation.state", "action", "action_is_pad"):
        assert torch.equal(ours.batch[key], theirs.batch[key])
    assert ours.batch["info"]["ambient_group"].unique().numel() == 3
    assert torch.equal(ours.batch["info"]["ambient_group"], theirs.batch["info"]["ambient_group"])
