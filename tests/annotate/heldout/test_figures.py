# SPDX-License-Identifier: Apache-2.0
"""The held-out map as a picture: colours by what is shown, names and Hz in the texts, and words on top of it."""

import dataclasses
from types import SimpleNamespace

import numpy as np
import pytest
from matplotlib.colors import to_rgb

from lerobot_ambient.annotate.annotations import SourceAnnotation
from lerobot_ambient.annotate.heldout.curve_figures import against_best, curve_on, curves_figure
from lerobot_ambient.annotate.heldout.errors import ACCELERATION, POSITION
from lerobot_ambient.annotate.heldout.evidence import window_words
from lerobot_ambient.annotate.heldout.figures import (
    DECIDING,
    LOWERED,
    RAISED,
    UNSHOWN,
    Rows,
    adds_figure,
    change_words,
    dimension_rows,
    dimensions_figure,
    heat_map_on,
    map_figure,
)
from lerobot_ambient.annotate.heldout.verdict import NOT_KNOWN
from lerobot_ambient.annotate.results.found_windows import Finding
from lerobot_ambient.annotate.results.source_evidence import SourceEvidence
from lerobot_ambient.core.windows import Window
from lerobot_ambient.figures.style import new_figure, png_of
from tests.annotate.heldout.tables import MAZE, SIGMAS, evidence_of

FLAT = np.ones((6, 6))
WINDOWED = np.where(SIGMAS[:, None] < 0.2, 1.0, MAZE)


@pytest.fixture(scope="module")
def maze():
    return evidence_of(MAZE, WINDOWED, scatter=0.02)


def texts(figure):
    """Everything that is written on a figure."""
    figure.draw_without_rendering()
    found = [text.get_text() for axis in figure.axes for text in axis.texts]
    for axis in figure.axes:
        labels = [*axis.get_xticklabels(), *axis.get_yticklabels(), axis.title, axis._left_title]
        found += [text.get_text() for text in (*labels, axis.xaxis.label, axis.yaxis.label)]
        found += [text.get_text() for text in (axis.get_legend().get_texts() if axis.get_legend() else ())]
    found += [text.get_text() for box in figure.legends for text in box.get_texts()]
    return found + ([figure._suptitle.get_text()] if figure._suptitle else [])


def hue(cell):
    """Which colour a cell has, whatever its strength; a hint counts as none."""
    red, green, _ = cell
    if np.allclose(cell, to_rgb(UNSHOWN)) or cell.min() > 0.8:
        return 0
    return -1 if green > red else 1


def test_cells_are_green_where_the_error_falls_red_where_it_rises_and_grey_where_nothing_is_shown():
    table = np.tile(np.array([0.6, 1.0, 1.6]), (6, 2))
    axis = map_figure(evidence_of(table, scatter=0.05)).axes[0]
    _, bands = axis.images
    cells = np.asarray(bands.get_array())
    hues = np.array([[hue(cell) for cell in row] for row in cells])
    # Rows are bands from slow to fast, columns levels; sixteen steps have six bands.
    assert np.array_equal(hues, np.tile([[-1], [0], [1]], (2, 6)))


def test_what_only_its_own_level_speaks_for_is_paler_than_all_that_is_shown():
    ratio = evidence_of(np.full((6, 6), 0.98), names=("x",), scatter=0.05).read.ratio
    wide = Rows.of(ratio, 0.95, [POSITION], ["whole"])
    hint = (ratio.interval(0.95)[1] < 0)[:, POSITION]
    shown = (ratio.interval(0.95 ** (1 / 6))[1] < 0)[:, POSITION]
    assert np.array_equal(wide.hint[0] == -1, hint)
    assert np.array_equal(wide.shown[0] == -1, shown)
    assert (shown <= hint).all()
    assert shown.sum() < hint.sum()


def test_a_stronger_change_has_a_stronger_colour_and_a_halved_error_the_full_one():
    table = np.tile(np.array([0.9, 0.7, 0.5, 0.25, 1.1, 3.0]), (6, 1))
    axis = map_figure(evidence_of(table, names=("x",), scatter=0.001)).axes[0]
    cells = np.asarray(axis.images[1].get_array())[:, 0]
    strength = 1.0 - cells.min(-1)
    assert strength[0] < strength[1] < strength[2]
    assert strength[4] < strength[5]
    assert cells[3] == pytest.approx(to_rgb(LOWERED))
    assert cells[5] == pytest.approx(to_rgb(RAISED))


def test_numbers_agree_with_colours_so_that_nobody_needs_to_see_them(maze):
    axis = map_figure(maze).axes[0]
    log = maze.read.ratio.log
    written = {
        (round(x), y): text.get_text() for text in axis.texts for x, y in [text.get_position()] if text.get_text()
    }
    assert len(written) == log.size
    for level in range(len(SIGMAS)):
        assert written[level, 0.0] == change_words(log[level, POSITION])
        assert written[level, 1.0] == change_words(log[level, ACCELERATION])


