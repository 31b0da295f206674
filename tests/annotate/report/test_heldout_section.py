# SPDX-License-Identifier: Apache-2.0
"""The report's section of held-out evidence, and chunks of target and source under noise."""

import dataclasses

import numpy as np
import pytest
import torch

from lerobot_ambient.annotate.chunks.chunk_set import ActionAxes, ArrayChunks
from lerobot_ambient.annotate.chunks.mixture_chunks import Path
from lerobot_ambient.annotate.report.heldout_figures import draw_held_out
from lerobot_ambient.annotate.report.page import PARTLY, compared
from lerobot_ambient.annotate.report.source import SourceReport, verdict
from lerobot_ambient.annotate.report.trajectory_figures import (
    Trajectories,
    draw_noised,
    noise_levels,
    paired_chunks,
)
from lerobot_ambient.annotate.results.source_evidence import SourceEvidence
from lerobot_ambient.annotate.results.trust import CHUNKS_ALONE, CONDITIONAL
from tests.annotate.heldout.tables import MAZE, SIGMAS, evidence_of
from tests.annotate.report.test_write import SOURCE, Parsed, bare, timed, write

FLAT = np.ones((6, 6))
WINDOWED = np.where(SIGMAS[:, None] < 0.2, 1.0, MAZE)


@pytest.fixture(autouse=True)
def few_pixels(monkeypatch):
    """Figures are drawn small here: what is looked at are names and words."""
    monkeypatch.setattr("lerobot_ambient.figures.style._DPI", 40)


def report(evidence):
    """A report of one source that the held-out method annotated."""
    finding = bare(evidence.source, sigma_min=0.27).finding
    return SourceReport.of(SourceEvidence(finding, heldout=evidence), timed(12))


@pytest.mark.parametrize(
    ("evidence", "said"),
    [
        (evidence_of(MAZE, WINDOWED, source=SOURCE, scatter=0.02), ("helps at", "Held-out evidence: helps")),
        (evidence_of(1.5 * FLAT, source=SOURCE), ("hurts, and no window", "Held-out evidence: hurts")),
        (evidence_of(FLAT, FLAT, source=SOURCE), ("not known whether", "Held-out evidence: not known")),
    ],
    ids=["helps", "hurts", "not known"],
)
def test_the_page_says_the_verdict_and_what_the_colours_mean(tmp_path, evidence, said):
    files = write(tmp_path, [report(evidence)])
    page = Parsed(files.page)
    text = " ".join(page.text.split())
    for expected in (*said, evidence.headline("σ"), "Green: denoisers that were also trained on the source", "Red:"):
        assert expected in text
    for reason in evidence.verdict.reasons:
        assert reason[1:] in text
    assert "50 target episodes in 5 folds" in text
    assert [path.name for path in files.figures if "heldout" in path.name] == [
        f"1_me-shaky_heldout_{kind}.png" for kind in ("map", "curves", "dimensions")
    ]
    assert len(page.all("img")) == len(files.figures)
    assert verdict(report(evidence)) == f"{evidence.headline('σ')}."


def test_what_a_source_adds_to_the_others_has_a_map_of_its_own():
    evidence = evidence_of(MAZE, WINDOWED, source=SOURCE)
    *others, picture = draw_held_out(dataclasses.replace(evidence, adds=evidence.read))
    assert len(others) == 3
    assert picture.name == "heldout_adds.png"
    assert "to the other sources" in picture.title


def test_the_page_says_what_was_compared():
    one, held_out = bare("me/one"), report(evidence_of(FLAT, FLAT, source="me/two"))
    assert compared([held_out]) == CONDITIONAL
    assert compared([one]) == CHUNKS_ALONE
    assert compared([one, held_out]) == f"{CHUNKS_ALONE} {PARTLY}"


@pytest.mark.parametrize(
    ("sigma_min", "sigma_max", "levels"),
    [
        (0.27, 0.0, [0.0, 0.27, 0.9]),
        (0.0, 0.0, [0.0, 0.5, 0.9]),
        (1.0, 0.0, [0.0, 0.5, 0.9]),
        (0.6, 0.1, [0.0, 0.1, 0.6, 0.9]),
        (1.0, 0.4, [0.0, 0.4, 0.9]),
        (0.91, 0.0, [0.0, 0.91]),
        (0.96, 0.0, [0.0, 0.9, 0.96]),
    ],
)
def test_chunks_are_drawn_clean_at_the_bounds_and_at_a_high_level(sigma_min, sigma_max, levels):
    assert [level for level, _ in noise_levels(sigma_min, sigma_max)] == levels


def test_pairs_are_the_liveliest_chunk_of_an_episode_and_the_nearest_of_the_source():
    rng = np.random.default_rng(0)
    still = 0.01 * rng.normal(size=(9, 4, 2))
    still[[1, 5, 6]] *= 100
    target = ArrayChunks("t", torch.from_numpy(still).float(), np.repeat([3, 7, 9], 3))
    source = ArrayChunks("s", target.x_0.flip(0) + 1e-4, np.zeros(9, np.int64))
    found, nearest = paired_chunks(target, source, 3)
    assert found == pytest.approx(still[[1, 5, 6]], abs=1e-6)
    assert nearest == pytest.approx(found, abs=2e-4)
    assert len(paired_chunks(target, source, 2)[0]) == 2


def test_chunks_under_noise_are_drawn_for_every_method(tmp_path):
    rng = np.random.default_rng(0)
    path = Path(0, np.arange(20) / 10, rng.normal(size=(20, 2)))
    lacking = rng.normal(size=(3, 8, 2))
    lacking[..., 1] = np.nan
    names = ActionAxes(("pan.pos", "lift.pos"), 30.0)
    shown = Trajectories(("t", "s"), (path,), (path,), names, (rng.normal(size=(3, 8, 2)), lacking))
    files = write(tmp_path, [dataclasses.replace(bare(), trajectories=shown)])
    assert [path.name for path in files.figures][1:3] == ["1_me-shaky_trajectories.png", "1_me-shaky_noised.png"]
    said = Parsed(files.page)
    assert any("2 dimensions at sigma 0.00, 0.30, 0.90" in image["alt"] for image in said.all("img"))
    assert draw_noised(dataclasses.replace(shown, chunks=None), 0.3) is None
    unnamed = dataclasses.replace(shown, axes=ActionAxes())
    assert "3 pairs of chunks in 2 dimensions" in draw_noised(unnamed, 1.0).alt
    # Noise is drawn from a seed of its own.
    assert files.figures[2].read_bytes() == draw_noised(shown, 0.3).png
