# SPDX-License-Identifier: Apache-2.0
"""What one training run tells of itself beside LeRobot's log: losses by noise level, a metrics file, a figure.

LeRobot's loop has no place for it. It calls `update_policy` for each step, resets its tracker after it has logged, and
puts the policy back into training after the held-out loss; the seam has the recorder told of these three, in every
process. The policy's held-out losses come from the very batches of LeRobot's own held-out loss: nothing is drawn or
computed twice, and training goes on as without a recorder.
"""

from __future__ import annotations

import importlib
import logging
import os
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from lerobot_ambient.data.declared.groups import MANY
from lerobot_ambient.data.mixture import AssembledMixture
from lerobot_ambient.integration.monitoring.bands import EVAL_LOSS, BandSums
from lerobot_ambient.integration.monitoring.held_out_sources import HeldOutSources, Preprocess, held_out_frames
from lerobot_ambient.integration.monitoring.metrics_file import (
    FIGURE_FILE,
    FIGURE_SWITCH,
    METRICS_FILE,
    MetricsFile,
    read_metrics,
)
from lerobot_ambient.policy.options.train_config import TrainConfig
from lerobot_ambient.policy.shared.following import FollowsMixture

logger = logging.getLogger(__name__)

ROLLOUT = ("pc_success", "avg_sum_reward", "eval_s")
"""What is kept of an evaluation in an environment, under LeRobot's names."""


