# SPDX-License-Identifier: Apache-2.0
"""Episodes to look at first: those that stick out of their own dataset, and by what.

The rule. A number of an episode (where a joint is, how much all move, how roughly one does, how often a classifier
takes it for the target's) sticks out when it is further from the median episode's than

    (5 + 30 / E) robust standard deviations,    E episodes, 6 or more

Robust: the greater of 1.4826 MAD and the width from the 30 % to the 70 % quantile over 1.05, so that what three in ten
episodes do is a way of working and no oddity; and not below a floor, under which nobody would see it. With few
episodes spreads are hardly known, hence the second term. Of roughness and of the classifier's score only the worse side
counts. The clean datasets of the experiments (maze, pushing, sorting; 50 to 1825 episodes) stay below 4.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from lerobot_ambient.annotate.classifier.episode_scores import EpisodeScores
from lerobot_ambient.annotate.episodes.motion import EpisodeMotion
from lerobot_ambient.core.arrays import Floats, Ints

LEAST_EPISODES = 6
_LIMIT, _FEW = 5.0, 30.0
_PLACE_FLOOR, _POWER_FLOOR, _SCORE_FLOOR = 0.15, 0.5, 0.3
"""Least robust deviations: normalised units, logs of powers, log odds. What five of them come to anyone would see: a
third of the range, 3.5 times the motion, odds divided by 4."""
_SAID = 10
"""Episodes named in words; the rest is counted."""


@dataclass(frozen=True)
class OddEpisode:
    """An episode that sticks out.

    Args:
        episode: its number in its own dataset.
        deviations: robust standard deviations from the median episode, of what sticks out furthest.
        why: what sticks out, in words, the furthest first.
    """

    episode: int
    deviations: float
    why: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {"episode": self.episode, "deviations": round(self.deviations, 1), "why": list(self.why)}


@dataclass(frozen=True, eq=False)
class OddEpisodes:
    """What sticks out of one dataset.

    Args:
        source: name of the dataset.
        episode: (E,) numbers of all that were looked at, ascending.
        deviations: (E,) robust standard deviations from the median episode, of what is furthest in each.
        found: the odd ones, the oddest first.
    """

    source: str
    episode: Ints
    deviations: Floats
    found: tuple[OddEpisode, ...] = ()

    @property
    def limit(self) -> float:
        """From how many deviations on an episode is odd; infinite where there are too few to tell."""
        return limit(len(self.episode))

    @property
    def rule(self) -> str:
        """By what they are told, in words."""
        if not np.isfinite(self.limit):
            return f"{len(self.episode)} episodes are too few to say which sticks out; {LEAST_EPISODES} are needed."
        return (
            "An episode is named where the place of a joint, the amount of motion, the roughness of a joint or the "
            f"classifier's score lies more than {self.limit:.1f} robust standard deviations from the median "
            "episode's."
        )

    def lines(self) -> list[str]:
        """In words; nothing where none sticks out."""
        if not self.found:
            return []
        named, rest = self.found[:_SAID], len(self.found) - _SAID
        more = f" and {rest} more" if rest > 0 else ""
        numbers = ", ".join(str(one.episode) for one in named)
        noun = "episode" if len(self.found) == 1 else "episodes"
        first = f"look at {'this' if len(self.found) == 1 else 'these'} first: {noun} {numbers}{more}"
        return [first, *(f"  episode {one.episode} {one.why[0]}" for one in named)]


def limit(episodes: int) -> float:
    """Robust standard deviations from which on an episode sticks out of so many; infinite for too few."""
    return _LIMIT + _FEW / episodes if episodes >= LEAST_EPISODES else np.inf


def deviations(values: Floats, floor: float) -> Floats:
    """(E, F) distances of numbers (E, F) from the median episode's, in robust standard deviations, at least `floor`."""
    away = values - np.median(values, axis=0)
    low, high = np.quantile(values, [0.3, 0.7], axis=0)
    spread = np.maximum(1.4826 * np.median(np.abs(away), axis=0), (high - low) / 1.0488)
    scaled: Floats = away / np.maximum(spread, floor)
    return scaled


def odd_episodes(source: str, motion: EpisodeMotion, scores: EpisodeScores | None) -> OddEpisodes:
    """The episodes that stick out.

    Args:
        source: name of the dataset.
        motion: of its episodes.
        scores: a classifier's of the same episodes, where there is one.
    """
    count, names = len(motion.episode), motion.axes
    place, rough = deviations(motion.place, _PLACE_FLOOR), deviations(motion.roughness, _POWER_FLOOR)
    columns = [(np.abs(place[:, a]), _placed(motion.place[:, a], names.dimension(a))) for a in range(place.shape[1])]
    columns.append((np.abs(deviations(motion.motion[:, None], _POWER_FLOOR)[:, 0]), _moved(motion.motion)))
    columns += [(rough[:, a], _rough(motion.roughness[:, a], names.dimension(a))) for a in range(rough.shape[1])]
    if scores is not None:
        assert np.array_equal(scores.episode, motion.episode)
        columns.append((-deviations(scores.log_odds[:, None], _SCORE_FLOOR)[:, 0], _taken(scores)))
    far = np.stack([column for column, _ in columns], axis=1)
    found = []
    for row in np.flatnonzero((far > limit(count)).any(1)):
        order = np.argsort(-far[row], kind="stable")
        why = tuple(columns[which][1][row] for which in order if far[row, which] > limit(count))
        found.append(OddEpisode(int(motion.episode[row]), float(far[row].max()), why))
    return OddEpisodes(source, motion.episode, far.max(1), tuple(sorted(found, key=lambda one: -one.deviations)))


def _placed(place: Floats, joint: str) -> Sequence[str]:
    away = place - np.median(place)
    return [
        f"has {joint} {abs(one):.2f} {'above' if one > 0 else 'below'} the median episode, in normalised units"
        for one in away
    ]


def _moved(motion: Floats) -> Sequence[str]:
    # Amplitudes, which are roots of powers.
    ratio = np.exp((motion - np.median(motion)) / 2.0)
    return [
        f"moves {_times(one)} as much as the median episode"
        if one >= 1.0
        else f"moves {_part(one)} as much as the median episode"
        for one in ratio
    ]


def _rough(roughness: Floats, joint: str) -> Sequence[str]:
    ratio = np.exp((roughness - np.median(roughness)) / 2.0)
    return [f"moves {joint} {_times(one)} as roughly as the median episode" for one in ratio]


def _taken(scores: EpisodeScores) -> Sequence[str]:
    usual = float(np.median(scores.score))
    return [
        f"is taken for the target's {one:.0%} of the time at sigma {scores.sigma:.2f}, the median episode {usual:.0%}"
        for one in scores.score
    ]


def _times(ratio: float) -> str:
    return f"{ratio:.2g} times" if ratio < 100 else f"{ratio:.0f} times"


def _part(ratio: float) -> str:
    return f"1/{1.0 / max(ratio, 1e-9):.0f}"
