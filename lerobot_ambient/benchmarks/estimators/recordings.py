# SPDX-License-Identifier: Apache-2.0
"""What `annotate` finds on real recordings: a committed experiment.

    lerobot-ambient reproduce recordings --root=DIR

    target            episodes 0 and 1 of the recording
    later             episodes 2 and 3 of the same recording: the same operator, robot and task
    later-jittered    those episodes once more, with white jitter of known strength planted in the actions
    target-jittered   the target's own episodes with the same jitter: nothing else differs from the target

The sources are annotated together, by spectra and by classifiers per dataset and per data point, as a user's
configuration of the ambient policy would have it. What was planted is known, so the levels that it alone would give
are computed beside those found; how episodes of one recording differ is not known.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch

from lerobot_ambient.annotate.chunks.mixture_chunks import Chunks, chunks_of
from lerobot_ambient.annotate.classifier.curves import sigma_min_of
from lerobot_ambient.annotate.classifier.options import ClassifierOptions
from lerobot_ambient.annotate.classifier.shared_work import Processes
from lerobot_ambient.annotate.methods import ClassifierMethod, annotate_by_classifier, annotate_by_spectrum
from lerobot_ambient.annotate.results.source_evidence import SourceEvidence
from lerobot_ambient.annotate.results.windows_from_curves import Threshold
from lerobot_ambient.annotate.spectra.gaussian_classifier import gaussian_scores
from lerobot_ambient.annotate.spectra.spectrum import SpectralEvidence, sigma_bury
from lerobot_ambient.benchmarks.estimators.jittered_copy import write_jittered_copy
from lerobot_ambient.core.arrays import Floats
from lerobot_ambient.data.declared.sources import Source
from lerobot_ambient.data.mixture import AssembledMixture
from lerobot_ambient.data.reading.open_dataset import open_dataset
from lerobot_ambient.integration.training.configured_mixture import load_train_config, mixture_without_windows

TARGET, LATER = "recordings/target", "recordings/later"
LATER_JITTERED, TARGET_JITTERED = f"{LATER}-jittered", f"{TARGET}-jittered"
EPISODES = {TARGET: (0, 1), LATER: (2, 3)}
JITTERED = {LATER_JITTERED: LATER, TARGET_JITTERED: TARGET}
"""Copies by what they are copies of."""
CLASSIFIER = ClassifierOptions(folds=2)
"""The defaults, but for as many folds as there are episodes."""


@dataclass(frozen=True)
class RecordingsOptions:
    """What is measured.

    Args:
        root: folder of a LeRobot dataset of at least four episodes; it is only read.
        output_dir: keeps the jittered copies and what classifiers learnt.
        jitter: standard deviation of what is planted, in normalised units.
        seed: of the jitter, the folds, the classifiers and their noise.
        classifier: options; their seed is `seed`.
        policy: further options of lerobot-train.

    Raises:
        ValueError: too few episodes, jitter that is not positive.
    """

    root: Path
    output_dir: Path
    jitter: float = 0.05
    seed: int = 0
    classifier: ClassifierOptions = CLASSIFIER
    policy: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not 0.0 < self.jitter < float("inf"):
            raise ValueError(f"--jitter={self.jitter} must be positive and finite, in normalised units.")
        if not (self.root / "meta" / "info.json").is_file():
            raise ValueError(f"--root={self.root} is not a LeRobot dataset: it has no meta/info.json.")
        episodes = json.loads((self.root / "meta" / "info.json").read_text(encoding="utf-8"))["total_episodes"]
        needed = 1 + max(max(some) for some in EPISODES.values())
        if episodes < needed:
            raise ValueError(
                f"--root={self.root} has {episodes} episodes; {needed} are needed: two for the target, two for "
                "the sources."
            )


@dataclass(frozen=True, eq=False)
class Planted:
    """What the planted jitter alone would give, of the target's own motion with white jitter added.

    Args:
        evidence: the spectra of the target, and of the same with the jitter's power on top.
    """

    evidence: SpectralEvidence

    @classmethod
    def of(cls, evidence: SpectralEvidence, jitter: float) -> Planted:
        """From the target's spectrum; the DCT leaves white jitter white, so each power grows by its variance."""
        psd = evidence.target.psd + jitter**2
        return cls(
            replace(evidence, source=replace(evidence.source, psd=psd), parted=np.ones(psd.shape, dtype=np.bool_))
        )

    def spectral(self) -> float:
        """sigma_min of spectra known exactly: what buries all from where the jitter is the target's own power on."""
        p, q = self.evidence.target.psd, self.evidence.source.psd
        from_f_star = np.logical_or.accumulate(q >= 2.0 * p, axis=0)
        return float(np.where(from_f_star, sigma_bury(q), 0.0).max())

    def perfect(self, sigmas: Floats, tau: float) -> float:
        """sigma_min of a perfect classifier, were the target's coefficients Gaussian and independent."""
        return perfect_level(self.evidence, sigmas, tau)


