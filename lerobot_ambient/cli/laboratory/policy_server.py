# SPDX-License-Identifier: Apache-2.0
"""`lerobot-ambient policy-server`: LeRobot's server of asynchronous inference, for our policies too."""

from __future__ import annotations

import argparse

EXAMPLE = "lerobot-ambient policy-server --host=127.0.0.1 --port=8080"


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the verb `policy-server`."""
    parser = subparsers.add_parser(
        "policy-server",
        help="LeRobot's policy server, which then knows ambient_diffusion",
        description=(
            "Starts lerobot.async_inference.policy_server, which by itself refuses every policy of a plugin. All "
            "options are its own, e.g. --host=127.0.0.1 --port=8080 --fps=30. The client is LeRobot's. The protocol "
            "unpickles what it receives: let only machines that you trust reach the port."
        ),
    )
    parser.set_defaults(run=run, takes_more=True, more=[])


def run(args: argparse.Namespace) -> int:
    """Serve until interrupted; `args.more` holds LeRobot's own options."""
    # Named here, so that a missing package is reported with the extra that brings it.
    import grpc  # noqa: F401

    from lerobot_ambient.integration.deployment.policy_server import serve

    serve(args.more)
    return 0
