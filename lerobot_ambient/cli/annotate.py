# SPDX-License-Identifier: Apache-2.0
"""`lerobot-ambient annotate`: estimate the windows of a configuration's sources and write them down."""

from __future__ import annotations

import argparse
import importlib
import json
import re
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lerobot_ambient.annotate.chunks.mixture_chunks import Chunks
    from lerobot_ambient.annotate.methods import ClassifierMethod
    from lerobot_ambient.annotate.mixing.soft_shares import SoftShares
    from lerobot_ambient.annotate.results.source_evidence import SourceEvidence
    from lerobot_ambient.annotate.results.windows_from_curves import Threshold
    from lerobot_ambient.data.alignment.aligned_source import AlignedSource
    from lerobot_ambient.data.mixture import AssembledMixture
    from lerobot_ambient.data.suggest.config_windows import FoundWindow

METHODS = ("spectral", "classifier")
TAKES = ("safe", "estimate")
GRANULARITIES = ("dataset", "bucket", "datapoint")
CROSSINGS = ("isotonic", "first", "last")
_OF_CLASSIFIER = (
    "granularity",
    "bucket",
    "folds",
    "steps",
    "draws",
    "levels",
    "device",
    "work_dir",
    "soft_alone_above",
)
_OF_THRESHOLD = ("tau", "crossing")
_NUMBERS = ("folds", "steps", "draws", "levels")

