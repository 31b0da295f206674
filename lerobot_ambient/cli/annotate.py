# SPDX-License-Identifier: Apache-2.0
"""`lerobot-ambient annotate`: estimate the windows of a configuration's sources and write them down."""

from __future__ import annotations

import argparse
import json
import shlex
from collections.abc import Sequence
from typing import TYPE_CHECKING

from lerobot_ambient.cli.annotating.checks import require_sensible
from lerobot_ambient.cli.annotating.files import output_paths
from lerobot_ambient.cli.annotating.options import (
    OF_CLASSIFIER,
    OF_HELDOUT,
    OF_THRESHOLD,
    add_options,
    classifier_method,
    held_out_method,
)
from lerobot_ambient.cli.annotating.rethreshold import run_rethreshold
from lerobot_ambient.data.files.config_path import require_config_name

if TYPE_CHECKING:
    from lerobot_ambient.annotate.chunks.mixture_chunks import Chunks
    from lerobot_ambient.annotate.classifier.shared_work import Processes
    from lerobot_ambient.annotate.mixing.soft_shares import SoftShares
    from lerobot_ambient.annotate.results.source_evidence import SourceEvidence
    from lerobot_ambient.data.mixture import AssembledMixture
    from lerobot_ambient.data.suggest.config_windows import FoundWindow
    from lerobot_ambient.policy.options.train_config import TrainConfig

EXAMPLE = "lerobot-ambient annotate --config_path=mine.yaml --method=classifier --report=outputs/report"


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the verb `annotate`."""
    parser = subparsers.add_parser(
        "annotate",
        help="estimate at which noise levels each source may teach",
        description=(
            "Compares the normalised action chunks of each source with the target's and finds the noise level above "
            "which they can no longer be distinguished. This does not see what the motion is conditioned on: no source "
            "is shown to be right, so no window that admits every level is recommended. Prints the window, the safe "
            "end of what is known of it, and what to write into the configuration; with --write also puts a windows "
            "file into each source's folder. Windows that the configuration declares are ignored. All other options "
            "are lerobot-train's own; with --config_path LeRobot reads their values as JSON. The classifier method "
            "goes on where it was killed, and shares its work between the processes of `accelerate launch`."
        ),
    )
    add_options(parser)
    parser.set_defaults(run=run, takes_more=True, more=[])


def run(args: argparse.Namespace) -> int:
    """Annotate; `args.more` holds LeRobot's own options."""
    require_sensible(args)
    if args.write_config is not None:
        require_config_name(args.write_config)
    from lerobot_ambient.annotate.results.trust import require_trust
    from lerobot_ambient.cli.annotate_config import render_merged, windows_of
    from lerobot_ambient.cli.annotating.render import render, source_windows, yaml_to_paste
    from lerobot_ambient.cli.annotating.report import Outcome
    from lerobot_ambient.cli.progress import say
    from lerobot_ambient.data.windows.windows_file import write_windows
    from lerobot_ambient.integration.training.configured_mixture import (
        load_train_config,
        mixture_without_windows,
        recipe_of,
    )

    cfg = load_train_config(args.config_path, args.more)
    if not cfg.policy.sources:
        raise ValueError("the configuration has no sources to annotate; give --policy.sources='[{repo_id: me/sim}]'.")
    if args.rethreshold:
        return run_rethreshold(args, mixture_without_windows(cfg))
    processes = None
    if args.method != "spectral":
        from lerobot_ambient.annotate.classifier.shared_work import launched_processes

        processes = launched_processes(args.device)
    file = None
    if args.write_config is not None:
        from lerobot_ambient.integration.training.config_file import ConfigWithWindows

        file = ConfigWithWindows.plan(cfg, args.config_path, args.write_config, overwrite=args.overwrite)
    say("opening the datasets")
    mixture = mixture_without_windows(cfg)
    paths = output_paths(args, mixture.sources[1:])
    from lerobot_ambient.annotate.chunks.mixture_chunks import chunks_of, length_option

    chunks = chunks_of(mixture, length_option=length_option(cfg.policy))
    if processes is None:
        annotations = _by_spectrum(args, mixture, chunks)
    elif args.method == "heldout":
        annotations = _by_held_out_errors(args, cfg, mixture, chunks, processes)
    else:
        from lerobot_ambient.annotate.methods import annotate_by_classifier

        method = classifier_method(args)
        annotations = annotate_by_classifier(mixture, chunks, method, processes, progress=not args.json)
    if processes is not None and not processes.is_main:
        return 0
    annotations = [annotation.taking(args.take).drawn_at(mixture.plan.schedule) for annotation in annotations]
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
        page = outcome.write(
            args.report, yaml_to_paste(windows, None, annotations[0].finding.compared), _typed(args), soft
        )
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


def _by_spectrum(args: argparse.Namespace, mixture: AssembledMixture, chunks: Sequence[Chunks]) -> list[SourceEvidence]:
    from lerobot_ambient.annotate.methods import annotate_by_spectrum, spectral_locality

    annotations = annotate_by_spectrum(chunks, seed=args.seed, progress=not args.json)
    if not args.locality:
        return annotations
    found = spectral_locality(chunks, mixture.plan.schedule.sigmas.numpy(), seed=args.seed)
    return [annotation.with_locality(evidence) for annotation, evidence in zip(annotations, found, strict=True)]


def _by_held_out_errors(
    args: argparse.Namespace,
    cfg: TrainConfig,
    mixture: AssembledMixture,
    chunks: Sequence[Chunks],
    processes: Processes,
) -> list[SourceEvidence]:
    from lerobot_ambient.annotate.results.source_evidence import SourceEvidence
    from lerobot_ambient.integration.heldout.method import annotate_held_out

    found = annotate_held_out(cfg, held_out_method(args), processes, opened=mixture, progress=not args.json)
    schedule = mixture.plan.schedule
    if args.from_column is not None and processes.is_main:
        return [
            SourceEvidence.of_scored_parts(source, [one for one in found if one.dataset == place], schedule)
            for place, source in enumerate(chunks[1:], start=1)
        ]
    return [
        SourceEvidence.of_held_out(evidence, len(source), schedule)
        for evidence, source in zip(found, chunks[1:], strict=bool(found))
    ]


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
        # As for sigma_min: with few episodes the estimated distance is next to nothing, which would be full trust.
        cautious=args.take == "safe",
    )


def _typed(args: argparse.Namespace) -> str:
    """The command that repeats the findings, without the places it wrote to."""
    words = ["lerobot-ambient", "annotate"]
    for name in ("config_path", "method", *OF_CLASSIFIER, *OF_HELDOUT, *OF_THRESHOLD):
        value = getattr(args, name)
        value = ",".join(f"{one:g}" for one in value) if isinstance(value, tuple) else value
        if value is not None and name not in ("work_dir", "device"):
            words.append(f"--{name if name == 'config_path' else name.replace('_', '-')}={value}")
    words += ["--locality"] if args.locality else []
    words += [f"--take={args.take}"] if args.take != "safe" else []
    words += ["--accept-full-trust"] if args.accept_full_trust else []
    words += [f"--seed={args.seed}"] if args.seed else []
    return " ".join([*words, *map(shlex.quote, args.more)])
