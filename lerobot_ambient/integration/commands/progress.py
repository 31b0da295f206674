# SPDX-License-Identifier: Apache-2.0
"""How far the commands of an experiment are: read from their logs, told in a line that updates or now and then.

    stage 3 of 8 (final runs): final/ambient-seed1/train, step 120 of 400, 1 min 2 s, about 2 min left; ...

The commands are LeRobot's and ours and know nothing of this; what they print anyway (tqdm's bars, the numbers of the
episodes that are recorded) is read from the end of the log.
"""

from __future__ import annotations

import os
import re
import shutil
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

_TAIL_BYTES = 64_000
_SHORTEST, _LONGEST = 15.0, 300.0
"""Seconds between two lines where there is no terminal: they grow with the time a command has run."""
LEAST_SHARE = 0.02
"""What a command must have done, since it was first seen at work, before its remaining time is estimated."""

_BAR = re.compile(r"([^\r\n|\x1b]*?): +\d+%\|[^|\r\n]*\| *(\d+)/(\d+) \[")
_RECORDING = re.compile(r"Recording episode (\d+)")
_EPISODES = re.compile(r"--dataset\.num_episodes=(\d+)")


@dataclass(frozen=True)
class Progress:
    """What a command has done of what it says it will do.

    Args:
        words: for a reader, e.g. "step 120 of 400".
        share: of the whole command, in [0, 1].
    """

    words: str
    share: float


def progress_in(log: str, command: Sequence[str]) -> Progress | None:
    """Read how far `command` is from the end of its log; None if it does not say.

    Known are LeRobot's training, evaluation and recording. Of any other command the last bar is shown as it is, which
    may be one of several that come one after the other.
    """
    start = log.rfind("\n$ ")
    # A command that was resumed goes on in the log of its first start.
    bars = [
        (match[1].strip(), int(match[2]), int(match[3]))
        for match in _BAR.finditer(log[start + 1 :])
        if int(match[3]) > 0
    ]
    episodes = [match[1] for match in map(_EPISODES.fullmatch, command) if match]
    recorded = _RECORDING.findall(log[start + 1 :])
    if episodes and recorded:
        number, total = int(recorded[-1]), int(episodes[-1])
        return Progress(f"episode {number + 1} of {total}", min(1.0, number / total))
    if not bars:
        return None
    name, done, total = bars[-1]
    if name == "Training":
        return Progress(f"step {done} of {total}", done / total)
    outer = [index for index, bar in enumerate(bars) if bar[0].startswith("Stepping through eval batches")]
    if outer:
        _, batch, batches = bars[outer[-1]]
        inside = [bar for bar in bars[outer[-1] + 1 :] if bar[0].startswith("Running rollout")]
        _, step, most = inside[-1] if inside else ("", 0, 1)
        words = f"batch {min(batch + 1, batches)} of {batches}" + (f", step {step} of {most}" if inside else "")
        return Progress(words, min(1.0, (batch + step / most) / batches))
    return Progress(f"{name}, {done} of {total}", done / total)


def tail(path: Path, size: int = _TAIL_BYTES) -> str:
    """The last `size` bytes of a text file, without a line cut in two; empty if there is no file."""
    try:
        with open(path, "rb") as file:
            end = file.seek(0, os.SEEK_END)
            file.seek(max(0, end - size))
            text = file.read().decode(errors="replace")
    except FileNotFoundError:
        return ""
    return text if end <= size else text.partition("\n")[2]


def clock(seconds: float) -> str:
    """Seconds in words: "42 s", "3 min 5 s", "2 h 10 min"."""
    minutes, rest = divmod(round(seconds), 60)
    if minutes >= 60:
        return f"{minutes // 60} h {minutes % 60} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


def roughly(seconds: float) -> str:
    """An estimate in words, without digits that nobody knows."""
    if seconds < 90:
        return f"about {max(5, 5 * round(seconds / 5))} s"
    if seconds < 5400:
        return f"about {round(seconds / 60)} min"
    return f"about {seconds / 3600:.1f} h"


def _from_here(path: Path) -> str:
    """A path as a user would type it: relative to the working directory if it lies below."""
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)


class Remaining:
    """Estimates how long one command still takes, from two looks at how far it is."""

    def __init__(self) -> None:
        self._first: tuple[float, float] | None = None

    def seconds(self, now: float, share: float) -> float | None:
        """Seconds left at time `now`; None while too little was seen. The loading before the first step counts not."""
        if self._first is None or share < self._first[1]:
            self._first = now, share
        began, at_first = self._first
        if share - at_first < LEAST_SHARE:
            return None
        return (now - began) * (1.0 - share) / (share - at_first)


@dataclass
class _Run:
    """A command at work: its number among the stages, what it is called, when it began, and where it writes."""

    number: int
    name: str
    kind: str
    log: Path
    command: Sequence[str]
    began: float
    remaining: Remaining
    told: float


