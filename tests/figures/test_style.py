# SPDX-License-Identifier: Apache-2.0
"""Figures look the same whatever the caller's settings are, and their files are whole."""

import matplotlib
import pytest
from PIL import Image

from lerobot_ambient.figures.families import COLOURS, MARKERS, NAMES, label, marker
from lerobot_ambient.figures.style import LIMIT, new_figure, styled, subplots, write_figure, write_png_and_svg


@styled
def draw(path):
    figure, axes = subplots(1, 2, figsize=(3.0, 1.5), sharey=True)
    for axis in axes.flat:
        axis.plot([0, 1], [0, 1], label="line")
        axis.legend()
    return write_png_and_svg(figure, path)


def test_the_callers_settings_and_the_clock_change_no_byte(tmp_path, monkeypatch):
    first = draw(tmp_path / "first" / "figure")
    monkeypatch.setitem(matplotlib.rcParams, "font.size", 30)
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "0")
    second = draw(tmp_path / "second" / "figure.png")
    assert second.name == first.name == "figure.png"
    for suffix in (".png", ".svg"):
        assert first.with_suffix(suffix).read_bytes() == second.with_suffix(suffix).read_bytes()
    assert matplotlib.rcParams["font.size"] == 30
    assert matplotlib.rcParams["axes.edgecolor"] != LIMIT


def test_the_suffix_names_the_format(tmp_path):
    figure = new_figure()
    assert Image.open(write_figure(figure, tmp_path / "plan")).format == "PNG"
    assert write_figure(figure, tmp_path / "plan.svg").read_text().startswith("<?xml")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["plan.png", "plan.svg"]


def test_a_figure_that_cannot_be_written_leaves_the_older_one(tmp_path):
    path = tmp_path / "plan.doc"
    path.write_text("older")
    with pytest.raises(ValueError, match="doc"):
        write_figure(new_figure(), path)
    assert path.read_text() == "older"
    assert list(tmp_path.iterdir()) == [path]


def test_every_family_has_a_name_a_colour_and_a_marker_and_its_variants_differ():
    assert set(NAMES) == set(COLOURS) == set(MARKERS)
    arms = ["ambient", "ambient:spectral", "ambient:heldout", "ambient:0.3", "ambient:0.5"]
    markers = [marker(arm, arms) for arm in arms]
    assert len(set(markers[:3])) == 3
    assert markers[3:] == [".", "."], "points of a front"
    assert label("ambient:spectral") == "ambient, window by spectra"
