# SPDX-License-Identifier: Apache-2.0
"""The cache of camera frames: it equals its reader, decodes nothing twice, and survives being killed."""

import importlib
import json
import logging
import pickle
import shutil
import subprocess
import sys
from collections import namedtuple
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lerobot_ambient.data.cameras import frame_cache
from lerobot_ambient.data.cameras.frame_cache import open_frame_cache

HERE = Path(__file__).parent
Usage = namedtuple("Usage", "total used free")


@pytest.fixture
def made(monkeypatch):
    """The helpers of frame_readers.py, under the name by which spawned processes find them."""
    monkeypatch.syspath_prepend(HERE)
    return importlib.import_module("frame_readers")


@pytest.fixture
def log(tmp_path) -> Path:
    return tmp_path / "log.txt"


def decoded(log: Path) -> list[tuple[int, int]]:
    """First and last place of every block that was decoded, sorted."""
    lines = log.read_text().splitlines() if log.exists() else []
    return sorted((int(first), int(last)) for first, last in (line.split() for line in lines))


def blocks(job, episodes=None) -> list[tuple[int, int]]:
    """What decoding these episodes once looks like in the log."""
    found = []
    for one in job.episodes:
        if episodes is None or one.episode_index in episodes:
            for start in range(0, one.length, 64):
                found.append((one.place + start, one.place + min(start + 64, one.length) - 1))
    return sorted(found)


def counted(folder: Path) -> list[int]:
    """The episodes that done.txt counts, of the only entry."""
    return sorted(int(line) for done in folder.glob("*/done.txt") for line in done.read_text().splitlines())


def require_equal(cached, job) -> None:
    rows = torch.randperm(len(job.reader.places), generator=torch.Generator().manual_seed(3))
    rows = torch.cat([rows, rows[:5]])
    assert torch.equal(cached.read(rows), job.reader.read(rows))


# What is read


def test_the_cache_returns_what_the_reader_returns(made, tmp_path, log):
    job = made.make_job(log)
    (cached,) = open_frame_cache(tmp_path / "cache", [job])
    assert decoded(log) == blocks(job)
    assert (cached.name, cached.shape, len(cached)) == (job.reader.name, (3, 4, 5), sum(made.LENGTHS))
    require_equal(cached, job)


@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_any_episodes_in_any_order_of_openings_are_read_right(tmp_path_factory, data):
    sys.path.insert(0, str(HERE))
    try:
        made = importlib.import_module("frame_readers")
    finally:
        sys.path.remove(str(HERE))
    folder = tmp_path_factory.mktemp("any")
    lengths = data.draw(st.lists(st.integers(1, 140), min_size=1, max_size=6))
    subsets = st.lists(st.integers(0, len(lengths) - 1), min_size=1, unique=True)
    shape = data.draw(st.tuples(st.sampled_from([1, 3]), st.integers(1, 9), st.integers(1, 9)))
    seen: set[int] = set()
    for number in range(3):
        log = folder / f"log{number}.txt"
        selected = data.draw(subsets)
        job = made.make_job(log, selected, lengths, shape=shape)
        (cached,) = open_frame_cache(folder / "cache", [job], processes=1)
        assert decoded(log) == blocks(job, set(selected) - seen)
        require_equal(cached, job)
        seen |= set(selected)


def test_rows_outside_the_selection_are_our_bug(made, tmp_path, log):
    (cached,) = open_frame_cache(tmp_path / "cache", [made.make_job(log, [1])])
    for row in (-1, 3):
        with pytest.raises(AssertionError, match="rows outside the selection"):
            cached.read(torch.tensor([0, row]))


def test_what_is_read_is_a_copy(made, tmp_path, log):
    job = made.make_job(log)
    (cached,) = open_frame_cache(tmp_path / "cache", [job])
    cached.read(torch.arange(10)).zero_()
    require_equal(cached, job)


def test_a_pickled_cache_carries_no_frames_and_reads_the_same(made, tmp_path, log):
    job = made.make_job(log, shape=(3, 40, 50))
    (cached,) = open_frame_cache(tmp_path / "cache", [job])
    cached.read(torch.arange(3))
    sent = pickle.dumps(cached)
    assert len(sent) < 6000  # one frame's bytes
    require_equal(pickle.loads(sent), job)
    require_equal(cached, job)


