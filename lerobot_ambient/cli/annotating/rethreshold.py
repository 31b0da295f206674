# SPDX-License-Identifier: Apache-2.0
"""`annotate --rethreshold`: windows from the curves of existing windows files, read with another threshold."""

from __future__ import annotations

import argparse
import json
from typing import TYPE_CHECKING

from lerobot_ambient.cli.annotating.files import windows_paths
from lerobot_ambient.cli.annotating.options import threshold

if TYPE_CHECKING:
    from lerobot_ambient.data.mixture import AssembledMixture


def run_rethreshold(args: argparse.Namespace, mixture: AssembledMixture) -> int:
    """Print the new windows, write them if told to, and return the exit code."""
    from lerobot_ambient.annotate.results.trust import require_trust
    from lerobot_ambient.annotate.results.windows_from_curves import rethreshold
    from lerobot_ambient.cli.annotating.render import render_rethreshold, rethreshold_entry
    from lerobot_ambient.data.windows.windows_file import read_windows, write_windows

    alike = threshold(args)
    paths = windows_paths(args, mixture.sources[1:])
    tables = []
    for source, path in zip(mixture.sources[1:], paths, strict=True):
        if not path.is_file():
            raise ValueError(
                f"'{source.name}' has no windows file {path}; make one with --method=classifier and --write or "
                "--windows-dir."
            )
        tables.append(rethreshold(read_windows(path), alike, takes=args.take))
    names = [source.name for source in mixture.sources[1:]]
    schedule = mixture.plan.schedule
    entries = [rethreshold_entry(name, table, schedule) for name, table in zip(names, tables, strict=True)]
    trusted = [entry["source"] for entry in entries if args.overwrite and entry["full_trust"]]
    written = paths if args.overwrite and (args.accept_full_trust or not trusted) else []
    for path, table in zip(written, tables, strict=False):
        write_windows(table, path)
    if args.json:
        print(json.dumps(entries, indent=2))
    else:
        print(render_rethreshold(entries, tables, written))
    require_trust(trusted, accepted=args.accept_full_trust)
    return 0
