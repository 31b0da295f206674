# SPDX-License-Identifier: Apache-2.0
"""The options of `annotate`: what may be typed, what belongs to which method, and the objects made of it."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lerobot_ambient.annotate.methods import ClassifierMethod
    from lerobot_ambient.annotate.results.windows_from_curves import Threshold
    from lerobot_ambient.integration.heldout.method import HeldOutMethod

METHODS = ("spectral", "classifier", "heldout")
DENOISERS = ("auto", "policy", "small")
TAKES = ("safe", "estimate")
GRANULARITIES = ("dataset", "bucket", "datapoint")
GROUPINGS = ("source", "group")
CROSSINGS = ("isotonic", "first", "last")
OF_CLASSIFIER = (
    "granularity",
    "bucket",
    "folds",
    "steps",
    "draws",
    "levels",
    "device",
    "work_dir",
    "chunks",
    "soft_alone_above",
)
OF_HELDOUT = ("denoiser", "shares", "budget", "tolerance", "from_column", "bins", "group_by")
OF_BOTH = ("folds", "steps", "device", "work_dir")
"""Options of the classifier method that the held-out method has, too."""
OF_THRESHOLD = ("tau", "crossing")
NUMBERS = ("folds", "steps", "draws", "levels")


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add every option but LeRobot's own."""
    parser.add_argument("--config_path", help="a training configuration (YAML or JSON), as for lerobot-train")
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument(
        "--method",
        choices=METHODS,
        help="spectral: power spectra of the chunks; no training, seconds, a first guess that sees second moments "
        "only. classifier: networks that tell noised chunks apart, judged on episodes they did not see (minutes). "
        "heldout: denoisers trained with and without each source, by their error on target episodes they did not see, "
        "given the observations (a quarter of an hour). The last two need the extra 'annotate'",
    )
    what.add_argument(
        "--rethreshold",
        action="store_true",
        help="read windows from the curves of existing windows files again, with another --tau or --crossing, and "
        "print them; with --overwrite replace the files",
    )
    parser.add_argument(
        "--locality",
        action="store_true",
        help="also estimate sigma_max: the level up to which chunks are alike as far as the denoiser looks; by second "
        "moments, or by classifiers on crops, as --method says",
    )
    both = parser.add_argument_group("with --method=classifier or heldout")
    both.add_argument("--folds", type=int, help="of episodes; no chunk is judged by a model that saw it (5)")
    both.add_argument("--steps", type=int, help="of each training (classifier: 1500; heldout: what --budget allows)")
    both.add_argument("--device", help="cpu, cuda, cuda:1, ... (a GPU if there is one)")
    both.add_argument(
        "--work-dir", type=Path, help="keeps what was trained and scored (outputs/annotate); safe to delete"
    )
    heldout = parser.add_argument_group("with --method=heldout")
    heldout.add_argument(
        "--denoiser",
        choices=DENOISERS,
        help="what is trained: the policy's own denoiser, a small one on the same chunks without cameras, or (auto) "
        "the small one where the policy is large",
    )
    heldout.add_argument(
        "--shares",
        type=_shares,
        metavar="A,B",
        help="shares of the target beside a source that are tried, each in (0, 1) (0.5,0.9); the best is told",
    )
    heldout.add_argument(
        "--budget", type=float, metavar="MINUTES", help="that all trainings may take together; sets their steps (15)"
    )
    heldout.add_argument(
        "--tolerance",
        type=float,
        help="a level is closed where accelerations err more than 1 + this times as much as without the source (0.5)",
    )
    heldout.add_argument(
        "--from-column",
        metavar="NAME",
        help="of a score, in the frames or the episodes of each source: samples of like score get a window of their "
        "own (add --write or --windows-dir)",
    )
    heldout.add_argument(
        "--group-by",
        choices=GROUPINGS,
        help="what is judged: each source, or the sources of a group together, each with the group's window (source; "
        "with more than 12 sources group). A group is what `group` of a source says, its robot, or its owner",
    )
    heldout.add_argument("--bins", type=int, help="parts of a score that has more values (3)")
    classifier = parser.add_argument_group("with --method=classifier")
    classifier.add_argument("--granularity", choices=GRANULARITIES, help="what shares a window (dataset)")
    classifier.add_argument(
        "--bucket",
        metavar="RULE",
        help="with --granularity=bucket: episode, task, column:NAME, clusters:K or stretch:N",
    )
    classifier.add_argument(
        "--chunks",
        type=int,
        metavar="N",
        help="of each dataset, drawn at random, that classifiers learn from and the dataset's curve is made of, at "
        "most (50000 and 10000; more than ten sources share what ten would have, at least 1000 each)",
    )
    classifier.add_argument("--draws", type=int, help="of noise per chunk and level, even (8)")
    classifier.add_argument("--levels", type=int, help="of the schedule that are scored, at most (32)")
    classifier.add_argument(
        "--soft-alone-above",
        type=float,
        metavar="D",
        help="also print soft mixing: the target's share at each level after Ben-David et al., from the estimated "
        "distance; the target alone where the distance is D or more, in (0, 1]",
    )
    threshold = parser.add_argument_group("with --method=classifier or --rethreshold")
    threshold.add_argument(
        "--tau",
        type=float,
        help="alike where the mean of c exceeds 0.5 - tau (0.05); then up to 2 tau / (0.5 + tau) of a source, 18 %% at "
        "0.05, may be of a kind that the target never shows, and sigma_min is still 0",
    )
    threshold.add_argument(
        "--crossing",
        choices=CROSSINGS,
        help="where a curve counts as having crossed: of its closest monotone curve (isotonic), the first time, or "
        "for good",
    )
    parser.add_argument(
        "--take",
        choices=TAKES,
        default="safe",
        help="which sigma_min to print and write: the safe (upper) end of what is known of it, or the estimate "
        "(default: %(default)s); the other is named beside it. By heldout the safe end of a window that is not shown "
        "to help is none",
    )
    parser.add_argument(
        "--accept-full-trust",
        action="store_true",
        help="also print and write windows that admit every noise level: that chunks are alike does not show that a "
        "source is right",
    )
    parser.add_argument("--seed", type=int, default=0, help="of all that is random (default: %(default)s)")
    parser.add_argument(
        "--write", action="store_true", help="write meta/ambient_windows.parquet into each source's folder"
    )
    parser.add_argument(
        "--windows-dir",
        type=Path,
        metavar="DIR",
        help="write a windows file per source into this folder instead (read them, with --rethreshold)",
    )
    parser.add_argument(
        "--write-config",
        type=Path,
        metavar="FILE",
        help="put the windows into this configuration (YAML), which may be the one that is read: all else in it stays. "
        "Another file becomes a copy of the one that is read, or holds what was typed",
    )
    parser.add_argument(
        "--overwrite", action="store_true", help="replace windows files, and windows in --write-config, that are there"
    )
    parser.add_argument("--report", type=Path, metavar="DIR", help="write a page with figures into this folder")
    parser.add_argument("--json", action="store_true", help="print the findings as a JSON list")


