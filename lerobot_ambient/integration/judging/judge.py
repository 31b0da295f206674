# SPDX-License-Identifier: Apache-2.0
"""The whole of it: checkpoints and words of a dataset to a judgement."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace

from lerobot_ambient.integration.judging.checkpoint import load, read_checkpoints
from lerobot_ambient.integration.judging.episodes import JudgedWords, choose_episodes, open_episodes
from lerobot_ambient.integration.judging.judgement import Judgement, Measured
from lerobot_ambient.integration.judging.measure import Effort, measure_denoising, measure_predictions

Say = Callable[[str], None]
_EVERY = 5.0  # Seconds.


def judge(
    paths: Sequence[str],
    words: JudgedWords,
    effort: Effort,
    *,
    device: str | None = None,
    allow_seen: bool = False,
    say: Say = lambda line: None,
) -> Judgement:
    """Judge checkpoints on episodes that they have not seen.

    Args:
        paths: of the checkpoints; see `read_checkpoints`.
        words: the dataset; by default the first checkpoint's target.
        effort: how much is measured.
        device: to act on; each checkpoint's own when None.
        allow_seen: go on with episodes that were trained on.
        say: is told what is being done.

    Raises:
        ValueError: a checkpoint that cannot be judged on this dataset, or episodes that were trained on.
        OSError: a checkpoint that is not there or cannot be read.
    """
    checkpoints = read_checkpoints(paths, device)
    judged = choose_episodes(checkpoints, words, allow_seen=allow_seen)
    reach = max(max(one.action_deltas) + 1 for one in checkpoints)
    effort = replace(effort, reach=reach)
    measured = []
    for number, checkpoint in enumerate(checkpoints, start=1):
        head = f"checkpoint {number} of {len(checkpoints)}, {checkpoint.name}"
        say(f"{head}: reading {len(judged.numbers)} episodes and the weights")
        episodes = open_episodes(checkpoint, judged)
        loaded = load(checkpoint)
        denoising = measure_denoising(checkpoint, loaded, episodes, effort, _parts(say, f"{head}: denoising"))
        predictions = measure_predictions(checkpoint, loaded, episodes, effort, _parts(say, f"{head}: predicting"))
        measured.append(Measured(checkpoint, episodes, denoising, predictions))
    return Judgement(judged, measured, effort.samples, effort.seed)


def _parts(say: Say, head: str) -> Callable[[int, int], None]:
    """Told of every few seconds, and not of what is done in a moment."""
    told = [time.monotonic()]

    def progress(done: int, total: int) -> None:
        if done < total and time.monotonic() - told[0] > _EVERY:
            told[0] = time.monotonic()
            say(f"{head}, {100 * done // total} %")

    return progress
