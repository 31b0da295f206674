# SPDX-License-Identifier: Apache-2.0
"""A long experiment as resumable stages, each one command in a folder of its own.

A stage is identified by a key, the hash of everything its result depends on; where its folder lies is not part of
it. In the folder lie `stage.json` (the key and what it was made of, written at the start), `done.json` (written
atomically at the end), `log.txt`, and `run/`, what the command wrote. On a later call

    same key, done.json       the stage is skipped
    same key, no done.json    it was killed: it goes on with `resume` if its checkpoint exists, else starts again
    another key               the old folder is moved aside to <name>.old-1, -2, ...; nothing is ever deleted

A stage holds a file lock that its child process inherits. So a child that outlived a killed parent keeps the stage,
and the next call waits for it instead of writing into the same folder.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import IO, Any

from lerobot_ambient.data.files.replace_file import replace_file
from lerobot_ambient.integration.commands.machine import machine
from lerobot_ambient.integration.commands.progress import Display, clock, tail
from lerobot_ambient.integration.monitoring.metrics_file import FIGURE_SWITCH

DONE = "done.json"
"""The file in a stage's folder that says it is finished."""
_TAIL_LINES = 25


class StageError(RuntimeError):
    """A stage failed; the message shows the end of its log and where to find the rest."""


class _StoppedError(Exception):
    """Another stage failed or the user interrupted: this one is left for the next call."""


