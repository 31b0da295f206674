# SPDX-License-Identifier: Apache-2.0
"""`lerobot-ambient card`: the model card of a checkpoint, and the checkpoint to the Hub with it."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

EXAMPLE = "lerobot-ambient card outputs/train/mine/checkpoints/last/pretrained_model --repo-id=me/policy"


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the verb `card`."""
    parser = subparsers.add_parser(
        "card",
        help="write the model card of a checkpoint, with results, and push both",
        description=(
            "Writes README.md and the plan's heat map into a checkpoint's folder, from what the checkpoint knows; no "
            "dataset is opened. With --push the whole folder goes to the Hub in one upload. Repeating it is safe."
        ),
    )
    parser.add_argument("checkpoint", type=Path, help="a pretrained_model folder")
    parser.add_argument("--repo-id", help="name on the Hub, e.g. me/policy (default: the checkpoint's policy.repo_id)")
    parser.add_argument("--license", help="licence of the policy, e.g. mit (default: the checkpoint's policy.license)")
    parser.add_argument(
        "--results",
        action="append",
        default=[],
        metavar="TASK=FILE",
        help="an eval_info.json of lerobot-eval and what was evaluated; may be given several times",
    )
    parser.add_argument("--push", action="store_true", help="upload the folder to the Hub")
    parser.add_argument("--private", action="store_true", help="with --push, make the repository private")
    parser.add_argument("--json", action="store_true", help="print what was written, and where it was pushed, as JSON")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Write, and push if asked to."""
    config_file = args.checkpoint / "config.json"
    if not config_file.is_file():
        raise ValueError(
            f"{args.checkpoint} is no checkpoint: it has no config.json. Give the folder called pretrained_model."
        )
    # Late, so that the help of every verb stays quick.
    from lerobot.configs import PreTrainedConfig

    from lerobot_ambient.policy.card.hub_card import write_card
    from lerobot_ambient.policy.options.mixture_options import MixtureOptions, ambient_types

    config = PreTrainedConfig.from_pretrained(args.checkpoint)
    if not isinstance(config, MixtureOptions):
        raise ValueError(
            f"{args.checkpoint} holds a policy of type {config.type}; the card is for {', '.join(ambient_types())}."
        )
    config.repo_id = args.repo_id or config.repo_id
    config.license = args.license or config.license
    if args.push and not config.repo_id:
        raise ValueError("--push needs a name: --repo-id=me/policy.")
    train_file = args.checkpoint / "train_config.json"
    train = json.loads(train_file.read_text(encoding="utf-8")) if train_file.is_file() else None
    written = write_card(args.checkpoint, config, train, [_result(text) for text in args.results])
    url = _push(args.checkpoint, config.repo_id, private=args.private) if args.push else None
    if args.json:
        print(json.dumps({"written": [str(path) for path in written], "url": url}, indent=2))
    else:
        print(f"written: {', '.join(map(str, written))}" + (f"\npushed: {url}" if url else ""))
    return 0


def _result(text: str) -> Any:
    from lerobot_ambient.integration.commands.results import read_eval_info
    from lerobot_ambient.policy.card.model_card import Result

    task, _, file = text.partition("=")
    if not file:
        raise ValueError(f"--results={text}: write what was evaluated too, --results=ambient_maze=eval_info.json.")
    rollouts = read_eval_info(Path(file))
    return Result(task, rollouts.trials, int(rollouts.successes.sum()))


def _push(folder: Path, repo_id: str, *, private: bool) -> str:
    import httpx
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError, OfflineModeIsEnabled

    api = HfApi()
    try:
        # None leaves an existing repository, and the owner's default, as they are.
        api.create_repo(repo_id=repo_id, private=private or None, exist_ok=True)
        commit = api.upload_folder(repo_id=repo_id, folder_path=folder, commit_message="Upload policy with its card")
    except (HfHubHTTPError, httpx.TransportError, OfflineModeIsEnabled, RuntimeError) as error:
        # RuntimeError is what an upload of a large file ends with; the reason is its cause.
        reason = "; ".join(str(one).strip() for one in (error, error.__cause__) if one is not None)
        raise ValueError(
            f"the push to {repo_id} did not finish: {reason}\nNothing local has changed; repeat the same command."
        ) from error
    return str(commit.repo_url)
