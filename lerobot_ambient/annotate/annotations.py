# SPDX-License-Identifier: Apache-2.0
"""`la.annotate`: what `lerobot-ambient annotate` finds, as objects."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, cast

import numpy as np

from lerobot_ambient.annotate.buckets.rules import parse_bucket_rule
from lerobot_ambient.annotate.chunks.mixture_chunks import Chunks, chunks_of
from lerobot_ambient.annotate.classifier.curves import Curve
from lerobot_ambient.annotate.classifier.options import ClassifierOptions
from lerobot_ambient.annotate.classifier.shared_work import lone_process
from lerobot_ambient.annotate.methods import (
    ClassifierMethod,
    annotate_by_classifier,
    annotate_by_spectrum,
    spectral_locality,
)
from lerobot_ambient.annotate.results.source_evidence import SourceEvidence
from lerobot_ambient.annotate.results.trust import CHECK_FIRST, FULL_TRUST, TAKES
from lerobot_ambient.annotate.results.windows_from_curves import Threshold
from lerobot_ambient.core.windows import Window
from lerobot_ambient.data.mixture import AssembledMixture
from lerobot_ambient.data.windows.windows_file import write_windows

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

METHODS = ("spectral", "classifier", "heldout")
_OF_HELDOUT = ("denoiser", "shares", "folds", "minutes", "steps", "tolerance", "group_by", "device", "work_dir")


class HasSources(Protocol):
    """What can be annotated: `la.Mixture`."""

    def without_windows(self) -> AssembledMixture:
        """The datasets, all admitted everywhere."""
        ...

    def held_out_evidence(self, opened: AssembledMixture, *, seed: int, progress: bool, **options: Any) -> list[Any]:
        """What denoisers of held-out target episodes say of each source of `without_windows()`: `HeldOutEvidence`."""
        ...


class SourceAnnotation:
    """What was found of one source.

    >>> target, sim = la.Source("me/target", root="data/target"), la.Source("me/sim", root="data/sim")
    >>> mix = la.Mixture.open(target, [sim], horizon=8, n_action_steps=4)
    >>> one = la.annotate(mix, method="spectral")["me/sim"]
    >>> one.window, one.bury_range[1]
    ((0.9932, 1], 0.993...)
    >>> one.save("outputs/sim.parquet")
    PosixPath('outputs/sim.parquet')

    Attributes:
        name: of the source.
        evidence: everything that was learnt on the way.
        path: the windows file that `save` wrote, or None.
    """

    def __init__(self, mixture: AssembledMixture, index: int, chunks: Chunks, evidence: SourceEvidence) -> None:
        self.name = chunks.name
        self.evidence = evidence
        self.path: Path | None = None
        self._mixture, self._index, self._chunks = mixture, index, chunks

    @property
    def window(self) -> Window | None:
        """The window to train with, of many the median; None where no window is recommended (`print` says why)."""
        finding = self.evidence.finding
        if not finding.is_recommended:
            return None
        if finding.granularity == "dataset":
            return Window(*finding.as_written)
        return Window(float(np.median(finding.sigma_min)), float(np.median(finding.sigma_max)))

    @property
    def interval(self) -> tuple[float, float] | None:
        """The 95 % interval of sigma_min by classifier; None by spectra, which give no interval (`bury_range`)."""
        return _pair(self.evidence.finding.interval)

    @property
    def bury_range(self) -> tuple[float, float] | None:
        """From the level that buries what spectra show to part to the one that buries all not shown to be alike.

        No interval of sigma_min: of 20 draws whose level is known, none had it inside. None for chunks that are too
        short for spectra.
        """
        return _pair(self.evidence.finding.bury_range)

    @property
    def gaussian(self) -> float | None:
        """The Gaussian score: sigma_min of a perfect classifier, were chunks Gaussian with the spectra found.

        It adds up what all frequencies leak, which burying each of them does not, and assumes independent Gaussian
        coefficients whose powers are the estimated ones. None for chunks that are too short for spectra.
        """
        return self.evidence.finding.gaussian

    @property
    def curve(self) -> Curve:
        """p(sigma), how often a classifier takes the source's noised chunks for the target's.

        Raises:
            ValueError: spectra were compared, which have no curve.
        """
        if self.evidence.classifier is None:
            raise ValueError(
                f"'{self.name}' was compared by spectra, which give no curve; use method=\"classifier\", or look at "
                "`.evidence.spectral`."
            )
        return self.evidence.classifier.curve

    def plot(self, ax: Axes | None = None) -> Figure:
        """Draw the evidence: the held-out map, the classifier's curve with the window, or the two spectra.

        Args:
            ax: of matplotlib, to draw on; a figure of its own when None.

        Raises:
            ValueError: chunks too short for spectra.
        """
        from lerobot_ambient.annotate.report.classifier_figures import curve_on
        from lerobot_ambient.annotate.report.spectra_figures import spectra_on
        from lerobot_ambient.figures.style import new_figure, styled

        classifier, spectral, held_out = self.evidence.classifier, self.evidence.spectral, self.evidence.heldout

        def draw(axis: Axes) -> None:
            if held_out is not None:
                held_out.plot(axis)
            elif classifier is not None:
                curve_on(axis, classifier, self.evidence.finding)
            elif spectral is not None:
                spectra_on(axis, spectral)
            else:
                raise ValueError(f"nothing is known of '{self.name}' that could be drawn.")

        def draw_anew() -> Figure:
            figure = new_figure()
            draw(figure.subplots())
            return figure

        if ax is None:
            # The map needs more room than a curve and makes its own.
            return styled(draw_anew)() if held_out is None else held_out.plot()
        draw(ax)
        return cast("Figure", ax.figure)

    def save(self, path: str | Path, *, overwrite: bool = False, accept_full_trust: bool = False) -> Path:
        """Write a windows file, one window a frame: for `la.Source(windows=...)` and `Mixture.with_windows`.

        Args:
            path: of the file; "meta/ambient_windows.parquet" in the dataset's own folder travels with it.
            overwrite: replace a file that is there.
            accept_full_trust: write windows that admit every noise level, too.

        Raises:
            ValueError: a file that is there, or windows that no evidence recommends.
        """
        self.require_recommended(accept_full_trust=accept_full_trust)
        path = Path(path)
        if path.exists() and not overwrite:
            raise ValueError(f"{path} exists; give overwrite=True to replace it.")
        write_windows(self.evidence.finding.table(self._mixture, self._index, self._chunks), path)
        self.path = path
        return path

    def require_recommended(self, *, accept_full_trust: bool) -> None:
        """Refuse what is no window to train with.

        Raises:
            ValueError: the evidence recommends no window.
        """
        finding = self.evidence.finding
        if finding.is_full_trust and not accept_full_trust:
            raise ValueError(
                f"the window of '{self.name}' would admit every noise level. {FULL_TRUST} {CHECK_FIRST} Leave the "
                "source out, choose its window by a sweep, or give accept_full_trust=True to train on it at all levels."
            )
        if finding.is_unshown:
            raise ValueError(
                f"the window that is named for '{self.name}', {finding.unshown_in_words()}, is not shown to help: "
                'leave it out, bring more target episodes, or take it all the same, with annotate(take="estimate").'
            )
        if finding.is_nothing:
            raise ValueError(
                f"no noise level is known to be safe for '{self.name}': leave it out, bring more episodes, or take the "
                f'estimate, {finding.estimate:.3f}, with annotate(take="estimate").'
            )

    def lines(self) -> list[str]:
        """What was found, in words; what no comparison of chunks sees is said once for all sources."""
        finding = self.evidence.finding
        modes = [f"  modes: {line}" for mix in self.evidence.mode_mixes for line in mix.lines()]
        odd = [] if self.evidence.odd is None else [f"  {line}" for line in self.evidence.odd.lines()]
        return [*finding.headline(), *odd, *(f"  {note}" for note in finding.notes), *modes]

    def __repr__(self) -> str:
        return "\n".join([self.evidence.finding.compared, *self.lines()])


class Annotations(Mapping[str, SourceAnnotation]):
    """What was found of each source, by its name. Of a single source everything is said of the whole, too.

    >>> target, sim = la.Source("me/target", root="data/target"), la.Source("me/sim", root="data/sim")
    >>> mix = la.Mixture.open(target, [sim], horizon=8, n_action_steps=4)
    >>> found = la.annotate(mix, method="spectral")
    >>> list(found), found["me/sim"].window == found.window
    (['me/sim'], True)
    """

    def __init__(self, annotations: Sequence[SourceAnnotation]) -> None:
        self._by_name = {one.name: one for one in annotations}

    def __getitem__(self, name: str) -> SourceAnnotation:
        return self._by_name[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._by_name)

    def __len__(self) -> int:
        return len(self._by_name)

    @property
    def window(self) -> Window | None:
        """See `SourceAnnotation.window`."""
        return self._only().window

    @property
    def interval(self) -> tuple[float, float] | None:
        """See `SourceAnnotation.interval`."""
        return self._only().interval

    @property
    def bury_range(self) -> tuple[float, float] | None:
        """See `SourceAnnotation.bury_range`."""
        return self._only().bury_range

    @property
    def gaussian(self) -> float | None:
        """See `SourceAnnotation.gaussian`."""
        return self._only().gaussian

    @property
    def curve(self) -> Curve:
        """See `SourceAnnotation.curve`."""
        return self._only().curve

    def plot(self, ax: Axes | None = None) -> Figure:
        """See `SourceAnnotation.plot`."""
        return self._only().plot(ax)

    def save(self, path: str | Path, *, overwrite: bool = False, accept_full_trust: bool = False) -> Path:
        """See `SourceAnnotation.save`."""
        return self._only().save(path, overwrite=overwrite, accept_full_trust=accept_full_trust)

    def _only(self) -> SourceAnnotation:
        if len(self) != 1:
            first = next(iter(self))
            raise ValueError(f'{len(self)} sources were annotated; name one, e.g. found["{first}"]: {", ".join(self)}.')
        return next(iter(self.values()))

    def __repr__(self) -> str:
        told = dict.fromkeys(one.evidence.finding.compared for one in self.values())
        return "\n".join([*told, *(line for one in self.values() for line in one.lines())])


def annotate(
    mixture: HasSources,
    method: str,
    *,
    locality: bool = False,
    take: str = "safe",
    seed: int = 0,
    progress: bool = True,
    **options: Any,
) -> Annotations:
    """Estimate at which noise levels each source may teach, from action chunks alone.

    The windows that a mixture declares are ignored. This does not see what the motion is conditioned on (observations,
    tasks): a source that moves like the target but decides wrongly looks the same. So no window that admits every level
    is recommended; `lerobot-ambient annotate --method=heldout` compares errors on held-out episodes instead.

    >>> target, sim = la.Source("me/target", root="data/target"), la.Source("me/sim", root="data/sim")
    >>> mix = la.Mixture.open(target, [sim], horizon=8, n_action_steps=4)
    >>> found = la.annotate(mix, method="spectral")
    >>> found.window
    (0.9932, 1]
    >>> mix.with_windows(found).plan.groups[1].window
    (0.9932, 1]

    Args:
        mixture: `la.Mixture`, with or without windows.
        method: "heldout" (denoisers with and without each source, by their error on target episodes they did not see,
            given the observations; a quarter of an hour, needs the extra `annotate`), "classifier" (networks that tell
            noised chunks apart; minutes, needs the extra `annotate`), or "spectral" (power spectra; seconds, a first
            guess that sees second moments only).
        locality: also estimate sigma_max.
        take: "safe", the upper end of what is known of sigma_min, or "estimate".
        seed: of all that is random.
        progress: show bars.
        options: of the classifier: `granularity` ("dataset", "bucket", "datapoint"), `bucket` ("task", "clusters:5",
            ...), `tau`, `crossing`, `folds`, `steps`, `draws`, `levels`, `chunks`, `device`, and `work_dir`, which
            keeps what was trained ("outputs/annotate"); docs/reference/cli.md has each. The same call goes on where it
            was stopped. Of "heldout": `denoiser` ("auto", "policy", "small"), `shares` ((0.5, 0.9)), `folds`, `minutes`
            (15) or `steps`, `tolerance` (0.5), `group_by` ("source", "group"), `device` and `work_dir`.

    Returns:
        An annotation of each source.

    Raises:
        ValueError: no such method or option, no source, or data that cannot be compared.
    """
    if method not in METHODS or take not in TAKES:
        raise ValueError(
            f"annotate takes a method of {', '.join(METHODS)} and take of {', '.join(TAKES)}; got {method}, {take}."
        )
    if method == "heldout":
        return _by_held_out_errors(mixture, options, locality=locality, take=take, seed=seed, progress=progress)
    known = (
        *("granularity", "bucket", "tau", "crossing", "folds", "steps", "draws", "levels", "chunks", "device"),
        "work_dir",
    )
    wrong = [name for name in options if name not in known]
    if wrong:
        raise ValueError(f"annotate has no option {', '.join(wrong)}; there are {', '.join(known)}.")
    if method == "spectral" and options:
        raise ValueError(f'{", ".join(options)} belongs to method="classifier"; leave it out or choose that.')
    classifier = _classifier(options, seed=seed, locality=locality) if method == "classifier" else None
    opened = mixture.without_windows()
    if len(opened.sources) < 2:
        raise ValueError("the mixture has no sources to annotate; open it with some.")
    chunks = chunks_of(opened)
    if classifier is None:
        found = annotate_by_spectrum(chunks, seed=seed, progress=progress)
        if locality:
            more = spectral_locality(chunks, opened.plan.schedule.sigmas.numpy(), seed=seed)
            found = [one.with_locality(evidence) for one, evidence in zip(found, more, strict=True)]
    else:
        processes = lone_process(options.get("device"))
        found = annotate_by_classifier(opened, chunks, classifier, processes, progress=progress)
    return Annotations(
        [
            SourceAnnotation(opened, index, chunks[index], annotation.taking(take).drawn_at(opened.plan.schedule))
            for index, annotation in enumerate(found, start=1)
        ]
    )


def _pair(edges: tuple[float, float] | None) -> tuple[float, float] | None:
    return None if edges is None else (float(edges[0]), float(edges[1]))


def _by_held_out_errors(
    mixture: HasSources, options: Mapping[str, Any], *, locality: bool, take: str, seed: int, progress: bool
) -> Annotations:
    wrong = [name for name in options if name not in _OF_HELDOUT]
    if wrong or locality:
        named = ", ".join([*wrong, *(["locality"] if locality else [])])
        raise ValueError(f'method="heldout" has no option {named}; there are {", ".join(_OF_HELDOUT)}.')
    opened = mixture.without_windows()
    if len(opened.sources) < 2:
        raise ValueError("the mixture has no sources to annotate; open it with some.")
    chunks, schedule = chunks_of(opened), opened.plan.schedule
    found = mixture.held_out_evidence(opened, seed=seed, progress=progress, **options)
    return Annotations(
        [
            SourceAnnotation(
                opened,
                index,
                chunks[index],
                SourceEvidence.of_held_out(evidence, len(chunks[index]), schedule).taking(take),
            )
            for index, evidence in enumerate(found, start=1)
        ]
    )


def _classifier(options: Mapping[str, Any], *, seed: int, locality: bool) -> ClassifierMethod:
    def given(*names: str) -> dict[str, Any]:
        return {name: options[name] for name in names if name in options}

    bucket = options.get("bucket")
    return ClassifierMethod(
        options=ClassifierOptions(seed=seed, **given("folds", "steps", "draws", "levels")),
        threshold=Threshold(**given("tau", "crossing")),
        granularity=options.get("granularity", "dataset"),
        bucket=None if bucket is None else parse_bucket_rule(bucket, seed=seed),
        locality=locality,
        work=Path(options.get("work_dir", "outputs/annotate")),
        chunks=options.get("chunks"),
    )
