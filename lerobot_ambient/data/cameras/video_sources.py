# SPDX-License-Identifier: Apache-2.0
"""A video file as its readers see it, whether it lies here or on the Hub."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol

import av
import torch
from lerobot.datasets.video_utils import (
    FrameTimestampError,
    VideoDecoderCache,
    decode_video_frames,
    decode_video_frames_torchcodec,
)
from torch import Tensor

from lerobot_ambient.data.remote.blocks import BlockFile, RemoteBlocks

_OPEN = 8
"""Containers that a thread keeps open to look ahead in."""
_REORDERED = 1
"""Packets that are read beyond the wanted one: codecs show frames later than they store them."""


class VideoSource(Protocol):
    """One video file.

    Attributes:
        is_remote: whether it is fetched as it is read.
    """

    is_remote: bool

    @property
    def name(self) -> str:
        """Where it is, for messages; files of different names can be decoded side by side."""

    def opened(self) -> Any:
        """What PyAV's `av.open` takes."""

    def decode(self, seconds: Sequence[float], tolerance_s: float, backend: str | None) -> Tensor:
        """(T, C, H, W) uint8 frames at these times; raises as LeRobot's `decode_video_frames` does."""

    def prefetch(self, first: float, last: float) -> None:
        """Begin to bring what decoding the frames between two times will read; nothing for a file that is here."""


class LocalVideo:
    """A file on this machine, decoded by LeRobot from its path."""

    is_remote = False

    def __init__(self, path: Path) -> None:
        self.name = str(path)

    def opened(self) -> str:
        return self.name

    def decode(self, seconds: Sequence[float], tolerance_s: float, backend: str | None) -> Tensor:
        frames: Tensor = decode_video_frames(self.name, list(seconds), tolerance_s, backend, return_uint8=True)
        return frames

    def prefetch(self, first: float, last: float) -> None:
        """Nothing."""


class OpenedVideo:
    """A file that decoders read through Python; what opens it is the subclass's."""

    is_remote = False

    @property
    def name(self) -> str:
        raise NotImplementedError

    def opened(self) -> Any:
        """A seekable binary file; what its reads raised is its `failure`, if it has one."""
        raise NotImplementedError

    def prefetch(self, first: float, last: float) -> None:
        """Nothing."""

    def decode(self, seconds: Sequence[float], tolerance_s: float, backend: str | None) -> Tensor:
        if backend != "torchcodec":
            file = self.opened()
            try:
                return _decode_with_pyav(file, self.name, seconds, tolerance_s)
            except av.FFmpegError as error:
                _raise_own(file, error)
                raise
        try:
            frames: Tensor = decode_video_frames_torchcodec(
                self.name, list(seconds), tolerance_s, decoder_cache=_decoders.of(self), return_uint8=True
            )
        except Exception as error:
            _raise_own(_decoders.forget(self.name), error)
            raise
        return frames


class RemoteVideo(OpenedVideo):
    """A file on the Hub, decoded from the blocks of it that are needed.

    Args:
        blocks: of its dataset.
        path: in the repository.
    """

    is_remote = True

    def __init__(self, blocks: RemoteBlocks, path: str) -> None:
        self.blocks, self.path = blocks, path

    @property
    def name(self) -> str:
        return f"{self.path} of {self.blocks.repo.repo_id} at {self.blocks.repo.commit[:12]} on the Hub"

    def opened(self) -> BlockFile:
        return BlockFile(self.blocks, self.path)

    def prefetch(self, first: float, last: float) -> None:
        self.blocks.submit(_read_packets, self.blocks, self.path, first, last)


def _raise_own(file: Any, error: Exception) -> None:
    """Raise what reading the file raised, where a decoder has made another error of it."""
    failure = getattr(file, "failure", None)
    if failure is not None:
        raise failure from error