@pytest.mark.parametrize(
    ("ratio", "words"),
    [(0.766, "−23"), (1.08, "+8"), (1.004, "0"), (0.996, "0"), (4.74, "+374"), (9.99, "+899"), (12.3, "×12")],
)
def test_a_change_in_a_few_letters(ratio, words):
    assert change_words(np.log(ratio)) == words


def test_the_map_names_frequencies_and_levels_and_says_the_verdict(maze):
    said = texts(map_figure(maze))
    for expected in ("slow: 0 Hz", "1.56-2.5 Hz", "fast: 2.81-4.69 Hz", *DECIDING, ".15", "1.00"):
        assert expected in said
    assert any("me/sim helps at" in text for text in said)
    for expected in ("helps: error lower with the source", "hurts: error higher with the source", "no change shown"):
        assert expected in said
    words = window_words(maze.verdict.window, "σ")
    assert (f"window: {words}" if len(words) < 12 else "its window") in said


def test_no_text_of_the_map_ends_outside_the_figure(maze):
    """With a window of two bounds, whose words are the longest."""
    doubtful = dataclasses.replace(maze, verdict=dataclasses.replace(maze.verdict, window=Window(0.7004, 0.1234)))
    figure = map_figure(doubtful)
    figure.canvas.draw()
    (axis,) = figure.axes
    width = figure.bbox.width
    drawn = [*axis.get_legend().get_texts(), figure._suptitle, axis.xaxis.label]
    assert [text.get_text() for text in drawn if text.get_window_extent().x1 > width] == []


def test_dimensions_are_drawn_by_name_the_first_on_top(maze):
    said = texts(dimensions_figure(maze))
    assert [text for text in said if text.endswith(".pos")] == ["gripper.pos", "elbow_flex.pos", "shoulder_pan.pos"]
    rows = dimension_rows(maze)
    # The error of the gripper is that of the target, whatever the others do.
    assert np.all(rows.shown[0] == 0)
    assert rows.shown[1:].any()


def test_of_many_dimensions_those_that_change_are_drawn():
    evidence = evidence_of(MAZE, names=tuple(f"joint_{dim}" for dim in range(20)))
    rows = dimension_rows(evidence)
    assert len(rows.names) == 16
    assert "joint_19" not in rows.names


def test_without_names_and_a_rate_the_texts_say_so():
    evidence = evidence_of(MAZE, WINDOWED, names=(), fps=None, dims=2)
    assert "action dimension 1" in texts(dimensions_figure(evidence))
    assert any("cycles per step" in text for text in texts(map_figure(evidence)))


@pytest.mark.parametrize(
    "evidence",
    [
        pytest.param(lambda: evidence_of(MAZE, WINDOWED), id="window"),
        pytest.param(lambda: evidence_of(0.7 * FLAT), id="everything"),
        pytest.param(lambda: evidence_of(1.5 * FLAT), id="hurts"),
        pytest.param(lambda: evidence_of(FLAT, FLAT), id="not known"),
        pytest.param(lambda: evidence_of(MAZE, episodes=2, folds=2), id="two episodes"),
        pytest.param(lambda: evidence_of(1.3 * FLAT[:1], sigmas=SIGMAS[:1]), id="one level"),
        pytest.param(lambda: evidence_of(np.ones((60, 6)), sigmas=np.linspace(0.02, 1.0, 60)), id="many levels"),
        pytest.param(lambda: evidence_of(MAZE, source="a $x_ very long name of a dataset " * 4), id="hostile name"),
    ],
)
def test_nothing_is_undefined_in_any_figure(evidence):
    evidence = evidence()
    evidence = dataclasses.replace(evidence, adds=evidence.read)
    for draw in (map_figure, dimensions_figure, curves_figure, adds_figure):
        figure = draw(evidence)
        said = " ".join(texts(figure))
        assert "nan" not in said.lower().split()
        assert "inf" not in said.lower().split()
        for axis in figure.axes:
            assert all(np.isfinite(np.asarray(image.get_array())).all() for image in axis.images)
            assert all(np.isfinite(line.get_ydata()).all() for line in axis.lines)


@pytest.mark.parametrize(
    ("table", "words"), [(0.7 * FLAT, "helps at every noise level"), (1.5 * FLAT, "hurts"), (FLAT, "not known whether")]
)
def test_evidence_reads_like_a_verdict(table, words):
    evidence = evidence_of(table, None if table[0, 0] < 1 else FLAT)
    headline, *more = repr(evidence).splitlines()
    assert words in headline
    assert f"held-out error {evidence.verdict.confirmed or evidence.verdict.everywhere}" in headline
    assert more[-1].startswith("  50 held-out target episodes")
    page = evidence._repr_html_()
    assert f"<strong>{headline}</strong>" in page
    assert page.count("data:image/png;base64,") == 1
    assert headline in page[page.index("alt=") :]


