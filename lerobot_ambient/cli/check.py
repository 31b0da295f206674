# SPDX-License-Identifier: Apache-2.0
"""`lerobot-ambient check`: judge checkpoints on held-out episodes, without a simulator and without a robot."""

from __future__ import annotations

import argparse
import json
import shlex
import sys
from contextlib import redirect_stdout
from pathlib import Path

EXAMPLE = (
    "lerobot-ambient check outputs/train/cotrain outputs/train/ambient --report=outputs/check\n"
    "  lerobot-ambient check outputs/train/ambient --dataset.repo_id=me/fresh"
)


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the verb `check`."""
    parser = subparsers.add_parser(
        "check",
        # LeRobot's own options are passed on; none may be taken for the beginning of one of these.
        allow_abbrev=False,
        help="judge and rank checkpoints on episodes that they have not seen, without a simulator",
        description=(
            "Denoises held-out chunks at several noise levels, given their observations, and lets each policy predict "
            "chunks along held-out episodes: errors by noise level and frequency, jerk, spectrum and the jumps between "
            "chunks against the recording's own, with intervals whose unit is the episode. The dataset is the "
            "checkpoints' own target, the episodes those that none of them was trained on; or name another with "
            "LeRobot's --dataset.repo_id, --dataset.root, --dataset.episodes. No rollout is made."
        ),
    )
    parser.add_argument(
        "checkpoints", nargs="+", metavar="CHECKPOINT", help="a pretrained_model, a run's folder, or a model on the Hub"
    )
    parser.add_argument("--report", type=Path, metavar="DIR", help="also write a page, its figures and check.json")
    parser.add_argument(
        "--samples",
        type=int,
        default=256,
        metavar="N",
        help="chunks that are denoised and chunks that are predicted, of each checkpoint (default: %(default)s)",
    )
    parser.add_argument("--batch-size", type=int, default=32, metavar="N", help="default: %(default)s")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="of the noise (default: %(default)s)")
    parser.add_argument("--device", help="e.g. cuda; default: what each checkpoint names")
    parser.add_argument(
        "--allow-seen", action="store_true", help="judge on episodes that were trained on; no judgement of new ones"
    )
    parser.add_argument("--json", action="store_true", help="print everything as one JSON object")
    parser.set_defaults(run=run, takes_more=True, more=[])


def run(args: argparse.Namespace) -> int:
    """Judge; `args.more` holds LeRobot's words of the dataset."""
    from lerobot_ambient.cli.progress import say
    from lerobot_ambient.integration.judging.episodes import JudgedWords
    from lerobot_ambient.integration.judging.judge import judge
    from lerobot_ambient.integration.judging.judgement import to_dict
    from lerobot_ambient.integration.judging.measure import Effort
    from lerobot_ambient.integration.judging.tables import render
    from lerobot_ambient.policy import registered as registered

    if args.report is not None and args.report.exists() and not args.report.is_dir():
        raise ValueError(f"--report={args.report} is a file; give the folder that the page is to be written into.")
    words, effort = JudgedWords.read(args.more), Effort(args.samples, args.batch_size, args.seed)
    # Policies print where their weights come from and how they are cut, and stdout is for the result.
    with redirect_stdout(sys.stderr):
        judgement = judge(args.checkpoints, words, effort, device=args.device, allow_seen=args.allow_seen, say=say)
    found = to_dict(judgement)
    print(json.dumps(found, indent=2) if args.json else render(judgement))
    if args.report is not None:
        from lerobot_ambient.integration.judging.page import write_page

        say("drawing the page")
        command = shlex.join(["lerobot-ambient", "check", *_typed(args)])
        page = write_page(args.report, judgement, found, command)
        print(f"\npage: {page}", file=sys.stderr if args.json else sys.stdout)
    return 0


def _typed(args: argparse.Namespace) -> list[str]:
    """The command's words, as they can be typed again."""
    words = [*args.checkpoints, *args.more]
    for name, default in (("samples", 256), ("batch_size", 32), ("seed", 0), ("device", None), ("report", None)):
        value = getattr(args, name)
        words += [] if value == default else [f"--{name.replace('_', '-')}={value}"]
    return [*words, *(["--allow-seen"] if args.allow_seen else [])]
