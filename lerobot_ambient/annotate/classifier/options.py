# SPDX-License-Identifier: Apache-2.0
"""What the classifier method may be told; every option is part of a result's identity."""

from __future__ import annotations

from dataclasses import dataclass, replace

_SHARED_FROM = 10
"""Sources up to which each gets all the chunks that the options name; more share what ten get."""
_LEAST_CHUNKS = 1000
"""Of each source, however many there are."""

BUCKET_FORMS = ("episode", "task", "column:NAME", "clusters:K", "stretch:N")


def split_bucket_rule(text: str) -> tuple[str, str]:
    """A rule for buckets as its kind and what follows the colon, if anything does.

    Raises:
        ValueError: none of `BUCKET_FORMS`, or a number below 1.
    """
    kind, colon, value = text.partition(":")
    if (kind in ("episode", "task") and not colon) or (kind == "column" and value):
        return kind, value
    if kind not in ("clusters", "stretch") or not colon:
        raise ValueError(f"'{text}' names no buckets; write one of {', '.join(BUCKET_FORMS)}.")
    if not (value.isascii() and value.isdigit() and int(value) >= 1):
        raise ValueError(f"'{text}' needs a whole number of at least 1 after the colon, not '{value}'.")
    return kind, value


@dataclass(frozen=True)
class ClassifierOptions:
    """Training and scoring of the classifiers of one target and its sources.

    Args:
        folds: K of cross-fitting, over episodes; each chunk is scored by the model that did not see its episode.
            1 switches cross-fitting off: chunks are scored by a model that was trained on them. It is there to show
            the harm, not to be used.
        seed: of folds, samples, initial weights, batches and noise.
        levels: L, noise levels of the curves.
        draws: noise draws per chunk and level, even: they come in pairs (eps, -eps), whose means vary less.
        train_chunks: chunks per dataset to train on at most, drawn at random; neighbours are nearly equal, so a
            tenth of the chunks of thousands of episodes teaches what all would.
        score_chunks: chunks per dataset that dataset curves average over at most. The part of a curve's standard
            error that this adds is below 0.5 / sqrt(score_chunks).
        steps: optimiser steps per fold.
        batch: chunks of the target, and of all sources together, per step; of each source at least 64.
        width, blocks: of the network.
        dropout: of its hidden units, in [0, 1).
        learning_rate, weight_decay: of AdamW.

    Raises:
        ValueError: a value out of range.
    """

    folds: int = 5
    seed: int = 0
    levels: int = 32
    draws: int = 8
    train_chunks: int = 50_000
    score_chunks: int = 10_000
    steps: int = 1500
    batch: int = 256
    width: int = 128
    blocks: int = 2
    dropout: float = 0.1
    learning_rate: float = 1e-3
    weight_decay: float = 1e-2

    def __post_init__(self) -> None:
        for name, least in {
            "folds": 1,
            "seed": 0,
            "levels": 2,
            "draws": 4,
            "train_chunks": 1,
            "score_chunks": 1,
            "steps": 1,
            "batch": 2,
            "width": 1,
            "blocks": 0,
        }.items():
            if getattr(self, name) < least:
                raise ValueError(f"{name} = {getattr(self, name)} must be at least {least}.")
        if self.draws % 2:
            raise ValueError(f"draws = {self.draws} must be even: noise is drawn in pairs (eps, -eps).")
        if not 0.0 <= self.dropout < 1.0:
            raise ValueError(f"dropout = {self.dropout} must lie in [0, 1).")
        if not self.learning_rate > 0.0:
            raise ValueError(f"learning_rate = {self.learning_rate} must be positive.")
        if not self.weight_decay >= 0.0:
            raise ValueError(f"weight_decay = {self.weight_decay} must not be negative.")

    def shared_by(self, sources: int) -> ClassifierOptions:
        """The options with the chunks of ten datasets shared by more sources, so that fifty take minutes, too.

        Up to ten sources they are as they are; of more, each has `train_chunks` and `score_chunks` times 10 / sources,
        at least 1000.
        """
        if sources <= _SHARED_FROM:
            return self
        least = {name: min(getattr(self, name), _LEAST_CHUNKS) for name in ("train_chunks", "score_chunks")}
        shared = {name: max(getattr(self, name) * _SHARED_FROM // sources, low) for name, low in least.items()}
        return replace(self, **shared)

    def with_chunks(self, chunks: int) -> ClassifierOptions:
        """The options with at most so many chunks of each dataset, to train on and to score."""
        return replace(self, train_chunks=chunks, score_chunks=min(chunks, self.score_chunks))
