# SPDX-License-Identifier: Apache-2.0
import multiprocessing
import os
import pickle
import signal
from pathlib import Path

import numpy as np
import pytest

from lerobot_ambient.data.batches.array_store import ArrayStore, publish_folder, store_arrays


def files(folder) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_arrays_come_back_as_read_only_maps(tmp_path):
    arrays = {"index": np.arange(10, dtype=np.uint32), "tags": np.array([[1, 2]], np.uint8), "none": np.zeros(0)}
    store = store_arrays(tmp_path / "a" / "key", arrays)
    assert set(store) == set(arrays)
    for name, array in arrays.items():
        assert np.array_equal(store[name], array) and store[name].dtype == array.dtype
    with pytest.raises(ValueError, match="read-only"):
        store["index"][0] = 1
    assert repr(store).endswith("key': index uint32[10], none float64[0], tags uint8[1, 2])")
    assert files(tmp_path / "a") == ["key"]


def test_a_folder_that_exists_is_not_written_again(tmp_path):
    store_arrays(tmp_path / "key", {"x": np.array([1])})
    assert store_arrays(tmp_path / "key", {"x": np.array([2])})["x"].tolist() == [1]


def test_of_two_writers_the_first_to_finish_wins(tmp_path):
    def slow(partial):
        np.save(partial / "x.npy", np.array([2]))
        store_arrays(tmp_path / "key", {"x": np.array([1])})

    publish_folder(tmp_path / "key", slow)
    assert ArrayStore(tmp_path / "key")["x"].tolist() == [1]
    assert files(tmp_path) == ["key"]


def test_a_failure_leaves_nothing(tmp_path):
    def fail(partial):
        np.save(partial / "x.npy", np.array([1]))
        raise OSError("No space left on device")

    with pytest.raises(OSError, match="No space left"):
        publish_folder(tmp_path / "key", fail)
    assert files(tmp_path) == []
    with pytest.raises(FileNotFoundError):
        ArrayStore(tmp_path / "key")


def test_a_killed_writer_leaves_no_folder_under_the_name(tmp_path):
    def write(partial):
        (partial / "x.npy").write_bytes(b"half")
        os.kill(os.getpid(), signal.SIGKILL)

    writer = multiprocessing.get_context("fork").Process(target=publish_folder, args=(tmp_path / "key", write))
    writer.start()
    writer.join()
    assert writer.exitcode == -signal.SIGKILL
    assert not (tmp_path / "key").exists()
    (left,) = files(tmp_path)
    assert left.startswith(".key.") and left.endswith(".partial")
    assert store_arrays(tmp_path / "key", {"x": np.array([1])})["x"].tolist() == [1]


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="reads Linux's list of a process's memory maps")
def test_a_pickled_store_opens_the_same_file_instead_of_carrying_a_copy(tmp_path):
    store = store_arrays(tmp_path / "key", {"x": np.arange(100_000)})
    sent = pickle.dumps(store)
    assert len(sent) < 500
    before = _maps_of("key/x.npy")
    received = pickle.loads(sent)
    assert np.array_equal(received["x"], store["x"])
    assert _maps_of("key/x.npy") == before + 1


def _maps_of(name: str) -> int:
    """How many memory maps of a file this process has."""
    return sum(line.rstrip().endswith(name) for line in Path("/proc/self/maps").read_text().splitlines())
