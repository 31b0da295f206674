# SPDX-License-Identifier: Apache-2.0
"""What was found of several checkpoints on the same episodes, and which of them comes first.

The scalar that ranks is the geometric mean, over noise levels and frequency bands, of the denoising error's energy in
units of the target's variance. So every level and every band has an equal say: a policy that trembles is told from one
that does not by its highest bands, although they hold a thousandth of the energy. Where a checkpoint has no denoising
error, or one in other units, all are ranked by the same mean over the bands of their predicted chunks' errors.
"""

from __future__ import annotations

import math
from base64 import b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from html import escape
from importlib.util import find_spec
from typing import Any

import numpy as np

from lerobot_ambient.integration.judging.checkpoint import Checkpoint
from lerobot_ambient.integration.judging.episodes import Episodes, JudgedEpisodes
from lerobot_ambient.integration.judging.estimates import Estimate, Floats, estimate, estimates
from lerobot_ambient.integration.judging.measure import LEVELS, Denoising, Predictions
from lerobot_ambient.integration.judging.motion import Motion, compared_steps, motion_of

NO_ROLLOUT = (
    "No rollout was made: recorded motions say how well a policy knows the task along them, not how it recovers from "
    "its own mistakes."
)
_TINY = 1e-12


@dataclass(frozen=True, eq=False)
class Measured:
    """One checkpoint's measurements; a text in place of one says why it is lacking."""

    checkpoint: Checkpoint
    episodes: Episodes
    denoising: Denoising | str
    predictions: Predictions | str

    @property
    def name(self) -> str:
        return self.checkpoint.name

    @property
    def is_in_target_units(self) -> bool:
        """Whether the denoising error is in units of the target's standard deviation, else in the policy's own."""
        return isinstance(self.denoising, Denoising) and bool((self.denoising.unit > 0.0).all())

    @cached_property
    def energies(self) -> Floats | None:
        """(E, L, K) of the denoising error: mean squares over dimensions and steps, summed over an episode's chunks."""
        if not isinstance(self.denoising, Denoising):
            return None
        unit = self.denoising.unit / self.episodes.scale if self.is_in_target_units else 1.0
        found: Floats = (self.denoising.energies * np.square(unit)).mean(-1) / self.denoising.bands.horizon
        return found

    @cached_property
    def motion(self) -> Motion | None:
        """Over the whole chunk."""
        return self.motion_over(self.steps) if self.steps else None

    @property
    def steps(self) -> int:
        """Of a chunk that are compared; 0 where none is predicted."""
        return compared_steps(self.predictions, self.episodes) if isinstance(self.predictions, Predictions) else 0

    def motion_over(self, steps: int) -> Motion:
        assert isinstance(self.predictions, Predictions)
        return motion_of(self.predictions, self.episodes, steps)

    @property
    def executed(self) -> int:
        """Steps of a chunk that are executed, as far as they are compared."""
        assert isinstance(self.predictions, Predictions)
        return min(self.predictions.action_steps, self.steps)


@dataclass(frozen=True, eq=False)
class Score:
    """The sums that a checkpoint's scalar is made of, (E, ...) each; smaller is better."""

    energies: Floats
    chunks: Floats

    @staticmethod
    def log(energies: Floats, chunks: Floats) -> Floats:
        """(B,) the logarithm of the geometric mean, halved: of amplitudes, not energies."""
        mean = energies / chunks.reshape(-1, *[1] * (energies.ndim - 1))
        found: Floats = 0.5 * np.log(mean + _TINY).reshape(len(energies), -1).mean(1)
        return found


@dataclass(frozen=True)
class Place:
    """Where a checkpoint stands.

    Args:
        name: of the checkpoint.
        score: the scalar, as an amplitude.
        behind: how much larger it is than the best one's, 0.1 for 10 %, with the paired interval; None for the best.
    """

    name: str
    score: Estimate
    behind: Estimate | None

    @property
    def verdict(self) -> str:
        if self.behind is None:
            return "best"
        return "cannot be distinguished from the best" if self.behind.includes_zero else "worse than the best"


