# SPDX-License-Identifier: Apache-2.0
"""How time and memory of the plan and the sampler grow with the number of frames.

Each size runs in a process of its own, so that the peak of one is not the floor of the next. The sources get a
window per frame, drawn at random: neighbouring frames then share a group as rarely as can be, which is the worst
case for an index. Everything after that is what a training run calls; reading windows files and columns is not
part of it. Nothing is asserted: a machine's load is not a property of the code.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from itertools import chain, islice, repeat
from pathlib import Path

import numpy as np
import torch

from lerobot_ambient.core.mixing import Ambient
from lerobot_ambient.core.noise_levels import NoiseSchedule
from lerobot_ambient.core.plan import Group, make_plan
from lerobot_ambient.core.windows import EVERYTHING
from lerobot_ambient.data.sampling.grouping import WindowGroups, split_windows
from lerobot_ambient.data.sampling.permutation import IntArray
from lerobot_ambient.data.sampling.sampler import FrameIndex, GroupedFrames, MixtureSampler

_SIZES = (10**6, 10**7, 10**8)
_TIMESTEPS = 100
_EPISODE, _DROPPED = 200, 7


@dataclass(frozen=True)
class ScalePoint:
    """One size, measured.

    Attributes:
        frames, sources: frames of all sources together, and how many sources there are. The target comes on top
            with a hundredth of the frames.
        two_sided: whether sigma_max varies too.
        groups: rows of the plan.
        seconds: from nothing to the first draw, making the random windows included.
        windows_seconds, split_seconds, plan_seconds, sampler_seconds: its parts: making the random windows,
            grouping the frames, the groups and the plan, and the sampler up to its first draw.
        bytes_per_frame: held by the index and the group tags.
        draws, draws_per_s: how many draws were timed, and their rate.
        start_rss_bytes, peak_rss_bytes: resident memory of the process after its imports, and its peak.
    """

    frames: int
    sources: int
    two_sided: bool
    groups: int
    seconds: float
    windows_seconds: float
    split_seconds: float
    plan_seconds: float
    sampler_seconds: float
    bytes_per_frame: float
    draws: int
    draws_per_s: float
    start_rss_bytes: int
    peak_rss_bytes: int


def bench_scale(
    sizes: Sequence[int], *, sources: int = 100, draws: int = 3_000_000, two_sided: bool = False
) -> Iterator[ScalePoint]:
    """Measure one size after the other, each in a fresh process.

    Args:
        sizes: frames of all sources together.
        sources: how many they are spread over.
        draws: how many frames to draw.
        two_sided: let sigma_max vary as well as sigma_min.

    Raises:
        ValueError: a size too small for its sources, or a process that failed, with the end of its output.
    """
    for frames in sizes:
        if frames < sources * _EPISODE:
            raise ValueError(
                f"{frames} frames are too few for {sources} sources: each needs an episode of {_EPISODE}. "
                f"Ask for at least {sources * _EPISODE} frames."
            )
    return (_in_own_process(frames, sources, draws, two_sided) for frames in sizes)


def _in_own_process(frames: int, sources: int, draws: int, two_sided: bool) -> ScalePoint:
    task = {"frames": frames, "sources": sources, "draws": draws, "two_sided": two_sided}
    command = [sys.executable, "-m", __name__, json.dumps(task)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise ValueError(f"{frames} frames failed with {done.returncode}:\n{done.stderr[-2000:]}")
    return ScalePoint(**json.loads(done.stdout))


def measure(frames: int, sources: int, draws: int, two_sided: bool) -> ScalePoint:
    """Measure one size in this process."""
    start_rss = _peak_rss()
    schedule = _cosine_schedule()
    rng = np.random.default_rng(0)
    offset = target = frames // 100
    groups = [Group(0, "target", target, EVERYTHING)]
    parts: list[FrameIndex | tuple[IntArray, IntArray]] = [(np.array([0]), np.array([target]))]
    splits: list[WindowGroups] = []
    seconds = dict.fromkeys(("windows", "split", "plan", "sampler"), 0.0)
    began = time.perf_counter()
    for source in range(sources):
        size = (source + 1) * frames // sources - source * frames // sources
        with _added_to(seconds, "windows"):
            sigma_min = rng.random(size, dtype=np.float32)
            sigma_max = rng.random(size, dtype=np.float32) if two_sided else np.zeros(size, dtype=np.float32)
        with _added_to(seconds, "split"):
            starts = np.arange(0, size - _DROPPED, _EPISODE)
            stops = np.minimum(starts + _EPISODE, size) - _DROPPED
            split = split_windows(sigma_min, sigma_max, starts, stops, schedule)
        with _added_to(seconds, "plan"):
            pairs = zip(split.counts.tolist(), split.windows, strict=True)
            groups += [Group(source + 1, f"source {source + 1}", count, window) for count, window in pairs]
        parts.append(FrameIndex(split.order, split.counts, offset))
        splits.append(split)
        offset += size
    with _added_to(seconds, "plan"):
        law = make_plan(groups, schedule, Ambient()).group_law.numpy()
    with _added_to(seconds, "sampler"):
        sampler = MixtureSampler(GroupedFrames(parts), law, seed=0)
        first = next(iter(sampler))
    whole = time.perf_counter() - began
    assert 0 <= first < offset
    return ScalePoint(
        frames=frames,
        sources=sources,
        two_sided=two_sided,
        groups=len(groups),
        seconds=whole,
        **{f"{part}_seconds": value for part, value in seconds.items()},
        bytes_per_frame=sum(split.nbytes for split in splits) / frames,
        draws=draws,
        draws_per_s=draws / _seconds_of_draws(sampler, draws),
        start_rss_bytes=start_rss,
        peak_rss_bytes=_peak_rss(),
    )


@contextmanager
def _added_to(seconds: dict[str, float], part: str) -> Iterator[None]:
    began = time.perf_counter()
    yield
    seconds[part] += time.perf_counter() - began


def _seconds_of_draws(sampler: MixtureSampler, draws: int) -> float:
    endless = chain.from_iterable(repeat(sampler))
    began = time.perf_counter()
    for _ in islice(endless, draws):
        pass
    return time.perf_counter() - began


def _cosine_schedule() -> NoiseSchedule:
    """100 timesteps of the squared cosine that LeRobot's DiffusionPolicy has by default."""
    from diffusers.schedulers.scheduling_ddpm import DDPMScheduler

    scheduler = DDPMScheduler(num_train_timesteps=_TIMESTEPS, beta_schedule="squaredcos_cap_v2")
    return NoiseSchedule.from_alphas_cumprod(scheduler.alphas_cumprod)


def _peak_rss() -> int:
    """Bytes of the largest resident set this process has had."""
    status = Path("/proc/self/status")
    if status.is_file():
        # Linux lets a child inherit its parent's ru_maxrss; this counter starts anew with the program.
        found = re.search(r"^VmHWM:\s+(\d+) kB", status.read_text(), re.MULTILINE)
        assert found is not None
        return int(found[1]) * 1024
    import resource  # absent on Windows, like the file above; the rest of this module is not

    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


if __name__ == "__main__":
    torch.set_num_threads(1)
    print(json.dumps(asdict(measure(**json.loads(sys.argv[1])))))
