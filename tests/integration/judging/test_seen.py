# SPDX-License-Identifier: Apache-2.0
"""Which episodes were trained on: held-out shares, selections, sources, and another recording of the same name."""

import pytest

from lerobot_ambient.data.declared.sources import Source
from lerobot_ambient.data.reading.open_dataset import open_metadata
from lerobot_ambient.integration.judging.seen import overlap, uses_of


@pytest.fixture
def meta(target):
    return open_metadata(Source("me/target", root=str(target)), "me/target")


def training(root=None, sources=(), frames=None, **dataset):
    record = None if frames is None else [{"frames": number} for number in frames]
    policy = {"sources": list(sources), "mixture_record": record}
    return {"dataset": {"repo_id": "me/target", "root": root, **dataset}, "policy": policy}


@pytest.mark.parametrize(
    ("said", "seen"),
    [
        ({}, [0, 1, 2, 3, 4, 5]),
        ({"eval_split": 0.3}, [0, 1, 2, 3]),
        ({"episodes": [1, 4]}, [1, 4]),
        ({"episodes": [0, 1, 2, 5], "eval_split": 0.25}, [0, 1, 2]),
    ],
)
def test_the_target_and_its_held_out_episodes(said, seen, meta, target):
    uses = uses_of(training(str(target), **said))
    assert overlap(uses, "me/target", str(target), meta, range(6)) == seen


def test_a_source_is_trained_on_too(meta, target):
    other = training(sources=[{"repo_id": "me/target", "root": None, "episodes": [2, 3]}])
    other["dataset"]["repo_id"] = "me/another"
    assert overlap(uses_of(other), "me/target", str(target), meta, range(6)) == [2, 3]


def test_the_folder_tells_a_dataset_under_another_name(meta, target):
    said = training(str(target))
    said["dataset"]["repo_id"] = "old/name"
    assert overlap(uses_of(said), "me/target", str(target), meta, [5]) == [5]


def test_another_recording_of_the_same_name_is_none_of_it(meta, target):
    # The lengths of the episodes are 20, 24, 22, 20, 26, 24.
    same = uses_of(training("/gone", frames=[136]))
    other = uses_of(training("/gone", frames=[131]))
    assert overlap(same, "me/target", str(target), meta, range(6)) == [0, 1, 2, 3, 4, 5]
    assert overlap(other, "me/target", str(target), meta, range(6)) == []


def test_a_source_that_held_some_out_counts_as_seen_as_a_whole(meta, target):
    said = training("/gone", sources=[{"repo_id": "me/target", "root": "/gone", "holdout": 0.3}], frames=[1, 90])
    said["dataset"]["repo_id"] = "me/another"
    assert overlap(uses_of(said), "me/target", str(target), meta, range(6)) == [0, 1, 2, 3, 4, 5]


def test_nothing_is_known_without_a_configuration():
    assert uses_of(None) == []
