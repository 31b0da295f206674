# SPDX-License-Identifier: Apache-2.0
"""How a run of `lerobot-train` comes to tell of its held-out losses by noise level, and to keep a metrics file.

`update_policy` says which policy, tracker and step it is, `make_pre_post_processors` gives the preprocessor,
`update_last_checkpoint` says that a checkpoint was written, and `eval_policy_all` what rollouts in an environment
found. Each function calls the original and changes nothing of it.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from lerobot_ambient.integration.hooks.substitute import arguments

if TYPE_CHECKING:
    from lerobot_ambient.integration.monitoring.recorder import Recorder
    from lerobot_ambient.integration.training.merged_training import MergedTrainingDataset
    from lerobot_ambient.policy.options.train_config import TrainConfig

_of_run: weakref.ref[Recorder] | None = None
"""The recorder of the run in this process, which its dataset keeps; LeRobot's loop has no object to hang it on."""


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


def stepping(original: Callable[..., Any]) -> Callable[..., Any]:
    """LeRobot's `update_policy`, which a recorder watches."""

    def update_policy(*args: Any, **kwargs: Any) -> Any:
        recorder = _recorder()
        if recorder is not None:
            given = arguments(original, args, kwargs)
            if recorder.attach(given["policy"], given["train_metrics"], given["accelerator"]):
                _tell_of_log_steps(given["train_metrics"], recorder)
        return original(*args, **kwargs)

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


def processing(original: Callable[..., Any]) -> Callable[..., Any]:
    """LeRobot's `make_pre_post_processors`, whose preprocessor the recorder takes."""

    def make_pre_post_processors(*args: Any, **kwargs: Any) -> Any:
        made = original(*args, **kwargs)
        recorder = _recorder()
        if recorder is not None:
            recorder.preprocess = made[0]
        return made

    return make_pre_post_processors


def checkpointing(original: Callable[..., Any]) -> Callable[..., Any]:
    """LeRobot's `update_last_checkpoint`, after which the recorder draws its figure."""

    def update_last_checkpoint(*args: Any, **kwargs: Any) -> Any:
        result = original(*args, **kwargs)
        recorder = _recorder()
        if recorder is not None:
            recorder.checkpointed()
        return result

    return update_last_checkpoint


def rolling_out(original: Callable[..., Any]) -> Callable[..., Any]:
    """LeRobot's `eval_policy_all`, whose result the recorder writes."""

    def eval_policy_all(*args: Any, **kwargs: Any) -> Any:
        found = original(*args, **kwargs)
        recorder = _recorder()
        if recorder is not None:
            recorder.rolled_out(found["overall"])
        return found

    return eval_policy_all
