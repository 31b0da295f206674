# SPDX-License-Identifier: Apache-2.0
"""How many chunks are looked at where there are many sources, and that the output says so."""

import dataclasses

import numpy as np
import pytest

from lerobot_ambient.annotate.chunks.spread import spread_over_episodes
from lerobot_ambient.annotate.classifier.options import ClassifierOptions
from lerobot_ambient.annotate.methods import ClassifierMethod, sampled
from lerobot_ambient.annotate.results.windows_from_curves import Threshold

OPTIONS = ClassifierOptions()


@pytest.mark.parametrize(
    ("sources", "trained", "scored"),
    [(1, 50_000, 10_000), (10, 50_000, 10_000), (11, 45_454, 9_090), (50, 10_000, 2_000), (1000, 1000, 1000)],
)
def test_more_than_ten_sources_share_what_ten_would_have(sources, trained, scored):
    shared = OPTIONS.shared_by(sources)
    assert (shared.train_chunks, shared.score_chunks) == (trained, scored)
    assert dataclasses.replace(shared, train_chunks=50_000, score_chunks=10_000) == OPTIONS


def test_up_to_ten_sources_nothing_changes_that_work_is_found_by():
    assert OPTIONS.shared_by(10) is OPTIONS
    assert ClassifierOptions(train_chunks=300, score_chunks=30).shared_by(50) == ClassifierOptions(
        train_chunks=300, score_chunks=30
    )


def test_what_is_asked_for_counts_however_many_sources_there_are(tmp_path):
    method = ClassifierMethod(OPTIONS, Threshold(), "dataset", None, False, tmp_path, chunks=700)
    for sources in (1, 50):
        chosen = method.options_for(sources)
        assert (chosen.train_chunks, chosen.score_chunks) == (700, 700)
    assert dataclasses.replace(method, chunks=20_000).options_for(50).score_chunks == 10_000


def test_a_part_is_told_and_the_whole_is_not():
    options = ClassifierOptions(train_chunks=5000, score_chunks=1000)
    assert sampled(np.empty(1000), options) is None
    told = sampled(np.empty(12_345), options)
    assert told == "Sampled: of its 12,345 chunks classifiers were trained on 5,000; the dataset's curve is of 1,000."
    assert sampled(np.empty(3000), options) == (
        "Sampled: of its 3,000 chunks classifiers were trained on 3,000; the dataset's curve is of 1,000."
    )


def test_episodes_of_many_sources_are_looked_at_by_fewer_chunks():
    episode = np.repeat(np.arange(2000), 40)
    alone, of_many, most = (len(spread_over_episodes(episode, sources)) for sources in (10, 50, 10_000))
    assert alone == len(spread_over_episodes(episode)) == 2000 * 32
    assert of_many == 2000 * 10 and most == 2000 * 4