EXAMPLE = "lerobot-ambient annotate --config_path=mine.yaml --method=classifier --report=outputs/report"


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the verb `annotate`."""
    parser = subparsers.add_parser(
        "annotate",
        help="estimate at which noise levels each source may teach",
        description=(
            "Compares the normalised action chunks of each source with the target's and finds the noise level above "
            "which they can no longer be distinguished. What the actions answer to is not compared: no source is shown "
            "to be right. Prints the window, the safe end of what is known of it, and what to write into the "
            "configuration; with --write also puts a windows file into each source's folder. Windows that the "
            "configuration declares are ignored. All other options are lerobot-train's own; with --config_path LeRobot "
            "reads their values as JSON. The classifier method goes on where it was killed, and shares its work "
            "between the processes of `accelerate launch`."
        ),
    )
    parser.add_argument("--config_path", help="a training configuration (YAML or JSON), as for lerobot-train")
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument(
        "--method",
        choices=METHODS,
        help="spectral: power spectra of the chunks; no training, seconds, a first guess that sees second moments "
        "only. classifier: networks that tell noised chunks apart, judged on episodes they did not see (minutes; "
        "needs the extra 'annotate')",
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
    classifier = parser.add_argument_group("with --method=classifier")
    classifier.add_argument("--granularity", choices=GRANULARITIES, help="what shares a window (dataset)")
    classifier.add_argument(
        "--bucket",
        metavar="RULE",
        help="with --granularity=bucket: episode, task, column:NAME, clusters:K or stretch:N",
    )
    classifier.add_argument("--folds", type=int, help="of episodes; no chunk is judged by a model that saw it (5)")
    classifier.add_argument("--steps", type=int, help="of training a fold's model (1500)")
    classifier.add_argument("--draws", type=int, help="of noise per chunk and level, even (8)")
    classifier.add_argument("--levels", type=int, help="of the schedule that are scored, at most (32)")
    classifier.add_argument("--device", help="cpu, cuda, cuda:1, ... (a GPU if there is one)")
    classifier.add_argument(
        "--work-dir", type=Path, help="keeps what was trained and scored (outputs/annotate); safe to delete"
    )
    classifier.add_argument(
        "--soft-alone-above",
        type=float,
        metavar="D",
        help="also print soft mixing: the target's share at each level after Ben-David et al., from the estimated "
        "distance; the target alone where the distance is D or more, in (0, 1]",
    )
    threshold = parser.add_argument_group("with --method=classifier or --rethreshold")
    threshold.add_argument("--tau", type=float, help="alike where the mean of c exceeds 0.5 - tau (0.05)")
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
        "(default: %(default)s); the other is named beside it",
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
    parser.set_defaults(run=run, takes_more=True, more=[])


def run(args: argparse.Namespace) -> int:
    """Annotate; `args.more` holds LeRobot's own options."""
    _require_used(args)
    _require_in_range(args)
    _require_packages(args)
    from lerobot_ambient.annotate.results.trust import require_trust
    from lerobot_ambient.cli.annotate_config import render_merged, windows_of
    from lerobot_ambient.cli.annotate_render import render, source_windows, yaml_to_paste
    from lerobot_ambient.cli.annotate_report import Outcome
    from lerobot_ambient.cli.progress import say
    from lerobot_ambient.data.windows.windows_file import write_windows
    from lerobot_ambient.integration.training.config_file import require_config_name
    from lerobot_ambient.integration.training.merged_training import (
        load_train_config,
        mixture_without_windows,
        recipe_of,
    )

    if args.write_config is not None:
        require_config_name(args.write_config)
    cfg = load_train_config(args.config_path, args.more)
    if not cfg.policy.sources:
        raise ValueError("the configuration has no sources to annotate; give --policy.sources='[{repo_id: me/sim}]'.")
    if args.rethreshold:
        return _rethreshold(args, mixture_without_windows(cfg))
    method = processes = None
    if args.method == "classifier":
        from lerobot_ambient.annotate.classifier.shared_work import launched_processes

        method, processes = _classifier_method(args), launched_processes(args.device)
    file = None
    if args.write_config is not None:
        from lerobot_ambient.integration.training.config_file import ConfigWithWindows

        file = ConfigWithWindows.plan(cfg, args.config_path, args.write_config, overwrite=args.overwrite)
    say("opening the datasets")
    mixture = mixture_without_windows(cfg)
    paths = _output_paths(args, mixture.sources[1:])
    from lerobot_ambient.annotate.chunks.mixture_chunks import chunks_of, length_option

    chunks = chunks_of(mixture, length_option=length_option(cfg.policy))
    if method is None or processes is None:
        annotations = _by_spectrum(args, mixture, chunks)
    else:
        from lerobot_ambient.annotate.methods import annotate_by_classifier

        annotations = annotate_by_classifier(mixture, chunks, method, processes, progress=not args.json)
        if not processes.is_main:
            return 0
    annotations = [annotation.taking(args.take) for annotation in annotations]
    soft = _soft(args, chunks, annotations)
    trusted = [one.finding.source for one in annotations if one.finding.is_full_trust] if any(paths) else []
    if trusted and not args.accept_full_trust:
        paths, file = [None] * len(paths), None
    for index, (annotation, path) in enumerate(zip(annotations, paths, strict=True), start=1):
        if path is not None:
            write_windows(annotation.finding.table(mixture, index, chunks[index]), path)
    repo_ids = [source.config.repo_id for source in mixture.sources[1:]]
    windows = source_windows(annotations, repo_ids, paths, accept=args.accept_full_trust)
    merged: list[FoundWindow] = []
    if file is not None:
        merged = windows_of(annotations, windows, in_folders=args.write)
        file.write(merged)
    outcome = Outcome.of(mixture, chunks, annotations, recipe_of(cfg.policy).mixing)
    page = None
    if args.report is not None:
        say("drawing the report")
        page = outcome.write(args.report, yaml_to_paste(windows, None), _typed(args), soft)
    if args.json:
        extra = {} if soft is None else {"soft": soft.to_dict()}
        entries = [
            {**annotation.to_dict(), "warnings": warned, **extra}
            for annotation, warned in zip(annotations, outcome.warnings(), strict=True)
        ]
        print(json.dumps(entries, indent=2))
    else:
        print(render(annotations, outcome.warnings(), windows, soft, paths))
        if file is not None:
            print(f"\n{render_merged(file, merged, args.more, outcome.little_left())}")
        if page is not None:
            print(f"report: {page}")
    # What was found is shown first: it took its time, and says why.
    require_trust(trusted, accepted=args.accept_full_trust)
    return 0


