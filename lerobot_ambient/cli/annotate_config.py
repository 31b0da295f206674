# SPDX-License-Identifier: Apache-2.0
"""`annotate --write-config`: the findings as windows of a configuration, and what to type next."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lerobot_ambient.annotate.annotation import Annotation
    from lerobot_ambient.annotate.finding import Finding
    from lerobot_ambient.data.config_windows import FoundWindow
    from lerobot_ambient.integration.config_file import ConfigWithWindows


def windows_of(
    annotations: Sequence[Annotation], paths: Sequence[Path | None], *, in_folders: bool, accept: bool = False
) -> list[FoundWindow]:
    """What a configuration says of each source; nothing where the finding is no window to train with.

    A source that may teach nowhere is refused in a configuration. One whose chunks show no difference at all is not
    thereby to be trusted everywhere: chunks do not show what a motion is an answer to, so that stays a person's choice.

    Args:
        annotations: of each source.
        paths: the windows file of each source; needed where its windows differ between samples.
        in_folders: whether these files lie in the datasets' own folders.
        accept: whether the user accepts windows that admit every level.
    """
    from lerobot_ambient.core.windows import Window
    from lerobot_ambient.data.config_windows import FoundWindow
    from lerobot_ambient.data.windows_file import WINDOWS_PATH

    found = []
    for annotation, path in zip(annotations, paths, strict=True):
        finding = annotation.finding
        if finding.granularity != "dataset":
            assert path is not None
            where = str(WINDOWS_PATH) if in_folders else str(path)
            found.append(FoundWindow({"windows": where}, f"one per {finding.granularity}; {_how(finding)}"))
            continue
        entry = finding.to_dict()
        sigma_min, sigma_max = (float(f"{entry[name]:.4g}") for name in ("sigma_min", "sigma_max"))
        window = Window(sigma_min, sigma_max)
        if window.is_everything and not accept:
            found.append(FoundWindow({}, "left as it was: chunks alone show no difference, which recommends no window"))
        elif window.is_nothing:
            found.append(FoundWindow({}, "left as it was: nothing shows that it may teach anywhere; remove it"))
        else:
            options = {"sigma_min": sigma_min} | ({"sigma_max": sigma_max} if sigma_max > 0 else {})
            found.append(FoundWindow(options, _how(finding)))
    return found


def _how(finding: Finding) -> str:
    """By what a window was found, for the comment beside it."""
    if finding.is_full_trust:
        return f"{finding.method}, full trust, accepted: chunks alone do not show that the source is right"
    if finding.takes == "estimate":
        return f"{finding.method}, the estimate; chunks alone were compared"
    return f"{finding.method}, the safe end; the estimate is {finding.estimate:.3f}; chunks alone were compared"


def render_merged(file: ConfigWithWindows, windows: Sequence[FoundWindow], more: Sequence[str]) -> str:
    """What stands in the file now, and the next commands.

    Args:
        file: that was written.
        windows: of its sources.
        more: options that were typed beside the configuration.
    """
    from lerobot_ambient.cli.own_config import next_commands, without_window

    lines = [f"written: {file.path}"]
    for source, window in zip(file.cfg.policy.sources, windows, strict=True):
        said = ", ".join(f"{name}: {value}" for name, value in window.options.items())
        lines.append(f"  {source.repo_id}: {said or window.why}")
    # Those that were composed into the file need not be typed again.
    beside = [] if file.text is None else [shlex.quote(word) for word in more]
    if beside:
        lines.append(f"  not in the file, so type it again: {' '.join(beside)}")
    lacking = without_window(file.cfg)
    if lacking:
        lines.append(
            f"before a training, write a window for {', '.join(lacking)} by hand, for example sigma_min: 0.3, or look "
            "for one by rollouts with `lerobot-ambient sweep` (docs/how-to/choose-a-window.md)"
        )
    return "\n".join([*lines, "next:", next_commands(file.path, file.cfg, beside, annotated=True)])
