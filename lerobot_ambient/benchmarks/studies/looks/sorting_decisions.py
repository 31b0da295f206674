# SPDX-License-Identifier: Apache-2.0
"""Where on the way from noise to action a sorting policy decides for a bin.

A moment of a demonstration has a chunk x that goes to the right bin, and the same chunk turned to the other bin, x'.
Their distance in normalised units, d = |x - x'|, is the amplitude of the decision there. Noise of the level sigma has
the deviation r = sigma / sqrt(1 - sigma^2) in the same units, so the two are d / (2 r) deviations from their middle:
at the *decision level*, r = d / 2, an observer who knows both distinguishes them in 84 % of the cases. Before a carry a
chunk holds only its beginning, so the decision level is low; a source that teaches up to a higher one decides there.

python -m lerobot_ambient.benchmarks.studies.looks.sorting_decisions --sigma-max 0.46 RUN/.../pretrained_model
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from lerobot_ambient.benchmarks.studies.looks.denoising import open_policy
from lerobot_ambient.benchmarks.tasks.shared.lowdim_writer import Episode
from lerobot_ambient.benchmarks.tasks.sorting.data import demonstration
from lerobot_ambient.benchmarks.tasks.sorting.task import BIN_CENTRES, DEFAULT_BLOCKS, View, environment_state_names
from lerobot_ambient.core.arrays import Floats
from lerobot_ambient.core.noise_levels import NoiseSchedule
from lerobot_ambient.figures.families import colour, label
from lerobot_ambient.figures.style import legend_above, styled, subplots, write_png_and_svg

STATE, SEEN, ACTION = "observation.state", "observation.environment_state", "action"
OFFSETS = (-7, -5, -3, -1, 0, 2, 4, 6, 8, 10)
"""Steps from the first one of a carry; of a chunk that begins at -7 the last executed step is the carry's first."""
COUNT = 80
_SEED = 500_000
"""Of the demonstrations; no experiment learns from them."""


@dataclass(frozen=True, eq=False)
class Carry:
    """The first carry of a demonstration.

    Args:
        frames: the demonstration.
        start: frame of the carry's first action.
        share: of the way to the bin at every action, (frames,), 0 before the carry and 1 after it.
        turn: from its bin to the other one, (2,).
    """

    frames: Episode
    start: int
    share: Floats
    turn: Floats

    def chunk(self, frame: int, horizon: int, *, turned: bool) -> Floats:
        """The actions (horizon, 3) from the one before a frame on, or how they would go to the other bin from there."""
        window = slice(frame - 1, frame - 1 + horizon)
        actions = self.frames[ACTION][window].astype(np.float64)
        if turned:
            actions[:, :2] += (self.share[window] - self.share[frame - 1])[:, None] * self.turn
        return actions


@cache
def carry(number: int, view: View) -> Carry:
    """Of a demonstration that sorts right, by its number."""
    frames = demonstration("target", "right", _SEED, number, DEFAULT_BLOCKS, view=view)
    held = frames[SEEN][:, environment_state_names(DEFAULT_BLOCKS, False, view).index("held_colour")]
    closure = frames[ACTION][:, 2]
    grasped = int(np.flatnonzero(held)[0])
    start = grasped + int(np.flatnonzero(closure[grasped:] == 1.0)[0]) + 1
    end = start + int(np.flatnonzero(closure[start:] < 1.0)[0])
    places = frames[ACTION][:, :2].astype(np.float64)
    way = places[end - 1] - places[start - 1]
    share = np.clip((places - places[start - 1]) @ way / (way @ way), 0.0, 1.0)
    share[:start], share[end:] = 0.0, 1.0
    away = BIN_CENTRES[0] - BIN_CENTRES[1]
    return Carry(frames, start, share, away if held[grasped] > 0 else -away)


@dataclass(frozen=True)
class Decision:
    """What a policy decides for chunks that begin at one moment of the carry.

    Args:
        offset: in steps from the carry's first.
        level: the decision level, VP, median over demonstrations.
        at_handover: share of the chunks that the denoiser takes for ones to the right bin, at the last level of
            inference that is not below `handover`.
        at_end: share of the chunks that go to the right bin.
        at_end_swapped: likewise, if the observation had the other colours from the handover on. Where the noisy chunk
            alone carries the decision on, this is about `at_end`.
    """

    offset: int
    level: float
    at_handover: float
    at_end: float
    at_end_swapped: float


