# SPDX-License-Identifier: Apache-2.0
"""`lerobot-ambient merge`: one real LeRobotDataset out of the datasets of a training configuration."""

from __future__ import annotations

import argparse
import json
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lerobot_ambient.data.export.physical_merge import MergeSummary
    from lerobot_ambient.data.windows.merged_file import MergedFile

# Options that say which datasets to merge; the merged one takes their place.
_PARTS = (
    "--dataset.repo_id",
    "--dataset.root",
    "--dataset.episodes",
    "--dataset.revision",
    "--policy.sources",
    "--policy.target_rename",
    "--policy.target_dimension_names",
)

EXAMPLE = "lerobot-ambient merge --config_path=mine.yaml --output=outputs/merged --repo-id=me/merged"


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the verb `merge`."""
    parser = subparsers.add_parser(
        "merge",
        help="write the datasets of a training configuration as one LeRobotDataset",
        description=(
            "Writes target and sources, aligned, as one LeRobotDataset v3.0 with the columns ambient.source, "
            "ambient.sigma_min and ambient.sigma_max. Training does not need it: lerobot-train mixes datasets as they "
            "are. A merge on disk is for sharing, viewing and other tools, and it costs: video is decoded, resized and "
            "encoded again, which takes long and loses pixels, and sources at another frame rate are resampled. It "
            "continues after a kill when it is started again. All other options are lerobot-train's own; with "
            "--config_path LeRobot reads their values as JSON."
        ),
    )
    parser.add_argument("--config_path", help="a training configuration (YAML or JSON), as for lerobot-train")
    parser.add_argument("--output", type=Path, required=True, help="folder of the new dataset; must not exist")
    parser.add_argument("--repo-id", required=True, help="name of the new dataset, e.g. me/merged")
    parser.add_argument(
        "--part-episodes",
        type=int,
        default=50,
        help="episodes written between two points from which a killed merge continues (default: %(default)s)",
    )
    parser.add_argument("--json", action="store_true", help="print the summary as JSON, without a progress bar")
    parser.set_defaults(run=run, takes_more=True, more=[])


def run(args: argparse.Namespace) -> int:
    """Merge; `args.more` holds LeRobot's own options."""
    # Late, so that the help of every verb stays quick.
    from tqdm import tqdm

    from lerobot_ambient.cli.progress import say
    from lerobot_ambient.data.export.aligned_episodes import MixtureEpisodes
    from lerobot_ambient.data.export.physical_merge import write_merge
    from lerobot_ambient.integration.training.configured_mixture import load_train_config, mixture_of, recipe_of

    if not args.repo_id:
        raise ValueError("--repo-id is empty; name the new dataset, e.g. --repo-id=me/merged.")
    cfg = load_train_config(args.config_path, args.more)
    # Frames are written at the target's size, those of a cache have the policy's.
    cfg.policy.frame_cache = None
    say("opening the datasets")
    mixture = mixture_of(cfg)
    for warning in mixture.matched_by_place:
        print(f"warning: {warning}", file=sys.stderr)
    episodes = MixtureEpisodes(mixture)
    merged = episodes.describe(recipe_of(cfg.policy))
    with tqdm(total=merged.episodes, desc="merge", unit="episode", disable=args.json) as bar:
        summary = write_merge(
            episodes, merged, args.output, args.repo_id, part_episodes=args.part_episodes, on_episode=bar.update
        )
    train = training_command(args.config_path, args.more, summary)
    print(json.dumps(describe(merged, summary, train), indent=2) if args.json else render(merged, summary, train))
    return 0


def training_command(config_path: str | None, more: Sequence[str], summary: MergeSummary) -> list[str]:
    """The `lerobot-train` command that trains from the merged dataset as the given options train from its parts."""
    options, keep = [], True
    for word in more:
        # The value of an option may be a word of its own.
        keep = word.partition("=")[0] not in _PARTS if word.startswith("--") else keep
        options += [word] if keep else []
    config = [f"--config_path={config_path}"] if config_path is not None else []
    # What a configuration file selects holds for the parts, not for the whole.
    unset = ["--policy.sources=[]", "--dataset.episodes=null", "--dataset.revision=null"]
    return [
        "lerobot-train",
        *config,
        f"--dataset.repo_id={summary.repo_id}",
        f"--dataset.root={summary.root}",
        *(unset if config else []),
        *options,
    ]


def describe(merged: MergedFile, summary: MergeSummary, train: Sequence[str]) -> dict[str, Any]:
    """The summary as plain values."""
    return {
        "repo_id": summary.repo_id,
        "root": str(summary.root),
        "episodes": summary.episodes,
        "frames": summary.frames,
        "sources": [
            {"name": source.name, "episodes": list(source.episodes), "frames": source.frames, "weight": source.weight}
            for source in merged.sources
        ],
        "train": list(train),
    }


def render(merged: MergedFile, summary: MergeSummary, train: Sequence[str]) -> str:
    """The summary as text."""
    width = max(len(source.name) for source in merged.sources)
    lines = [f"{summary.repo_id}: {summary.episodes} episodes, {summary.frames} frames, in {summary.root}"]
    for index, source in enumerate(merged.sources):
        first, stop = source.episodes
        lines.append(
            f"  ambient.source {index}  {source.name.ljust(width)}  episodes {first} to {stop - 1}, "
            f"{source.frames} frames"
        )
    return "\n".join([*lines, "", "train from it, with the same plan:", f"  {shlex.join(train)}"])