def _shares(text: str) -> tuple[float, ...]:
    """ "0.5,0.9" as numbers."""
    try:
        return tuple(float(word) for word in text.split(","))
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"'{text}' is no list of numbers; write 0.5,0.9") from error


def given(args: argparse.Namespace, names: Sequence[str]) -> dict[str, Any]:
    """Those of the options `names` that were typed."""
    return {name: value for name in names if (value := getattr(args, name)) is not None}


def threshold(args: argparse.Namespace) -> Threshold:
    """When source and target count as alike, of `--tau` and `--crossing`."""
    from lerobot_ambient.annotate.results.windows_from_curves import Threshold

    return Threshold(**given(args, OF_THRESHOLD))


def classifier_method(args: argparse.Namespace) -> ClassifierMethod:
    """What the classifier method is told."""
    from lerobot_ambient.annotate.buckets.rules import parse_bucket_rule
    from lerobot_ambient.annotate.classifier.options import ClassifierOptions
    from lerobot_ambient.annotate.methods import ClassifierMethod

    return ClassifierMethod(
        options=ClassifierOptions(seed=args.seed, **given(args, NUMBERS)),
        threshold=threshold(args),
        granularity=args.granularity or "dataset",
        bucket=None if args.bucket is None else parse_bucket_rule(args.bucket, seed=args.seed),
        locality=args.locality,
        work=args.work_dir or Path("outputs/annotate"),
        chunks=args.chunks,
    )


def held_out_method(args: argparse.Namespace) -> HeldOutMethod:
    """What the held-out method is told."""
    from lerobot_ambient.annotate.heldout.error_map import MapRule
    from lerobot_ambient.integration.heldout.method import HeldOutMethod

    options = given(args, ("denoiser", "shares", "folds", "steps", "bins", "group_by"))
    if args.budget is not None:
        options["minutes"] = args.budget
    return HeldOutMethod(
        rule=MapRule(**given(args, ("tolerance",))),
        column=args.from_column,
        seed=args.seed,
        work=args.work_dir or Path("outputs/annotate"),
        **options,
    )
