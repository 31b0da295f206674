# SPDX-License-Identifier: Apache-2.0
"""One Optuna study that many processes work on, none of whose trials is lost or done twice when one is killed.

A sweep of N trials is N *slots*. Each slot has Optuna trials with the user attribute `slot`; the slot is done when one
of them is complete or pruned, or failed by itself (attribute `error`). A worker

    claims       takes a waiting trial; it is dropped if its slot has an earlier trial that is not failed
    holds        writes its name into the trial and the time every BEAT seconds, and keeps a file lock while it lives
    reconciles   marks the trials of dead workers as failed, and enqueues the same parameters again for each slot that
                 has neither a done nor a running nor a waiting trial

The state follows from the trials alone, so it does not matter at which moment a worker is killed: between any two
writes the next worker finds the slot open and fills it. A worker of this machine is dead when its lock can be taken,
at once. One of another machine, whose locks may not reach here, is dead when its lock is not held here and its last
beat is `stale_after` seconds old; should it live after all, its result is refused, because its trial has ended.

Claims and reconciliations are serialised by a file lock beside the journal or the SQLite file. With a database server
its row locks serialise the claims, and a slot that two workers filled at once is cleared up at the claim.
"""

from __future__ import annotations

import fcntl
import json
import os
import socket
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import IO, Any

import optuna
from optuna.exceptions import StorageInternalError, UpdateFinishedTrialError
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, Trial, TrialState

from lerobot_ambient.sweep.storage import open_database, open_journal, sqlite_file

BEAT = 30.0
"""Seconds between two signs of life of a worker."""
DONE = (TrialState.COMPLETE, TrialState.PRUNED)
_LIVE = (*DONE, TrialState.RUNNING, TrialState.WAITING)


