# SPDX-License-Identifier: Apache-2.0
"""The Hub, the network and the disk misbehave while frames are read: survived, or named; no sample is ever left out."""

import errno
import logging
import shutil
from types import SimpleNamespace

import pytest
import torch

from lerobot_ambient.data.cameras.video_sources import LocalVideo, RemoteVideo
from lerobot_ambient.data.remote import block_store, blocks
from lerobot_ambient.data.remote.block_store import BlockStore
from lerobot_ambient.data.remote.blocks import RemoteBlocks
from lerobot_ambient.data.remote.pinned_repo import PinnedRepo, RemoteReadError
from lerobot_ambient.testing.loopback_hub.hub import DROP, SHORT, WHOLE

SECONDS = [1.0, 1.1, 3.0]
BLOCK = 4096
VIDEO = r"GET .*\.mp4"


@pytest.fixture
def reopen(remote):
    """Opens the video, as another process would."""

    def open_video():
        repo = PinnedRepo.open("me/filmed", remote.commit, "videos", remote.blocks / "files.json")
        return RemoteVideo(RemoteBlocks(repo, BlockStore(remote.blocks, 10**6, BLOCK)), remote.video)

    return open_video


@pytest.fixture
def opened(remote, reopen):
    """The video, of which the first frame was read."""
    video = reopen()
    video.decode([0.0], 1e-4, "pyav")
    blocks.settle()
    remote.waits.clear()
    return video


@pytest.fixture(scope="module")
def expected(filmed):
    (path,) = filmed.rglob("*.mp4")
    return LocalVideo(path).decode(SECONDS, 1e-4, "pyav")


def read(video):
    return video.decode(SECONDS, 1e-4, "pyav")


@pytest.mark.parametrize(
    ("status", "options", "waits"),
    [
        (429, {"headers": {"Retry-After": "7"}}, [8.0, 8.0]),
        (429, {}, [1, 2]),
        (500, {}, [1, 2]),
        (503, {"headers": {"Retry-After": "3"}}, [4.0, 4.0]),
        (DROP, {}, [1, 2]),
        (DROP, {"after": 100}, [1.0, 2.0]),
        (SHORT, {}, [1.0, 2.0]),
    ],
)
def test_what_passes_is_waited_out(remote, opened, expected, status, options, waits):
    remote.hub.fail(VIDEO, status, times=2, **options)
    assert torch.equal(read(opened), expected)
    assert [fault.times for fault in remote.hub.faults] == [0]
    # Blocks are fetched side by side: two requests may have met a fault each, or one of them both.
    assert remote.waits in (waits, [waits[0]] * 2)


@pytest.mark.parametrize(
    ("status", "options", "reason"),
    [
        (429, {}, "the Hub answered 429; repeat the command later"),
        (503, {}, "the Hub answered 503; repeat the command later"),
        (401, {}, r"the Hub answered 401 \(not logged in"),
        (403, {}, r"the Hub answered 403 \(this token"),
        (404, {}, r"the Hub answered 404 \(no such"),
        (DROP, {}, "the Hub could not be reached"),
        (DROP, {"after": 100}, r"came in part only \(RemoteProtocolError\), 4 times"),
        (SHORT, {}, r"came in part only \(2048 of 4096 bytes\), 4 times"),
        (WHOLE, {}, "this server answers no ranges of bytes. Leave out `stream`"),
    ],
)
def test_what_stays_is_named_and_can_be_repeated(remote, opened, expected, status, options, reason):
    remote.hub.fail(VIDEO, status, times=1000, **options)
    with pytest.raises(RemoteReadError, match=f"'me/filmed' at {remote.commit[:12]}: videos/.*mp4.*{reason}"):
        read(opened)
    remote.hub.faults.clear()
    assert torch.equal(read(opened), expected)


def test_the_frame_that_was_wanted_is_named(remote):
    mixture = remote.open()
    remote.hub.fail(VIDEO, 403, times=1000)
    with pytest.raises(RemoteReadError) as caught:
        mixture.dataset.gather([40])
    assert "while decoding 'me/filmed' observation.images.cam, episode 1" in caught.value.__notes__[0]


