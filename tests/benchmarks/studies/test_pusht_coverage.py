# SPDX-License-Identifier: Apache-2.0
"""How far PushT's policies come, of policies whose pushes are known."""

import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

pytest.importorskip("gym_pusht")

from lerobot_ambient.benchmarks.engine.study_run import FINAL_EVAL_SEED
from lerobot_ambient.benchmarks.studies import pusht_coverage
from lerobot_ambient.benchmarks.studies.pusht_coverage import BOUNDS, FILE, best_coverage, draw_coverage, measure
from lerobot_ambient.benchmarks.tasks.pusht.environment import KeypointPushTEnv
from lerobot_ambient.integration.commands.results import SUCCESS

COUNT, LENGTH = 3, 12


class Pushing:
    """A policy that pushes in one direction."""

    def __init__(self, push: tuple[float, float]) -> None:
        self.push, self.resets = torch.tensor(push), 0

    def reset(self) -> None:
        self.resets += 1

    def select_action(self, batch: dict[str, torch.Tensor]) -> torch.Tensor:
        assert {key: tuple(value.shape) for key, value in batch.items()} == {
            "observation.state": (COUNT, 2),
            "observation.environment_state": (COUNT, 16),
        }
        return batch["observation.state"] + self.push


@pytest.mark.parametrize("push", [(0.0, 0.0), (12.0, -7.0)])
def test_the_best_coverage_of_a_rollout_is_that_of_its_steps(monkeypatch, push):
    policy = Pushing(push)
    opened = SimpleNamespace(policy=policy, before=dict, after=lambda action: action)
    monkeypatch.setattr(pusht_coverage, "open_policy", lambda folder: opened)
    found = best_coverage(Path("policy"), COUNT, LENGTH)
    assert policy.resets == 1
    for index, best in enumerate(found):
        world = KeypointPushTEnv(reach=pusht_coverage.REACH, episode_length=LENGTH)
        seen, told = world.reset(seed=FINAL_EVAL_SEED + index)
        covered = [0.0]
        for _ in range(LENGTH):
            seen, _, terminated, truncated, told = world.step(seen["agent_pos"] + np.float32(push))
            covered.append(told["coverage"])
            if terminated or truncated:
                break
        assert best == pytest.approx(max(covered), abs=1e-6)


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Three finished policies; each covers as much in every layout as its folder says."""
    covers = {"target_only-seed1": 0.97, "target_only-seed2": 0.6, "cotrain-trembling-seed1": 0.92}
    for key, name in enumerate(covers):
        (tmp_path / "run" / "final" / name / "eval").mkdir(parents=True)
        (tmp_path / "run" / "final" / name / "eval" / "done.json").write_text(json.dumps({"key": f"{key}"}))
    rolled: list[str] = []

    def cover(policy: Path) -> np.ndarray:
        rolled.append(name := policy.relative_to(tmp_path / "run" / "final").parts[0])
        return np.full(pusht_coverage.LAYOUTS, covers[name])

    monkeypatch.setattr(pusht_coverage, "best_coverage", cover)
    return SimpleNamespace(folder=tmp_path / "run", rolled=rolled, file=tmp_path / FILE)


def test_policies_are_told_by_arm_and_training_and_rolled_out_once(run):
    found = measure(run.folder, run.file)
    assert {name: {seed: values.mean().round(6) for seed, values in one.items()} for name, one in found.items()} == {
        "target_only": {1: 0.97, 2: 0.6},
        "cotrain:trembling": {1: 0.92},
    }
    assert len(run.rolled) == 3
    again = measure(run.folder, run.file)
    assert len(run.rolled) == 3
    assert {name: list(one) for name, one in again.items()} == {name: list(one) for name, one in found.items()}
    # A policy that was trained anew is rolled out anew.
    (run.folder / "final" / "target_only-seed2" / "eval" / "done.json").write_text(json.dumps({"key": "other"}))
    measure(run.folder, run.file)
    assert run.rolled[3:] == ["target_only-seed2"]


def test_shares_and_differences_are_printed_and_drawn(run, tmp_path, capsys):
    found = measure(run.folder, run.file)
    shares = {bound: pusht_coverage.reaching(bound, found["target_only"]).pooled.rate for bound in BOUNDS}
    assert shares == {bound: 1.0 if bound <= 0.6 else 0.5 for bound in BOUNDS}
    assert SUCCESS.of(pusht_coverage.reaching(0.9, found["cotrain:trembling"]).pooled) == 1.0
    table = pusht_coverage._table(found, (0.9, 0.95))
    assert "target_only  0.9: 50.0 % (+0.0" in table
    assert "cotrain:trembling  0.9: 100.0 % (+0.0" in table
    assert "0.95: 0.0 % (-100.0" in table
    assert draw_coverage(found, tmp_path / "coverage").is_file()


def test_a_folder_without_policies_is_told(tmp_path):
    with pytest.raises(ValueError, match="holds no finished policy"):
        measure(tmp_path, tmp_path / FILE)
