# SPDX-License-Identifier: Apache-2.0
"""`lerobot-ambient inspect`: what a training run would be fed, before it is started."""

from __future__ import annotations

import argparse
import itertools
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lerobot_ambient.data.files.config_path import require_free

if TYPE_CHECKING:
    from lerobot_ambient.core.plan import Group
    from lerobot_ambient.data.mixture import AssembledMixture
    from lerobot_ambient.policy.options.train_config import TrainConfig

_BANDS = 10
_LISTED = 24
"""Sources that are listed for themselves."""

EXAMPLE = "lerobot-ambient inspect --config_path=mine.yaml --png=outputs/plan.png"


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the verb `inspect`."""
    parser = subparsers.add_parser(
        "inspect",
        help="show the sources, windows and plan of a training configuration",
        description=(
            "Opens the datasets of a lerobot-train configuration and prints their sizes, their windows as the noise "
            "schedule resolves them, and the share every dataset has at every noise level. All other options "
            "are lerobot-train's own, e.g. --policy.mixing.type=cotrain; with --config_path LeRobot reads their "
            "values as JSON. --suggest reads the datasets' metadata only, so they need not fit each other yet."
        ),
    )
    parser.add_argument("--config_path", help="a training configuration (YAML or JSON), as for lerobot-train")
    parser.add_argument("--png", type=Path, help="also draw the plan as a heat map into this file")
    parser.add_argument(
        "--suggest",
        action="store_true",
        help="instead, print the sources with the alignment that each one needs, as YAML for `policy: sources:`",
    )
    parser.add_argument(
        "--write",
        type=Path,
        metavar="FILE",
        help="with --suggest: write the whole configuration, with the sources so aligned, as a YAML file",
    )
    parser.add_argument("--overwrite", action="store_true", help="with --write: replace a file that is there")
    parser.add_argument(
        "--all",
        action="store_true",
        help="list every source; of more than 24 those with the smallest shares are folded",
    )
    parser.add_argument("--json", action="store_true", help="print everything as one JSON object")
    parser.set_defaults(run=run, takes_more=True, more=[])


def run(args: argparse.Namespace) -> int:
    """Inspect; `args.more` holds LeRobot's own options."""
    from lerobot_ambient.cli.progress import require_picture, say

    if args.write is not None and not args.suggest:
        raise ValueError("--write writes what --suggest proposes; add --suggest.")
    if args.overwrite and args.write is None:
        raise ValueError("--overwrite without --write does nothing; add --write=mine.yaml.")
    if args.png is not None:
        if args.suggest:
            raise ValueError("--png draws the plan, which --suggest does not make; drop one of the two.")
        require_picture("--png", args.png)
    if args.write is not None:
        require_free(args.write, overwrite=args.overwrite)
    from lerobot_ambient.integration.training.configured_mixture import load_train_config, mixture_of

    cfg = load_train_config(args.config_path, args.more)
    if args.suggest:
        return _suggest(cfg, args)
    say("opening the datasets")
    mixture = mixture_of(cfg)
    report = describe(mixture)
    print(json.dumps(report, indent=2) if args.json else render(report, most=None if args.all else _LISTED))
    if args.png is not None:
        from lerobot_ambient.figures.style import write_figure

        drawn = write_figure(mixture.plan.plot(), args.png)
        if not args.json:
            print(f"\nplan drawn in {drawn}")
    return 0


def _suggest(cfg: TrainConfig, args: argparse.Namespace) -> int:
    from lerobot_ambient.cli.own_config import render_written, suggestions_for
    from lerobot_ambient.data.suggest.as_yaml import to_yaml
    from lerobot_ambient.integration.training.config_file import text_read, write_suggested

    if not cfg.policy.sources:
        raise ValueError('there is no source to align; name one, e.g. --policy.sources=\'[{"repo_id": "me/sim"}]\'.')
    suggestions = suggestions_for(cfg)
    if args.write is not None:
        command, read = "lerobot-ambient inspect --suggest --write", text_read(args.config_path)
        write_suggested(cfg, suggestions, args.write, command, read=read, overwrite=args.overwrite)
    if args.json:
        written = {} if args.write is None else {"written": str(args.write)}
        print(json.dumps({"sources": [suggestion.to_dict() for suggestion in suggestions], **written}, indent=2))
    else:
        print(to_yaml(suggestions))
        if args.write is not None:
            print(f"\n{render_written(args.write, cfg, suggestions)}")
    return 1 if any(suggestion.problems for suggestion in suggestions) else 0


