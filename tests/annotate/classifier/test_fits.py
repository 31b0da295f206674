# SPDX-License-Identifier: Apache-2.0
"""Cross-fitting from chunks to held-out scores: whose model scores what, shards, resuming, sharing out, purity."""

import dataclasses
import math
import shutil

import numpy as np
import pytest
import torch

from lerobot_ambient.annotate.chunks.chunk_set import ArrayChunks
from lerobot_ambient.annotate.classifier import cross_fit
from lerobot_ambient.annotate.classifier.calibration import calibrate, chunk_scores
from lerobot_ambient.annotate.classifier.evidence import gather_evidence
from lerobot_ambient.annotate.classifier.fits import (
    annotate_classifier,
    collect,
    cross_fits,
    find,
    fit_shards,
)
from lerobot_ambient.annotate.classifier.options import ClassifierOptions
from lerobot_ambient.annotate.classifier.shared_work import WorkFolder
from lerobot_ambient.core.noise_levels import NoiseSchedule

SCHEDULE = NoiseSchedule(torch.sin(torch.linspace(0.02, math.pi / 2 - 0.004, 100, dtype=torch.float64)))
OPTIONS = ClassifierOptions(folds=3, steps=40, levels=6, draws=4, width=16, blocks=1, batch=64)


def chunks(shift=0.0, seed=0, episodes=9, per_episode=7, dims=1, name=None):
    x_0 = torch.randn(episodes * per_episode, 4, dims, generator=torch.Generator().manual_seed(seed)) + shift
    return ArrayChunks(name or f"at {shift}", x_0, np.repeat(np.arange(episodes), per_episode))


TARGET = chunks(name="target")
SOURCES = [chunks(0.0, 1), chunks(3.0, 2)]


class Half(ArrayChunks):
    """A source without the second dimension."""

    @property
    def counts(self):
        return torch.tensor([True, False])


def run(sources=None, options=OPTIONS, **given):
    return annotate_classifier(TARGET, sources or SOURCES, SCHEDULE, options, progress=False, **given)


def logits(scores):
    return [(part.index, part.logits) for one in scores for part in (one.target, one.source)]


def assert_same(one, other):
    for (index_a, logits_a), (index_b, logits_b) in zip(logits(one), logits(other), strict=True):
        np.testing.assert_array_equal(index_a, index_b)
        np.testing.assert_array_equal(logits_a, logits_b)


@pytest.fixture(scope="module")
def fits():
    made = cross_fits(TARGET, SOURCES, SCHEDULE, OPTIONS)
    fit_shards(made, progress=False)
    return made


@pytest.fixture(scope="module")
def scores(fits):
    return collect(fits)


# Whose model scores what


def test_a_chunk_is_scored_by_the_model_that_did_not_see_its_episode(fits, scores):
    """Row by row what the shard of the chunk's own fold says."""
    (fit,) = fits
    for head, found in enumerate(scores):
        for which, name, part in ((0, f"target-{head}", found.target), (1 + head, f"source-{head}", found.source)):
            np.testing.assert_array_equal(part.fold, fit.folds[which][part.index])
            np.testing.assert_array_equal(part.episode, fit.data[which].episode[part.index])
            assert sorted(part.index) == list(range(len(fit.data[which])))
            for fold in range(OPTIONS.folds):
                mine = part.fold == fold
                np.testing.assert_array_equal(part.logits[mine], fit.fit(fold)[name])
                assert not set(part.episode[mine]) & set(part.episode[~mine])


def test_held_out_chunks_do_not_change_the_model_that_scores_them(fits):
    """Other actions in one source episode change every model but that of its fold."""
    changed = dataclasses.replace(SOURCES[1], x_0=SOURCES[1].x_0.clone())
    changed.x_0[SOURCES[1].episode == 4] += 10.0
    (fit,) = cross_fits(TARGET, [SOURCES[0], changed], SCHEDULE, OPTIONS)
    own = int(fit.folds[2][SOURCES[1].episode == 4][0])
    for fold in range(OPTIONS.folds):
        same = np.array_equal(fit.fit(fold)["weights"], fits[0].fit(fold)["weights"])
        assert same == (fold == own)