class Recorder:
    """The watcher of a run's policy.

    Args:
        cfg: LeRobot's TrainPipelineConfig, validated.
        mixture: that is trained on.
        held_out: frames of the target's held-out episodes; 0 without any.
    """

    def __init__(self, cfg: TrainConfig, mixture: AssembledMixture, held_out: int) -> None:
        self._cfg, self._mixture = cfg, mixture
        self._evaluates = cfg.eval_steps > 0 and held_out > 0
        limit = cfg.max_eval_samples if cfg.max_eval_samples > 0 else held_out
        frames = held_out_frames(mixture, limit)
        if frames and not self._evaluates:
            logger.warning(
                "%s: held-out episodes are kept from training, and nobody looks at them; set "
                "--dataset.eval_split=0.1 --eval_steps=%d to have their loss logged, or remove `holdout`.",
                *(", ".join(f"'{one.name}'" for one in frames), max(cfg.steps // 20, 1)),
            )
            frames = []
        seed = 0 if cfg.seed is None else cfg.seed
        self._sources = HeldOutSources(mixture, frames, batch_size=cfg.batch_size, seed=seed)
        self.preprocess: Preprocess | None = None
        self._policy: FollowsMixture | None = None
        self._tracker: Any = None
        self._accelerator: Any = None
        self._file: MetricsFile | None = None
        self._told: set[str] = set()
        self._evaluated_at = -1
        self._start_evaluation()

    def _start_evaluation(self) -> None:
        self._losses: list[float] = []
        self._target = BandSums()

    def attach(self, policy: nn.Module, tracker: Any, accelerator: Any) -> bool:
        """Watch the policy of a run; only the first call does anything.

        Args:
            policy: wrapped or not.
            tracker: LeRobot's MetricsTracker of the training loop.
            accelerator: of the run.

        Returns:
            Whether the policy follows this run's mixture.
        """
        if self._policy is not None:
            return tracker is self._tracker
        found = (one for one in policy.modules() if isinstance(one, FollowsMixture))
        inner = next((one for one in found if one.follows(self._mixture)), None)
        if inner is None:
            return False
        self._policy, self._tracker, self._accelerator = inner, tracker, accelerator
        inner.watcher = self
        if self._evaluates and self._sources.frames and self._is_sharded:
            self._say_once("the parameters are sharded: the sources' held-out losses are left out.")
        if accelerator.is_main_process:
            assert self._cfg.output_dir is not None, "LeRobot names a folder where none was given"
            self._file = MetricsFile(Path(self._cfg.output_dir) / METRICS_FILE, tracker.steps)
        return True

    @property
    def _is_sharded(self) -> bool:
        return str(getattr(self._accelerator.distributed_type, "value", "")) in ("FSDP", "DEEPSPEED")

    def saw(self, loss: Tensor, sigma: Tensor | None, per_sample: Tensor | None) -> None:
        """See `Watcher`."""
        self._losses.append(loss.item())
        if sigma is not None:
            self._target.add(loss, sigma, per_sample)
        if sigma is None or per_sample is None:
            kind = self._cfg.policy.type
            self._say_once(f"{kind} has no loss per sample: its held-out loss is not told apart by noise level.")

    def ended(self) -> None:
        """Log the held-out losses of LeRobot's evaluation step, which has just ended in every process.

        A policy also goes back to training after an evaluation in an environment, in one process alone. What the
        processes do together therefore depends on the step, not on what was seen.
        """
        step = self._tracker.steps
        if not self._evaluates or step % self._cfg.eval_steps or step == self._evaluated_at:
            return
        self._evaluated_at = step
        assert self._policy is not None and self.preprocess is not None
        accelerator, streams = self._accelerator, {"": self._target}
        if self._sources.frames and not self._is_sharded:
            with accelerator.autocast():
                streams |= self._sources.run(
                    self._policy,
                    self.preprocess,
                    accelerator.device,
                    accelerator.process_index,
                    accelerator.num_processes,
                )
        loss = sum(self._losses) / max(len(self._losses), 1)
        self._start_evaluation()
        vectors = torch.stack([sums.to_vector() for sums in streams.values()]).float()
        if accelerator.num_processes > 1:
            # One collective, of the same size in every process. The loss is LeRobot's, which means over processes.
            together = torch.cat([torch.tensor([loss]), vectors.flatten()]).to(accelerator.device)
            together = accelerator.reduce(together, reduction="sum").cpu()
            loss, vectors = float(together[0] / accelerator.num_processes), together[1:].view(vectors.shape)
        else:
            loss = float(torch.tensor(loss))
        if not accelerator.is_main_process:
            return
        sums = {name: BandSums.of_vector(row) for name, row in zip(streams, vectors, strict=True)}
        values = {EVAL_LOSS: loss}
        for name, one in sums.items():
            values |= one.metrics(name)
        self._write("eval", values)
        for name, one in self._as_logged(sums).items():
            if one.by_band or name:
                logger.info("step %d: %s", step, _line(name, one))
        self._track("eval", {key: value for key, value in values.items() if key != EVAL_LOSS})

    def _as_logged(self, sums: Mapping[str, BandSums]) -> dict[str, BandSums]:
        """The losses by dataset; of many sources by group, which fits on a screen. The file has every source."""
        if len(sums) <= 1 + MANY:
            return dict(sums)
        group_of = {source.name: source.group for source in self._mixture.sources[1:]}
        together = {"": sums[""]}
        for name, one in sums.items():
            if name:
                group = f"group {group_of[name]}"
                vector = one.to_vector()
                together[group] = BandSums.of_vector(
                    vector + together[group].to_vector() if group in together else vector
                )
        return together

    def logged(self) -> None:
        """Write what LeRobot has logged of training, just before it is forgotten."""
        if not self._accelerator.is_main_process:
            return
        exposure = {f"exposure/{name}": passes for name, passes in self._exposure().items()}
        self._write("train", {**self._tracker.to_dict(), **exposure})
        self._track("train", exposure)

    def rolled_out(self, overall: Mapping[str, float]) -> None:
        """Write what an evaluation in an environment found; LeRobot keeps it nowhere without wandb.

        Args:
            overall: over all tasks, as LeRobot's `eval_policy_all` has it.
        """
        if self._file is None:
            return
        self._write("eval", {key: overall[key] for key in ROLLOUT if key in overall})
        if self._tracker.steps >= self._cfg.steps:
            self.checkpointed()

    def _exposure(self) -> dict[str, float]:
        """By dataset, how often training has drawn each of its samples so far."""
        plan = self._mixture.plan
        law, drawn = plan.by_source().sum(1).tolist(), self._tracker.samples
        counts = [0] * len(law)
        for group in plan.groups:
            counts[group.source] += group.count
        rows = zip(plan.source_names(), law, counts, strict=True)
        return {name: drawn * share / count for name, share, count in rows if share > 0}

    def checkpointed(self) -> None:
        """Draw the figure; LeRobot calls in the main process."""
        if self._file is None or not self._file.path.is_file() or os.environ.get(FIGURE_SWITCH) == "0":
            return
        figure = self._file.path.with_name(FIGURE_FILE)
        if find_spec("matplotlib") is None:
            self._say_once(
                f"{figure} is not drawn: matplotlib is not installed. pip install "
                "'lerobot_policy_ambient_diffusion[plots]'"
            )
            return
        from lerobot_ambient.integration.monitoring.curves import draw_metrics

        try:
            draw_metrics(read_metrics(self._file.path), figure)
        except (OSError, ValueError, RuntimeError) as error:
            # Hours of training are worth more than their picture.
            self._say_once(f"{figure} could not be drawn: {error}")

    def _write(self, mode: str, values: Mapping[str, float]) -> None:
        assert self._file is not None
        try:
            self._file.append(self._tracker.steps, mode, values)
        except OSError as error:
            self._say_once(f"{self._file.path} cannot be written, so it lacks steps: {error}")
        if self._tracker.steps >= self._cfg.steps and not self._cfg.save_checkpoint:
            self.checkpointed()

    def _track(self, mode: str, values: Mapping[str, float]) -> None:
        """Send what LeRobot does not know to the tracker that it uses, under its own prefix."""
        wandb = self._cfg.wandb
        if not values or not wandb.enable or not wandb.project:
            return
        # LeRobot has loaded it where it is enabled; it is one of its extras, not ours.
        tracker = importlib.import_module("wandb")
        if tracker.run is not None:
            tracker.run.log({f"{mode}/{key}": value for key, value in values.items()}, step=self._tracker.steps)

    def _say_once(self, text: str) -> None:
        if text not in self._told:
            self._told.add(text)
            logger.warning("%s", text)


def _line(name: str, sums: BandSums) -> str:
    """What the terminal says of one dataset."""
    bands = [f"{band.removeprefix('sigma_').replace('_', '-')} {loss:.4f}" for band, (loss, _) in sums.by_band.items()]
    at = f"at sigma {', '.join(bands)}" if bands else ""
    if not name:
        return f"held-out loss {at}"
    return " ".join([f"held-out loss of {name} {sums.mean:.4f};" if sums.mean is not None else f"{name}:", at])