def decisions(
    policy: Path, handover: float, *, offsets: Sequence[int] = OFFSETS, count: int = COUNT, view: View = "wrist"
) -> list[Decision]:
    """Sample chunks from noise at moments of demonstrations that sort right, and see which bin they are for, and when.

    A chunk is for the bin whose chunk, the demonstrated or the turned one, is nearer.

    Args:
        policy: folder of a pretrained `ambient_diffusion` policy with relative or absolute actions.
        handover: noise level, VP: the source's sigma_max.
        offsets: of the moments.
        count: demonstrations.
        view: that the policy observes.
    """
    opened = open_policy(policy)
    model, config = opened.model, opened.policy.config
    scheduler = model.noise_scheduler
    scheduler.set_timesteps(model.num_inference_steps)
    levels = NoiseSchedule.from_alphas_cumprod(scheduler.alphas_cumprod).sigmas
    above, below = (
        [step for step in scheduler.timesteps.tolist() if bool(levels[step] >= handover) is high]
        for high in (True, False)
    )
    names = environment_state_names(DEFAULT_BLOCKS, False, view)
    signs = np.array([-1.0 if "colour" in name else 1.0 for name in names], np.float32)
    generator = torch.Generator().manual_seed(0)
    found = []
    for offset in offsets:
        carries = [carry(number, view) for number in range(count)]
        # A chunk that the episode is too short for has no turned one.
        carries = [one for one in carries if one.start + offset - 1 + config.horizon <= len(one.share)]
        back = [slice(one.start + offset + 1 - config.n_obs_steps, one.start + offset + 1) for one in carries]
        observed = {
            key: np.stack([one.frames[key][some] for one, some in zip(carries, back, strict=True)])
            for key in (STATE, SEEN)
        }
        right, wrong, swapped = (
            opened.before({key: torch.as_tensor(value) for key, value in raw.items()})
            for raw in (
                {**observed, ACTION: _chunks(carries, offset, config.horizon, turned=False)},
                {**observed, ACTION: _chunks(carries, offset, config.horizon, turned=True)},
                {**observed, SEEN: observed[SEEN] * signs},
            )
        )
        with torch.inference_mode():
            chunk, turned = model.trajectory(right), model.trajectory(wrong)
            seen = model.conditioning(right, None)

            def denoise(x: torch.Tensor, steps: Sequence[int], condition: torch.Tensor) -> tuple[torch.Tensor, Any]:
                """The chunk after these steps, and what it was taken for in the last of them."""
                taken_for = x
                for step in steps:
                    output = model.unet(x, torch.full((len(x),), step), global_cond=condition)
                    moved = scheduler.step(output, step, x, generator=generator)
                    x, taken_for = moved.prev_sample, moved.pred_original_sample
                return x, taken_for

            noise = torch.randn(chunk.shape, generator=generator)
            handed, taken_for = denoise(noise, above, seen)
            ends = [denoise(handed, below, one)[0] for one in (seen, model.conditioning(swapped, None))]
            shares = [_nearer(x, chunk, turned) for x in (taken_for, *ends)]
        ratio = 0.5 * float((chunk - turned).flatten(1).norm(dim=1).median())
        found.append(Decision(offset, round(float(ratio / np.hypot(1.0, ratio)), 3), *shares))
    return found


def _chunks(carries: Sequence[Carry], offset: int, horizon: int, *, turned: bool) -> NDArray[np.float32]:
    return np.stack([one.chunk(one.start + offset, horizon, turned=turned) for one in carries]).astype(np.float32)


def _nearer(x: torch.Tensor, right: torch.Tensor, wrong: torch.Tensor) -> float:
    """Share of chunks nearer to the right one."""
    nearer = (x - right).flatten(1).norm(dim=1) < (x - wrong).flatten(1).norm(dim=1)
    return float(nearer.float().mean())


@styled
def draw_decisions(conditions: Mapping[str, Sequence[Decision]], handover: float, path: Path) -> Path:
    """Above, the chunks for the right bin at the handover, at the end, and with swapped colours; below, the level.

    Args:
        conditions: by name, at the same moments.
        handover: of the exclusive bands and of omni, VP.
        path: without suffix; a PNG and an SVG are written.

    Returns:
        The PNG's path.
    """
    figure, axes = subplots(2, 1, figsize=(6.4, 4.6), sharex=True, height_ratios=(3, 2))
    shares, levels = axes[:, 0]
    for name, rows in conditions.items():
        offsets = [one.offset for one in rows]
        shares.plot(offsets, [100 * one.at_end for one in rows], "o-", color=colour(name), label=label(name))
        shares.plot(offsets, [100 * one.at_handover for one in rows], ":", color=colour(name))
        shares.plot(offsets, [100 * one.at_end_swapped for one in rows], "--", color=colour(name), linewidth=0.9)
    shares.set(ylim=(-4, 104), ylabel="chunks for the right bin [%]")
    legend_above(shares, columns=len(conditions))
    rows = next(iter(conditions.values()))
    levels.plot([one.offset for one in rows], [one.level for one in rows], "o-", color="#444444")
    levels.axhline(handover, color="#9A9A9A", linewidth=0.9)
    levels.set(ylim=(0, 1), ylabel="decision level", xlabel="steps from the carry's first at which the chunk begins")
    return write_png_and_svg(figure, path)


def main() -> None:
    """Print a table for each policy."""
    parser = argparse.ArgumentParser(description="Where a sorting policy decides for a bin.")
    parser.add_argument("--sigma-max", type=float, required=True, help="of the source in the training")
    parser.add_argument("--view", choices=("table", "wrist"), default="wrist", help="default: %(default)s")
    parser.add_argument("policies", nargs="+", type=Path, help="each a folder pretrained_model")
    args = parser.parse_args()
    for policy in args.policies:
        print(f"{policy}\n  begins  decision level  right at {args.sigma_max:g}  at the end  with swapped colours")
        for one in decisions(policy, args.sigma_max, view=args.view):
            shares = f"{one.at_handover:12.0%}  {one.at_end:10.0%}  {one.at_end_swapped:19.0%}"
            print(f"  {one.offset:+6d}  {one.level:14.2f}  {shares}")


if __name__ == "__main__":
    main()