def test_a_copy_of_the_target_never_meets_its_original():
    """Held out together with it: a model that knew the original by heart would tell the copy from fresh chunks."""
    copy = dataclasses.replace(TARGET, name="copy")
    (fit,) = cross_fits(TARGET, [copy], SCHEDULE, OPTIONS)
    np.testing.assert_array_equal(fit.folds[0], fit.folds[1])
    for fold in range(OPTIONS.folds):
        np.testing.assert_array_equal(fit.fit(fold)["target-0"], fit.fit(fold)["source-0"])
    evidence = gather_evidence([fit], 0)
    np.testing.assert_allclose(evidence.curve.p, 0.5, atol=1e-6)
    np.testing.assert_allclose(evidence.distance.separation, 0.0, atol=1e-6)


def test_without_cross_fitting_chunks_are_scored_by_the_model_they_trained():
    found = run(options=dataclasses.replace(OPTIONS, folds=1))
    assert not found[0].cross_fitted and (found[0].source.fold == 0).all()
    assert len(found[0].source) == len(SOURCES[0])
    evidence = gather_evidence(cross_fits(TARGET, SOURCES, SCHEDULE, dataclasses.replace(OPTIONS, folds=1)), 0)
    assert evidence.distance is None


# Sources


def test_one_training_serves_all_sources_and_gives_each_its_curve():
    fits = cross_fits(TARGET, SOURCES, SCHEDULE, dataclasses.replace(OPTIONS, steps=300))
    assert len(fits) == 1 and [one.source_name for one in collect(fits)] == ["at 0.0", "at 3.0"]
    near, far = (gather_evidence(fits, source) for source in range(2))
    assert far.curve.p[0] < 0.1 < 0.4 < near.curve.p[0]
    assert far.curve.p[-1] > 0.45


def test_sources_that_lack_other_dimensions_are_trained_apart():
    target = chunks(dims=2, name="target")
    whole, half = chunks(dims=2, seed=1, name="whole"), chunks(3.0, dims=2, seed=2)
    half = Half("half", half.x_0, half.episode)
    made = cross_fits(target, [whole, half, whole], SCHEDULE, OPTIONS)
    assert [fit.positions for fit in made] == [[0, 2], [1]]
    assert [fit.dims.tolist() for fit in made] == [[True, True], [True, False]]
    found = collect(made)
    assert [one.source_name for one in found] == ["whole", "half", "whole"]
    assert find(made, 1) == (made[1], 0) and find(made, 2) == (made[0], 1)


def test_no_source_is_refused():
    with pytest.raises(ValueError, match="there is no source to compare with the target"):
        cross_fits(TARGET, [], SCHEDULE, OPTIONS)


def test_what_cannot_be_compared_is_refused_before_training():
    with pytest.raises(ValueError, match="'few' has 2 episodes, too few for 3 folds"):
        cross_fits(TARGET, [chunks(episodes=2, name="few")], SCHEDULE, OPTIONS)
    with pytest.raises(ValueError, match="chunks of 'target' are 4 x 1, those of 'wide' 4 x 2"):
        cross_fits(TARGET, [chunks(dims=2, name="wide")], SCHEDULE, OPTIONS)
    nan = dataclasses.replace(SOURCES[0], x_0=torch.full_like(SOURCES[0].x_0, float("nan")))
    with pytest.raises(ValueError, match="normalised actions are not finite"):
        run([nan])


def test_only_as_many_chunks_as_asked_for_are_judged():
    found = run(options=dataclasses.replace(OPTIONS, score_chunks=20, train_chunks=30))
    assert [len(part.index) for one in found for part in (one.target, one.source)] == [20] * 4


# Every chunk


def test_scores_of_every_chunk_are_those_of_the_sample(fits, scores):
    """The sample holds them all here, in another order, and their noise is their own."""
    (fit,) = fits
    for head, found in enumerate(scores):
        calibration = calibrate(found)
        for part, of_target in ((found.source, False), (found.target, True)):
            every = fit.score_every_chunk(head, calibration, of_target=of_target, progress=False)
            sampled = chunk_scores(part, calibration)
            np.testing.assert_array_equal(every.index, np.arange(len(sampled)))
            np.testing.assert_array_equal(every.fold, fit.folds[0 if of_target else 1 + head])
            np.testing.assert_allclose(every.mean[part.index], sampled.mean, atol=1e-5)
            np.testing.assert_allclose(every.standard_error[part.index], sampled.standard_error, atol=1e-5)


# Work folders


def ticks(made):
    count = []
    for fit in made:
        for fold in range(fit.options.folds):
            fit.fit(fold, lambda: count.append(1))
    return len(count)


