# SPDX-License-Identifier: Apache-2.0
"""Blocks on disk: whole or not there, within their bound, the ones read last kept longest."""

import os
import time

import pytest

from lerobot_ambient.data.remote import block_store
from lerobot_ambient.data.remote.block_store import LEAST, BlockStore

SIZE = 100


@pytest.fixture
def store(tmp_path):
    return BlockStore(tmp_path / "blocks", LEAST * (SIZE + 4), SIZE)


def block(number):
    return bytes([number]) * SIZE


def age(store, name, seconds):
    past = time.time() - seconds
    os.utime(store.folder / name, (past, past))


def test_what_was_written_is_read(store):
    assert store.read("a/b/0") is None
    assert store.write("a/b/0", block(1))
    assert store.read("a/b/0") == block(1)
    assert store.write("a/b/0", block(2)[:7])
    assert store.read("a/b/0") == block(2)[:7]


def test_the_bound_is_met_and_the_least_recently_read_go(store):
    for number in range(LEAST):
        assert store.write(f"f/{number}", block(number))
        age(store, f"f/{number}", 1000 - number)
    assert store.used() == store.capacity
    # Reading the oldest makes it the newest.
    assert store.read("f/0") == block(0)
    assert store.write("f/new", block(99))
    assert store.used() <= store.capacity
    assert store.read("f/0") == block(0)
    assert store.read("f/new") == block(99)
    assert store.read("f/1") is None
    assert store.read(f"f/{LEAST - 1}") == block(LEAST - 1)


def test_a_killed_writers_count_is_corrected_and_its_file_removed(store):
    store.write("f/0", block(0))
    (store.folder / "used").write_text(str(10**9))
    hidden = store.folder / "f" / ".1.abcd"
    hidden.write_bytes(b"half")
    os.utime(hidden, (0, 0))
    assert store.write("f/2", block(2))
    assert int((store.folder / "used").read_text()) == store.used() == 2 * (SIZE + 4)
    assert not hidden.exists()
    assert store.read("f/0") == block(0)


@pytest.mark.parametrize("text", ["", "many"])
def test_a_lost_count_is_taken_anew(store, text):
    store.write("f/0", block(0))
    (store.folder / "used").write_text(text)
    store.write("f/1", block(1))
    assert int((store.folder / "used").read_text()) == 2 * (SIZE + 4)


def test_a_block_that_is_being_written_is_not_removed_to_make_room(store, monkeypatch):
    other = BlockStore(store.folder, store.capacity, SIZE)
    for number in range(LEAST - 1):
        store.write(f"f/{number}", block(number))
    replace, seen = os.replace, []

    def meanwhile(source, target):
        if not seen:
            seen.append(source)
            assert other.write("f/other", block(7))
            assert other.write("f/another", block(8))
        replace(source, target)

    monkeypatch.setattr(block_store.os, "replace", meanwhile)
    assert store.write("f/slow", block(6))
    assert store.read("f/slow") == block(6)
    assert store.used() <= store.capacity


def test_too_small_a_bound_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"must hold 64 blocks of 262144 bytes, that is 0\.0168 GB; got 0\.01 GB"):
        BlockStore(tmp_path, 10**7)
