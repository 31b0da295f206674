# SPDX-License-Identifier: Apache-2.0
"""One run over many public datasets: how long until its first training step, and in how much memory.

The datasets are generated: small, with the keys, names, rates, cameras and kinds of numbers of catalogue entries, each
aligned as `lerobot-ambient inspect --suggest` proposes. The commands are the stock ones, each in a process of its own
and with one thread, and every figure stands beside that of the same command with a single source. Metadata are warm:
all datasets were opened once before. Nothing is asserted: a machine's load is not a property of the code.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from tqdm import tqdm

from lerobot_ambient.data.catalogue.entry import Entry
from lerobot_ambient.data.catalogue.library import entries
from lerobot_ambient.data.declared.sources import Source
from lerobot_ambient.data.suggest.suggest import Suggestion, facts_of, suggest
from lerobot_ambient.integration.commands.stages import stock_command
from lerobot_ambient.integration.training.configured_mixture import load_train_config, mixture_of
from lerobot_ambient.testing.generated.entry_dataset import generated_entry_dataset

_EPISODES, _FRAMES = 4, 40
_SIGMA_MIN = 0.5
_FIRST_STEP = re.compile(r"\bstep:1\b")
_OF_STEPS = {"x", "y", "z", "roll", "pitch", "yaw"}
_POLL_S = 0.05
_LINES = 40
"""Of a failed command's output."""
_POLICY = {
    "type": "ambient_diffusion",
    "device": "cpu",
    "push_to_hub": False,
    "denoiser": "mlp",
    "mlp_width": 64,
    "horizon": 8,
    "n_action_steps": 4,
    "drop_n_last_frames": 2,
    "pretrained_backbone_weights": None,
    "crop_shape": None,
    "use_group_norm": True,
    "spatial_softmax_num_keypoints": 8,
}


@dataclass(frozen=True)
class Cost:
    """One command.

    Args:
        seconds: to the first training step, or to the end of a command without any.
        processor_seconds: of the whole command; other work on the machine changes them little.
        peak_rss_bytes: largest resident memory of its process.
    """

    seconds: float
    processor_seconds: float
    peak_rss_bytes: int


@dataclass(frozen=True)
class ManySources:
    """The measurement.

    Args:
        sources, frames: of the mixture, the target aside.
        fps: lowest and highest rate of the sources.
        groups: into which they fall.
        open_seconds: to open, align and plan them all in a process that has LeRobot loaded.
        first_step, annotate: of `lerobot-train` and of `annotate --method=classifier`, with all sources.
        first_step_alone, annotate_alone: with one source.
    """

    sources: int
    frames: int
    fps: tuple[float, float]
    groups: int
    open_seconds: float
    first_step: Cost
    first_step_alone: Cost
    annotate: Cost
    annotate_alone: Cost

    @property
    def first_step_ratio(self) -> float:
        """Seconds until the first step, all sources over one."""
        return self.first_step.seconds / self.first_step_alone.seconds

    @property
    def processor_ratio(self) -> float:
        """Processor seconds of two training steps, all sources over one."""
        return self.first_step.processor_seconds / self.first_step_alone.processor_seconds

    @property
    def memory_ratio(self) -> float:
        """Peak memory of the training, all sources over one."""
        return self.first_step.peak_rss_bytes / self.first_step_alone.peak_rss_bytes


def bench_many_sources(work: Path, count: int, *, progress: bool = True) -> ManySources:
    """Generate the datasets, or find them in `work`, and measure.

    Args:
        work: folder of the datasets and configurations.
        count: of sources.
        progress: show a bar while they are generated.

    Raises:
        ValueError: more sources than entries that fit the target, or a command that failed, with its output's end.
    """
    target = _target(work)
    suggestions = _suggestions(work, target, count, progress=progress)
    many, alone = (_config(work / f"{name}.yaml", target, some) for name, some in _parts(suggestions))
    cfg = load_train_config(str(many), [])
    mixture_of(cfg)
    began = time.perf_counter()
    mixture = mixture_of(cfg)
    opened = time.perf_counter() - began
    sources = mixture.sources[1:]
    rates = [source.fps for source in sources]
    return ManySources(
        sources=len(sources),
        frames=sum(map(len, sources)),
        fps=(min(rates), max(rates)),
        groups=len({source.group for source in sources}),
        open_seconds=opened,
        first_step=_first_step(many, work / "train-many"),
        first_step_alone=_first_step(alone, work / "train-alone"),
        annotate=_annotated(many, work / "annotate-many"),
        annotate_alone=_annotated(alone, work / "annotate-alone"),
    )


def _target(work: Path) -> Source:
    """The trusted dataset: of the first entry whose actions are steps of the end effector of one arm."""
    entry = next(one for one in entries().values() if _steps_an_end_effector(one))
    return Source(catalogue=entry.name, root=str(_generated(work / "target", entry, seed=1)))


def _steps_an_end_effector(entry: Entry) -> bool:
    action = entry.features.get("action")
    return entry.arms == 1 and action is not None and (action.kind, action.rotation) == ("ee_delta", "rpy")


def _becomes_steps(entry: Entry) -> bool:
    """Whether its actions are steps, or of none of the dimensions that the target's steps have.

    Poses would become steps through the state, and the target's has no pose of these names.
    """
    action = entry.action
    return action is not None and (action.is_stepwise or not set(action.names) & _OF_STEPS)


