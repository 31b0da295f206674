# SPDX-License-Identifier: Apache-2.0
"""`lerobot-ambient loopback-hub`: a Hub on this machine, to rehearse pushes and pulls without a network."""

from __future__ import annotations

import argparse
import signal
import threading

EXAMPLE = "lerobot-ambient loopback-hub --port=8750"


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the verb `loopback-hub`."""
    parser = subparsers.add_parser(
        "loopback-hub",
        help="a small Hub on the loopback interface, to rehearse pushes and pulls",
        description=(
            "Serves what huggingface_hub asks of an endpoint, on 127.0.0.1 only, until it is interrupted; then all it "
            "holds is gone. Prints the environment variables that lead LeRobot's commands to it."
        ),
    )
    parser.add_argument("--port", type=int, default=8750, help="port of 127.0.0.1, 0 for a free one (default: 8750)")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Serve until interrupted or terminated."""
    from lerobot_ambient.testing.loopback_hub.hub import LoopbackHub

    if not 0 <= args.port < 2**16:
        raise ValueError(f"--port={args.port} is no port: from 1 to 65535, or 0 for a free one.")
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    with LoopbackHub(port=args.port) as hub:
        (token,) = hub.tokens
        print(f"export HF_ENDPOINT={hub.url} HF_TOKEN={token} HF_HUB_DISABLE_XET=1 HF_HUB_OFFLINE=0", flush=True)
        stop.wait()
    return 0