def test_a_second_run_trains_nothing(tmp_path, scores):
    work = WorkFolder(tmp_path, ["data 1"])
    assert ticks(cross_fits(TARGET, SOURCES, SCHEDULE, OPTIONS, work=work)) == OPTIONS.folds * OPTIONS.steps
    again = cross_fits(TARGET, SOURCES, SCHEDULE, OPTIONS, work=work)
    assert ticks(again) == 0 and all(again[0].is_fitted(fold) for fold in range(OPTIONS.folds))
    assert_same(collect(again), scores)


@pytest.mark.parametrize(
    "change",
    [
        {"identity": ["data 2"]},
        {"options": dataclasses.replace(OPTIONS, seed=1)},
        {"options": dataclasses.replace(OPTIONS, steps=41)},
        {"sources": SOURCES[:1]},
        {"sources": [SOURCES[0], dataclasses.replace(SOURCES[1], name="other")]},
        {"sources": [SOURCES[0], dataclasses.replace(SOURCES[1], x_0=SOURCES[1].x_0 + 1)]},
    ],
    ids=["data", "seed", "steps", "fewer sources", "another source", "other actions"],
)
def test_what_depends_on_something_else_is_not_taken_for_it(tmp_path, change):
    first = {"identity": ["data 1"], "options": OPTIONS, "sources": SOURCES}

    def fitted(identity, options, sources):
        (fit,) = cross_fits(TARGET, sources, SCHEDULE, options, work=WorkFolder(tmp_path, identity))
        return fit

    fitted(**first).fit(0)
    assert fitted(**first).is_fitted(0)
    assert not fitted(**{**first, **change}).is_fitted(0)


def test_the_same_recordings_under_another_horizon_are_other_data(tmp_path):
    """A mixture's identity does not name the horizon, and as many chunks start at the same frames."""
    longer, shorter = (
        cross_fits(
            dataclasses.replace(TARGET, x_0=TARGET.x_0[:, :horizon]),
            [dataclasses.replace(SOURCES[0], x_0=SOURCES[0].x_0[:, :horizon])],
            SCHEDULE,
            OPTIONS,
            work=WorkFolder(tmp_path, ["data"]),
        )[0]
        for horizon in (4, 3)
    )
    longer.fit(0)
    assert longer.is_fitted(0) and not shorter.is_fitted(0)


def test_a_killed_run_repeats_one_shard_and_scores_the_same(tmp_path, scores):
    work = WorkFolder(tmp_path, ["data"])
    ticks(cross_fits(TARGET, SOURCES, SCHEDULE, OPTIONS, work=work))
    (shard,) = tmp_path.glob("*/fold-1")
    shutil.rmtree(shard)
    # What a kill in the middle of writing leaves behind.
    (shard.parent / ".fold-1.0000.partial").mkdir()
    resumed = cross_fits(TARGET, SOURCES, SCHEDULE, OPTIONS, work=work)
    assert [resumed[0].is_fitted(fold) for fold in range(3)] == [True, False, True]
    assert ticks(resumed) == OPTIONS.steps
    assert_same(collect(resumed), scores)


def test_an_interrupted_training_leaves_the_finished_folds(tmp_path):
    work = WorkFolder(tmp_path, ["data"])
    (fit,) = cross_fits(TARGET, SOURCES, SCHEDULE, OPTIONS, work=work)
    fit.fit(0)

    def stop():
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fit.fit(1, stop)
    assert [fit.is_fitted(fold) for fold in range(3)] == [True, False, False]


def test_two_processes_share_the_work_and_agree_with_one(tmp_path, scores, monkeypatch):
    calibration = calibrate(scores[0])
    parts = [cross_fits(TARGET, SOURCES, SCHEDULE, OPTIONS, work=WorkFolder(tmp_path, ["data"])) for _ in range(2)]
    fit_shards(parts[0], part=0, parts=2, progress=False)
    assert [parts[1][0].is_fitted(fold) for fold in range(3)] == [True, False, True]
    fit_shards(parts[1], part=1, parts=2, progress=False)
    assert_same(collect(parts[0]), scores)
    monkeypatch.setattr(cross_fit, "_PIECE", 40)
    first, second = (
        fit.score_every_chunk(0, calibration, part=i, parts=2, progress=False) for i, (fit,) in enumerate(parts)
    )
    assert first is None and second is not None
    (alone,) = cross_fits(TARGET, SOURCES, SCHEDULE, OPTIONS)
    expected = alone.score_every_chunk(0, calibration, progress=False)
    np.testing.assert_array_equal(second.mean, expected.mean)
    np.testing.assert_array_equal(second.standard_error, expected.standard_error)


