# SPDX-License-Identifier: Apache-2.0
"""`lerobot-ambient annotate`: estimate the windows of a configuration's sources and write them down."""

from __future__ import annotations

import argparse
import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lerobot_ambient.annotate.chunks import Chunks
    from lerobot_ambient.annotate.finding import Finding, Floats
    from lerobot_ambient.data.open_source import OpenSource

METHODS = ("spectral",)


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the verb `annotate`."""
    parser = subparsers.add_parser(
        "annotate",
        help="estimate at which noise levels each source may teach",
        description=(
            "Compares the normalised action chunks of each source with the target's and finds the noise level above "
            "which they can no longer be told apart. Prints the window with its interval and what to write into the "
            "configuration; with --write also puts a windows file into each source's folder. Windows that the "
            "configuration declares are ignored. All other options are lerobot-train's own; with --config_path LeRobot "
            "reads their values as JSON."
        ),
    )
    parser.add_argument("--config_path", help="a training configuration (YAML or JSON), as for lerobot-train")
    parser.add_argument(
        "--method",
        choices=METHODS,
        required=True,
        help="spectral: power spectra of the chunks; no training, seconds, a first guess that sees second moments only",
    )
    parser.add_argument(
        "--locality",
        action="store_true",
        help="also estimate sigma_max: the level up to which chunks are alike as far as the denoiser looks",
    )
    parser.add_argument("--seed", type=int, default=0, help="of resampling (default: %(default)s)")
    parser.add_argument(
        "--write", action="store_true", help="write meta/ambient_windows.parquet into each source's folder"
    )
    parser.add_argument("--overwrite", action="store_true", help="with --write: replace a windows file that is there")
    parser.add_argument("--json", action="store_true", help="print the findings as a JSON list")
    parser.set_defaults(run=run, takes_more=True, more=[])


def run(args: argparse.Namespace) -> int:
    """Annotate; `args.more` holds LeRobot's own options."""
    from lerobot_ambient.annotate.chunks import chunks_of
    from lerobot_ambient.data.windows_file import write_windows
    from lerobot_ambient.integration.training import load_train_config, mixture_without_windows

    mixture = mixture_without_windows(load_train_config(args.config_path, args.more))
    if len(mixture.sources) == 1:
        raise ValueError("the configuration has no sources to annotate; give --policy.sources='[{repo_id: me/sim}]'.")
    if args.overwrite and not args.write:
        raise ValueError("--overwrite without --write does nothing; add --write.")
    paths = [_path(source) for source in mixture.sources]
    if args.write and not args.overwrite:
        for path in paths[1:]:
            if path.exists():
                raise ValueError(f"{path} exists; add --overwrite to replace it.")
    chunks = chunks_of(mixture)
    findings = [_spectral(chunks[0], source, args.seed) for source in chunks[1:]]
    if args.locality:
        sigmas = mixture.plan.schedule.sigmas.numpy()
        findings = [
            _with_locality(finding, chunks[0], source, sigmas, args.seed)
            for finding, source in zip(findings, chunks[1:], strict=True)
        ]
    if args.write:
        for index, finding in enumerate(findings, start=1):
            write_windows(finding.table(mixture, index, chunks[index]), paths[index])
    if args.json:
        print(json.dumps([finding.to_dict() for finding in findings], indent=2))
    else:
        print(render(findings, paths[1:] if args.write else []))
    return 0


def render(findings: list[Finding], written: list[Path]) -> str:
    """The findings as text: level, interval, caveats, and the YAML to paste."""
    lines = []
    for finding in findings:
        entry = finding.to_dict()
        low, high = entry["interval"]
        local = f"; sigma_max {entry['sigma_max']:.3f}" if entry["sigma_max"] > 0 else ""
        lines.append(f"{finding.source}: sigma_min {entry['sigma_min']:.3f}, between {low:.3f} and {high:.3f}{local}")
        lines.extend(f"  {note}" for note in finding.notes)
    lines.append("")
    lines.append("sources:")
    for finding in findings:
        lines.append(f"  - repo_id: {finding.source}")
        entry = finding.to_dict()
        lines.append(f"    sigma_min: {entry['sigma_min']:.4g}  # {finding.method}")
        if entry["sigma_max"] > 0:
            lines.append(f"    sigma_max: {entry['sigma_max']:.4g}  # locality")
    if written:
        lines.append("")
        lines.extend(f"windows file: {path}" for path in written)
    return "\n".join(lines)


def _spectral(target: Chunks, source: Chunks, seed: int) -> Finding:
    import numpy as np

    from lerobot_ambient.annotate.comparison import CompareOptions
    from lerobot_ambient.annotate.finding import Finding
    from lerobot_ambient.annotate.spectrum import spectral_window

    evidence = spectral_window(target, source, CompareOptions(seed=seed))
    return Finding(
        source=source.name,
        method="spectral",
        granularity="dataset",
        sigma_min=np.full(len(source), evidence.sigma_min),
        sigma_max=np.zeros(len(source)),
        interval=evidence.interval,
        notes=tuple(evidence.notes),
    )


def _with_locality(finding: Finding, target: Chunks, source: Chunks, sigmas: Floats, seed: int) -> Finding:
    """The finding with sigma_max: as far as crops are shown to be alike, which weak evidence does not go beyond."""
    import numpy as np

    from lerobot_ambient.annotate.locality import LocalityOptions, locality_window

    # At level 1 nothing is left of a chunk; the denoiser is only defined below.
    evidence = locality_window(target, source, sigmas[(sigmas > 0) & (sigmas < 1)], LocalityOptions(seed=seed))
    weak = (
        f"Locality: crops cannot be told apart up to {evidence.sigma_max:.3f}, but are shown to be alike only up to "
        f"{evidence.shown:.3f}; there is too little data for the rest, and sigma_max is the latter.",
    )
    notes = (*finding.notes, *evidence.notes, *(weak if evidence.weak else ()))
    return replace(finding, sigma_max=np.full(len(source), evidence.shown), notes=notes)


def _path(source: OpenSource) -> Path:
    from lerobot_ambient.data.windows_file import WINDOWS_PATH

    return Path(source.meta.root) / WINDOWS_PATH
