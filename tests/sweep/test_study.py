# SPDX-License-Identifier: Apache-2.0
"""The study of a sweep: slots, claims, and what is done about workers that died."""

from __future__ import annotations

import fcntl
import multiprocessing
import os
import signal
import time
from pathlib import Path

import optuna
import pytest
from optuna.samplers import RandomSampler
from optuna.trial import TrialState

from lerobot_ambient.sweep.storage import KernelLock, open_journal
from lerobot_ambient.sweep.study import SweepStudy


def join(folder: Path, **options) -> SweepStudy:
    return SweepStudy(folder, "sweep", ["maximize"], **options)


def sampler(slot: int) -> RandomSampler:
    return RandomSampler(seed=slot)


def slots(study: SweepStudy) -> list[tuple[int, str]]:
    return [(trial.user_attrs["slot"], trial.state.name) for trial in study.trials]


def test_every_slot_is_claimed_once_in_its_order(tmp_path):
    with join(tmp_path) as one, join(tmp_path) as two:
        one.provide(3, lambda slot: {})
        two.provide(3, lambda slot: {})
        claimed = [worker.claim(sampler) for worker in (one, two, one, two)]
        assert [trial and trial.user_attrs["slot"] for trial in claimed] == [0, 1, 2, None]
        assert one.open_slots() == 3
        for trial in claimed[:3]:
            assert trial is not None
            assert one.finish(trial, [0.5], TrialState.COMPLETE)
        assert one.open_slots() == 0


def test_a_living_workers_trial_is_left_to_it_and_a_dead_ones_is_enqueued_again(tmp_path):
    one, two = join(tmp_path), join(tmp_path)
    with two:
        with one:
            one.provide(1, lambda slot: {})
            trial = one.claim(sampler)
            assert trial is not None
            drawn = trial.suggest_float("x", 0.0, 1.0)
            assert two.claim(sampler) is None
            # As a kill leaves it: the lock file stays, and nobody holds it.
            assert one._lock is not None
            fcntl.flock(one._lock, fcntl.LOCK_UN)
            again = two.claim(sampler)
            assert again is not None
            assert slots(two) == [(0, "FAIL"), (0, "RUNNING")]
            # What had been drawn is kept, the rest is drawn now.
            assert again.suggest_float("x", 0.0, 1.0) == drawn
            assert 0.0 <= again.suggest_float("y", 0.0, 1.0) <= 1.0
            # Should the first worker live after all, its result is refused.
            assert not one.finish(trial, [1.0], TrialState.COMPLETE)
        assert two.finish(again, [0.5], TrialState.COMPLETE)
        assert two.trials[1].value == 0.5


def test_a_trial_whose_claim_was_cut_short_is_enqueued_again(tmp_path):
    with join(tmp_path) as study:
        study.provide(2, lambda slot: {"x": slot})
        # Claimed, killed before it was signed.
        optuna.load_study(study_name="sweep", storage=open_journal(tmp_path / "journal.log")).ask()
        trial = study.claim(sampler)
        assert trial is not None
        assert slots(study) == [(0, "FAIL"), (1, "RUNNING"), (0, "WAITING")]
        assert study.trials[2].user_attrs["point"] == {"x": 0}


@pytest.mark.parametrize(("silent", "is_dead"), [(10.0, False), (500.0, False), (700.0, True)])
def test_a_worker_of_another_machine_is_dead_when_it_was_silent_for_long(tmp_path, silent, is_dead):
    with join(tmp_path, stale_after=600.0) as study:
        study.provide(1, lambda slot: {})
        trial = study.claim(sampler)
        assert trial is not None
        trial.set_user_attr("worker", "elsewhere-1-abcdef")
        trial.set_user_attr("alive", time.time() - silent)
        assert (study.claim(sampler) is not None) == is_dead


def test_a_worker_gives_signs_of_life(tmp_path):
    with join(tmp_path, beat=0.05) as study:
        study.provide(1, lambda slot: {})
        trial = study.claim(sampler)
        assert trial is not None
        with study.holding(trial):
            time.sleep(0.1)
            first = study.trials[0].user_attrs["alive"]
            time.sleep(0.3)
            assert study.trials[0].user_attrs["alive"] > first
        last = study.trials[0].user_attrs["alive"]
        time.sleep(0.15)
        assert study.trials[0].user_attrs["alive"] == last


def test_a_slot_that_two_workers_filled_is_done_once(tmp_path):
    """What two machines can do that share a database server and no lock."""
    with join(tmp_path) as study:
        study.provide(1, lambda slot: {})
        study._enqueue(0, {})
        first = study.claim(sampler)
        assert first is not None
        assert study.claim(sampler) is None
        assert slots(study) == [(0, "RUNNING"), (0, "FAIL")]
        study.finish(first, [0.5], TrialState.COMPLETE)
        study._enqueue(0, {})
        assert study.claim(sampler) is None
        assert slots(study)[2] == (0, "FAIL")


def test_the_end_of_a_trial_that_was_given_back_depends_on_the_error(tmp_path):
    with join(tmp_path) as study:
        study.provide(2, lambda slot: {})
        for error in (None, "no memory"):
            trial = study.claim(sampler)
            assert trial is not None
            study.give_back(trial, error)
        again = study.claim(sampler)
        assert again is not None
        assert again.user_attrs["slot"] == 0
        study.give_back(again, "no disk")
        assert study.open_slots() == 0
        study.reopen_failed()
        assert study.open_slots() == 2


def _hold_forever(file: Path, ready) -> None:
    KernelLock(file).acquire()
    ready.set()
    signal.pause()


def test_a_killed_holder_does_not_keep_the_journal_locked(tmp_path):
    file = tmp_path / "journal.log"
    file.touch()
    context = multiprocessing.get_context("fork")
    ready = context.Event()
    process = context.Process(target=_hold_forever, args=(file, ready))
    process.start()
    assert ready.wait(20)
    assert process.pid is not None
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    began = time.monotonic()
    lock = KernelLock(file)
    lock.acquire()
    lock.release()
    assert time.monotonic() - began < 5


def test_a_half_written_line_of_the_journal_is_cut_off(tmp_path):
    with join(tmp_path) as study:
        study.provide(2, lambda slot: {})
    with open(tmp_path / "journal.log", "ab") as journal:
        journal.write(b'{"op_code":4,"worker_id":"x","study')
    with join(tmp_path) as study:
        study.provide(3, lambda slot: {})
        assert slots(study) == [(0, "WAITING"), (1, "WAITING"), (2, "WAITING")]
    assert slots(join(tmp_path)) == [(0, "WAITING"), (1, "WAITING"), (2, "WAITING")]


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("journal", "--storage journal: Could not parse"),
        ("dbase://host/sweep", "--storage dbase://host/sweep: .*dbase"),
        ("sqlite://", "a SQLite URL needs a file"),
        ("sqlite:///:memory:", "a SQLite URL needs a file"),
        ("sqlite:////no/such/folder/sweep.db", "there is no folder /no/such/folder"),
    ],
)
def test_a_storage_that_cannot_be_used_is_refused(tmp_path, url, message):
    with pytest.raises(ValueError, match=message):
        join(tmp_path, url=url)


def test_a_patience_that_beats_could_miss_is_refused(tmp_path):
    with pytest.raises(ValueError, match="--stale-after 60 must exceed 60 seconds"):
        join(tmp_path, stale_after=60.0)