def describe(mixture: AssembledMixture) -> dict[str, Any]:
    """The report as plain values: `sources` (one entry each, the target first), `bands`, `timesteps`, `notes`,
    `warnings`; of a flow-matching policy `cells` in place of `timesteps`, and the `law` that they are cells of."""
    plan, schedule = mixture.plan, mixture.plan.schedule
    sigmas = schedule.sigmas
    joint = plan.by_source()
    law = joint.sum(1)
    sources = []
    admitted_of = (plan.joint > 0).sum(1).tolist()
    of_source: list[list[tuple[int, Group]]] = [[] for _ in mixture.sources]
    for place, group in enumerate(plan.groups):
        of_source[group.source].append((place, group))
    for index, (source, groups) in enumerate(zip(mixture.sources, of_source, strict=True)):
        admitted = [admitted_of[place] for place, _ in groups]
        windows = sorted({repr(group.window) for _, group in groups})
        above = [group.window.effective(schedule)[0] for _, group in groups]
        below = [group.window.effective(schedule)[1] for _, group in groups]
        sources.append(
            {
                "name": source.name,
                "group": source.group if index else "target",
                "root": str(source.meta.root),
                "episodes": len(source.episodes),
                "frames": len(source),
                "samples": sum(group.count for _, group in groups),
                "fps": source.fps,
                "weight": source.config.weight,
                "normalization": mixture.normalizations[index].to_dict(),
                "windows": windows if len(windows) <= 8 else f"{len(windows)} different windows",
                "teaches_from_sigma": min((a for a in above if a is not None), default=None),
                "teaches_below_sigma": max((b for b in below if b is not None), default=None),
                schedule.unit: [min(admitted), max(admitted)],
                "admitted": [min(admitted) / len(schedule), max(admitted) / len(schedule)],
                "share": float(law[index]),
                "mean_sigma": float((joint[index] * sigmas).sum() / law[index]) if law[index] > 0 else None,
            }
        )
    edges = [k / _BANDS for k in range(_BANDS + 1)]
    bands = []
    for low, high in itertools.pairwise(edges):
        inside = (sigmas >= low) & ((sigmas < high) | (high == 1.0))
        mass = joint[:, inside].sum(1)
        total = float(mass.sum())
        share = [float(m) / total if total > 0 else None for m in mass]
        bands.append({"sigma": [low, high], "share": share, "draws": total})
    return {
        "sources": sources,
        "unit": schedule.unit,
        "law": schedule.law,
        schedule.unit: len(schedule),
        "sigma_range": [float(schedule.lower[0]), float(schedule.upper[-1])],
        "bands": bands,
        "normalization": mixture.normalization.to_dict(),
        "fingerprint": mixture.fingerprint,
        "notes": [*mixture.notes, *_of_catalogue(mixture)],
        "warnings": mixture.warnings,
    }


def _of_catalogue(mixture: AssembledMixture) -> list[str]:
    """Where a dataset is another than the catalogue has it, and what the entry of a source leaves open."""
    from lerobot_ambient.data.catalogue.compare import remarks

    return [
        f"'{source.name}': {line}"
        for source in mixture.sources
        for line in remarks(source.config.catalogue, source.config.repo_id, source.meta)
    ]


