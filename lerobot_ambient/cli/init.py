# SPDX-License-Identifier: Apache-2.0
"""`lerobot-ambient init`: the first version of a training configuration, from the names of the datasets."""

from __future__ import annotations

import argparse
import difflib
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from lerobot_ambient.data.files.config_path import require_free

EXAMPLE = "lerobot-ambient init --target me/target=data/target --source me/sim=data/sim --write mine.yaml"
_SMALL = (
    *("--policy.denoiser=mlp", "--policy.prediction_type=sample", "--policy.ema_decay=0.999"),
    *("--policy.optimizer_lr=0.001", "--batch_size=128", "--num_workers=0"),
)
"""docs/how-to/small-machines.md says why."""
_CATALOGUE = "catalogue:"


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the verb `init`."""
    parser = subparsers.add_parser(
        "init",
        help="write a training configuration for your own datasets",
        description=(
            "Writes a configuration of lerobot-train as a YAML file: the target, the sources, and the alignment that "
            "each source needs, with the reasons as comments. Only the datasets' metadata is read. On a terminal and "
            "without --target it asks. All other options are lerobot-train's own and go into the file."
        ),
    )
    parser.add_argument(
        "--target", metavar="REPO[=FOLDER]", help="the trusted dataset: its name, and its folder if it is a local one"
    )
    parser.add_argument(
        "--source",
        action="append",
        default=[],
        metavar="REPO[=FOLDER]",
        help="a dataset that is not trusted everywhere, or catalogue:ENTRY; may be given several times",
    )
    parser.add_argument("--write", type=Path, metavar="FILE", help="the file (default: mine.yaml)")
    parser.add_argument("--overwrite", action="store_true", help="replace a file that is there")
    parser.add_argument(
        "--small", action="store_true", help="a small network and no loader processes, for a machine without a GPU"
    )
    parser.add_argument("--json", action="store_true", help="print what was written and proposed as JSON")
    parser.set_defaults(run=run, takes_more=True, more=[])


def run(args: argparse.Namespace) -> int:
    """Write the configuration; `args.more` holds LeRobot's own options."""
    _complete(args)
    for word in args.more:
        if word.startswith(("--dataset.repo_id", "--dataset.root", "--policy.sources")):
            raise ValueError(f"{word.partition('=')[0]} is what init finds out; say it with --target and --source.")
        if word.startswith("--policy.path"):
            # Beside a path LeRobot drops the list of sources that a file declares.
            raise ValueError(
                "a file cannot hold sources beside policy.path; name the type and its weights, e.g. "
                "--policy.type=ambient_smolvla --policy.pretrained_path=lerobot/smolvla_base."
            )
    if args.small and names_type(args.more):
        raise ValueError("--small is of ambient_diffusion's own network; leave it out, or --policy.type.")
    path = args.write or Path("mine.yaml")
    require_free(path, overwrite=args.overwrite)
    target, *sources = (named_dataset(text) for text in (args.target, *args.source))
    if "catalogue" in target:
        raise ValueError(f"--target={args.target}: the target is a dataset of its own; the catalogue is for sources.")
    for one in (target, *sources):
        if (root := one.get("root")) is not None and not Path(root).exists():
            raise ValueError(
                f"dataset '{one.get('repo_id', one.get('catalogue'))}': there is no folder {root} (that is "
                f"{Path(root).absolute()}). Check the spelling, give the folder that holds its meta/ and data/, or "
                "leave it out for a dataset on the Hub."
            )
    # Late, so that the help of every verb stays quick.
    from lerobot_ambient.cli.own_config import render_written, suggestions_for
    from lerobot_ambient.integration.training.config_file import write_suggested
    from lerobot_ambient.integration.training.configured_mixture import load_train_config

    words = [f"--dataset.{key}={value}" for key, value in target.items()]
    cfg = load_train_config(
        None,
        [
            *([] if names_type(args.more) else ["--policy.type=ambient_diffusion"]),
            *words,
            f"--policy.sources={json.dumps(sources)}",
            *(_SMALL if args.small else ()),
            *args.more,
        ],
    )
    suggestions = suggestions_for(cfg)
    write_suggested(cfg, suggestions, path, "lerobot-ambient init", overwrite=args.overwrite)
    if args.json:
        entries = [suggestion.to_dict() for suggestion in suggestions]
        print(json.dumps({"written": str(path), "sources": entries}, indent=2))
    else:
        for suggestion in suggestions:
            needs = f"{len(suggestion.reasons)} lines of alignment" if suggestion.is_needed else "fits as it is"
            print(f"{suggestion.heading}: {'does not fit' if suggestion.problems else needs}")
            print("".join(f"  note: {note}\n" for note in suggestion.notes), end="")
        print(render_written(path, cfg, suggestions))
        if not (args.small or names_type(args.more) or _has_accelerator()):
            print("no GPU here: `init --small` writes a network that a CPU trains in minutes, this one takes days")
    return 1 if any(suggestion.problems for suggestion in suggestions) else 0


