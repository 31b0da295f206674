# SPDX-License-Identifier: Apache-2.0
import types
import wave
from pathlib import Path

import av
import numpy as np
import pytest

from lerobot_ambient.data.cameras.video_files import broken_videos, count_videos

FPS = 10
LENGTHS = [12, 8, 20]


@pytest.fixture
def meta(tmp_path):
    """Three episodes with one camera: the first two share a file whose header comes first, the third has its own."""
    folder = tmp_path / "videos" / "cam"
    folder.mkdir(parents=True)
    write_video(folder / "0-0.mp4", LENGTHS[0] + LENGTHS[1])
    write_video(folder / "0-1.mp4", LENGTHS[2])
    starts = np.array([0, LENGTHS[0], 0]) / FPS
    episodes = {
        "episode_index": [0, 1, 2],
        "length": LENGTHS,
        "videos/cam/chunk_index": [0, 0, 0],
        "videos/cam/file_index": [0, 0, 1],
        "videos/cam/from_timestamp": starts,
        "videos/cam/to_timestamp": starts + np.array(LENGTHS) / FPS,
    }
    return types.SimpleNamespace(
        root=tmp_path,
        fps=FPS,
        video_keys=["cam"],
        video_path="videos/{video_key}/{chunk_index}-{file_index}.mp4",
        episodes=episodes,
    )


def write_video(path: Path, frames: int) -> None:
    rng = np.random.default_rng(frames)
    with av.open(str(path), "w", options={"movflags": "faststart"}) as container:
        stream = container.add_stream("mpeg4", rate=FPS)
        stream.width, stream.height, stream.gop_size = 64, 48, 5
        for _ in range(frames):
            picture = av.VideoFrame.from_ndarray(rng.integers(0, 256, (48, 64, 3), dtype=np.uint8), format="rgb24")
            container.mux(stream.encode(picture))
        container.mux(stream.encode())


def test_whole_files_break_nothing(meta):
    assert broken_videos(meta, [0, 1, 2]) == {}
    assert [count_videos(meta, episodes) for episodes in ([0, 1, 2], [0, 1], [])] == [2, 1, 0]


def test_a_cut_file_breaks_only_the_episodes_that_lie_behind_the_cut(meta):
    path = meta.root / "videos/cam/0-0.mp4"
    whole = path.read_bytes()
    # The header, which comes first, still promises every frame.
    path.write_bytes(whole[: int(0.8 * len(whole))])
    with av.open(str(path)) as container:
        assert container.streams.video[0].frames == LENGTHS[0] + LENGTHS[1]
    assert broken_videos(meta, [0, 1, 2]) == {1: "videos/cam/0-0.mp4 ends before the episode does, at 1.90 s"}


@pytest.mark.parametrize(("missing", "broken"), [(0, []), (1, [2])])
def test_one_missing_frame_at_the_end_is_noticed(meta, missing, broken):
    write_video(meta.root / "videos/cam/0-1.mp4", LENGTHS[2] - missing)
    assert list(broken_videos(meta, [0, 1, 2])) == broken


def test_recorders_that_end_an_episode_at_its_last_frame_are_read_alike(meta):
    meta.episodes["videos/cam/to_timestamp"] = meta.episodes["videos/cam/to_timestamp"] - 1 / FPS
    assert broken_videos(meta, [0, 1, 2]) == {}


def sound(path: Path) -> None:
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(8000)
        file.writeframes(bytes(8000))


def unknown_codec(path: Path) -> None:
    path.write_bytes(path.read_bytes().replace(b"mp4v", b"none").replace(b"esds", b"free"))


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (Path.unlink, "is missing"),
        (lambda path: path.write_bytes(b""), "is truncated or damaged (Invalid data found when processing input)"),
        (lambda path: path.write_text("version https://git-lfs.github.com/spec/v1\n"), "is a Git LFS pointer"),
        (sound, "holds no video"),
        (unknown_codec, "is encoded with a codec that PyAV cannot decode"),
    ],
)
def test_the_reason_is_told_for_every_episode_of_the_file(meta, spoil, reason):
    spoil(meta.root / "videos/cam/0-0.mp4")
    broken = broken_videos(meta, [0, 1, 2])
    assert list(broken) == [0, 1]
    assert all(text.startswith(f"videos/cam/0-0.mp4 {reason}") for text in broken.values())


def test_only_the_asked_episodes_are_looked_at(meta):
    (meta.root / "videos/cam/0-1.mp4").unlink()
    assert broken_videos(meta, [0, 1]) == {}


def test_two_broken_cameras_of_an_episode_are_both_told(meta):
    meta.video_keys = ["cam", "wrist"]
    for name in ("chunk_index", "file_index", "from_timestamp", "to_timestamp"):
        meta.episodes[f"videos/wrist/{name}"] = meta.episodes[f"videos/cam/{name}"]
    (meta.root / "videos/cam/0-1.mp4").unlink()
    broken = broken_videos(meta, [2])
    assert broken == {2: "videos/cam/0-1.mp4 is missing; videos/wrist/0-1.mp4 is missing"}