class Display:
    """Tells on stderr how far the stages are. Any thread may call it.

    Args:
        title: what the stages belong to, e.g. "final runs".
        kinds: the kind of every stage, in their order; stages of one kind are expected to take equally long.
        jobs: how many stages run side by side.
        on: False keeps it silent.
        stream: where it writes; a terminal gets one line that updates, anything else a line now and then.
        now: the clock.
    """

    def __init__(
        self,
        title: str,
        kinds: Sequence[str],
        jobs: int,
        *,
        on: bool = True,
        stream: TextIO | None = None,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._title, self._kinds, self._jobs, self._on, self._now = title, list(kinds), jobs, on, now
        self._stream = sys.stderr if stream is None else stream
        self._updates = on and self._stream.isatty()
        self._lock = threading.RLock()
        self._running: dict[str, _Run] = {}
        self._took: dict[str, list[float]] = {}
        self._left = list(kinds)
        self._seen = 0
        self._began = now()
        self._drawn = ""

    def skip(self, kind: str, seconds: float | None) -> None:
        """A stage was done before, in `seconds`."""
        with self._lock:
            self._seen += 1
            self._close(kind, seconds)

    def begin(self, name: str, kind: str, log: Path, command: Sequence[str]) -> None:
        """A stage starts its command."""
        with self._lock:
            self._seen += 1
            now = self._now()
            self._running[name] = _Run(self._seen, name, kind, log, command, now, Remaining(), now)
            self.say(f"start {self._place(self._running[name])}; follow it: tail -f {_from_here(log)}")

    def end(self, name: str, seconds: float | None) -> None:
        """A stage's command has ended, well after `seconds` or not (None)."""
        with self._lock:
            run = self._running.pop(name)
            self._close(run.kind, seconds)
            if seconds is not None:
                left = self._all_left(self._now())
                others = "the last one" if len(self._left) == 1 else f"the other {len(self._left)}"
                more = f", {roughly(left)} left for {others}" if left and self._left else ""
                self.say(f"done  {name}  {clock(seconds)}{more}")

    def show(self) -> None:
        """Draw the line anew, or print one where it is time; call it every second."""
        if not self._on:
            return
        with self._lock:
            now = self._now()
            # Looked at every time, for a remaining time needs two looks.
            lines = {run.name: self._line(run, now) for run in self._running.values()}
            if self._updates:
                self._draw(" | ".join(lines.values()) + self._together(now) if lines else "")
                return
            for run in self._running.values():
                if now - run.told >= min(max(_SHORTEST, (now - run.began) / 10), _LONGEST):
                    run.told = now
                    self.say(f"      {lines[run.name]}{self._together(now)}")

    def say(self, message: str) -> None:
        """Print a line, above the one that updates."""
        if not self._on:
            return
        with self._lock:
            drawn = self._drawn
            self._draw("")
            print(message, file=self._stream, flush=True)
            self._draw(drawn)

    def close(self) -> None:
        """Take the updating line away."""
        with self._lock:
            self._draw("")
            self._on = False

    def _close(self, kind: str, seconds: float | None) -> None:
        self._left.remove(kind)
        if seconds is not None:
            self._took.setdefault(kind, []).append(seconds)

    def _place(self, run: _Run) -> str:
        return f"stage {run.number} of {len(self._kinds)} ({self._title}): {run.name}"

    def _line(self, run: _Run, now: float) -> str:
        progress = progress_in(tail(run.log), run.command)
        words = "loading" if progress is None else progress.words
        left = None if progress is None or progress.share == 1.0 else run.remaining.seconds(now, progress.share)
        more = "" if left is None else f", {roughly(left)} left"
        return f"{self._place(run)}, {words}, {clock(now - run.began)}{more}"

    def _together(self, now: float) -> str:
        """The time of all stages, where there is more to it than this one."""
        left = self._all_left(now)
        is_first = any(run.began - self._began < 1.0 for run in self._running.values())
        if len(self._left) < 2 or (left is None and is_first):
            return ""
        return f"; all: {clock(now - self._began)}" + ("" if left is None else f", {roughly(left)} left")

    def _all_left(self, now: float) -> float | None:
        """Seconds that the stages left take, from the finished ones of their kind; None where a kind has none."""
        if any(kind not in self._took for kind in self._left):
            return None
        typical = {kind: sum(took) / len(took) for kind, took in self._took.items()}
        work = sum(typical[kind] for kind in self._left)
        # Those at work are among those left, until they end.
        begun = sum(min(now - run.began, typical[run.kind]) for run in self._running.values())
        return (work - begun) / max(1, min(self._jobs, len(self._left)))

    def _draw(self, line: str) -> None:
        if not self._updates or (not line and not self._drawn):
            return
        width = shutil.get_terminal_size().columns - 1
        shown = line if len(line) <= width else line[: width - 3] + "..."
        self._stream.write(f"\r\x1b[K{shown}")
        self._stream.flush()
        self._drawn = line
