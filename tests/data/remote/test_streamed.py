# SPDX-License-Identifier: Apache-2.0
"""A dataset whose videos stay on the Hub: the frames, draws and limits of one that was downloaded."""

import hashlib
import os
import pickle
import subprocess
from itertools import islice
from pathlib import Path

import pytest
import torch
from huggingface_hub import constants
from lerobot.datasets import dataset_metadata, lerobot_dataset
from torch.utils.data import DataLoader

from lerobot_ambient.data.cameras import video_sources
from lerobot_ambient.data.cameras.video_sources import RemoteVideo
from lerobot_ambient.data.declared.sources import Source
from lerobot_ambient.data.provenance.fingerprint import require_same_mixture
from lerobot_ambient.data.remote import blocks
from lerobot_ambient.data.remote.pinned_repo import RemoteReadError
from lerobot_ambient.integration.doctor.cameras import check_cameras
from lerobot_ambient.integration.doctor.installation import Check

from .conftest import BLOCK, CAM

POSITIONS = [0, 70, 3, 30, 30, 47]
SMALL = 1024
"""Bytes of a block where the video has to have more than the least bound holds."""


def videos_asked(remote):
    return [request for request in remote.hub.requests if request.startswith("GET") and ".mp4" in request]


def same(batch, other):
    assert batch.keys() == other.keys()
    for key, value in batch.items():
        if isinstance(value, dict):
            same(value, other[key])
        else:
            assert torch.equal(value, other[key]) if isinstance(value, torch.Tensor) else value == other[key], key


@pytest.fixture
def apart(remote, tmp_path, preloaded_python):
    """Starts a process of its own with two workers, that prints a digest of every batch and what the blocks take."""

    def start(first, count, capacity):
        environment = os.environ | {
            "HF_ENDPOINT": remote.hub.url,
            "HF_HOME": str(tmp_path / "home"),
            "HF_HUB_OFFLINE": "0",
            "HF_HUB_DISABLE_XET": "1",
        }
        script = Path(__file__).with_name("stream_batches.py")
        words = ["me/filmed", remote.blocks, capacity, SMALL, first, count]
        line = [str(preloaded_python), str(script), *map(str, words)]
        return subprocess.Popen(line, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)

    return start


def digest(batch):
    return hashlib.sha256(batch[CAM].numpy().tobytes()).hexdigest()


def digests(mixture, first, count):
    return [digest(batch) for batch in batches(mixture, count, epoch=0, start_index=first)]


def batches(mixture, count, **state):
    sampler = mixture.sampler(0, look_ahead=8)
    if state:
        sampler.load_state_dict(state)
    return list(islice(DataLoader(mixture.dataset, 4, sampler=sampler), count))


def test_frames_are_those_of_the_downloaded_files(remote, here):
    mixture = remote.open()
    same(mixture.dataset.gather(POSITIONS), here.dataset.gather(POSITIONS))
    assert mixture.dataset.gather(POSITIONS)[CAM].shape == (6, 2, 3, 48, 64)
    root = mixture.sources[0].meta.root
    assert root.name == remote.commit
    assert list(root.rglob("*.parquet"))
    assert not list(root.rglob("*.mp4"))
    assert all(f"/resolve/{remote.commit}/" in request for request in videos_asked(remote))
    assert len(videos_asked(remote)) > 5


def test_kept_blocks_are_not_asked_for_again(remote, here):
    remote.open().dataset.gather(POSITIONS)
    blocks.settle()
    asked = len(videos_asked(remote))
    same(remote.open().dataset.gather(POSITIONS), here.dataset.gather(POSITIONS))
    assert len(videos_asked(remote)) == asked


def test_a_reader_travels_to_another_process(remote, here):
    reader = pickle.loads(pickle.dumps(remote.open().dataset.cameras[0][CAM]))
    rows = torch.tensor([5, 6, 7])
    assert torch.equal(reader.read(rows), here.dataset.cameras[0][CAM].read(rows))


def test_an_epoch_is_that_of_the_downloaded_files(remote, here):
    for ours, local in zip(batches(remote.open(), 5), batches(here, 5), strict=True):
        same(ours, local)


