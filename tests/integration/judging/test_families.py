# SPDX-License-Identifier: Apache-2.0
"""Stock flow policies with cameras, judged as LeRobot saves them: errors, and chunks from their own history."""

import json

import pytest
import torch

from lerobot_ambient.cli.__main__ import main
from lerobot_ambient.integration.judging.checkpoint import load, read_checkpoints
from lerobot_ambient.integration.judging.measure import _predict, as_acting_sees

CAMERA = "observation.images.cam"


@pytest.fixture
def fresh(tmp_path, write_dataset):
    """A dataset of the tiny models' six joints and one camera."""
    options = {"dims": 6, "env_state": False, "image": (32, 32), "spread": 0.1}
    return write_dataset(tmp_path / "fresh", "me/fresh", [14, 12], **options)


@pytest.mark.parametrize("family", ["multi_task_dit", "smolvla", "pi0", "eo1", "fastwam"])
def test_a_stock_flow_policy_is_judged(family, stock_checkpoint, fresh, capsys):
    saved = stock_checkpoint(family, cameras=(CAMERA,))
    capsys.readouterr()
    words = ["--dataset.repo_id=me/fresh", f"--dataset.root={fresh}", "--samples=4", "--json"]
    assert main(["check", str(saved), *words]) == 0
    found = json.loads(capsys.readouterr().out)
    (one,) = found["checkpoints"].values()
    assert one["policy"] == family
    assert one["denoising"]["unit"] == "target_std"
    assert len(one["denoising"]["bands"]) == 5
    assert one["chunks"]["executed"] == 4
    assert all(value > 0 for row in one["denoising"]["rms"] for value in row)


@pytest.mark.parametrize(
    ("deltas", "kept"),
    [(None, None), ([0], [0]), ([-1, 0], [-1, 0]), ([0, 2, 4], 0), ([-2, -1, 0, 1], [-2, -1, 0])],
)
def test_frames_to_come_are_not_shown(deltas, kept):
    """Of a policy that learns to predict pictures; and what the target did is shown to none."""
    seen = torch.tensor(deltas or [0]).repeat(3, 1)
    batch = {"observation.state": seen[:, 0] if deltas is None else seen, "action": torch.rand(3, 8, 2), "task": ["go"]}
    shown = as_acting_sees({**batch, "action_is_pad": torch.zeros(3, 8), "action_token_id": 7}, deltas)
    assert shown.keys() == {"observation.state", "task", "action_token_id"}
    assert shown["observation.state"][0].tolist() == (0 if kept is None else kept)


def test_a_history_of_observations_is_what_acting_would_have_seen(stock_checkpoint, tiny_config):
    (one,) = read_checkpoints([str(stock_checkpoint("multi_task_dit", cameras=(CAMERA,)))])
    loaded = load(one)
    generator = torch.Generator().manual_seed(0)
    batch = {
        "observation.state": torch.randn(3, 2, 6, generator=generator),
        CAMERA: torch.rand(3, 2, 3, 32, 32, generator=generator),
        "task": ["go"] * 3,
    }
    torch.manual_seed(0)
    chunk = _predict(loaded, dict(batch))
    loaded.policy.reset()
    for step in (0, 1):
        seen = {key: value if key == "task" else value[:, step] for key, value in batch.items()}
        torch.manual_seed(0)
        loaded.policy._queues["action"].clear()
        acted = loaded.postprocess(loaded.policy.select_action(loaded.preprocess(seen)))
    torch.testing.assert_close(chunk[:, 0], acted)