def test_a_cache_prints_what_it_holds(made, tmp_path, log):
    (cached,) = open_frame_cache(tmp_path / "cache", [made.make_job(log, [1, 4])])
    (entry,) = (tmp_path / "cache").iterdir()
    assert repr(cached) == f"'me/data' observation.images.front: 3 x 4 x 5, 13 frames of 2 episodes, cached in {entry}"


# What is decoded


def test_a_second_opening_decodes_and_writes_nothing(made, tmp_path, log):
    job = made.make_job(log)
    open_frame_cache(tmp_path / "cache", [job])
    log.unlink()
    before = {path: (path.stat().st_mtime_ns, path.stat().st_ino) for path in (tmp_path / "cache").rglob("*")}
    (cached,) = open_frame_cache(tmp_path / "cache", [job])
    assert decoded(log) == []
    assert {path: (path.stat().st_mtime_ns, path.stat().st_ino) for path in before} == before
    require_equal(cached, job)


def test_further_episodes_add_only_themselves(made, tmp_path, log):
    open_frame_cache(tmp_path / "cache", [made.make_job(log, [1, 2])])
    assert counted(tmp_path / "cache") == [1, 2]
    log.unlink()
    job = made.make_job(log, [0, 2, 4])
    (cached,) = open_frame_cache(tmp_path / "cache", [job])
    assert decoded(log) == blocks(job, {0, 4})
    assert counted(tmp_path / "cache") == [0, 1, 2, 4]
    require_equal(cached, job)


def test_episodes_that_are_not_selected_take_no_space(made, tmp_path, log):
    job = made.make_job(log, [1], lengths=[200, 3, 50_000])
    (cached,) = open_frame_cache(tmp_path / "cache", [job])
    (file,) = (tmp_path / "cache").glob("*/frames.u8")
    assert file.stat().st_size == 50_203 * 60
    assert file.stat().st_blocks * 512 < 100_000
    require_equal(cached, job)


def test_another_identity_or_size_is_another_entry(made, tmp_path, log):
    jobs = [
        made.make_job(log),
        made.make_job(log, identity="me/data at another revision"),
        made.make_job(log, shape=(3, 5, 4)),
        made.make_job(log, lengths=(*made.LENGTHS, 2)),
    ]
    caches = open_frame_cache(tmp_path / "cache", jobs)
    for cached, job in zip(caches, jobs, strict=True):
        require_equal(cached, job)
    identities = [json.loads(path.read_text()) for path in (tmp_path / "cache").glob("*/identity.json")]
    assert len(identities) == 4
    assert {
        "identity": {"repo_id": "me/data"},
        "layout": {"format": 1, "shape": [3, 5, 4], "total_frames": 233},
    } in identities


def test_a_data_set_that_is_used_twice_is_decoded_and_counted_once(made, tmp_path, log, caplog):
    jobs = [made.make_job(log, [0, 1]), made.make_job(log, [3, 1])]
    with caplog.at_level(logging.INFO):
        caches = open_frame_cache(tmp_path / "cache", jobs)
    assert decoded(log) == sorted({*blocks(jobs[0]), *blocks(jobs[1])})
    assert "3 episodes, 93 frames of 3 x 4 x 5, 5.58kB" in caplog.text
    for cached, job in zip(caches, jobs, strict=True):
        require_equal(cached, job)


def test_a_line_cut_short_does_not_count_and_is_not_completed_by_the_next(made, tmp_path, log):
    lengths = [2] * 13
    open_frame_cache(tmp_path / "cache", [made.make_job(log, [0, 12], lengths)])
    (done,) = (tmp_path / "cache").glob("*/done.txt")
    assert done.read_bytes() == b"0\n12\n"
    done.write_bytes(b"0\n1")  # of "12\n"
    log.unlink()
    job = made.make_job(log, [1, 2, 12], lengths)
    (cached,) = open_frame_cache(tmp_path / "cache", [job])
    assert decoded(log) == blocks(job)
    assert done.read_bytes() == b"0\n1\n2\n12\n"
    require_equal(cached, job)