def _require_used(args: argparse.Namespace) -> None:
    """Raises:
    ValueError: an option that would do nothing.
    """
    if args.method != "classifier":
        for name in _OF_CLASSIFIER:
            if getattr(args, name) is not None:
                raise ValueError(
                    f"--{name.replace('_', '-')} belongs to --method=classifier; leave it out or add that."
                )
        for name in _OF_THRESHOLD:
            if getattr(args, name) is not None and not args.rethreshold:
                raise ValueError(f"--{name} belongs to --method=classifier or --rethreshold; leave it out.")
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
    finer = args.granularity in ("bucket", "datapoint")
    if args.write_config is not None and finer and not args.write and args.windows_dir is None:
        raise ValueError(
            f"--granularity={args.granularity} gives many windows, and a configuration can only name the file that "
            "holds them: add --write or --windows-dir to --write-config."
        )
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

    try:
        ClassifierOptions(seed=args.seed, **_given(args, _NUMBERS))
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


def _given(args: argparse.Namespace, names: Sequence[str]) -> dict[str, Any]:
    return {name: value for name in names if (value := getattr(args, name)) is not None}


def _require_packages(args: argparse.Namespace) -> None:
    """Raises:
    ModuleNotFoundError: a package is missing that would only be missed at the end of the work.
    """
    needed = ["scipy"] if args.method == "classifier" else []
    needed += ["sklearn"] if args.granularity in ("bucket", "datapoint") else []
    needed += ["jinja2", "matplotlib", "PIL"] if args.report is not None else []
    for name in needed:
        importlib.import_module(name)


def _threshold(args: argparse.Namespace) -> Threshold:
    from lerobot_ambient.annotate.results.windows_from_curves import Threshold

    return Threshold(**_given(args, _OF_THRESHOLD))


def _classifier_method(args: argparse.Namespace) -> ClassifierMethod:
    from lerobot_ambient.annotate.buckets.rules import parse_bucket_rule
    from lerobot_ambient.annotate.classifier.options import ClassifierOptions
    from lerobot_ambient.annotate.methods import ClassifierMethod

    return ClassifierMethod(
        options=ClassifierOptions(seed=args.seed, **_given(args, _NUMBERS)),
        threshold=_threshold(args),
        granularity=args.granularity or "dataset",
        bucket=None if args.bucket is None else parse_bucket_rule(args.bucket, seed=args.seed),
        locality=args.locality,
        work=args.work_dir or Path("outputs/annotate"),
    )


def _by_spectrum(args: argparse.Namespace, mixture: AssembledMixture, chunks: Sequence[Chunks]) -> list[SourceEvidence]:
    from lerobot_ambient.annotate.methods import annotate_by_spectrum, spectral_locality

    annotations = annotate_by_spectrum(chunks, seed=args.seed, progress=not args.json)
    if not args.locality:
        return annotations
    found = spectral_locality(chunks, mixture.plan.schedule.sigmas.numpy(), seed=args.seed)
    return [annotation.with_locality(evidence) for annotation, evidence in zip(annotations, found, strict=True)]


def _soft(
    args: argparse.Namespace, chunks: Sequence[Chunks], annotations: Sequence[SourceEvidence]
) -> SoftShares | None:
    if args.soft_alone_above is None:
        return None
    import numpy as np

    from lerobot_ambient.annotate.mixing.soft_shares import soft_shares

    evidence = [annotation.classifier for annotation in annotations if annotation.classifier is not None]
    assert len(evidence) == len(annotations)
    episodes = [len(np.unique(one.episode)) for one in chunks]
    return soft_shares(
        evidence,
        n_target=episodes[0],
        n_sources=episodes[1:],
        alone_above=args.soft_alone_above,
    )