@dataclass(frozen=True, eq=False)
class Judgement:
    """Several checkpoints on the same episodes, as `la.check` finds them; a notebook shows the table and the figures.

    >>> target = la.Source("me/target", root="data/target", episodes=[0, 1, 2, 3, 4, 5])
    >>> small = {"horizon": 8, "n_action_steps": 4, "denoiser": "mlp", "device": "cpu"}
    >>> policy = la.train(la.Mixture.open(target, **small), "outputs/alone", steps=2, num_workers=0)
    >>> judgement = la.check(policy, samples=4, progress=False)
    >>> judgement.judged.numbers, [place.verdict for place in judgement.places]
    ([6, 7], ['best'])

    Args:
        judged: the episodes.
        measured: of the checkpoints, in the order given.
        samples: chunks that were asked for.
        seed: of the noise.
    """

    judged: JudgedEpisodes
    measured: Sequence[Measured]
    samples: int
    seed: int

    @cached_property
    def by_denoising(self) -> bool:
        """Whether the scalar is of denoising errors; every checkpoint has one, and in the same units and bands."""
        first = self.measured[0]
        return all(
            one.energies is not None
            and one.is_in_target_units == first.is_in_target_units
            and one.energies.shape == first.energies.shape  # type: ignore[union-attr]
            for one in self.measured
        )

    @property
    def criterion(self) -> str:
        """What ranks, in words."""
        if self.by_denoising:
            unit = "the target's standard deviation" if self.measured[0].is_in_target_units else "normalised actions"
            return (
                f"geometric mean of the denoising error over {len(LEVELS)} noise levels and all frequency bands, each "
                f"with an equal say, in units of {unit}"
            )
        return (
            "geometric mean of the predicted chunks' error over all frequency bands, each with an equal say, in units "
            f"of the target's standard deviation ({self.why_not_denoising})"
        )

    @property
    def why_not_denoising(self) -> str:
        lacking = [one.name for one in self.measured if one.energies is None]
        if lacking:
            return f"not of the denoising error, which {', '.join(lacking)} does not have"
        return "not of the denoising error, as chunks differ in length or units"

    @cached_property
    def scores(self) -> list[Score]:
        """One a checkpoint.

        Raises:
            ValueError: nothing ranks them: a checkpoint has neither errors.
        """
        if self.by_denoising:
            found = []
            for one in self.measured:
                assert one.energies is not None and isinstance(one.denoising, Denoising)
                found.append(Score(one.energies, one.denoising.chunks.astype(np.float64)))
            return found
        silent = [one for one in self.measured if not one.steps]
        if silent:
            raise ValueError(
                f"nothing can be judged of {', '.join(one.name for one in silent)}: {silent[0].predictions}, and it "
                "has no denoising error either."
            )
        steps = min(one.steps for one in self.measured)
        moved = [one.motion_over(steps) for one in self.measured]
        return [Score(one.band_error, one.chunks) for one in moved]

    @cached_property
    def places(self) -> list[Place]:
        """The checkpoints, the best first."""
        values = [float(Score.log(one.energies.sum(0)[None], one.chunks.sum(0)[None])[0]) for one in self.scores]
        order = sorted(range(len(values)), key=values.__getitem__)
        best = self.scores[order[0]]
        found = []
        for index in order:
            own = self.scores[index]
            kept = (own.chunks > 0) & (best.chunks > 0)
            sums = [own.energies[kept], own.chunks[kept]]
            score = estimate(sums, Score.log)
            assert score is not None, "a scalar that is not a number"
            behind = None
            if index != order[0]:
                both = [*sums, best.energies[kept], best.chunks[kept]]
                behind = estimate(both, lambda a, m, b, n: Score.log(a, m) - Score.log(b, n))
                assert behind is not None, "a difference that is not a number"
                behind = behind.through(lambda one: _expm1(one))
            found.append(Place(self.measured[index].name, score.through(_exp), behind))
        return found

    def of(self, name: str) -> Measured:
        return next(one for one in self.measured if one.name == name)

    def __repr__(self) -> str:
        from lerobot_ambient.integration.judging.tables import render

        return render(self)

    def _repr_html_(self) -> str:
        """What a notebook shows: the table and, where matplotlib is there, the figures of the report."""
        from lerobot_ambient.integration.judging.tables import render

        parts = [f"<pre>{escape(render(self))}</pre>"]
        if find_spec("matplotlib") is not None:
            from lerobot_ambient.integration.judging.figures import pictures

            parts += [
                f'<p><img style="max-width: 100%; width: 40em" alt="{escape(one.alt)}" '
                f'src="data:image/png;base64,{b64encode(one.png).decode()}"><br>{escape(one.caption)}</p>'
                for one in pictures(self)
            ]
        return "\n".join(parts)


def _exp(value: float) -> float:
    return math.exp(value) if value < 700.0 else math.inf


def _expm1(value: float) -> float:
    return math.expm1(value) if value < 700.0 else math.inf


def level_table(one: Measured) -> Floats | None:
    """(L, K) root mean square of the denoising error by noise level and band."""
    if one.energies is None or not isinstance(one.denoising, Denoising):
        return None
    found: Floats = np.sqrt(one.energies.sum(0) / one.denoising.chunks.sum())
    return found


