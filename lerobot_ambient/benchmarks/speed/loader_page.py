# SPDX-License-Identifier: Apache-2.0
"""The loader benchmark's figures as a section of a Markdown page, which a later run replaces."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Mapping
from typing import Any

from lerobot_ambient.figures.markdown import markdown_table

HEADING = "## Measured: the loader"
_KINDS = {"low_dim": "Low-dimensional", "video": "Video"}
_NAMES = {
    "ours": "this loader",
    "cached": "this loader, frame cache",
    "lerobot": "LeRobotDataset",
    "multi": "MultiLeRobotDataset",
    "gather": "bare gather",
    "lance": "lerobot-lancedb",
}


def render_markdown(measured: Mapping[str, Any]) -> str:
    """The section: what was run where, and per kind of data the rates and ratios by number of workers.

    Args:
        measured: of `bench_loader`.
    """
    threads = "1 torch thread" if measured["threads"] == 1 else f"{measured['threads']} torch threads"
    lines = [HEADING, "", f"`{measured['command']}`", ""]
    lines += _wrapped(
        f"{measured['date']}, {measured['machine']}, {threads}; {measured['seconds']:.0f} s for everything. Medians "
        "over rounds; in brackets the 95 % interval of the median ratio (bootstrap over rounds)."
    )
    for kind, title in _KINDS.items():
        if kind in measured["detail"]:
            lines += ["", f"### {title}", "", *_describe(measured["detail"][kind]), ""]
            lines += _tables(measured["detail"][kind]["workers"])
    return "\n".join(lines) + "\n"


def replace_section(page: str, section: str) -> str:
    """The page with the section of the same heading replaced, or added at the end."""
    before, found, after = f"\n{page}".partition(f"\n{HEADING}\n")
    if not found:
        return f"{page.rstrip()}\n\n{section}" if page.strip() else section
    following = re.search(r"^## ", after, re.MULTILINE)
    rest = f"\n{after[following.start() :]}" if following else ""
    return f"{before}\n"[1:] + section + rest


def _describe(detail: Mapping[str, Any]) -> list[str]:
    text = f"{detail['data']}. Batches of {detail['batch_size']} samples"
    if "cached_size" not in detail:
        return _wrapped(f"{text}; a sample has {detail['bytes_per_sample']:,} bytes.")
    height, width = detail["cached_size"]
    return _wrapped(
        f"{text}; a sample with cached frames of {height}x{width} has {detail['bytes_per_sample']:,} bytes. Writing "
        f"the cache took {detail['cache_seconds']} s."
    )


def _wrapped(text: str) -> list[str]:
    return textwrap.wrap(text, 120, break_long_words=False, break_on_hyphens=False)


def _tables(by_workers: Mapping[str, Any]) -> list[str]:
    first = next(iter(by_workers.values()))
    rates, ratios = list(first["samples_per_s"]), list(first["ratios"])
    speeds = [
        [workers, str(found["rounds"]), *(f"{found['samples_per_s'][name]:,.0f}" for name in rates)]
        for workers, found in by_workers.items()
    ]
    against = [[workers, *(_ratio(found["ratios"][name]) for name in ratios)] for workers, found in by_workers.items()]
    return [
        *markdown_table(["workers", "rounds", *(f"{_NAMES[name]}, samples/s" for name in rates)], speeds, numbers=True),
        "",
        *markdown_table(["workers", *(_ratio_name(name) for name in ratios)], against, numbers=True),
    ]


def _ratio_name(name: str) -> str:
    side, _, peer = name.rpartition("vs_")
    return f"{'cached' if side else 'ours'} / {_NAMES[peer]}"


def _ratio(ratio: Mapping[str, Any]) -> str:
    low, high = ratio["interval95"]
    return f"{_digits(ratio['median'])} [{_digits(low)}, {_digits(high)}]"


def _digits(value: float) -> str:
    """Three digits, without an exponent."""
    return f"{value:,.{0 if value >= 100 else 1 if value >= 10 else 2 if value >= 1 else 3}f}"
