# SPDX-License-Identifier: Apache-2.0
"""How large the maze experiment is, and which arms and windows it compares."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from lerobot_ambient.experiments.maze import ARM_NAMES, BATCH_SIZE, SIGMA_MINS, STEPS, WINDOW_METHODS

SWEEP_TRAIN_SEED = 0
STRETCH = 10_000
"""Evaluation seeds that belong to one training seed."""


@dataclass(frozen=True)
class MazeOptions:
    """Sizes of the experiment.

    Args:
        output_dir: everything is written below it.
        data_root: existing data to use instead of making some; parent folder of target and source.
        arms: which arms; each of `ARM_NAMES`.
        windows: ways to estimate the source's windows, of `WINDOW_METHODS`; each adds the arm `ambient:<name>`.
        seeds: training seeds of the final runs. Seed 0 is the sweeps'.
        trials: roll-outs of each final run.
        sweep_trials: roll-outs of each run of a sweep.
        steps, batch_size: of every training.
        target_episodes, source_episodes: of the data that is made.
        sweep: whether to sweep; otherwise `Choices()` is used.
        sigma_mins: levels that the sweep tries, each in (0, 1).
        jobs: stages side by side.
    """

    output_dir: Path
    data_root: Path | None = None
    arms: tuple[str, ...] = ARM_NAMES
    windows: tuple[str, ...] = ()
    seeds: tuple[int, ...] = (1, 2)
    trials: int = 250
    sweep_trials: int = 100
    steps: int = STEPS
    batch_size: int = BATCH_SIZE
    target_episodes: int = 50
    source_episodes: int = 5000
    sweep: bool = True
    sigma_mins: tuple[float, ...] = SIGMA_MINS
    jobs: int = 2

    def __post_init__(self) -> None:
        unknown = [arm for arm in self.arms if arm not in ARM_NAMES]
        if unknown or not self.arms or len(set(self.arms)) != len(self.arms):
            raise ValueError(f"--arms {','.join(self.arms)}: name each once, of {', '.join(ARM_NAMES)}.")
        unknown = [name for name in self.windows if name not in WINDOW_METHODS]
        if unknown or len(set(self.windows)) != len(self.windows):
            raise ValueError(f"--windows {','.join(self.windows)}: name each once, of {', '.join(WINDOW_METHODS)}.")
        if not self.seeds or len(set(self.seeds)) != len(self.seeds) or min(self.seeds) < 0:
            raise ValueError(f"--seeds {self.seeds}: give at least one, each once, none negative.")
        if self.sweep and SWEEP_TRAIN_SEED in self.seeds:
            raise ValueError(
                f"--seeds {self.seeds}: seed {SWEEP_TRAIN_SEED} trains the sweeps; the final runs need other seeds, "
                "or the winner would be judged by the run that made it win."
            )
        if not self.sigma_mins or len(set(self.sigma_mins)) != len(self.sigma_mins):
            raise ValueError(f"--sigma-mins {self.sigma_mins}: give at least one, each once.")
        if not all(0.0 < sigma_min < 1.0 for sigma_min in self.sigma_mins):
            raise ValueError(f"--sigma-mins {self.sigma_mins}: a threshold of the sweep must lie in (0, 1).")
        for name, value in {"trials": self.trials, "sweep trials": self.sweep_trials}.items():
            if not 1 <= value <= STRETCH:
                raise ValueError(f"--trials: {name} = {value} must lie in [1, {STRETCH}].")
        for name in ("steps", "batch_size", "target_episodes", "source_episodes", "jobs"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}.")

    @property
    def name(self) -> str:
        """Of the experiment: that with estimated windows is another one."""
        return "maze-windows" if self.windows else "maze"

    @property
    def windows_root(self) -> Path:
        """Folder of the estimated windows."""
        return self.output_dir / "windows"

    @classmethod
    def quick(cls, output_dir: Path) -> MazeOptions:
        """Three arms, one seed, no sweep: minutes on two cores."""
        return cls(
            output_dir,
            arms=("target_only", "cotrain", "ambient"),
            seeds=(1,),
            trials=100,
            steps=6000,
            source_episodes=1000,
            sweep=False,
        )
