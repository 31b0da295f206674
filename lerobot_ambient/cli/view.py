# SPDX-License-Identifier: Apache-2.0
"""`lerobot-ambient view`: the episodes of a mixture in a browser, what looks wrong first."""

from __future__ import annotations

import argparse
import json
import os
import sys
import webbrowser
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lerobot_ambient.integration.viewing.opened import Opened
    from lerobot_ambient.integration.viewing.shown import View

EXAMPLE = (
    "lerobot-ambient view --config_path=mine.yaml\n"
    "  lerobot-ambient view --target me/target=data/target --source me/sim=data/sim --rollout outputs/rollouts"
)
_IMAGES = 600
_LISTED = 12
"""Episodes that are named in the terminal."""


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the verb `view`."""
    parser = subparsers.add_parser(
        "view",
        # LeRobot's own options are passed on; none may be taken for the beginning of one of these.
        allow_abbrev=False,
        help="look at the episodes of all datasets, what looks wrong first",
        description=(
            "Opens the datasets of a lerobot-train configuration, or those that are named, and shows their episodes as "
            "training sees them on a page of this machine: joints over the target's, cameras, the window of each "
            "frame, and the chunk at any noise level. What sticks out of its dataset comes first. All other options "
            "are lerobot-train's own. Nothing is sent anywhere; the page is only reachable from this machine."
        ),
    )
    parser.add_argument("--config_path", help="a training configuration (YAML or JSON), as for lerobot-train")
    parser.add_argument(
        "--target",
        metavar="REPO[=FOLDER]",
        help="in place of a configuration: the dataset that others are held against",
    )
    parser.add_argument(
        "--source",
        action="append",
        default=[],
        metavar="REPO[=FOLDER]",
        help="with --target: a dataset to look at, aligned as init proposes; may be given several times",
    )
    parser.add_argument(
        "--rollout",
        action="append",
        default=[],
        metavar="FOLDER|REPO[=FOLDER]",
        help="a recording of a policy by lerobot-rollout, lerobot-record or lerobot-eval; may be given several times",
    )
    parser.add_argument(
        "--episodes",
        type=int,
        default=200,
        metavar="N",
        help="episodes of each dataset that are looked at, spread over it (default: %(default)s)",
    )
    parser.add_argument("--port", type=int, default=0, help="of the page (default: a free one)")
    parser.add_argument("--no-browser", action="store_true", help="print the page's address and open nothing")
    parser.add_argument(
        "--output-dir", type=Path, metavar="DIR", help="write the page as files, which open without a server, and end"
    )
    parser.add_argument("--rerun", type=Path, metavar="FILE.rrd", help="write a recording for rerun's viewer, and end")
    parser.add_argument(
        "--images",
        type=int,
        default=_IMAGES,
        metavar="N",
        help="frames of cameras that --output-dir and --rerun write, over all episodes (default: %(default)s)",
    )
    parser.add_argument("--json", action="store_true", help="print what would be shown as one JSON object, and end")
    parser.set_defaults(run=run, takes_more=True, more=[])


def run(args: argparse.Namespace) -> int:
    """Show; `args.more` holds LeRobot's own options."""
    _refuse(args)
    # Late, so that the help of every verb stays quick.
    from lerobot_ambient.cli.progress import say
    from lerobot_ambient.integration.viewing.page_files import require_folder, write_page
    from lerobot_ambient.integration.viewing.rerun_file import require_recording, write_recording
    from lerobot_ambient.integration.viewing.shown import View

    if args.output_dir is not None:
        require_folder(args.output_dir)
    if args.rerun is not None:
        require_recording(args.rerun)
    opened = _open(args)
    say("looking at the episodes")
    view = View.of(opened)
    written: dict[str, Any] = {}
    if args.output_dir is not None:
        page = write_page(view, args.output_dir, images=args.images, say=say)
        written["page"] = {"path": str(page.page), "episodes": page.episodes, "pictures": page.pictures}
    if args.rerun is not None:
        recording = write_recording(view, args.rerun, images=args.images, say=say)
        written["rerun"] = {
            "path": str(recording.path),
            "episodes": recording.episodes,
            "pictures": recording.pictures,
        }
    if args.json:
        print(json.dumps(describe(view) | ({"written": written} if written else {}), indent=2))
        return 0
    print(render(view))
    print("" if not written else "\n", end="")
    for what, one in written.items():
        print(f"{what}: {one['path']} ({one['episodes']} episodes, {one['pictures']} pictures of cameras)")
    return 0 if written else _serve(view, args)


