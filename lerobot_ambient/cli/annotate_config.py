# SPDX-License-Identifier: Apache-2.0
"""`annotate --write-config`: the findings as windows of a configuration, and what to type next."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lerobot_ambient.annotate.results.found_windows import Finding
    from lerobot_ambient.annotate.results.source_evidence import SourceEvidence
    from lerobot_ambient.annotate.results.trust import SourceWindow
    from lerobot_ambient.data.suggest.config_windows import FoundWindow
    from lerobot_ambient.integration.training.config_file import ConfigWithWindows


def windows_of(
    annotations: Sequence[SourceEvidence], windows: Sequence[SourceWindow], *, in_folders: bool
) -> list[FoundWindow]:
    """What is written into a configuration of each source; nothing where the finding is no window to train with.

    Args:
        annotations: of each source.
        windows: what a configuration may say of each (`source_windows`).
        in_folders: whether windows files lie in the datasets' own folders, where they are found by their usual name.
    """
    from lerobot_ambient.data.suggest.config_windows import FoundWindow
    from lerobot_ambient.data.windows.windows_file import WINDOWS_PATH

    found = []
    for annotation, window in zip(annotations, windows, strict=True):
        finding, options = annotation.finding, window.options
        if not options and finding.verdict:
            found.append(FoundWindow({}, f"left as it was: {finding.verdict[0]}"))
        elif not options and finding.is_full_trust:
            found.append(FoundWindow({}, "left as it was: chunks alone show no difference, which recommends no window"))
        elif not options:
            found.append(FoundWindow({}, "left as it was: nothing shows that it may teach anywhere; remove it"))
        elif "windows" in options:
            where = {"windows": str(WINDOWS_PATH)} if in_folders else options
            found.append(FoundWindow(where, f"one per {finding.granularity}; {_how(finding)}"))
        else:
            found.append(FoundWindow(options, _how(finding)))
    return found


def _how(finding: Finding) -> str:
    """By what a window was found, for the comment beside it."""
    if finding.verdict:
        end = "the estimate" if finding.takes == "estimate" else f"the safe end; the estimate is {finding.estimate:.3f}"
        return f"{finding.method}, {end}: {finding.verdict[0]}"
    if finding.is_full_trust:
        return f"{finding.method}, full trust, accepted: chunks alone do not show that the source is right"
    if finding.takes == "estimate":
        return f"{finding.method}, the estimate; chunks alone were compared"
    return f"{finding.method}, the safe end; the estimate is {finding.estimate:.3f}; chunks alone were compared"


def render_merged(
    file: ConfigWithWindows, windows: Sequence[FoundWindow], more: Sequence[str], little_left: Sequence[str] = ()
) -> str:
    """What stands in the file now, and the next commands.

    Args:
        file: that was written.
        windows: of its sources.
        more: options that were typed beside the configuration.
        little_left: sources whose windows leave them next to nothing to teach.
    """
    from lerobot_ambient.cli.own_config import next_commands, without_window

    lines = [f"{'written' if any(window.options for window in windows) else 'unchanged'}: {file.path}"]
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
            f"before a training, remove {', '.join(lacking)} from the file, or write a window of your own, for example "
            "sigma_min: 0.3; `lerobot-ambient sweep` looks for one by rollouts (docs/how-to/choose-a-window.md)"
        )
    if little_left:
        lines.append(
            f"before a training, read the warnings of {', '.join(little_left)} above: next to nothing would be drawn "
            "there, and they name the ways on"
        )
    return "\n".join([*lines, "next:", next_commands(file.path, file.cfg, beside, annotated=True)])