def test_a_killed_scoring_repeats_one_piece_and_scores_the_same(tmp_path, fits, scores, monkeypatch):
    calibration = calibrate(scores[0])
    whole = fits[0].score_every_chunk(0, calibration, progress=False)
    monkeypatch.setattr(cross_fit, "_PIECE", 20)
    (fit,) = cross_fits(TARGET, SOURCES, SCHEDULE, OPTIONS, work=WorkFolder(tmp_path, ["data"]))
    fit.score_every_chunk(0, calibration, progress=False)
    pieces = {int(piece.name.rpartition("-")[2]): piece for piece in tmp_path.glob("*/every-*-from-*")}
    assert sorted(pieces) == [0, 20, 40, 60]
    (joined,) = {*tmp_path.glob("*/every-*")} - {*pieces.values()}
    for gone in (joined, pieces[20]):
        shutil.rmtree(gone)
    scored = []
    once = fit._score_chunks

    def watched(which, head, start, *more):
        scored.append(start)
        return once(which, head, start, *more)

    monkeypatch.setattr(fit, "_score_chunks", watched)
    again = fit.score_every_chunk(0, calibration, progress=False)
    assert scored == [20]
    # Other blocks of chunks at once round the last digit differently.
    np.testing.assert_allclose(again.mean, whole.mean, atol=1e-6)
    np.testing.assert_allclose(again.standard_error, whole.standard_error, atol=1e-6)
    np.testing.assert_array_equal(again.index, whole.index)
    assert isinstance(again.mean.base, np.memmap), "held in memory"


def test_finished_folds_give_their_scores_without_any_chunk(tmp_path, scores, monkeypatch):
    work = WorkFolder(tmp_path, ["data"])
    fit_shards(cross_fits(TARGET, SOURCES, SCHEDULE, OPTIONS, work=work), progress=False)
    again = cross_fits(TARGET, SOURCES, SCHEDULE, OPTIONS, work=work)
    monkeypatch.setattr(ArrayChunks, "gather", None)
    assert_same(collect(again), scores)


def test_chunks_are_not_held_once_a_training_is_over():
    made = cross_fits(TARGET, SOURCES, SCHEDULE, dataclasses.replace(OPTIONS, steps=1))
    fit_shards(made, progress=False)
    collect(made)
    assert "samples" not in vars(made[0])


def test_no_more_chunks_are_trained_on_than_asked_for(monkeypatch):
    """Also where more are judged."""
    seen = []
    once = cross_fit.train_fold

    def watched(target, sources, *more):
        seen.extend(len(sample) for sample in (target, *sources))
        return once(target, sources, *more)

    monkeypatch.setattr(cross_fit, "train_fold", watched)
    found = run(options=dataclasses.replace(OPTIONS, steps=1, train_chunks=30, score_chunks=50))
    assert set(seen) == {30}
    assert len(found[0].source) == 50


def test_scores_of_every_chunk_are_kept_too(tmp_path, scores, monkeypatch):
    calibration = calibrate(scores[0])
    work = WorkFolder(tmp_path, ["data"])
    (fit,) = cross_fits(TARGET, SOURCES, SCHEDULE, OPTIONS, work=work)
    first = fit.score_every_chunk(0, calibration, progress=False)
    (again,) = cross_fits(TARGET, SOURCES, SCHEDULE, OPTIONS, work=work)
    monkeypatch.setattr(again, "_network", None)
    second = again.score_every_chunk(0, calibration, progress=False)
    np.testing.assert_array_equal(first.mean, second.mean)


# Purity


def test_global_generators_play_no_part(scores):
    torch.manual_seed(7)
    np.random.seed(7)
    before = torch.get_rng_state()
    assert_same(run(), scores)
    assert torch.equal(torch.get_rng_state(), before)


def test_another_seed_gives_other_scores(scores):
    other = run(options=dataclasses.replace(OPTIONS, seed=1))
    assert not np.array_equal(other[0].source.logits, scores[0].source.logits)


def test_the_reprs_say_what_is_compared(fits, scores):
    assert repr(fits[0]) == "CrossFit of at 0.0, at 3.0 against target: 3 folds, 6 levels"
    assert repr(scores[1]) == "at 3.0 against target: 63 and 63 chunks at 6 levels"