def test_a_killed_run_goes_on_with_the_same_frames(remote, here, apart):
    """Killed with its workers while they fetch and write blocks, and resumed from the position of its checkpoint."""
    remote.hub.delay = 0.02
    killed = apart(0, 18, 10**6)
    first = killed.stdout.readline().split()[0]
    killed.kill()
    killed.wait()
    assert first == digests(here, 0, 1)[0]
    remote.hub.delay = 0.0
    assert digests(remote.open(block=SMALL), 4, 3) == digests(here, 4, 3)


def test_what_is_drawn_later_is_fetched_meanwhile(remote):
    mixture = remote.open()
    drawn = list(islice(mixture.sampler(0, look_ahead=8), 4))
    mixture.dataset.__getitems__(drawn)
    blocks.settle()
    asked = len(videos_asked(remote))
    later = [draw.upcoming for draw in drawn]
    assert later == list(islice(mixture.sampler(0), 8, 12))
    mixture.dataset.gather(later)
    # Only what a decoder reads beyond the frames themselves.
    assert len(videos_asked(remote)) <= asked + 2


def test_the_blocks_stay_within_their_bound(remote, here):
    bound = 66 * SMALL
    mixture = remote.open(bound / 1e9, block=SMALL)
    store = mixture.sources[0].storage.blocks.store
    for start in range(0, 72, 8):
        rows = list(range(start, start + 8))
        same(mixture.dataset.gather(rows), here.dataset.gather(rows))
        assert store.used() <= bound
    size = len(remote.hub.files("me/filmed", "dataset")[remote.video])
    assert size > bound, "the video has to be larger than the bound"
    assert store.used() > bound / 2


def test_processes_share_the_bound(remote, here, apart):
    """A run of two workers and one of none, which all write and make room in one folder smaller than the video."""
    bound = 66 * SMALL
    other = apart(32, 3, bound)
    # The other one has begun to draw.
    told = [other.stdout.readline()]
    mixture = remote.open(bound / 1e9, block=SMALL)
    assert digests(mixture, 0, 3) == digests(here, 0, 3)
    assert mixture.sources[0].storage.blocks.store.used() <= bound
    # `communicate` would pass by what was read ahead with the first line.
    lines = [line.split() for line in told + other.stdout.read().splitlines()]
    assert other.wait(300) == 0
    assert [digest for digest, _ in lines] == digests(here, 32, 3)
    assert all(int(used) <= bound for _, used in lines)


def test_a_cache_of_frames_is_decoded_once(remote, here, tmp_path):
    cache = {"frame_cache": tmp_path / "frames", "frame_size": None}
    mixture = remote.open(options=cache)
    assert not mixture.streams
    remote.hub.requests.clear()
    frames = mixture.dataset.gather(POSITIONS)[CAM]
    assert not remote.hub.requests
    assert torch.equal(frames, here.dataset.gather(POSITIONS)[CAM])


def test_offline_reads_what_is_kept_and_says_what_is_not(remote, here, monkeypatch):
    remote.open().dataset.gather(POSITIONS)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    mixture = remote.open()
    same(mixture.dataset.gather(POSITIONS), here.dataset.gather(POSITIONS))
    for path in remote.blocks.rglob(f"{BLOCK}-00002*"):
        path.unlink()
    with pytest.raises(RemoteReadError, match=r"'me/filmed' at .*mp4 is not wholly in the block cache, and HF_HUB_OFF"):
        remote.open().dataset.gather(range(72))


def test_offline_without_metadata_is_refused(remote, monkeypatch, tmp_path):
    for module in (dataset_metadata, lerobot_dataset):
        monkeypatch.setattr(module, "HF_LEROBOT_HUB_CACHE", tmp_path / "empty")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(ValueError, match=r"'me/filmed' was not found in LeRobot's cache and the Hub.*HF_HUB_OFFLINE"):
        remote.open()


def test_a_branch_that_moves_changes_nothing_of_a_run(remote, here, put, copy_of):
    mixture = remote.open()
    (copy_of / remote.video).write_bytes(b"another video")
    assert put(remote.hub, copy_of) != remote.commit
    same(mixture.dataset.gather(POSITIONS), here.dataset.gather(POSITIONS))


