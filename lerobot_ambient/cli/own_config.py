# SPDX-License-Identifier: Apache-2.0
"""What `init` and `inspect --suggest --write` share: the suggestions, and what to type next."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lerobot_ambient.policy.options.train_config import TrainConfig
from lerobot_ambient.data.suggest.suggest import Suggestion


def suggestions_for(cfg: TrainConfig) -> list[Suggestion]:
    """What each source of a training configuration needs, from the metadata alone.

    Raises:
        ValueError: a dataset that cannot be opened, a target without actions, or one in end-effector space.
    """
    from lerobot_ambient.data.suggest.by_catalogue import suggest_known
    from lerobot_ambient.data.suggest.suggest import facts_of
    from lerobot_ambient.integration.training.configured_mixture import target_config

    if cfg.policy.target_end_effector is not None:
        raise ValueError(
            "proposals are of joints, and this policy learns an end effector's poses (policy.target_end_effector): "
            "declare end_effector on each source, see docs/how-to/train-in-end-effector-space.md."
        )
    target = facts_of(target_config(cfg))
    return [suggest_known(target, source) for source in cfg.policy.sources]


def without_window(cfg: TrainConfig) -> list[str]:
    """The names of sources that need a window and have none."""
    if not cfg.policy.mixing.needs_windows:
        return []
    lacks = (None, None, None)
    return [s.repo_id for s in cfg.policy.sources if (s.windows, s.sigma_min, s.sigma_max) == lacks]


def render_written(path: Path, cfg: TrainConfig, suggestions: Sequence[Suggestion]) -> str:
    """What was written, what is left to settle in it, and the next command."""
    problems = [f"  {one.name}: {problem}" for one in suggestions for problem in one.problems]
    if problems:
        fix = "Settle in the file what no proposal settles, then look again:"
        again = f"  lerobot-ambient inspect --suggest --config_path={shlex.quote(str(path))}"
        return "\n".join([f"written: {path}, which does not open yet:", *problems, fix, again])
    read = "Read it, its comments say why each line is there and what to check; then:"
    if any(source.dimensions for source in cfg.policy.sources) and not any(one.reasons for one in suggestions):
        # What was declared before is taken as it stands, right or not.
        read = "Alignment that was declared stands in it as it was, comments and all, and still has to be right; then:"
    return f"written: {path}. {read}\n{next_commands(path, cfg)}"


def next_commands(path: Path, cfg: TrainConfig, more: Sequence[str] = (), *, annotated: bool = False) -> str:
    """The commands that follow a written configuration, one a line: windows first where a source has none.

    Args:
        path: of the configuration.
        cfg: what it says.
        more: options that belong to it and are not in it, quoted for a shell.
        annotated: whether windows were looked for already.
    """
    file = shlex.quote(str(path))
    lacks = bool(without_window(cfg)) and not annotated
    words = [f"--config_path={file}", *more]
    annotate = ["lerobot-ambient", "annotate", *words, "--method=classifier", f"--write-config={file}"]
    look = ["lerobot-ambient", "inspect", *words]
    train = ["lerobot-train", *words, f"--output_dir=outputs/train/{shlex.quote(path.stem)}"]
    if annotated and len(without_window(cfg)) == len(cfg.policy.sources):
        # No source may teach anywhere, as far as is known.
        train.append("--policy.mixing.type=target_only")
    return "\n".join(f"  {' '.join(command)}" for command in ([annotate] if lacks else [look]) + [train])