def test_frames_that_were_deleted_are_decoded_again(made, tmp_path, log):
    job = made.make_job(log)
    open_frame_cache(tmp_path / "cache", [job])
    (file,) = (tmp_path / "cache").glob("*/frames.u8")
    file.unlink()
    log.unlink()
    job = made.make_job(log, [1, 3])
    (cached,) = open_frame_cache(tmp_path / "cache", [job])
    assert decoded(log) == blocks(job)
    assert counted(tmp_path / "cache") == [1, 3]
    require_equal(cached, job)


# Refusals and failures


def test_a_short_disk_is_refused_before_anything_is_written(made, tmp_path, log, monkeypatch):
    folder = tmp_path / "not" / "yet" / "there"
    jobs = [made.make_job(log), made.make_job(log, [1], identity="me/other")]
    needed = (sum(made.LENGTHS) + 3) * 60
    asked = []

    def disk_with(free: int):
        def disk_usage(path):
            asked.append(Path(path))
            return Usage(2 * free, free, free)

        return disk_usage

    enough = needed + frame_cache.KEPT_FREE
    monkeypatch.setattr(shutil, "disk_usage", disk_with(enough - 1))
    with pytest.raises(ValueError) as error:
        open_frame_cache(folder, jobs)
    message = str(error.value)
    assert f"needs {needed} bytes (14.2kB) in {folder}, where {enough - 1} bytes (268MB) are free" in message
    assert "'me/data' observation.images.front: 5 episodes, 233 frames of 3 x 4 x 5, 14.0kB" in message
    for fix in ("policy.resize_shape", "policy.frame_cache", "fewer episodes", "policy.frame_cache=null"):
        assert fix in message
    assert asked == [tmp_path]
    assert not (tmp_path / "not").exists()
    assert decoded(log) == []

    monkeypatch.setattr(shutil, "disk_usage", disk_with(enough))
    assert len(open_frame_cache(folder, jobs)) == 2


def test_the_size_is_said_before_the_first_frame_is_decoded(made, tmp_path, log, caplog):
    said_at_decoding = []

    class Reader(made.PatternReader):
        def read(self, rows):
            said_at_decoding.append(caplog.text)
            return super().read(rows)

    job = made.make_job(log, [1])
    job = frame_cache.CacheJob(Reader(job.reader.places, log), job.identity, job.total_frames, job.episodes)
    with caplog.at_level(logging.INFO):
        open_frame_cache(tmp_path / "cache", [job])
    (said,) = said_at_decoding
    assert "frame cache: decoding 180B into" in said


def test_no_process_is_refused(made, tmp_path, log):
    with pytest.raises(ValueError, match="at least 1 process, got 0"):
        open_frame_cache(tmp_path / "cache", [made.make_job(log)], processes=0)


def test_an_error_of_the_reader_names_the_episode_and_keeps_what_is_finished(made, tmp_path, log):
    job = made.make_job(log, break_at=70 + 3 + 64)
    with pytest.raises(RuntimeError, match="invalid data") as error:
        open_frame_cache(tmp_path / "cache", [job])
    (note,) = error.value.__notes__
    assert "while decoding 'me/data' observation.images.front, episode 2, frames 64 to 127." in note
    assert "leave it out of `episodes`, or set `skip_broken: true`" in note
    assert counted(tmp_path / "cache") == [0, 1]
    log.unlink()
    job = made.make_job(log)
    (cached,) = open_frame_cache(tmp_path / "cache", [job])
    assert decoded(log) == blocks(job, {2, 3, 4})
    require_equal(cached, job)


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [(lambda frames: frames.float(), "read gave torch.float32"), (lambda frames: frames[..., :4], "not .3, 3, 4, 5.")],
)
def test_a_reader_that_breaks_its_word_is_our_bug(made, tmp_path, log, wrong, reason):
    class Reader(made.PatternReader):
        def read(self, rows):
            return wrong(super().read(rows))

    job = made.make_job(log, [1])
    job = frame_cache.CacheJob(Reader(job.reader.places, log), job.identity, job.total_frames, job.episodes)
    with pytest.raises(AssertionError, match=reason):
        open_frame_cache(tmp_path / "cache", [job])