def test_changed_videos_are_another_mixture(remote, put, copy_of):
    before = remote.open().fingerprint
    info = copy_of / "README.md"
    info.write_text("a card")
    put(remote.hub, copy_of)
    assert remote.open().fingerprint == before
    video = copy_of / remote.video
    video.write_bytes(video.read_bytes() + b"\0")
    put(remote.hub, copy_of)
    with pytest.raises(ValueError, match=r"(?s)not the one this run was started with.*videos [0-9a-f]{8} on the Hub"):
        require_same_mixture(before, remote.open().fingerprint)


def test_a_video_that_the_hub_lacks_is_named_before_training(remote, put, copy_of, caplog):
    (copy_of / remote.video).unlink()
    put(remote.hub, copy_of)
    with pytest.raises(ValueError, match=r"none of its 1 video files is on the Hub \(videos/observation"):
        remote.open()
    (copy_of / remote.video).write_bytes(b"")
    put(remote.hub, copy_of)
    with pytest.raises(ValueError, match=r"episodes 0, 1, 2: videos.*is empty"):
        remote.open(skip_broken=True)


def test_doctor_checks_the_listing_and_opens_no_video(remote):
    (source,) = remote.open().sources
    blocks.settle()
    before = len(videos_asked(remote))
    chosen = {"wanted": None, "tolerance_s": 1e-4, "progress": False, "storage": source.storage}
    (check,) = check_cameras("target", source.config, source.meta, [0, 1, 2], **chosen)
    assert check == Check("target videos", "ok", "1 of 1 files are there, by their listing; none was opened")
    assert len(videos_asked(remote)) == before
    source.storage.blocks.repo.files = {}
    (check,) = check_cameras("target", source.config, source.meta, [0, 1, 2], **chosen)
    assert check.status == "problem" and "none of its 1 video files is on the Hub" in check.found


def test_pictures_that_are_downloaded_all_the_same_are_told_of(remote, put, write_dataset, tmp_path, caplog):
    put(remote.hub, write_dataset(tmp_path / "pictures", "me/filmed", [12], image=(48, 64)))
    mixture = remote.open()
    assert "['observation.images.cam'] are pictures beside the numbers, which are downloaded whole" in caplog.text
    assert not mixture.streams and mixture.dataset.gather([0])[CAM].shape == (1, 2, 3, 48, 64)


def test_a_folder_of_ones_own_is_not_streamed(remote, filmed, monkeypatch, copy_of):
    with pytest.raises(ValueError, match="stream reads from the Hub, and root="):
        Source("me/filmed", root=str(filmed), stream=True)
    (copy_of.parent / "me").mkdir()
    copy_of.rename(copy_of.parent / "me" / "filmed")
    monkeypatch.setattr(dataset_metadata, "HF_LEROBOT_HOME", copy_of.parent)
    with pytest.raises(ValueError, match=r"lies in .*so there is nothing to stream"):
        remote.open()


@pytest.mark.parametrize("backend", ["pyav", "torchcodec"])
def test_a_remote_file_is_decoded_as_lerobot_decodes_a_local_one(remote, here, backend):
    """Every frame of the file, singly and in spans, also where a timestamp is off by less than the tolerance."""
    if backend == "torchcodec":
        pytest.importorskip(
            "torchcodec.decoders", reason="torchcodec finds no FFmpeg here: its side is not checked", exc_type=Exception
        )
    video = RemoteVideo(remote.open().sources[0].storage.blocks, remote.video)
    (local,) = {file.name: file for file in here.dataset.cameras[0][CAM].files}.values()
    for seconds in ([0.0], [7.1], [1.0, 1.1], [0.3, 0.1], [2.00004], [i / 10 for i in range(40, 60)]):
        assert torch.equal(video.decode(seconds, 1e-4, backend), local.decode(seconds, 1e-4, backend))
    # What the Hub has against it is told, whatever the decoder makes of it.
    video_sources._decoders.clear()
    reading = RemoteVideo(remote.open().sources[0].storage.blocks, remote.video)
    for path in remote.blocks.rglob(f"{BLOCK}-*"):
        path.unlink()
    remote.hub.fail(r"GET .*\.mp4", 403, times=1000)
    with pytest.raises(RemoteReadError, match="the Hub answered 403"):
        reading.decode([5.0], 1e-4, backend)