class SweepStudy:
    """A study in a journal file or a database, as one worker sees it.

    Args:
        folder: the sweep's output folder; the journal lies in it.
        name: of the study.
        directions: "maximize" or "minimize" per objective.
        url: of a database, as SQLAlchemy writes it; None is the journal.
        stale_after: seconds without a beat after which a worker on another machine counts as dead.
        beat: seconds between this worker's beats.
    """

    def __init__(
        self,
        folder: Path,
        name: str,
        directions: Sequence[str],
        url: str | None = None,
        stale_after: float = 600.0,
        beat: float = BEAT,
    ) -> None:
        if not stale_after > 2 * beat:
            raise ValueError(
                f"--stale-after {stale_after:g} must exceed {2 * beat:g} seconds: a worker gives a sign of life every "
                f"{beat:g}, and one of them may be late."
            )
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        folder.mkdir(parents=True, exist_ok=True)
        file = sqlite_file(url) if url is not None else folder / "journal.log"
        # A folder that all workers of a file see; with a database server perhaps not all of them.
        self._meeting = folder if file is None else file.parent
        self._mutex = self._meeting / f".{file.name if file else name}.claim"
        self._sees_all = file is not None
        self._stale_after, self._beat = stale_after, beat
        goals = [StudyDirection[direction.upper()] for direction in directions]
        with self._serialised():
            storage = open_journal(folder / "journal.log") if url is None else open_database(url)
            self._study = optuna.create_study(storage=storage, study_name=name, directions=goals, load_if_exists=True)
        self._host = socket.gethostname()
        self.worker = f"{self._host}-{os.getpid()}-{uuid.uuid4().hex[:6]}"
        self._lock: IO[str] | None = None

    def __enter__(self) -> SweepStudy:
        self._locks.mkdir(exist_ok=True)
        self._lock = open(self._locks / self.worker, "w")
        fcntl.flock(self._lock, fcntl.LOCK_EX)
        return self

    def __exit__(self, *error: object) -> None:
        assert self._lock is not None
        (self._locks / self.worker).unlink(missing_ok=True)
        self._lock.close()

    @property
    def trials(self) -> list[FrozenTrial]:
        """Every trial that belongs to a slot, by number."""
        return [trial for trial in self._study.get_trials(deepcopy=False) if "slot" in trial.user_attrs]

    @property
    def slots(self) -> int:
        return len({trial.user_attrs["slot"] for trial in self.trials})

    def settle(self, definition: Mapping[str, Any]) -> None:
        """Write down what this study searches, or compare it with what was written.

        Raises:
            ValueError: the study was started with another definition; names what differs.
        """
        now = json.loads(json.dumps(definition))
        with self._serialised():
            before = self._study.user_attrs.get("definition")
            if before is None:
                self._study.set_user_attr("definition", now)
                return
        differences = list(_differences(before, now, ""))
        if differences:
            raise ValueError(
                f"study '{self._study.study_name}' was started with other settings: {'; '.join(differences)}. Use them "
                "again to go on with it, or another --output-dir (and, in a database, another --study) for a new one."
            )

    def provide(self, count: int, point: Callable[[int], Mapping[str, Any]]) -> None:
        """Enqueue trials until there are `count` slots; `point(slot)` holds parameters that are not to be drawn."""
        with self._serialised():
            present = {trial.user_attrs["slot"] for trial in self.trials}
            for slot in range(count):
                if slot not in present:
                    self._enqueue(slot, dict(point(slot)))

    def reopen_failed(self) -> None:
        """Let the slots that failed by themselves be tried again."""
        with self._serialised():
            for slot, trials in _by_slot(self.trials).items():
                if not any(trial.state in _LIVE for trial in trials) and _failed(trials):
                    self._enqueue(slot, _parameters(trials[-1]))

    def claim(self, sampler: Callable[[int], optuna.samplers.BaseSampler]) -> Trial | None:
        """A trial to work on, after reconciliation; None if none is waiting.

        Args:
            sampler: draws the trial's parameters, made for its slot.
        """
        with self._serialised():
            self._reconcile()
            while any(trial.state == TrialState.WAITING for trial in self.trials):
                trial = self._study.ask()
                slot = trial.user_attrs.get("slot")
                # Without a file lock another worker may have taken the last one first, or have filled the same slot.
                if slot is None or self._has_earlier(slot, trial.number):
                    self._study.tell(trial, state=TrialState.FAIL)
                    continue
                trial.set_user_attr("worker", self.worker)
                self._study.sampler = sampler(slot)
                return trial
        return None

    @contextmanager
    def holding(self, trial: Trial) -> Iterator[None]:
        """Give signs of life while working on `trial`."""
        stop = threading.Event()

        def beat() -> None:
            while not stop.is_set():
                try:
                    trial.set_user_attr("alive", time.time())
                except UpdateFinishedTrialError:
                    return
                except StorageInternalError:
                    # The database may come back before the beats are missed.
                    pass
                stop.wait(self._beat)

        thread = threading.Thread(target=beat, daemon=True)
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join()

    def finish(self, trial: Trial, values: Sequence[float] | None, state: TrialState) -> bool:
        """End a trial; False if another worker took it for dead and ended it before."""
        try:
            self._study.tell(trial, list(values) if values is not None else None, state=state)
        except (UpdateFinishedTrialError, ValueError):
            if self._trial(trial.number).state in (TrialState.RUNNING, TrialState.WAITING):
                raise
            return False
        return True

    def give_back(self, trial: Trial, error: str | None = None) -> None:
        """End a trial without a result. Its slot is open again, or closed as failed if there is an `error`."""
        try:
            if error is not None:
                trial.set_user_attr("error", error)
            self._study.tell(trial, state=TrialState.FAIL, skip_if_finished=True)
        except UpdateFinishedTrialError:
            # Another worker took it for dead and has enqueued it again.
            return

    def open_slots(self) -> int:
        """Slots that are not done."""
        return sum(
            1
            for trials in _by_slot(self.trials).values()
            if not _failed(trials) and not any(trial.state in DONE for trial in trials)
        )

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Keep the other workers of this folder waiting."""
        with self._serialised():
            yield

    @property
    def _locks(self) -> Path:
        return self._meeting / ".workers"

    def _trial(self, number: int) -> FrozenTrial:
        return self._study.get_trials(deepcopy=False)[number]

    def _reconcile(self) -> None:
        for trial in self.trials:
            if trial.state == TrialState.RUNNING and self._is_abandoned(trial):
                self._study.tell(trial.number, state=TrialState.FAIL, skip_if_finished=True)
        for slot, trials in _by_slot(self.trials).items():
            if not any(trial.state in _LIVE for trial in trials) and not _failed(trials):
                self._enqueue(slot, _parameters(trials[-1]))

    def _is_abandoned(self, trial: FrozenTrial) -> bool:
        worker = trial.user_attrs.get("worker")
        if worker is None and self._sees_all:
            # Killed between claiming it and signing: whoever lives signs before the claims are free again.
            return True
        if worker is not None:
            lives = self._lives(worker)
            if lives or (lives is False and worker.startswith(f"{self._host}-")):
                return not lives
        return self._silence(trial) > self._stale_after

    def _silence(self, trial: FrozenTrial) -> float:
        """Seconds since the last sign of life."""
        if "alive" in trial.user_attrs:
            return float(time.time() - trial.user_attrs["alive"])
        started = trial.datetime_start
        assert started is not None
        return (datetime.now(started.tzinfo) - started).total_seconds()

    def _lives(self, worker: str) -> bool | None:
        """Whether a worker holds its lock; None if there is no lock to look at."""
        try:
            with open(self._locks / worker, "r+") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except FileNotFoundError:
            return None
        except BlockingIOError:
            return True
        return False

    def _has_earlier(self, slot: int, number: int) -> bool:
        return any(
            trial.user_attrs["slot"] == slot and trial.number < number and trial.state in _LIVE for trial in self.trials
        )

    def _enqueue(self, slot: int, params: dict[str, Any]) -> None:
        self._study.enqueue_trial(params, user_attrs={"slot": slot, "point": params})

    @contextmanager
    def _serialised(self) -> Iterator[None]:
        with open(self._mutex, "w") as mutex:
            fcntl.flock(mutex, fcntl.LOCK_EX)
            yield


def _by_slot(trials: Sequence[FrozenTrial]) -> dict[int, list[FrozenTrial]]:
    slots: dict[int, list[FrozenTrial]] = {}
    for trial in trials:
        slots.setdefault(trial.user_attrs["slot"], []).append(trial)
    return slots


def _failed(trials: Sequence[FrozenTrial]) -> bool:
    """Whether a slot's last trial failed by itself and none came after it."""
    return trials[-1].state == TrialState.FAIL and "error" in trials[-1].user_attrs


def _parameters(trial: FrozenTrial) -> dict[str, Any]:
    """What a trial had drawn before it ended, and what it was given."""
    return {**trial.user_attrs["point"], **trial.params}


def _differences(before: Any, now: Any, path: str) -> Iterator[str]:
    if isinstance(before, dict) and isinstance(now, dict):
        for key in dict.fromkeys([*before, *now]):
            yield from _differences(before.get(key), now.get(key), f"{path}.{key}" if path else str(key))
    elif before != now:
        yield f"{path} was {before!r} and is now {now!r}"