def test_processes_are_spawned_only_where_there_is_enough_to_do():
    cores = frame_cache.os.cpu_count()
    assert frame_cache._default_processes(frame_cache.FRAMES_FOR_A_POOL - 1, 50) == 1
    assert frame_cache._default_processes(frame_cache.FRAMES_FOR_A_POOL, 50) == min(cores, frame_cache.MAX_PROCESSES)
    assert frame_cache._default_processes(10**6, 1) == 1


# Several processes


@pytest.fixture
def start_build(preloaded_python) -> Callable[..., subprocess.Popen[str]]:
    """The function that starts a build in another process, whose processes are spawned: start_build(folder, ...)."""

    def start(folder: Path, log: Path, processes: int, episodes: list[int], **options: object) -> subprocess.Popen[str]:
        words = [folder, log, processes, json.dumps(episodes), json.dumps(options)]
        command = [preloaded_python, HERE / "frame_readers.py", *words]
        return subprocess.Popen([*map(str, command)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    return start


@pytest.mark.parametrize(
    ("processes", "finished"),
    [(1, [0, 1]), (2, [0, 1, 3, 4])],
)
def test_a_killed_build_is_continued(made, tmp_path, log, caplog, processes, finished, start_build):
    """It is killed in the second block of episode 2, once everything else that its processes can do is done."""
    folder, gate = tmp_path / "cache", tmp_path / "gate"
    build = start_build(folder, log, processes, [0, 1, 2, 3, 4], wait_at=70 + 3 + 100, gate=str(gate))
    made.wait_for(
        lambda: build.poll() is not None or (Path(f"{gate}.reached").exists() and counted(folder) == finished)
    )
    build.kill()
    # The pipe ends when the last of its holders has ended: the workers do not outlive the build.
    output, _ = build.communicate(timeout=60)
    assert build.returncode == -9, output
    assert not gate.exists()

    log.unlink()
    job = made.make_job(log)
    (cached,) = open_frame_cache(folder, [job], processes=1)
    assert decoded(log) == blocks(job, {0, 1, 2, 3, 4} - set(finished))
    assert counted(folder) == [0, 1, 2, 3, 4]
    assert "waiting" not in caplog.text
    require_equal(cached, job)


def test_two_processes_at_once_decode_every_episode_once(made, tmp_path, log, monkeypatch, start_build):
    """The other process stands still inside its second episode of three until this one says that it waits."""
    folder, gate = tmp_path / "cache", tmp_path / "gate"
    build = start_build(folder, log, 1, [0, 1, 2], wait_at=71, gate=str(gate))
    made.wait_for(lambda: build.poll() is not None or Path(f"{gate}.reached").exists())
    said = []

    def open_the_gate(message, *args):
        said.append(message % args)
        gate.touch()

    monkeypatch.setattr(frame_cache.logger, "warning", open_the_gate)
    job = made.make_job(log)
    (cached,) = open_frame_cache(folder, [job])
    output, _ = build.communicate(timeout=60)
    assert build.returncode == 0, output
    assert decoded(log) == blocks(job)
    (entry,) = folder.iterdir()
    assert said == [
        f"waiting for another process that decodes 'me/data' observation.images.front into {entry}",
    ]
    require_equal(cached, job)


def test_an_error_in_another_process_arrives_with_its_note(tmp_path, log, start_build):
    build = start_build(tmp_path / "cache", log, 2, [0, 1, 2, 3, 4], break_at=70)
    output, _ = build.communicate(timeout=120)
    assert build.returncode == 1
    assert "RuntimeError: invalid data found" in output
    assert "while decoding 'me/data' observation.images.front, episode 1, frames 0 to 2." in output


def test_a_process_that_dies_is_explained(tmp_path, log, start_build):
    build = start_build(tmp_path / "cache", log, 2, [0, 1, 2, 3, 4], die_at=70)
    output, _ = build.communicate(timeout=120)
    assert build.returncode == 1
    assert "a process that decoded 'me/data' observation.images.front ended; was it out of memory?" in output
    assert "the same command goes on from them" in output
