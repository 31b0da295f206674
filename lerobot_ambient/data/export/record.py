# SPDX-License-Identifier: Apache-2.0
"""What a checkpoint says about the data it was trained on, for whoever has the checkpoint but not the data.

The fingerprint answers whether two mixtures are the same; the record can be read, drawn and put into a model card.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING

import yaml
from huggingface_hub import constants as hub_constants
from huggingface_hub import hf_hub_download

from lerobot_ambient.data.alignment.aligned_source import AlignedSource
from lerobot_ambient.data.declared.sources import Source
from lerobot_ambient.data.files.hub_errors import NOT_ON_THE_HUB
from lerobot_ambient.data.provenance.data_record import DataRecord
from lerobot_ambient.data.suggest.config_windows import NotedWindow
from lerobot_ambient.data.windows.merged_file import MERGE_PATH
from lerobot_ambient.data.windows.source_windows import windows_path
from lerobot_ambient.data.windows.windows_file import windows_metadata

if TYPE_CHECKING:
    from lerobot_ambient.data.mixture import AssembledMixture

_MAX_WINDOWS = 8
GIVEN = "given in the configuration"
"""How a window was found where no more is known of it."""


def record_of(mixture: AssembledMixture) -> list[DataRecord]:
    """One record a dataset, the target first."""
    shares, law = mixture.plan.shares_by_source(), mixture.plan.by_source().sum(1)
    records = []
    for index, source in enumerate(mixture.sources):
        groups = [group for group in mixture.plan.groups if group.source == index]
        windows = sorted({repr(group.window) for group in groups})
        trained_on = mixture.trained_on(index)
        records.append(
            DataRecord(
                name=source.name,
                repo_id=source.config.repo_id,
                revision=source.config.revision,
                episodes=int(trained_on.sum()),
                frames=int((source.stops - source.starts)[trained_on].sum()),
                samples=sum(group.count for group in groups),
                fps=source.fps,
                robot_type=source.meta.robot_type,
                on_the_hub=source.config.root is None,
                license=license_of(Path(source.meta.root)) or _license_on_the_hub(source),
                windows=windows if len(windows) <= _MAX_WINDOWS else [f"{len(windows)} different windows"],
                found="the target is trusted at every level" if index == 0 else _how_found(source),
                normalization=source.config.normalization,
                weight=source.config.weight,
                share=round(float(law[index]), 6),
                shares=encode_shares(shares[index].tolist()),
            )
        )
    return records


def _how_found(source: AlignedSource) -> str:
    """Where a source's windows come from, in words."""
    config = source.config
    if config.windows == MERGE_PATH:
        return "from the columns of the merged dataset"
    if config.windows is not None:
        facts = windows_metadata(windows_path(source))
        granularity = facts.get("granularity")
        return "".join(
            [
                f"windows file, method {facts['method']}",
                "" if granularity is None else f", one a {granularity}",
                "" if facts["tau"] is None else f", tau {facts['tau']:g}",
            ]
        )
    if config.sigma_min is None and config.sigma_max is None:
        return "none declared"
    return GIVEN


def with_notes(
    records: Sequence[DataRecord], sources: Sequence[Source], noted: Mapping[NotedWindow, str]
) -> list[DataRecord]:
    """Records that also say what `annotate` noted beside a window in the configuration file.

    Args:
        records: one a dataset, the target first.
        sources: as they are declared.
        noted: what the file says; see `noted_windows`. A window that was typed or changed in one is not noted in it.
    """
    told = [records[0]]
    for record, source in zip(records[1:], sources, strict=True):
        note = noted.get((source.repo_id, source.sigma_min, source.sigma_max))
        is_told = note is not None and record.found == GIVEN
        told.append(replace(record, found=f"{GIVEN}, noted there: {note}") if is_told else record)
    return told


def license_of(root: Path) -> str | None:
    """The licence in the YAML header of a dataset's README.md, or None where it states none."""
    card = root / "README.md"
    if not card.is_file():
        return None
    lines = card.read_text(encoding="utf-8", errors="replace").splitlines()
    if not lines or lines[0].strip() != "---" or "---" not in lines[1:]:
        return None
    try:
        header = yaml.safe_load("\n".join(lines[1 : lines.index("---", 1)]))
    except yaml.YAMLError:
        return None
    stated = header.get("license") if isinstance(header, dict) else None
    return None if stated is None else str(stated)


def _license_on_the_hub(source: AlignedSource) -> str | None:
    """LeRobot fetches the files of episodes without the card; None where it cannot be had, which stops nothing."""
    config = source.config
    if config.root is not None or hub_constants.HF_HUB_OFFLINE:
        return None
    try:
        card = hf_hub_download(config.repo_id, "README.md", repo_type="dataset", revision=config.revision)
    except NOT_ON_THE_HUB:
        return None
    return license_of(Path(card).parent)


def encode_shares(shares: Sequence[float]) -> str:
    """Shares in [0, 1], one a timestep, as runs of equal ones: "16*0 84*0.5". Rounded to six decimals."""
    runs = groupby(f"{share:.6f}".rstrip("0").rstrip(".") for share in shares)
    return " ".join(f"{len(list(run))}*{share}" for share, run in runs)


def decode_shares(text: str) -> list[float]:
    """The inverse of `encode_shares`, up to its rounding."""
    runs = (run.split("*") for run in text.split())
    return [float(share) for count, share in runs for _ in range(int(count))]
