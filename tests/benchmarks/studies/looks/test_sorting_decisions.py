# SPDX-License-Identifier: Apache-2.0
"""Where a sorting policy decides: chunks turned to the other bin, and denoisers whose decisions are known."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from diffusers.schedulers.scheduling_ddim import DDIMScheduler

from lerobot_ambient.benchmarks.studies.looks import sorting_decisions
from lerobot_ambient.benchmarks.studies.looks.denoising import Opened
from lerobot_ambient.benchmarks.studies.looks.sorting_decisions import ACTION, SEEN, carry, decisions, draw_decisions
from lerobot_ambient.benchmarks.tasks.sorting.task import bin_at, environment_state_names

HANDOVER, HORIZON, COUNT = 0.46, 16, 4
COLOURS = [
    index
    for index, name in enumerate(environment_state_names(3, False, "wrist"))
    if name.startswith("block") and "colour" in name
]


@pytest.mark.parametrize("number", range(COUNT))
def test_a_turned_chunk_goes_to_the_other_bin_and_is_else_the_demonstrated_one(number: int) -> None:
    one = carry(number, "wrist")
    left = len(one.share) - one.start
    ends = [one.chunk(one.start, left, turned=turned) for turned in (False, True)]
    at = int(np.flatnonzero(one.share[one.start :] == 1.0)[0]) + 1
    bins = [bin_at(end[at, :2]) for end in ends]
    assert sorted(bins) == [0, 1]
    before = one.start - HORIZON
    assert np.array_equal(*(one.chunk(before, HORIZON, turned=turned) for turned in (False, True)))
    assert np.array_equal(ends[0][:, 2], ends[1][:, 2]), "the gripper closes and opens as before"
    assert np.array_equal(ends[0], one.frames[ACTION][one.start - 1 : one.start - 1 + left])


class Decided:
    """A denoiser that takes everything for one chunk above the handover, and below for another, or the colour's."""

    def __init__(self, above: bool, below: bool | None) -> None:
        self.noise_scheduler = DDIMScheduler(
            num_train_timesteps=100, beta_schedule="squaredcos_cap_v2", prediction_type="sample", clip_sample=False
        )
        self.num_inference_steps = 20
        self.levels = (1 - self.noise_scheduler.alphas_cumprod).sqrt()
        self.right_above, self.right_below = above, below
        self.chunks: list[torch.Tensor] = []
        self.swapped: list[bool] = []

    def trajectory(self, batch: dict[str, torch.Tensor]) -> torch.Tensor:
        self.chunks = [*self.chunks[-1:], batch[ACTION]]
        return batch[ACTION]

    def conditioning(self, batch: dict[str, torch.Tensor], absent: None) -> torch.Tensor:
        """The colours of all blocks; which is the nearest changes, their sum does not."""
        assert {value.shape[:2] for name, value in batch.items() if name != ACTION} == {(COUNT, 2)}
        return batch[SEEN][:, -1, COLOURS]

    def unet(self, x: torch.Tensor, timestep: torch.Tensor, global_cond: torch.Tensor) -> torch.Tensor:
        right = self.right_above
        if self.levels[timestep[0]] < HANDOVER:
            shown = [
                one.frames[SEEN][one.start, COLOURS] for one in (carry(number, "wrist") for number in range(COUNT))
            ]
            same = bool((global_cond.sum(1) == torch.as_tensor(np.stack(shown)).sum(1)).all())
            right = same if self.right_below is None else self.right_below
        return self.chunks[0 if right else 1]


@pytest.mark.parametrize("above", [True, False])
@pytest.mark.parametrize("below", [True, False, None])
def test_decisions_are_seen_where_they_are_made(
    monkeypatch: pytest.MonkeyPatch, above: bool, below: bool | None
) -> None:
    config = SimpleNamespace(horizon=HORIZON, n_obs_steps=2)
    opened = Opened(SimpleNamespace(config=config), Decided(above, below), dict, dict)  # type: ignore[arg-type]
    monkeypatch.setattr(sorting_decisions, "open_policy", lambda policy: opened)
    early, late = decisions(Path("policy"), HANDOVER, offsets=(-5, 2), count=COUNT)
    ends = (True, False) if below is None else (below, below)
    for found in (early, late):
        assert (found.at_handover, found.at_end, found.at_end_swapped) == (above, *ends)
    # The units are the actions' own here.
    apart = [
        np.linalg.norm(one.chunk(one.start + 2, HORIZON, turned=True) - one.chunk(one.start + 2, HORIZON, turned=False))
        for one in (carry(number, "wrist") for number in range(COUNT))
    ]
    ratio = np.sort(apart)[(COUNT - 1) // 2] / 2
    assert late.level == pytest.approx(ratio / np.sqrt(1 + ratio**2), abs=1e-3)
    assert early.level < late.level


def test_the_figure_is_written(tmp_path: Path) -> None:
    rows = [sorting_decisions.Decision(offset, 0.5, 0.9, 0.2, 0.9) for offset in (-1, 0)]
    assert draw_decisions({"omni": rows, "exclusive": rows}, HANDOVER, tmp_path / "sorting-decisions").is_file()
