# SPDX-License-Identifier: Apache-2.0
"""How a run of `lerobot-train` comes to tell of its held-out losses by noise level, and to keep a metrics file.

Four more names in LeRobot's training script are replaced: `update_policy` says which policy, tracker and step it is,
`make_pre_post_processors` gives the preprocessor, `update_last_checkpoint` says that a checkpoint was written, and
`eval_policy_all` what rollouts in an environment found. Each calls the original and changes nothing of it. Where this
LeRobot has other ones, none is replaced and training works.
"""

from __future__ import annotations

import logging
import weakref
from collections.abc import Callable
from importlib.metadata import version
from types import ModuleType
from typing import TYPE_CHECKING, Any

from lerobot_ambient.integration.hooks.substitute import substitute, unfamiliar

if TYPE_CHECKING:
    from lerobot_ambient.integration.monitoring.recorder import Recorder
    from lerobot_ambient.integration.training.merged_training import MergedTrainingDataset
    from lerobot_ambient.policy.options.train_config import TrainConfig

logger = logging.getLogger(__name__)

_STEP = (
    "train_metrics",
    "policy",
    "batch",
    "optimizer",
    "grad_clip_norm",
    "accelerator",
    "lr_scheduler",
    "lock",
    "sample_weighter",
)
_of_run: weakref.ref[Recorder] | None = None
"""The recorder of the run in this process, which its dataset keeps; LeRobot's loop has no object to hang it on."""


def install(module: ModuleType) -> None:
    """Substitute the names in LeRobot's training script, or say why not. Idempotent."""
    found = problems(module)
    if found:
        logger.warning(
            "lerobot %s: %s. Training works, but held-out losses are not told apart by noise level, and no metrics "
            "file is written.",
            *(version("lerobot"), "; ".join(found)),
        )
        return
    substitute(module, "update_policy", _update_policy)
    substitute(module, "make_pre_post_processors", _make_processors)
    substitute(module, "update_last_checkpoint", _update_last_checkpoint)
    substitute(module, "eval_policy_all", _eval_policy_all)


def problems(module: ModuleType) -> list[str]:
    """How LeRobot's training script differs from what is known; empty when it does not. Changes nothing."""
    tracker = getattr(module, "MetricsTracker", None)
    asked = [
        unfamiliar(module, "update_policy", _STEP),
        unfamiliar(module, "make_pre_post_processors", ("policy_cfg", "pretrained_path"), first=True),
        unfamiliar(module, "update_last_checkpoint", ("checkpoint_dir",)),
        unfamiliar(module, "eval_policy_all", ("envs", "policy"), first=True),
        "the script has no MetricsTracker" if tracker is None else unfamiliar(tracker, "reset_averages", ("self",)),
        None if tracker is None else unfamiliar(tracker, "to_dict", ("self",), first=True),
    ]
    return [problem for problem in asked if problem is not None]


def begin(cfg: TrainConfig, dataset: MergedTrainingDataset, held_out: MergedTrainingDataset | None) -> None:
    """Start the recorder of a run of an ambient policy."""
    from lerobot_ambient.integration.monitoring.recorder import Recorder

    global _of_run
    dataset.recorder = Recorder(cfg, dataset.mixture, 0 if held_out is None else held_out.num_frames)
    _of_run = weakref.ref(dataset.recorder)


def forget() -> None:
    """The run in this process is not of an ambient policy."""
    global _of_run
    _of_run = None


def _recorder() -> Recorder | None:
    return None if _of_run is None else _of_run()


def _update_policy(original: Callable[..., Any]) -> Callable[..., Any]:
    def update_policy(train_metrics: Any, policy: Any, batch: Any, *args: Any, **kwargs: Any) -> Any:
        recorder = _recorder()
        accelerator = kwargs["accelerator"] if "accelerator" in kwargs else args[2]
        if recorder is not None and recorder.attach(policy, train_metrics, accelerator):
            _tell_of_log_steps(train_metrics, recorder)
        return original(train_metrics, policy, batch, *args, **kwargs)

    return update_policy


def _tell_of_log_steps(tracker: Any, recorder: Recorder) -> None:
    """LeRobot forgets the averages right after it has logged them: there this tracker tells the recorder first."""
    # Its __setattr__ knows only its own fields.
    if "reset_averages" in vars(tracker):
        return
    reset = tracker.reset_averages

    def reset_averages() -> None:
        recorder.logged()
        reset()

    vars(tracker)["reset_averages"] = reset_averages


def _make_processors(original: Callable[..., Any]) -> Callable[..., Any]:
    def make_pre_post_processors(*args: Any, **kwargs: Any) -> Any:
        made = original(*args, **kwargs)
        recorder = _recorder()
        if recorder is not None:
            recorder.preprocess = made[0]
        return made

    return make_pre_post_processors


def _update_last_checkpoint(original: Callable[..., Any]) -> Callable[..., Any]:
    def update_last_checkpoint(checkpoint_dir: Any) -> Any:
        result = original(checkpoint_dir)
        recorder = _recorder()
        if recorder is not None:
            recorder.checkpointed()
        return result

    return update_last_checkpoint


def _eval_policy_all(original: Callable[..., Any]) -> Callable[..., Any]:
    def eval_policy_all(*args: Any, **kwargs: Any) -> Any:
        found = original(*args, **kwargs)
        recorder = _recorder()
        if recorder is not None:
            recorder.rolled_out(found["overall"])
        return found

    return eval_policy_all
