# SPDX-License-Identifier: Apache-2.0
"""`lerobot-ambient export`: a checkpoint as its stock policy type, which loads without this package."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

EXAMPLE = "lerobot-ambient export outputs/train/mine/checkpoints/last/pretrained_model --output-dir=outputs/stock"


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the verb `export`."""
    parser = subparsers.add_parser(
        "export",
        help="write a checkpoint as its stock policy type, for a LeRobot without this package",
        description=(
            "Copies a checkpoint into a new folder as the stock type that it acts as: ambient_smolvla becomes smolvla, "
            "action for action. Of an ambient_diffusion with averaged weights these are taken. What no stock policy "
            "can do is refused with the option that is in the way."
        ),
    )
    parser.add_argument("checkpoint", type=Path, help="a pretrained_model folder")
    parser.add_argument("--output-dir", type=Path, required=True, help="the folder to make; it must not be there yet")
    parser.add_argument("--json", action="store_true", help="print what was written as JSON")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Write the folder."""
    # Late, so that the help of every verb stays quick.
    import lerobot_ambient.policy.registered  # noqa: F401
    from lerobot_ambient.integration.deployment.stock_form import export_stock

    stock = export_stock(args.checkpoint, args.output_dir)
    if args.json:
        print(json.dumps({"written": str(args.output_dir), "type": stock}, indent=2))
    else:
        print(f"written: {args.output_dir}, policy type {stock}")
    return 0