def error_over_steps(one: Measured) -> tuple[Floats, Floats, Floats] | None:
    """(L,) root mean square error of the predicted action by step, and the ends of its intervals."""
    if one.motion is None:
        return None
    found = estimates([one.motion.error, one.motion.counts], lambda e, n: 0.5 * np.log(e / n + _TINY))
    return tuple(np.exp(part) for part in found)  # type: ignore[return-value]


def spectrum_ratio(one: Measured) -> tuple[Floats, Floats, Floats] | None:
    """(K,) amplitude of predicted chunks over that of recorded ones by band, and the ends of the intervals."""
    if one.motion is None or not one.motion.chunks.any():
        return None
    sums = [one.motion.band_predicted, one.motion.band_recorded]
    found = estimates(sums, lambda p, a: 0.5 * np.log((p + _TINY) / (a + _TINY)))
    return tuple(np.exp(part) for part in found)  # type: ignore[return-value]


def action_error(one: Measured) -> Estimate | None:
    """Root mean square over the executed steps, in the target's standard deviations."""
    if one.motion is None:
        return None
    error, counts = (part[:, : one.executed].sum(1) for part in (one.motion.error, one.motion.counts))
    found = estimate([error, counts], lambda e, n: 0.5 * np.log(e / n + _TINY))
    return None if found is None else found.through(_exp)


def _ratio(above: Floats, below: Floats) -> Estimate | None:
    found = estimate([above, below], lambda a, b: 0.5 * np.log(a / b))
    return None if found is None else found.through(_exp)


def jerk_ratio(one: Measured) -> Estimate | None:
    """Root mean square jerk of predicted chunks over that of the recorded motion."""
    return None if one.motion is None else _ratio(one.motion.jerk_predicted, one.motion.jerk_recorded)


def seam_ratio(one: Measured) -> Estimate | None:
    """Root mean square jump between chunks over the recorded step at the same place."""
    return None if one.motion is None else _ratio(one.motion.jumps, one.motion.steps)


def to_dict(judgement: Judgement) -> dict[str, Any]:
    """Everything as plain values; an interval is {value, low, high}, with null for what is not bounded."""
    judged = judgement.judged
    return {
        "dataset": {"repo_id": judged.source.repo_id, "root": judged.source.root, "episodes": list(judged.numbers)},
        "samples": judgement.samples,
        "seed": judgement.seed,
        "rollouts": 0,
        "note": NO_ROLLOUT,
        "warnings": judged.warnings,
        "criterion": "denoising" if judgement.by_denoising else "chunks",
        "criterion_in_words": judgement.criterion,
        "ranking": [
            {
                "checkpoint": place.name,
                "path": judgement.of(place.name).checkpoint.path,
                "score": place.score.to_dict(),
                "behind_best": None if place.behind is None else place.behind.to_dict(),
                "verdict": place.verdict,
                "trained_on": judged.seen.get(place.name, []),
            }
            for place in judgement.places
        ],
        "checkpoints": {one.name: _numbers(one) for one in judgement.measured},
    }


def _numbers(one: Measured) -> dict[str, Any]:
    found: dict[str, Any] = {"policy": one.checkpoint.stock_type}
    table = level_table(one)
    if table is None or not isinstance(one.denoising, Denoising):
        found["denoising"] = None
        found["why_no_denoising"] = one.denoising
    else:
        found["denoising"] = {
            "unit": "target_std" if one.is_in_target_units else "normalised",
            "sigma": list(LEVELS),
            "bands": list(one.denoising.bands.names),
            "rms": table.tolist(),
        }
    if one.motion is None:
        return found | {"chunks": None, "why_no_chunks": one.predictions}
    plain = {"action_error": action_error(one), "jerk_ratio": jerk_ratio(one), "seam_ratio": seam_ratio(one)}
    by_step, spectrum = error_over_steps(one), spectrum_ratio(one)
    return found | {
        "chunks": {
            "steps": one.steps,
            "executed": one.executed,
            "bands": list(one.motion.bands.names),
            **{name: None if value is None else value.to_dict() for name, value in plain.items()},
            "error_by_step": None if by_step is None else _columns(by_step),
            "spectrum_ratio": None if spectrum is None else _columns(spectrum),
        }
    }


def _columns(found: tuple[Floats, Floats, Floats]) -> dict[str, list[float | None]]:
    return {
        name: [float(one) if math.isfinite(one) else None for one in values]
        for name, values in zip(("value", "low", "high"), found, strict=True)
    }
