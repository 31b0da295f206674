# SPDX-License-Identifier: Apache-2.0
"""What `annotate` refuses before it loads LeRobot or opens anything: options that do nothing, values, packages."""

from __future__ import annotations

import argparse
import importlib
import re

from lerobot_ambient.cli.annotating.options import NUMBERS, OF_BOTH, OF_CLASSIFIER, OF_HELDOUT, OF_THRESHOLD, given

_FEWEST_CHUNKS = 100
"""Of a dataset; of fewer nothing can be told."""


def require_sensible(args: argparse.Namespace) -> None:
    """Raises:
    ValueError: an option that would do nothing, or a value that no data could make right.
    ModuleNotFoundError: a package is missing that would only be missed at the end of the work.
    """
    _require_used(args)
    _require_in_range(args)
    _require_packages(args)


def _require_used(args: argparse.Namespace) -> None:
    """Raises:
    ValueError: an option that would do nothing.
    """
    if args.method != "classifier":
        for name in OF_CLASSIFIER:
            if getattr(args, name) is not None and not (args.method == "heldout" and name in OF_BOTH):
                also = " or heldout" if name in OF_BOTH else ""
                raise ValueError(
                    f"--{name.replace('_', '-')} belongs to --method=classifier{also}; leave it out or add that."
                )
        for name in OF_THRESHOLD:
            if getattr(args, name) is not None and not args.rethreshold:
                raise ValueError(f"--{name} belongs to --method=classifier or --rethreshold; leave it out.")
    if args.method != "heldout":
        for name in OF_HELDOUT:
            if getattr(args, name) is not None:
                typed = name.replace("_", "-")
                raise ValueError(f"--{typed} belongs to --method=heldout; leave it out or add that.")
    elif args.locality:
        raise ValueError(
            "--locality belongs to the other methods: held-out errors say by themselves what sigma_max is."
        )
    elif args.budget is not None and args.steps is not None:
        raise ValueError("--budget sets the steps of a training and --steps says them; give one of them.")
    if args.write and args.windows_dir is not None:
        raise ValueError("--write and --windows-dir name two places; give one of them.")
    if args.rethreshold:
        for name in ("locality", "report"):
            if getattr(args, name):
                raise ValueError(f"--{name} reads data, --rethreshold only curves; give --method instead.")
        if args.seed:
            raise ValueError(f"--seed={args.seed}: nothing of --rethreshold is random; leave it out.")
        if args.write_config is not None:
            raise ValueError(
                "--rethreshold reads windows files, which a configuration names already; --write-config "
                "belongs to --method."
            )
        if args.write:
            raise ValueError("--rethreshold replaces files that are there: say --overwrite instead of --write.")
    elif args.overwrite and not args.write and args.windows_dir is None and args.write_config is None:
        raise ValueError("--overwrite without --write, --windows-dir or --write-config does nothing; add one.")
    if args.bins is not None and args.from_column is None:
        raise ValueError(
            f"--bins={args.bins} divides a score, and --from-column names none; add it or leave --bins out."
        )
    finer = args.granularity in ("bucket", "datapoint")
    if args.write_config is not None and finer and not args.write and args.windows_dir is None:
        raise ValueError(
            f"--granularity={args.granularity} gives many windows, and a configuration can only name the file that "
            "holds them: add --write or --windows-dir to --write-config."
        )
    if args.from_column is not None and args.write_config is not None and not args.write and args.windows_dir is None:
        raise ValueError(
            "--from-column gives many windows, and a configuration can only name the file that holds them: add --write "
            "or --windows-dir to --write-config."
        )
    if args.group_by == "group" and args.from_column is not None:
        raise ValueError("--from-column divides each source, and --group-by=group joins them; leave one of them out.")
    if args.soft_alone_above is not None and not 0.0 < args.soft_alone_above <= 1.0:
        raise ValueError(f"--soft-alone-above={args.soft_alone_above} is a distance of two laws, in (0, 1].")
    if args.soft_alone_above is not None and args.folds == 1:
        raise ValueError("--soft-alone-above needs a distance, which --folds=1 does not give; use --folds=2 or more.")


def _require_in_range(args: argparse.Namespace) -> None:
    """What the classes that take the options would refuse, before seconds go by in which LeRobot is loaded.

    Raises:
        ValueError: a value that no data could make right.
    """
    from lerobot_ambient.annotate.classifier.curves import require_tau
    from lerobot_ambient.annotate.classifier.options import ClassifierOptions, split_bucket_rule

    if args.method == "heldout":
        _require_held_out(args)
        return
    try:
        ClassifierOptions(seed=args.seed, **given(args, NUMBERS))
        if args.chunks is not None and args.chunks < _FEWEST_CHUNKS:
            raise ValueError(f"chunks = {args.chunks} must be at least {_FEWEST_CHUNKS}.")
        if args.tau is not None:
            require_tau(args.tau)
        if args.bucket is not None:
            split_bucket_rule(args.bucket)
    except ValueError as error:
        # "draws = 2 must ..." is --draws=2 to whoever typed it.
        typed = re.sub(r"^(\w+) = (\S+) (?=must)", lambda m: f"--{m[1].replace('_', '-')}={m[2]} ", str(error))
        raise ValueError(f"--bucket: {typed}" if typed.startswith("'") else typed) from error
    if (args.granularity == "bucket") != (args.bucket is not None):
        raise ValueError(
            "--granularity=bucket needs --bucket=RULE, which says what shares a window, and no other granularity "
            f"does; got --granularity={args.granularity} and --bucket={args.bucket}."
        )


def _require_held_out(args: argparse.Namespace) -> None:
    """Raises:
    ValueError: a value that no data could make right.
    """
    from lerobot_ambient.cli.annotating.options import held_out_method

    try:
        held_out_method(args)
    except ValueError as error:
        raise ValueError(re.sub(r"^(tolerance|budget|folds|steps|shares|bins) = ", r"--\1 = ", str(error))) from error


def _require_packages(args: argparse.Namespace) -> None:
    """Raises:
    ModuleNotFoundError: a package is missing that would only be missed at the end of the work.
    """
    needed = ["scipy"] if args.method in ("classifier", "heldout") else []
    needed += ["sklearn"] if args.granularity in ("bucket", "datapoint") else []
    needed += ["jinja2", "matplotlib", "PIL"] if args.report is not None else []
    for name in needed:
        importlib.import_module(name)