def _generated(root: Path, entry: Any, *, seed: int) -> Path:
    """The dataset of an entry, written where it is not there yet."""
    if not (root / "meta" / "info.json").is_file():
        generated_entry_dataset(entry, root, episodes=_EPISODES, frames=_FRAMES, seed=seed)
    return root


def _suggestions(work: Path, target: Source, count: int, *, progress: bool) -> list[Suggestion]:
    """The alignment of as many entries as are asked for, over all rates; those that do not fit are passed over."""
    of_target = facts_of(target)
    by_rate = sorted(entries().values(), key=lambda entry: (entry.fps, entry.name))
    found: dict[str, Suggestion] = {}
    with tqdm(total=count, desc="generating datasets", unit="dataset", disable=not progress) as bar:
        # Evenly over the rates, from the lowest to the highest; then those between, for entries that do not fit.
        even = [round(place * (len(by_rate) - 1) / (count - 1)) for place in range(count)]
        for entry in (by_rate[place] for place in dict.fromkeys([*even, *range(len(by_rate))])):
            if len(found) == count:
                break
            if not _becomes_steps(entry):
                continue
            root = _generated(work / "sources" / entry.name, entry, seed=2)
            name = entry.repo_id or f"bench/{entry.name.replace('/', '_')}"
            source = Source(name, catalogue=entry.name, root=str(root), sigma_min=_SIGMA_MIN)
            if source.action_type == "delta" and source.action_gain is None:
                # In metres and radians, as the target's.
                source.action_gain = 1.0
            suggestion = suggest(of_target, facts_of(source), source)
            if not suggestion.problems:
                found[entry.name] = suggestion
                bar.update()
    if len(found) < count:
        raise ValueError(
            f"{len(found)} of {len(by_rate)} catalogue entries fit the target's actions, fewer than the {count} asked "
            f"for; ask for at most {len(found)}."
        )
    return [found[name] for name in sorted(found)]


def _parts(suggestions: Sequence[Suggestion]) -> list[tuple[str, Sequence[Suggestion]]]:
    return [("many", suggestions), ("alone", suggestions[:1])]


def _config(path: Path, target: Source, suggestions: Sequence[Suggestion]) -> Path:
    """A training configuration with these sources."""
    of_target = {
        "target_rename": dict(target.rename),
        "target_dimension_names": dict(target.dimension_names),
        "target_action_type": target.action_type,
        "target_action_gain": 1.0,
    }
    values: Mapping[str, Any] = {
        "dataset": {"repo_id": target.repo_id, "root": target.root, "use_imagenet_stats": False},
        "policy": {**_POLICY, **of_target, "sources": [dict(one.config) for one in suggestions]},
        "batch_size": 8,
        "num_workers": 0,
        "steps": 2,
        "log_freq": 1,
        "save_checkpoint": False,
        "seed": 0,
        "env_eval_freq": 0,
    }
    path.write_text(yaml.safe_dump(values, sort_keys=False), encoding="utf-8")
    return path


def _first_step(config: Path, folder: Path) -> Cost:
    number = 1 + sum(1 for _ in folder.glob("*"))
    command = [*stock_command("lerobot-train", "lerobot.scripts.lerobot_train"), f"--config_path={config}"]
    return _cost([*command, f"--output_dir={folder / str(number)}"], until=_FIRST_STEP)


def _annotated(config: Path, folder: Path) -> Cost:
    number = 1 + sum(1 for _ in folder.glob("*"))
    command = [*stock_command("lerobot-ambient", "lerobot_ambient.cli"), "annotate", f"--config_path={config}"]
    options = ["--method=classifier", "--folds=2", "--steps=300", f"--work-dir={folder / str(number)}", "--json"]
    return _cost([*command, *options])


def _cost(command: Sequence[str], until: re.Pattern[str] | None = None) -> Cost:
    """Run a command to its end; the time is that of the first line of its output that has `until`, if it is given."""
    began = time.perf_counter()
    environment = os.environ | {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", "PYTHONUNBUFFERED": "1"}
    child = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace", env=environment
    )
    assert child.stdout is not None
    lines: list[str] = []
    reached: list[float] = []
    peaks = [0]
    ended = threading.Event()

    def watch() -> None:
        while not ended.wait(_POLL_S):
            peaks.append(_peak_rss(child.pid))

    def read() -> None:
        assert child.stdout is not None
        for line in child.stdout:
            lines.append(line)
            if until is not None and not reached and until.search(line):
                reached.append(time.perf_counter() - began)

    helpers = [threading.Thread(target=read), threading.Thread(target=watch)]
    for helper in helpers:
        helper.start()
    # Of this one child; resource's own counter is that of all there ever were.
    _, status, usage = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    seconds = time.perf_counter() - began
    ended.set()
    for helper in helpers:
        helper.join()
    child.stdout.close()
    if child.returncode != 0 or (until is not None and not reached):
        said = "".join(lines[-_LINES:])
        raise ValueError(f"{' '.join(command)} failed with {child.returncode}:\n{said}")
    processor = usage.ru_utime + usage.ru_stime
    # Where /proc is not, the child's counter; under Linux it begins with what its parent had.
    peak = max(peaks) or usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    return Cost(reached[0] if until is not None else seconds, processor, peak)


def _peak_rss(pid: int) -> int:
    """Bytes of the largest resident set of a process so far; 0 where it has ended, or /proc is not."""
    try:
        found = re.search(r"^VmHWM:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE)
    except OSError:
        return 0
    return 0 if found is None else int(found[1]) * 1024