def perfect_level(evidence: SpectralEvidence, sigmas: Floats, tau: float) -> float:
    """sigma_min of a perfect classifier that sees nothing but the powers that parted (`gaussian_scores`)."""
    inside = sigmas[(sigmas > 0.0) & (sigmas <= 1.0)]
    return float(sigma_min_of(inside, gaussian_scores(evidence, inside)[None], tau)[0])


@dataclass(frozen=True, eq=False)
class RecordingsOutcome:
    """What was found; annotations are of `later` and of the jittered copies, in this order.

    Args:
        options: what was measured.
        mixture: of the target and the sources.
        chunks: of each.
        spectral, dataset, datapoint: annotations by spectra, by classifiers per dataset and per data point.
    """

    options: RecordingsOptions
    mixture: AssembledMixture
    chunks: Sequence[Chunks]
    spectral: Sequence[SourceEvidence]
    dataset: Sequence[SourceEvidence]
    datapoint: Sequence[SourceEvidence]

    @cached_property
    def sigmas(self) -> Floats:
        """The schedule's levels."""
        return self.mixture.plan.schedule.sigmas.numpy()

    @cached_property
    def planted(self) -> Planted:
        evidence = self.spectral[1].spectral
        assert evidence is not None
        return Planted.of(evidence, self.options.jitter)


def run_recordings(options: RecordingsOptions, *, progress: bool = True) -> RecordingsOutcome:
    """Write the jittered copies and annotate; what is there already is used again.

    Args:
        options: what to measure.
        progress: show bars.

    Raises:
        ValueError: datasets that do not fit, or another jittered copy in the way.
    """
    later = _source(LATER, options.root, episodes=list(EPISODES[LATER]))
    scale = _mixture(options, [later]).normalization.scale
    copies = []
    for copy, of in JITTERED.items():
        original = open_dataset(Source(repo_id=of, root=str(options.root.resolve()), episodes=list(EPISODES[of])), of)
        folder = options.output_dir.resolve() / "data" / copy.partition("/")[2]
        write_jittered_copy(original, folder, copy, jitter=options.jitter, scale=scale, seed=options.seed)
        # The copy has no cameras, and nothing here looks at them.
        copies.append(_source(copy, folder, cameras={key: {"fill": 0.5} for key in original.camera_keys}))
    mixture = _mixture(options, [later, *copies])
    chunks = chunks_of(mixture)
    spectral = annotate_by_spectrum(chunks, seed=options.seed)
    found = {}
    for granularity in ("dataset", "datapoint"):
        method = ClassifierMethod(
            options=replace(options.classifier, seed=options.seed),
            threshold=Threshold(),
            granularity=granularity,
            bucket=None,
            locality=False,
            work=options.output_dir / "work",
        )
        processes = Processes(0, 1, torch.device("cpu"))
        annotations = annotate_by_classifier(mixture, chunks, method, processes, progress=progress)
        found[granularity] = [
            replace(one, spectral=other.spectral) for one, other in zip(annotations, spectral, strict=True)
        ]
    return RecordingsOutcome(options, mixture, chunks, spectral, found["dataset"], found["datapoint"])


def _source(repo_id: str, root: Path, **more: Any) -> dict[str, Any]:
    return {"repo_id": repo_id, "root": str(root.resolve()), **more}


def _mixture(options: RecordingsOptions, sources: Sequence[Mapping[str, Any]]) -> AssembledMixture:
    """Of a configuration as one would write it for lerobot-train."""
    return mixture_without_windows(
        load_train_config(
            None,
            [
                "--policy.type=ambient_diffusion",
                "--policy.device=cpu",
                f"--dataset.repo_id={TARGET}",
                f"--dataset.root={options.root.resolve()}",
                f"--dataset.episodes={list(EPISODES[TARGET])}",
                f"--policy.sources={json.dumps(list(sources))}",
                *options.policy,
            ],
        )
    )
