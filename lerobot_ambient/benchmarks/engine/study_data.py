# SPDX-License-Identifier: Apache-2.0
"""The datasets of a study: the source once, the target anew for every training.

Training k learns from draw k of the target's demonstrations. So the spread between trainings holds both what a seed of
the training does and which demonstrations there happened to be, and an interval over trainings speaks of both.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, get_args

from lerobot_ambient.benchmarks.engine.study import Options, Study
from lerobot_ambient.integration.commands.stages import Stage, StageRunner, stock_command

Kind = Literal["target", "source"]
KINDS: tuple[Kind, ...] = get_args(Kind)
SOURCE_SEED = 0
"""Of the source's demonstrations, in every training."""
_DEFAULT_PAIR = "default"
"""Folder of the data whose key is the empty word."""
_DESCRIBED = ("ambient_make_data.json", "info.json", "stats.json")


def folder_of(pair: str) -> str:
    """A pair of datasets as a part of a path."""
    return pair or _DEFAULT_PAIR


class StudyData:
    """Makes and finds the datasets of a study.

    Args:
        study, options: what is asked for. With `options.data_root` the datasets are there, and every training of the
            pair "" learns from the same target.
        versions: what the data depends on beside the arguments of make-data.
    """

    def __init__(self, study: Study, options: Options, versions: Mapping[str, Any]) -> None:
        self._study, self._options, self._versions = study, options, versions
        self._keys: dict[tuple[str, int], str] = {}

    @cached_property
    def _words(self) -> Mapping[str, Sequence[str]]:
        return self._study.data(self._options.sizes)

    def folder(self, pair: str, kind: Kind, seed: int) -> Path:
        """The dataset that training `seed` learns from."""
        if self._given(pair):
            assert self._options.data_root is not None
            return self._options.data_root.resolve() / kind
        return self._stage_folder(pair, kind, seed) / "run" / kind

    def make(self, wanted: Iterable[tuple[str, int]], runner: StageRunner) -> None:
        """Make what is missing for these pairs and trainings.

        Raises:
            ValueError: `data_root` does not hold the data.
        """
        stages: dict[Path, Stage] = {}
        for pair, seed in sorted(wanted):
            if self._given(pair):
                self._require(pair)
                continue
            for kind in KINDS:
                stage = self._stage(pair, kind, seed)
                stages[stage.folder] = stage
        if stages:
            runner.run([[stage] for stage in stages.values()], "data")

    def key(self, pair: str, seed: int) -> str:
        """A hash of what two datasets say about themselves: their records, counts and statistics."""
        if (pair, seed) not in self._keys:
            digest = hashlib.sha256()
            for kind in KINDS:
                for name in _DESCRIBED:
                    file = self.folder(pair, kind, seed) / "meta" / name
                    digest.update(file.read_bytes() if file.is_file() else b"absent")
            self._keys[pair, seed] = digest.hexdigest()[:16]
        return self._keys[pair, seed]

    def frames(self, pair: str, seed: int) -> tuple[int, int]:
        """Numbers of frames of the target and the source."""
        return self._frames(self.folder(pair, "target", seed)), self._frames(self.folder(pair, "source", seed))

    @staticmethod
    def _frames(root: Path) -> int:
        return int(json.loads((root / "meta" / "info.json").read_text())["total_frames"])

    def _given(self, pair: str) -> bool:
        return self._options.data_root is not None and pair == ""

    def _require(self, pair: str) -> None:
        root, name = self._options.data_root, self._study.task.name
        for kind in KINDS:
            if not (self.folder(pair, kind, 0) / "meta" / "info.json").is_file():
                raise ValueError(
                    f"--data-root {root} has no dataset {kind} (no {kind}/meta/info.json). Make it with "
                    f"`lerobot-ambient make-data {name} --root {root}`, or leave --data-root out."
                )

    def _stage_folder(self, pair: str, kind: Kind, seed: int) -> Path:
        name = "source" if kind == "source" else f"target-{seed}"
        return self._options.output_dir / "data" / folder_of(self._first_with(pair, kind)) / name

    def _first_with(self, pair: str, kind: Kind) -> str:
        """The first pair that has the same dataset: what it is made with differs in the other one's size at most."""
        other = "--source-episodes=" if kind == "target" else "--target-episodes="

        def made_with(name: str) -> list[str]:
            return [word for word in self._words[name] if not word.startswith(other)]

        same = [name for name in self._words if not self._given(name) and made_with(name) == made_with(pair)]
        return same[0]

    def _stage(self, pair: str, kind: Kind, seed: int) -> Stage:
        drawn = SOURCE_SEED if kind == "source" else seed
        given = self._words[self._first_with(pair, kind)]
        words = ["make-data", self._study.task.name, *given, f"--seed={drawn}", f"--only={kind}"]
        folder = self._stage_folder(pair, kind, seed)
        # make-data itself continues after a kill, in the same folder.
        command = [*stock_command("lerobot-ambient", "lerobot_ambient.cli"), *words, f"--root={folder / 'run'}"]
        return Stage(
            folder,
            {"version": dict(self._versions), "make-data": words[1:]},
            command,
            resume=command,
            checkpoint=folder / "run",
            product=f"run/{kind}/meta/info.json",
        )
