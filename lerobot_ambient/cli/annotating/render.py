# SPDX-License-Identifier: Apache-2.0
"""What `annotate` prints: level, interval, caveats, and the YAML to paste."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from lerobot_ambient.annotate.results.found_windows import SAMPLED
from lerobot_ambient.annotate.results.trust import (
    CHECK_FIRST,
    CHUNKS_ALONE,
    CONDITIONAL_CHECK,
    SourceWindow,
    admits_everything,
    admits_nothing,
    full_trust_reasons,
    partly_trusted,
)
from lerobot_ambient.data.declared.groups import MANY

if TYPE_CHECKING:
    from lerobot_ambient.annotate.mixing.soft_shares import SoftShares
    from lerobot_ambient.annotate.results.found_windows import Finding
    from lerobot_ambient.annotate.results.source_evidence import SourceEvidence
    from lerobot_ambient.core.noise_levels import NoiseSchedule
    from lerobot_ambient.data.windows.windows_file import WindowTable


def render(
    annotations: Sequence[SourceEvidence],
    warnings: Sequence[Sequence[str]],
    windows: Sequence[SourceWindow],
    soft: SoftShares | None,
    written: Sequence[Path | None],
) -> str:
    """The findings as text.

    Args:
        annotations: of each source.
        warnings: what could be wrong, of each source.
        windows: what to write into the configuration, of each source (`source_windows`).
        soft: the mixing that the evidence suggests, if it was asked for.
        written: the windows file of each source, None where none was written.
    """
    lines = [*dict.fromkeys(annotation.finding.compared for annotation in annotations), ""]
    pairs = list(zip(annotations, warnings, strict=True))
    if len(pairs) > MANY:
        lines.extend(_table_of_many(pairs))
        pairs = []
    for annotation, warned in pairs:
        lines.extend(annotation.finding.headline())
        lines.extend(f"  {line}" for line in ([] if annotation.odd is None else annotation.odd.lines()))
        lines.extend(f"  warning: {text}" for text in warned)
        lines.extend(f"  {note}" for note in annotation.finding.notes)
        lines.extend(f"  modes: {line}" for mix in annotation.mode_mixes for line in mix.lines())
    lines.append("")
    lines.append(yaml_to_paste(windows, soft, annotations[0].finding.compared))
    if any(path is not None for path in written):
        lines.append("")
        lines.extend(f"windows file: {path}" for path in written if path is not None)
    return "\n".join(lines)


def _table_of_many(pairs: Sequence[tuple[SourceEvidence, Sequence[str]]]) -> list[str]:
    """A line a source, those with a window first: all that is said of each stands in --json and --report."""
    rows = [["source", "sigma_min", "estimate", "sigma_max", "samples", "warnings", "found"]]
    for one, warned in sorted(
        pairs, key=lambda pair: (not pair[0].finding.is_recommended, pair[0].finding.as_written[0])
    ):
        finding = one.finding
        rows.append(
            [
                finding.source,
                f"{np.median(finding.sigma_min):.3f}" if finding.is_recommended else "-",
                f"{finding.estimate:.3f}",
                f"{np.median(finding.sigma_max):.3f}" if finding.sigma_max.max() > 0.0 else "-",
                f"{len(finding.sigma_min):,}",
                str(len(warned)) if warned else "-",
                _found(finding),
            ]
        )
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = []
    for name, *numbers, found in rows:
        shown = [number.rjust(width) for number, width in zip(numbers, widths[1:-1], strict=True)]
        lines.append("  ".join([name.ljust(widths[0]), *shown, found]))
    looked = dict.fromkeys(note for one, _ in pairs for note in one.finding.notes if note.startswith(SAMPLED))
    return [*lines, *([] if not looked else [f"{len(looked)} sources were sampled, e.g.: {next(iter(looked))}"])]


def _found(finding: Finding) -> str:
    """The finding in a few words."""
    if finding.verdict:
        return finding.verdict[0].partition(" (")[0]
    if finding.is_full_trust:
        return "no difference seen, no window to recommend"
    return "no level known to be safe" if finding.is_nothing else f"window per {finding.granularity}"


def source_windows(
    annotations: Sequence[SourceEvidence],
    repo_ids: Sequence[str],
    written: Sequence[Path | None],
    *,
    accept: bool = False,
) -> list[SourceWindow]:
    """What a configuration may say of each source.

    A window that differs between samples is in a windows file, so it takes one that was written.

    Args:
        annotations: of each source.
        repo_ids: of each source.
        written: the windows file of each source, None where none was written.
        accept: whether the user accepts full trust.
    """
    return [
        _source_window(annotation.finding, repo_id, path, accept)
        for annotation, repo_id, path in zip(annotations, repo_ids, written, strict=True)
    ]


def _source_window(finding: Finding, repo_id: str, path: Path | None, accept: bool) -> SourceWindow:
    why: tuple[str, ...] = ()
    sigma_min, sigma_max = finding.as_written
    if finding.verdict and not finding.helps and (finding.is_full_trust or finding.is_nothing) and not accept:
        choose = "Leave the source out, bring more target episodes, or choose a window by a sweep."
        if finding.is_unshown:
            choose += " --take=estimate writes the window that is named, which is not shown to help."
        return SourceWindow(repo_id, {}, (*finding.verdict, choose))
    if finding.verdict:
        why = finding.verdict[:1]
    elif finding.is_full_trust:
        why = tuple(full_trust_reasons(finding.tau))
        if not accept:
            choose = "Choose sigma_min and sigma_max yourself, by a sweep, or annotate with --accept-full-trust."
            return SourceWindow(repo_id, {}, (*why, choose), full_trust=True)
        why = (*why, "Full trust was accepted all the same.")
    elif finding.is_nothing or (finding.granularity == "dataset" and (sigma_min, sigma_max) == (1.0, 0.0)):
        found = f"No level is known to be safe (estimate {finding.estimate:.4g})."
        return SourceWindow(repo_id, {}, (found, "Leave the source out, or choose a sigma_min by a sweep."))
    options: dict[str, Any] = {}
    if (trusted := finding.full_trust_share) < 1.0 and trusted and not finding.verdict:
        why += (partly_trusted(trusted),)
    if finding.granularity != "dataset":
        options["windows"] = "meta/ambient_windows.parquet" if path is None else str(path)
        why += () if path is not None else ("Add --write to make this windows file.",)
    else:
        options["sigma_min"] = sigma_min
        if sigma_max > 0:
            options["sigma_max"] = sigma_max
        if finding.takes == "safe":
            why += (f"By the {finding.method} method, the safe end; the estimate is {finding.estimate:.4g}.",)
        else:
            why += (f"By the {finding.method} method, the estimate; --take=safe is the safe end.",)
    return SourceWindow(repo_id, options, why)


def yaml_to_paste(windows: Sequence[SourceWindow], soft: SoftShares | None, compared: str) -> str:
    """What to write into a policy's configuration.

    Args:
        windows: of each source.
        soft: the mixing that the evidence suggests, if it was asked for.
        compared: what the method looked at.
    """
    lines = [f"# {compared}", "sources:"]
    for window in windows:
        # A string of JSON is one of YAML, whatever is in it.
        lines.append(f"  - repo_id: {window.repo_id}")
        lines.extend(f"    # {reason}" for reason in window.why)
        lines.extend(f"    {name}: {json.dumps(value)}" for name, value in window.options.items())
    if soft is not None:
        lines.append("# or, instead of windows:")
        trusted = [window.repo_id for window in windows if window.full_trust]
        if trusted:
            lines.append(f"# (It trusts {', '.join(trusted)} by size where chunks are alike. {CHECK_FIRST})")
        lines.append(f"# {soft.yaml()}")
    return "\n".join(lines)


def rethreshold_entry(name: str, table: WindowTable, schedule: NoiseSchedule) -> dict[str, Any]:
    """One entry of `annotate --rethreshold --json`, of the source `name`, for a policy that draws these levels."""
    trusted = float(admits_everything(table.sigma_min, table.sigma_max, schedule).mean())
    return {
        "source": name,
        "granularity": table.granularity,
        "method": table.method,
        "compared": CHUNKS_ALONE,
        "check": CONDITIONAL_CHECK,
        "takes": table.evidence.get("takes", "estimate"),
        "sigma_min": float(np.median(table.sigma_min)),
        "sigma_min_estimate": table.evidence.get("sigma_min_estimate"),
        "sigma_max": float(np.median(table.sigma_max)),
        "full_trust": trusted == 1.0,
        "full_trust_share": trusted,
        "recommended": not (trusted == 1.0 or admits_nothing(table.sigma_min, table.sigma_max)),
        "quantiles": [float(level) for level in np.quantile(table.sigma_min, [0.05, 0.95])],
        "tau": table.tau,
    }


def render_rethreshold(
    entries: Sequence[dict[str, Any]], tables: Sequence[WindowTable], written: Sequence[Path]
) -> str:
    """The new windows as text; `entries` are those of `rethreshold_entry`."""
    lines = [CHUNKS_ALONE, ""]
    for entry, table in zip(entries, tables, strict=True):
        name = entry["source"]
        few, most = entry["quantiles"]
        if entry["full_trust"]:
            lines.append(f"{name}: no window to recommend at tau {table.tau:g}")
            lines.extend(_indented(full_trust_reasons(table.tau)))
            continue
        spread = f" ({few:.3f} to {most:.3f} for nine frames in ten)" if few < most else ""
        estimate = entry["sigma_min_estimate"]
        beside = f", the safe end; the estimate is {estimate:.3f}" if entry["takes"] == "safe" else ""
        lines.append(f"{name}: sigma_min {entry['sigma_min']:.3f}{spread} at tau {table.tau:g}{beside}")
        if trusted := entry["full_trust_share"]:
            lines.extend(_indented([partly_trusted(trusted)]))
    lines.extend(f"windows file: {path}" for path in written)
    return "\n".join(lines)


def _indented(sentences: Sequence[str]) -> list[str]:
    return [f"  {sentence}" for sentence in sentences]