@dataclass(frozen=True, eq=False)
class Stage:
    """One command and what its result depends on.

    Args:
        folder: the stage's own folder.
        inputs: JSON values that determine the result. Paths that may change do not belong here.
        command: starts it; it writes into `folder / "run"`, which does not exist at that moment.
        files: texts to write into `folder` before the start, by name.
        resume: continues a killed run instead; None if the command cannot.
        checkpoint: the file whose existence makes `resume` usable.
        product: a file the finished command must have left, relative to `folder`.
        environment: variables of the command, beside those of the caller.
    """

    folder: Path
    inputs: Mapping[str, Any]
    command: Sequence[str]
    files: Mapping[str, str] = field(default_factory=dict)
    resume: Sequence[str] | None = None
    checkpoint: Path | None = None
    product: str | None = None
    environment: Mapping[str, str] = field(default_factory=dict)

    @property
    def run_folder(self) -> Path:
        return self.folder / "run"

    @property
    def log(self) -> Path:
        return self.folder / "log.txt"

    @property
    def key(self) -> str:
        """16 hexadecimal digits of the hash of `inputs`."""
        text = json.dumps(self.inputs, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    @property
    def seconds(self) -> float | None:
        """Wall time of the finished stage, of its last start only if it was resumed; None if it is not finished."""
        done = self._done()
        return None if done is None else float(done["seconds"])

    @property
    def machine(self) -> str | None:
        """Where the finished stage ran; None if it is not finished, or an older version finished it."""
        done = self._done()
        return None if done is None else done.get("machine")

    @property
    def is_done(self) -> bool:
        return self.seconds is not None

    @property
    def kind(self) -> str:
        """What stages that take about equally long have in common: the folder's name without its number."""
        return re.sub(r"-\d+$", "", self.folder.name)

    def _done(self) -> dict[str, Any] | None:
        done = _read_json(self.folder / DONE)
        return done if done and done.get("key") == self.key else None


def stock_command(script: str, module: str) -> list[str]:
    """A console script beside the running interpreter, or `python -m module` where there is none."""
    beside = Path(sys.executable).with_name(script)
    return [str(beside)] if beside.is_file() else [sys.executable, "-m", module]


class StageRunner:
    """Runs chains of stages, several at once.

    Args:
        root: stages are named relative to it in messages.
        jobs: chains that run side by side, each with one torch thread.
        progress: tell on stderr how far the stages are, each with the log to follow.
    """

    def __init__(self, root: Path, jobs: int, *, progress: bool = True) -> None:
        if jobs < 1:
            raise ValueError(f"jobs must be at least 1, got {jobs}.")
        self._root, self._jobs, self._progress = root, jobs, progress
        self._stop = threading.Event()
        self._guard = threading.Lock()
        self._children: dict[Stage, subprocess.Popen[bytes]] = {}
        self._display: Display | None = None
        # More threads than jobs make torch many times slower; nothing here needs the network.
        self._environment = {
            "HF_HUB_OFFLINE": "1",
            "TOKENIZERS_PARALLELISM": "false",
            "MPLBACKEND": "Agg",
            "TQDM_MININTERVAL": "2",
            # A second of each of many trainings; their metrics are kept all the same.
            FIGURE_SWITCH: "0",
            **os.environ,
            "OMP_NUM_THREADS": "1",
        }

    def run(self, chains: Sequence[Sequence[Stage]], title: str = "stages") -> None:
        """Run every chain's stages in order. Interrupting ends the children and leaves everything resumable.

        Raises:
            StageError: of the first stage that failed, after those already running have finished.
        """
        kinds = [stage.kind for chain in chains for stage in chain]
        failure: StageError | None = None
        self._display = Display(title, kinds, self._jobs, on=self._progress)
        try:
            with _interrupt_on_terminate(), ThreadPoolExecutor(self._jobs) as pool:
                pending: set[Future[None]] = {pool.submit(self._run_chain, chain) for chain in chains}
                try:
                    while pending:
                        finished, pending = wait(pending, timeout=1.0, return_when=FIRST_COMPLETED)
                        for future in finished:
                            error = future.exception()
                            if isinstance(error, StageError):
                                failure = failure or error
                            elif error is not None and not isinstance(error, _StoppedError):
                                raise error
                        self._display.show()
                except BaseException:
                    self._stop.set()
                    self._end_children()
                    raise
        finally:
            self._display.close()
            self._display = None
        if failure is not None:
            raise failure

    def say(self, message: str) -> None:
        """Print a line on stderr, unless progress is off."""
        if self._display is not None:
            self._display.say(message)
        elif self._progress:
            print(message, file=sys.stderr, flush=True)

    def _name(self, stage: Stage) -> str:
        return os.path.relpath(stage.folder, self._root)

    def _run_chain(self, chain: Sequence[Stage]) -> None:
        try:
            for stage in chain:
                self._run_stage(stage)
        except BaseException:
            self._stop.set()
            raise

    def _run_stage(self, stage: Stage) -> None:
        if self._stop.is_set():
            raise _StoppedError
        stage.folder.parent.mkdir(parents=True, exist_ok=True)
        with self._lock(stage) as lock:
            display = self._display
            assert display is not None
            if stage.is_done:
                display.skip(stage.kind, stage.seconds)
                return
            self._move_aside(stage)
            command = self._prepare(stage)
            display.begin(self._name(stage), stage.kind, stage.log, command)
            began = time.monotonic()
            code = self._execute(stage, command, lock)
            seconds = time.monotonic() - began
            if self._stop.is_set() and code != 0:
                raise _StoppedError
            missing = stage.product is not None and not (stage.folder / stage.product).exists()
            if code != 0 or missing:
                display.end(self._name(stage), None)
                raise StageError(_failure(self._name(stage), stage, code, seconds))
            done = {
                "key": stage.key,
                "seconds": round(seconds, 1),
                "finished": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
                "machine": machine(),
            }
            _write_json(stage.folder / DONE, done)
            display.end(self._name(stage), seconds)

    @contextmanager
    def _lock(self, stage: Stage) -> Iterator[IO[str]]:
        # Beside the folder, not in it: the folder may be moved aside.
        with open(stage.folder.with_name(f".{stage.folder.name}.lock"), "w") as lock:
            told = False
            while True:
                try:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    if not told:
                        self.say(f"wait  {self._name(stage)}: an earlier process still works on it")
                        told = True
                    if self._stop.wait(0.5):
                        raise _StoppedError from None
            yield lock

    def _move_aside(self, stage: Stage) -> None:
        if not stage.folder.exists():
            return
        started = _read_json(stage.folder / "stage.json")
        if started is not None and started.get("key") == stage.key:
            return
        number = 1
        while (aside := stage.folder.with_name(f"{stage.folder.name}.old-{number}")).exists():
            number += 1
        stage.folder.rename(aside)
        self.say(
            f"moved {self._name(stage)}: it was made with other settings, now {os.path.relpath(aside, self._root)}"
        )

    def _prepare(self, stage: Stage) -> Sequence[str]:
        """Make the folder ready and return the command that starts or continues the stage."""
        stage.folder.mkdir(exist_ok=True)
        _write_json(stage.folder / "stage.json", {"key": stage.key, "inputs": stage.inputs})
        for name, text in stage.files.items():
            (stage.folder / name).write_text(text, encoding="utf-8")
        if stage.resume is not None and stage.checkpoint is not None and stage.checkpoint.exists():
            self.say(f"go on {self._name(stage)} from its last checkpoint")
            return stage.resume
        # Half a run of ours without a checkpoint: worth nothing, and LeRobot refuses a folder that exists.
        shutil.rmtree(stage.run_folder, ignore_errors=True)
        return stage.command

    def _execute(self, stage: Stage, command: Sequence[str], lock: IO[str]) -> int:
        with open(stage.log, "ab") as log:
            log.write(f"$ {shlex.join(command)}\n".encode())
            log.flush()
            with self._guard:
                if self._stop.is_set():
                    raise _StoppedError
                child = subprocess.Popen(
                    list(command),
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    env={**self._environment, **stage.environment},
                    pass_fds=(lock.fileno(),),
                )
                self._children[stage] = child
            try:
                return child.wait()
            finally:
                with self._guard:
                    del self._children[stage]

    def _end_children(self) -> None:
        with self._guard:
            children = list(self._children.values())
        for child in children:
            child.terminate()
        deadline = time.monotonic() + 10.0
        for child in children:
            try:
                child.wait(max(0.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                child.kill()


@contextmanager
def _interrupt_on_terminate() -> Iterator[None]:
    """SIGTERM acts like Ctrl-C inside, so that no child is left behind; only the main thread can arrange that."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def interrupt(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _failure(name: str, stage: Stage, code: int, seconds: float) -> str:
    if code < 0:
        how = f"was killed by {signal.Signals(-code).name}" + (" (out of memory?)" if code == -9 else "")
    elif code > 0:
        how = f"failed with exit code {code}"
    else:
        how = f"ended without leaving {stage.product}"
    lines = tail(stage.log).splitlines()[-_TAIL_LINES:]
    return (
        f"stage {name} {how} after {clock(seconds)}. The end of its log:\n\n"
        + "\n".join(f"    {line}" for line in lines)
        + f"\n\nThe whole log: {stage.log}\nOnce the cause is fixed, the same command goes on from here."
    )


def _read_json(path: Path) -> dict[str, Any] | None:
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, json.JSONDecodeError):
        return None
    return value if isinstance(value, dict) else None


def _write_json(path: Path, value: Mapping[str, Any]) -> None:
    replace_file(path, (json.dumps(value, indent=2) + "\n").encode())