def test_a_listing_that_cannot_be_had_is_named(remote):
    remote.hub.fail("GET /api/datasets/me/filmed/tree/[^/]+/videos", 503, times=1000)
    with pytest.raises(
        RemoteReadError, match=r"'me/filmed' at .*its files under videos cannot be listed: the Hub answ"
    ):
        remote.open()


@pytest.mark.parametrize("change", [lambda data: data[:-1], lambda data: bytes(reversed(data))], ids=["size", "hash"])
def test_a_file_changed_under_its_commit_is_named(remote, opened, change):
    files = remote.hub.repos["dataset", "me/filmed"].commits[remote.commit]
    files[remote.video] = change(files[remote.video])
    with pytest.raises(RemoteReadError, match=r"was listed with .* now. The dataset was changed under its commit"):
        read(opened)


def test_a_file_that_shrank_is_named(remote, opened):
    files = remote.hub.repos["dataset", "me/filmed"].commits[remote.commit]
    files[remote.video] = files[remote.video][:10]
    with pytest.raises(RemoteReadError, match=r"has fewer now. The dataset was changed under its commit"):
        read(opened)


def test_a_commit_that_is_gone_is_named(remote, opened):
    repo = remote.hub.repos["dataset", "me/filmed"]
    repo.commits["1" * 40] = repo.commits.pop(remote.commit)
    repo.branches["main"] = repo.tags["v3.0"] = "1" * 40
    with pytest.raises(RemoteReadError, match="the Hub no longer has this commit"):
        read(opened)


def test_a_full_disk_keeps_no_blocks_and_loses_no_frames(remote, opened, expected, monkeypatch, caplog):
    kept = sorted(remote.blocks.rglob(f"{BLOCK}-*"))
    full = SimpleNamespace(free=block_store.KEPT_FREE - 10**6, total=1, used=1)
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: full)
    with caplog.at_level(logging.WARNING):
        assert torch.equal(read(opened), expected)
    assert "the disk of the block cache is full" in caplog.text
    assert kept
    assert not list(remote.blocks.rglob(f"{BLOCK}-*")), "blocks make room for what a training cannot do without"


def test_a_write_that_finds_the_disk_full_leaves_no_half_block(remote, opened, expected, monkeypatch, caplog):
    kept = sorted(remote.blocks.rglob(f"*{BLOCK}-*"))

    def fail(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(block_store.os, "replace", fail)
    with caplog.at_level(logging.WARNING):
        assert torch.equal(read(opened), expected)
    assert "the disk of the block cache is full" in caplog.text
    assert sorted(remote.blocks.rglob(f"*{BLOCK}-*")) == kept


def test_a_folder_that_may_not_be_written_is_named(remote, opened, monkeypatch):
    def fail(*_):
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(block_store.os, "replace", fail)
    with pytest.raises(PermissionError) as caught:
        read(opened)
    assert f"while writing the block cache in {remote.blocks} (--policy.stream_cache)." in caught.value.__notes__


@pytest.mark.parametrize("damage", [lambda data: data[:-1], lambda data: data[:10] + b"\0" + data[11:]])
def test_a_damaged_block_is_fetched_again(remote, opened, reopen, expected, damage, caplog):
    read(opened)
    for path in remote.blocks.rglob(f"{BLOCK}-*"):
        path.write_bytes(damage(path.read_bytes()))
    with caplog.at_level(logging.WARNING):
        assert torch.equal(read(reopen()), expected)
    assert "is damaged; it is fetched again" in caplog.text


def test_signed_addresses_are_used_until_they_expire(remote, opened, expected):
    """As on the real Hub: an answer leads to storage elsewhere, at an address that needs no token and expires."""
    remote.hub.elsewhere = True
    before = len(remote.hub.requests)
    frames = read(opened)
    blocks.settle()
    asked = remote.hub.requests[before:]
    assert torch.equal(frames, expected)
    led = sum("/resolve/" in request for request in asked)
    # Threads that begin side by side may each be led there.
    assert 1 <= led <= 3
    assert sum("/elsewhere/" in request for request in asked) == len(asked) - led > 3
    remote.hub.addresses.clear()
    assert opened.decode([6.5], 1e-4, "pyav").shape[0] == 1
