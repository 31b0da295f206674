# SPDX-License-Identifier: Apache-2.0
"""`la.check`: checkpoints judged and ranked on held-out episodes, as `lerobot-ambient check` does."""

from __future__ import annotations

import sys
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path

from tqdm import tqdm

from lerobot_ambient.data.declared.sources import Source
from lerobot_ambient.integration.errors import decoder_notice
from lerobot_ambient.integration.judging.episodes import JudgedWords
from lerobot_ambient.integration.judging.judge import judge
from lerobot_ambient.integration.judging.judgement import Judgement
from lerobot_ambient.integration.judging.measure import Effort
from lerobot_ambient.policy import registered as registered

_PLACE = ("repo_id", "root", "revision", "episodes")


def check(
    *checkpoints: str | Path,
    dataset: Source | None = None,
    samples: int = 256,
    batch_size: int = 32,
    seed: int = 0,
    device: str | None = None,
    allow_seen: bool = False,
    progress: bool = True,
) -> Judgement:
    """Judge and rank trained policies on episodes that they have not seen, without a simulator and without a robot.

    Without `dataset` it judges on those episodes of the first checkpoint's target that no checkpoint was trained on: so
    leave some out of the target, `la.Source("me/target", episodes=[0, 1, 2])`.

    >>> target = la.Source("me/target", root="data/target", episodes=[0, 1, 2, 3, 4, 5])
    >>> sim = la.Source("me/sim", root="data/sim", sigma_min=0.5)
    >>> small = {"horizon": 8, "n_action_steps": 4, "denoiser": "mlp", "device": "cpu"}
    >>> policy = la.train(la.Mixture.open(target, [sim], **small), "outputs/judged", steps=2, num_workers=0)
    >>> judgement = la.check(policy, samples=4, progress=False)
    >>> print(judgement)
    1 checkpoint on 2 episodes that it was not trained on: 'me/target' 6-7. 95 % intervals, whose unit is the episode.
    ...
    >>> judgement.places[0].score.value > 0.0
    True

    Args:
        checkpoints: the folder of a trained policy or of a run, or a model on the Hub; one or several.
        dataset: to judge on; of a source its place and its episodes count.
        samples: chunks that are denoised and chunks that are predicted, of each checkpoint.
        batch_size: of them.
        seed: of the noise.
        device: to act on; each checkpoint's own when None.
        allow_seen: go on with episodes that were trained on.
        progress: say what is being done.

    Returns:
        The ranking with its intervals; `plot()` draws it.

    Raises:
        ValueError: no checkpoint, one that cannot be judged on this dataset, or episodes that were trained on.
        OSError: a checkpoint that is not there or cannot be read.
    """
    if not checkpoints:
        raise ValueError('name a checkpoint to judge, la.check("outputs/train/mine").')
    decoder_notice.install()
    words = JudgedWords()
    if dataset is not None:
        for name in _PLACE:
            setattr(words.dataset, name, getattr(dataset, name))
    effort = Effort(samples, batch_size, seed)
    say = tqdm.write if progress else _nothing
    # Policies print where their weights come from and how they are cut, which is no result.
    with redirect_stdout(sys.stderr if progress else StringIO()):
        return judge([str(one) for one in checkpoints], words, effort, device=device, allow_seen=allow_seen, say=say)


def _nothing(line: str) -> None:
    """Where no progress is asked for."""