def _decode_with_pyav(file: Any, name: str, seconds: Sequence[float], tolerance_s: float) -> Tensor:
    """What LeRobot's `decode_video_frames_pyav` gives, which opens paths only; a test compares the two."""
    first, last = min(seconds), max(seconds)
    shown: list[float] = []
    frames: list[Tensor] = []
    with av.open(file, mode="r") as container:
        stream = container.streams.video[0]
        base = stream.time_base
        assert base is not None
        container.seek(round(first / base) - 1, backward=True, any_frame=False, stream=stream)
        for frame in container.decode(stream):
            if frame.pts is None:
                continue
            shown.append(float(frame.pts * base))
            # The frame before the first wanted one may be the nearest.
            frames.append(torch.from_numpy(frame.to_ndarray(format="rgb24")).permute(2, 0, 1).contiguous())
            if shown[-1] >= last:
                break
    if not frames:
        raise FrameTimestampError(f"no frame between {first} and {last} s could be decoded from {name}.")
    distance = torch.cdist(torch.tensor(seconds)[:, None], torch.tensor(shown)[:, None], p=1)
    off, nearest = distance.min(1)
    if not bool((off < tolerance_s).all()):
        raise FrameTimestampError(f"{name}: frames are up to {float(off.max())} s off, tolerance_s is {tolerance_s}.")
    return torch.stack([frames[i] for i in nearest.tolist()])


class _Decoders(VideoDecoderCache):
    """LeRobot's cache of torchcodec's decoders, of files that are read through Python, by their names."""

    def __init__(self) -> None:
        super().__init__()
        self._opening = threading.Lock()
        self._videos: dict[str, OpenedVideo] = {}

    def of(self, video: OpenedVideo) -> _Decoders:
        """This cache, which opens that video when it is asked for its name."""
        self._videos[video.name] = video
        return self

    def get_decoder(self, video_path: str) -> Any:
        from torchcodec.decoders import VideoDecoder

        with self._opening:
            if video_path in self._cache:
                self._cache.move_to_end(video_path)
                return self._cache[video_path][0]
            file = self._videos[video_path].opened()
            try:
                decoder = VideoDecoder(file, seek_mode="approximate")
            except Exception as error:
                _raise_own(file, error)
                raise
            self._cache[video_path] = (decoder, file)
            while self.max_size is not None and len(self._cache) > self.max_size:
                gone, _ = self._cache.popitem(last=False)
                self._videos.pop(gone, None)
            return decoder

    def forget(self, video_path: str) -> Any:
        """Let go of a decoder that failed; its file."""
        with self._opening:
            return self._cache.pop(video_path, (None, None))[1]


_decoders = _Decoders()


class _Containers(threading.local):
    """Containers that one thread has open, the ones used last."""

    def __init__(self) -> None:
        self.open: OrderedDict[tuple[int, str], Any] = OrderedDict()

    def get(self, blocks: RemoteBlocks, path: str) -> Any:
        key = (id(blocks), path)
        if key not in self.open:
            self.open[key] = av.open(BlockFile(blocks, path), mode="r")
            if len(self.open) > _OPEN:
                self.open.popitem(last=False)[1].close()
        self.open.move_to_end(key)
        return self.open[key]

    def forget(self, blocks: RemoteBlocks, path: str) -> None:
        self.open.pop((id(blocks), path), None)


_containers = _Containers()


def _read_packets(blocks: RemoteBlocks, path: str, first: float, last: float) -> None:
    """Read what decoding the frames between two times reads, without decoding it: its blocks are here then.

    What goes wrong is left to whoever decodes: the same read fails there, and says so.
    """
    with suppress(Exception):
        try:
            container = _containers.get(blocks, path)
            stream = container.streams.video[0]
            container.seek(round(first / stream.time_base) - 1, backward=True, any_frame=False, stream=stream)
            past = 0
            for packet in container.demux(stream):
                past += packet.pts is None or packet.pts * stream.time_base >= last
                if past > _REORDERED:
                    return
        except Exception:
            _containers.forget(blocks, path)
            raise