def render(report: dict[str, Any], most: int | None = None) -> str:
    """The report as text for a terminal.

    Args:
        report: see `describe`.
        most: sources that are listed, those with the largest shares; all, in their order, when None or when there are
            no more.
    """
    total = len(report["sources"])
    listed = list(range(total))
    if most is not None and total > 1 + most:
        by_share = sorted(listed[1:], key=lambda index: -report["sources"][index]["share"])
        listed = [0, *by_share[:most]]
    low, high = report["sigma_range"]
    unit, law = report["unit"], report["law"]
    head = ["dataset", "episodes", "frames", "samples", "window", "teaches at", unit, "share", "mean sigma"]
    rows = []
    for source in (report["sources"][index] for index in listed):
        windows = source["windows"]
        rows.append(
            [
                source["name"],
                str(source["episodes"]),
                str(source["frames"]),
                str(source["samples"]),
                windows if isinstance(windows, str) else " | ".join(windows),
                _levels(source, high),
                _admitted(source, unit, of_law=law is not None),
                f"{100 * source['share']:.1f} %",
                "-" if source["mean_sigma"] is None else f"{source['mean_sigma']:.3f}",
            ]
        )
    band_head = ["share at sigma", *(f"{b['sigma'][0]:.1f}-{b['sigma'][1]:.1f}" for b in report["bands"])]
    band_rows = [
        [source["name"], *("" if b["share"][i] is None else f"{100 * b['share'][i]:.0f} %" for b in report["bands"])]
        for i, source in ((index, report["sources"][index]) for index in listed)
    ]
    band_rows.append(["all draws", *(f"{100 * b['draws']:.0f} %" for b in report["bands"])])
    levels = (
        f"{report[unit]} {unit}, sigma {low:.4f} to {high:.4f}; 'teaches at' is what this schedule makes of a window."
    )
    if law is not None:
        levels += f"\nThe policy itself draws every cell equally often: its time follows {law}."
    return "\n".join(
        [
            *table(head, rows),
            *_folded(report, listed),
            "",
            levels,
            "",
            *table(band_head, band_rows),
            *(f"\nnote: {note}" for note in _some(report["notes"], most)),
            *(f"\nwarning: {warning}" for warning in report["warnings"]),
        ]
    )


def _folded(report: dict[str, Any], listed: Sequence[int]) -> list[str]:
    """A line for the sources that are not listed, and one with the sums of groups."""
    sources = report["sources"]
    rest = [source for index, source in enumerate(sources) if index not in listed]
    if not rest:
        return []
    sums: dict[str, list[float]] = {}
    for source in sources[1:]:
        sums.setdefault(source["group"], []).append(source["share"])
    groups = sorted(sums.items(), key=lambda one: -sum(one[1]))
    told = ", ".join(f"{name} ({len(shares)}) {100 * sum(shares):.1f} %" for name, shares in groups[:_LISTED])
    share, samples = (sum(source[key] for source in rest) for key in ("share", "samples"))
    return [
        f"... and {len(rest)} more sources: {samples} samples, {100 * share:.1f} % of the draws (--all lists them)",
        f"by group: {told}{f' and {len(groups) - _LISTED} more groups' if len(groups) > _LISTED else ''}",
    ]


def _some(notes: Sequence[str], most: int | None) -> list[str]:
    """The notes, the last of very many counted."""
    if most is None or len(notes) <= most:
        return list(notes)
    return [*notes[:most], f"and {len(notes) - most} more; --all tells them."]


def _admitted(source: dict[str, Any], unit: str, *, of_law: bool) -> str:
    """How many timesteps a dataset teaches at, "52" or "10-52"; of cells also their part of the policy's own draws."""
    fewest, most = source[unit]
    count = f"{most}" if fewest == most else f"{fewest}-{most}"
    if not of_law:
        return count
    low, high = (f"{100 * part:.0f}" for part in source["admitted"])
    return f"{count} ({high if low == high else f'{low}-{high}'} %)"


def _levels(source: dict[str, Any], top: float) -> str:
    above, below = source["teaches_from_sigma"], source["teaches_below_sigma"]
    parts = [] if below is None else [f"up to {below:.4f}"]
    return " and ".join(parts + ([] if above is None else [f"{above:.4f} to {top:.4f}"]))


def table(head: list[str], rows: list[list[str]]) -> list[str]:
    """Lines of columns, the first flush left and the others right."""
    widths = [max(len(row[i]) for row in [head, *rows]) for i in range(len(head))]

    def line(row: list[str]) -> str:
        first = row[0].ljust(widths[0])
        return "  ".join([first, *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True))])

    return [line(head), "  ".join("-" * width for width in widths), *map(line, rows)]