def _refuse(args: argparse.Namespace) -> None:
    if args.config_path is not None and args.target is not None:
        raise ValueError("--config_path names a target already; give it or --target, not both.")
    if args.source and args.target is None:
        raise ValueError("--source goes with --target; in a configuration sources stand under policy.sources.")
    if args.target is None and args.config_path is None and not args.more:
        raise ValueError(f"nothing is given to look at. Name a configuration or a dataset:\n  {EXAMPLE}")
    if args.images < 0:
        raise ValueError(f"--images must be 0 or more, got {args.images}.")
    if not 0 <= args.port < 65536:
        raise ValueError(f"--port must be from 0 to 65535, got {args.port}.")
    written = args.output_dir is not None or args.rerun is not None
    if args.images != _IMAGES and not written:
        raise ValueError(f"--images={args.images} is of what --output-dir or --rerun write; give one of them too.")
    if args.port and (written or args.json):
        raise ValueError(
            f"--port={args.port} is of the page that is served, and --output-dir, --rerun and --json end without it; "
            "leave it out."
        )


def _open(args: argparse.Namespace) -> Opened:
    from lerobot_ambient.cli.init import named_dataset, names_type
    from lerobot_ambient.cli.progress import say
    from lerobot_ambient.integration.training.configured_mixture import load_train_config
    from lerobot_ambient.integration.viewing.opened import Bounds, align_as_proposed, open_to_view, rollout_sources

    bounds = Bounds(episodes=args.episodes)
    rollouts = [one for text in args.rollout for one in rollout_sources(*_split(text))]
    if args.target is None:
        cfg = load_train_config(args.config_path, args.more)
    else:
        target, *sources = (named_dataset(text) for text in (args.target, *args.source))
        if "catalogue" in target:
            raise ValueError(f"--target={args.target}: the target is a dataset of its own; name it by its folder.")
        words = [f"--dataset.{key}={value}" for key, value in target.items()]
        type_word = [] if names_type(args.more) else ["--policy.type=ambient_diffusion"]
        cfg = load_train_config(None, [*type_word, *words, f"--policy.sources={json.dumps(sources)}", *args.more])
        align_as_proposed(cfg)
    say("opening the datasets")
    return open_to_view(cfg, rollouts, bounds)


def _split(text: str) -> tuple[str, str | None]:
    """FOLDER, REPO or REPO=FOLDER."""
    name, given, folder = text.partition("=")
    if not name or (given and not folder):
        raise ValueError(f"--rollout={text} names no dataset; write a folder, or me/rollouts=FOLDER.")
    return name, folder if given else None


def _serve(view: View, args: argparse.Namespace) -> int:
    from lerobot_ambient.integration.viewing.server import ViewServer

    server = ViewServer(view, args.port)
    print(f"\npage: {server.url} (only from this machine; Ctrl-C ends it)", flush=True)
    if not args.no_browser and _has_display():
        webbrowser.open(server.url)
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        print("ended", file=sys.stderr)
    finally:
        server.server_close()
    return 0


def _has_display() -> bool:
    # Without one a browser of the terminal might be started in the middle of our own output.
    return sys.platform in ("darwin", "win32") or bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


def describe(view: View) -> dict[str, Any]:
    """What would be shown, as plain values: `datasets`, `episodes` in their order, `cameras`, `names`, `notes`."""
    index = view.index()
    return {key: index[key] for key in ("datasets", "cameras", "names", "episodes", "notes")}


def render(view: View) -> str:
    """The datasets, and the episodes to look at first, as text for a terminal."""
    from lerobot_ambient.cli.inspect import table

    head = ["dataset", "what", "episodes", "looked at", "frames", "stick out", "window"]
    datasets = describe(view)["datasets"]
    rows = [
        [
            one["name"],
            one["role"],
            str(one["episodes"]),
            str(one["looked_at"]["episodes"]),
            str(one["frames"]),
            str(one["odd"]),
            one["window"],
        ]
        for one in datasets
    ]
    odd = [one for one in view.episodes if one.odd]
    lines = [f"  {datasets[one.dataset]['name']}, episode {one.episode} {one.why[0]}" for one in odd[:_LISTED]]
    more = [f"  and {len(odd) - _LISTED} more"] if len(odd) > _LISTED else []
    first = ["", "look at these first:", *lines, *more] if odd else ["", "no episode sticks out of its own dataset"]
    return "\n".join([*table(head, rows), *first, *(f"\nnote: {note}" for note in view.notes)])