def _output_paths(args: argparse.Namespace, sources: Sequence[AlignedSource]) -> list[Path | None]:
    """Where each source's windows file goes; None where none is written.

    Raises:
        ValueError: a file is there and may not be replaced, or is that of two sources.
    """
    if not args.write and args.windows_dir is None:
        return [None] * len(sources)
    paths = _windows_paths(args, sources)
    for path in paths:
        if path.exists() and not args.overwrite:
            raise ValueError(f"{path} exists; add --overwrite to replace it.")
    return list(paths)


def _windows_paths(args: argparse.Namespace, sources: Sequence[AlignedSource]) -> list[Path]:
    """The windows file of each source.

    Raises:
        ValueError: two sources share one.
    """
    paths = [_windows_path(args, source) for source in sources]
    for index, path in enumerate(paths):
        first = paths.index(path)
        if first < index:
            raise ValueError(
                f"'{sources[first].name}' and '{sources[index].name}' would share the windows file {path}; "
                + ("give a --windows-dir." if args.windows_dir is None else "annotate them one at a time.")
            )
    return paths


def _windows_path(args: argparse.Namespace, source: AlignedSource) -> Path:
    """The windows file of a source: in the folder that was named, else in the dataset's own."""
    from lerobot_ambient.data.windows.windows_file import WINDOWS_PATH

    if args.windows_dir is not None:
        return Path(args.windows_dir) / f"{source.name.replace('/', '__')}.parquet"
    return Path(source.meta.root) / WINDOWS_PATH


def _rethreshold(args: argparse.Namespace, mixture: AssembledMixture) -> int:
    from lerobot_ambient.annotate.results.trust import admits_everything, require_trust
    from lerobot_ambient.annotate.results.windows_from_curves import rethreshold
    from lerobot_ambient.cli.annotate_render import render_rethreshold, rethreshold_entry
    from lerobot_ambient.data.windows.windows_file import read_windows, write_windows

    threshold = _threshold(args)
    paths = _windows_paths(args, mixture.sources[1:])
    tables = []
    for source, path in zip(mixture.sources[1:], paths, strict=True):
        if not path.is_file():
            raise ValueError(
                f"'{source.name}' has no windows file {path}; make one with --method=classifier and --write or "
                "--windows-dir."
            )
        tables.append(rethreshold(read_windows(path), threshold, takes=args.take))
    names = [source.name for source in mixture.sources[1:]]
    trusted = [
        name
        for name, table in zip(names, tables, strict=True)
        if args.overwrite and admits_everything(table.sigma_min, table.sigma_max)
    ]
    written = paths if args.overwrite and (args.accept_full_trust or not trusted) else []
    for path, table in zip(written, tables, strict=False):
        write_windows(table, path)
    if args.json:
        print(json.dumps([rethreshold_entry(*pair) for pair in zip(names, tables, strict=True)], indent=2))
    else:
        print(render_rethreshold(names, tables, written))
    require_trust(trusted, accepted=args.accept_full_trust)
    return 0


def _typed(args: argparse.Namespace) -> str:
    """The command that repeats the findings, without the places it wrote to."""
    words = ["lerobot-ambient", "annotate"]
    for name in ("config_path", "method", *_OF_CLASSIFIER, *_OF_THRESHOLD):
        value = getattr(args, name)
        if value is not None and name not in ("work_dir", "device"):
            words.append(f"--{name if name == 'config_path' else name.replace('_', '-')}={value}")
    words += ["--locality"] if args.locality else []
    words += [f"--take={args.take}"] if args.take != "safe" else []
    words += ["--accept-full-trust"] if args.accept_full_trust else []
    words += [f"--seed={args.seed}"] if args.seed else []
    return " ".join([*words, *map(shlex.quote, args.more)])