def _has_accelerator() -> bool:
    import torch

    return torch.accelerator.is_available()


def names_type(words: Sequence[str]) -> bool:
    """Whether LeRobot's options say the policy's type."""
    return any(word.partition("=")[0] == "--policy.type" for word in words)


def _complete(args: argparse.Namespace) -> None:
    """Ask for what was not given.

    Raises:
        ValueError: something is missing and there is nobody to ask.
    """
    if args.target is not None and args.source:
        return
    if args.target is not None or args.source or not sys.stdin.isatty():
        missing = "--target" if args.target is None else "--source"
        typed = [word.partition("=")[0] for word in args.more]
        near = [f" ({option} is no option)" for option in difflib.get_close_matches(missing, typed, n=1, cutoff=0.75)]
        raise ValueError(
            f"init needs a target and at least one source, {missing} is missing{''.join(near)}. For example:\n"
            f"  {EXAMPLE}"
        )
    print("The target is the small dataset that you trust; a source is any other one.")
    args.target = _ask_data_set("name of the target, e.g. me/target: ")
    args.source = [_ask_data_set("name of a source, e.g. me/sim: ")]
    while more := _ask_data_set("name of another source (empty: no more): ", optional=True):
        args.source.append(more)
    if args.write is None:
        args.write = Path(_ask("file to write (empty: mine.yaml): ", optional=True) or "mine.yaml")


def _ask_data_set(question: str, *, optional: bool = False) -> str:
    """REPO or REPO=FOLDER; empty where that is an answer."""
    name = _ask(question, optional=optional)
    if not name or "=" in name:
        return name
    folder = _ask(f"  folder of {name} (empty: LeRobot's cache or the Hub): ", optional=True)
    return f"{name}={folder}" if folder else name


def _ask(question: str, *, optional: bool = False) -> str:
    while True:
        try:
            answer = input(question).strip()
        except EOFError as error:
            raise ValueError(f"the answers ended at '{question.strip()}'; nothing was written.") from error
        if answer or optional:
            return answer


def named_dataset(text: str) -> dict[str, str]:
    """REPO[=FOLDER], or catalogue:ENTRY[=FOLDER], as options of a dataset.

    Raises:
        ValueError: a name or folder that is empty.
    """
    name, given, folder = text.partition("=")
    entry = name.removeprefix(_CATALOGUE) if name.startswith(_CATALOGUE) else None
    if not name or entry == "" or (given and not folder):
        raise ValueError(
            f"'{text}' names no dataset; write me/sim, me/sim=data/sim for one in a local folder, or "
            "catalogue:openx/toto for an entry of the catalogue."
        )
    named = {"repo_id": name} if entry is None else {"catalogue": entry}
    return named | ({"root": folder} if folder else {})