def test_a_source_that_hurts_in_plain_co_training_is_called_so_whatever_its_window_does():
    # As in sorting: low levels help a little, the others hurt.
    table = np.repeat(np.array([0.95, 0.95, 1.1, 1.1, 1.1, 1.1])[:, None], 6, axis=1)
    evidence = evidence_of(table, FLAT, scatter=0.02)
    unsure = dataclasses.replace(evidence.verdict, word=NOT_KNOWN, window=Window(1.0, 0.1))
    headline = dataclasses.replace(evidence, verdict=unsure).headline()
    assert headline.startswith("me/sim hurts in plain co-training; not known at sigma < 0.10: held-out error")
    assert f", at every level {unsure.everywhere}" in headline
    nothing = dataclasses.replace(unsure, window=Window(1.0))
    assert "; no window is known: held-out" in dataclasses.replace(evidence, verdict=nothing).headline()


def test_markup_in_a_name_stays_text():
    assert "<script>" not in evidence_of(FLAT, FLAT, source="<script>alert(1)</script>")._repr_html_()


def test_the_window_stands_below_the_levels_that_it_admits(maze):
    evidence = dataclasses.replace(maze, verdict=dataclasses.replace(maze.verdict, window=Window(0.27, 0.1)))
    axis = map_figure(evidence).axes[0]
    bars = sorted((bar.get_x(), bar.get_facecolor()[:3]) for bar in axis.patches)
    teaches = [colour == pytest.approx(to_rgb("#1B1F24")) for _, colour in bars]
    # Strict bounds: the level 0.27 itself is not admitted.
    assert teaches == [True, False, False, True, True, True]


def test_plot_draws_on_a_given_axis_and_returns_its_figure(maze):
    figure = new_figure(5.0, 8.0)
    axis = figure.subplots()
    assert maze.plot(axis) is figure
    assert "slow: 0 Hz" in texts(figure)
    alone = maze.plot()
    assert len(png_of(alone)) < 150_000
    assert alone is not figure
    assert len(alone.axes) == 1


def test_curves_show_the_tolerance_and_the_window_beside_co_training(maze):
    figure = new_figure()
    left, right = figure.subplots(1, 2)
    curve_on(left, maze)
    curve_on(right, maze, ACCELERATION)
    labels = [axis.get_legend_handles_labels()[1] for axis in (left, right)]
    shared = ["target alone", "source at every level (co-training)", "source in its window (ambient)"]
    assert labels[0] == shared
    assert labels[1] == [*shared, "tolerated: 1.5"]
    assert right.lines[-1].get_ydata() == [1.5, 1.5]
    (ambient,) = [line for line in left.lines if line.get_label() == shared[-1]]
    assert ambient.get_ydata() == pytest.approx(np.exp(maze.confirmed.ratio.log[:, POSITION]))


def test_ambient_is_compared_with_the_best_of_the_others_at_every_level(maze):
    confirmed, read = (one.ratio.log[:, POSITION] for one in (maze.confirmed, maze.read))
    best = np.minimum(np.exp(read), 1.0)
    assert np.exp(against_best(maze)) == pytest.approx(np.exp(confirmed) / best)
    assert against_best(evidence_of(0.7 * FLAT)) is None
    assert against_best(evidence_of(1.5 * FLAT)) is None


def test_a_map_without_a_window_draws_none(maze):
    figure = new_figure(5.0, 8.0)
    axis = figure.subplots()
    heat_map_on(axis, maze.read)
    assert not axis.patches
    assert not any("window" in text for text in texts(figure))


@pytest.mark.parametrize(
    ("window", "words"),
    [
        (Window(0.0), "every noise level"),
        (Window(1.0), "no noise level"),
        (Window(0.27), "sigma > 0.27"),
        (Window(1.0, 0.5), "sigma < 0.50"),
        (Window(0.5, 0.1), "sigma < 0.10 and sigma > 0.50"),
    ],
)
def test_windows_in_words(window, words):
    assert window_words(window) == words


def test_an_annotation_draws_the_map_in_the_room_that_it_needs(maze):
    finding = Finding("me/sim", "heldout", "dataset", np.full(3, 0.27), np.zeros(3), (0.2, 0.27))
    chunks = SimpleNamespace(name="me/sim")
    figure = SourceAnnotation(None, 1, chunks, SourceEvidence(finding, heldout=maze)).plot()
    assert figure.get_size_inches() == pytest.approx(maze.plot().get_size_inches())
    assert "slow: 0 Hz" in texts(figure)
