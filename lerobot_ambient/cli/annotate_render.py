# SPDX-License-Identifier: Apache-2.0
"""What `annotate` prints: level, interval, caveats, and the YAML to paste."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from lerobot_ambient.annotate.annotation import Annotation
    from lerobot_ambient.annotate.soft_shares import SoftShares
    from lerobot_ambient.data.windows_file import WindowTable


def render(
    annotations: Sequence[Annotation],
    warnings: Sequence[Sequence[str]],
    repo_ids: Sequence[str],
    soft: SoftShares | None,
    written: Sequence[Path | None],
) -> str:
    """The findings as text.

    Args:
        annotations: of each source.
        warnings: what could be wrong, of each source.
        repo_ids: of each source.
        soft: the mixing that the evidence suggests, if it was asked for.
        written: the windows file of each source, None where none was written.
    """
    lines = []
    for annotation, warned in zip(annotations, warnings, strict=True):
        finding = annotation.finding
        entry = finding.to_dict()
        low, high = entry["interval"]
        local = f"; sigma_max {entry['sigma_max']:.3f}" if entry["sigma_max"] > 0 else ""
        if finding.granularity == "dataset":
            lines.append(
                f"{finding.source}: sigma_min {entry['sigma_min']:.3f}, between {low:.3f} and {high:.3f}{local}"
            )
        else:
            few, most = entry["quantiles"]
            lines.append(
                f"{finding.source}: sigma_min per {finding.granularity}, {few:.3f} to {most:.3f} for nine samples in "
                f"ten, {entry['sigma_min']:.3f} in the median{local}; of the data set as a whole between {low:.3f} and "
                f"{high:.3f}"
            )
        lines.extend(f"  warning: {text}" for text in warned)
        lines.extend(f"  {note}" for note in finding.notes)
        lines.extend(f"  modes: {line}" for mix in annotation.mode_mixes for line in mix.lines())
    lines.append("")
    lines.append(yaml_to_paste(annotations, repo_ids, soft, written))
    if any(path is not None for path in written):
        lines.append("")
        lines.extend(f"windows file: {path}" for path in written if path is not None)
    return "\n".join(lines)


def yaml_to_paste(
    annotations: Sequence[Annotation],
    repo_ids: Sequence[str],
    soft: SoftShares | None,
    written: Sequence[Path | None],
) -> str:
    """What to write into a policy's configuration.

    A window that differs between samples is in a windows file, so it takes one that was written. Arguments are those of
    `render`.
    """
    lines = ["sources:"]
    for annotation, repo_id, path in zip(annotations, repo_ids, written, strict=True):
        finding = annotation.finding
        lines.append(f"  - repo_id: {repo_id}")
        if finding.granularity != "dataset":
            # A string of JSON is one of YAML, whatever is in it.
            where = "meta/ambient_windows.parquet  # add --write to make it" if path is None else json.dumps(str(path))
            lines.append(f"    windows: {where}")
            continue
        entry = finding.to_dict()
        lines.append(f"    sigma_min: {entry['sigma_min']:.4g}  # {finding.method}")
        if entry["sigma_max"] > 0:
            lines.append(f"    sigma_max: {entry['sigma_max']:.4g}  # locality")
    if soft is not None:
        lines.append("# or, instead of windows:")
        lines.append(f"# {soft.yaml()}")
    return "\n".join(lines)


def rethreshold_entry(name: str, table: WindowTable) -> dict[str, Any]:
    """One entry of `annotate --rethreshold --json`, of the source `name`."""
    return {
        "source": name,
        "granularity": table.granularity,
        "method": table.method,
        "sigma_min": float(np.median(table.sigma_min)),
        "sigma_max": float(np.median(table.sigma_max)),
        "quantiles": [float(level) for level in np.quantile(table.sigma_min, [0.05, 0.95])],
        "tau": table.tau,
    }


def render_rethreshold(names: Sequence[str], tables: Sequence[WindowTable], written: Sequence[Path]) -> str:
    """The new windows of the sources `names` as text."""
    lines = []
    for name, table in zip(names, tables, strict=True):
        entry = rethreshold_entry(name, table)
        few, most = entry["quantiles"]
        spread = f" ({few:.3f} to {most:.3f} for nine frames in ten)" if few < most else ""
        lines.append(f"{name}: sigma_min {entry['sigma_min']:.3f}{spread} at tau {table.tau:g}")
    lines.extend(f"windows file: {path}" for path in written)
    return "\n".join(lines)
