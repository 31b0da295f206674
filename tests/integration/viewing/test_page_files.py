# SPDX-License-Identifier: Apache-2.0
"""The page as a folder: everything is in it, as much as was asked for, and no name of a dataset is markup."""

import json
import re

import pytest

from lerobot_ambient.figures import style
from lerobot_ambient.integration.viewing import page_files
from lerobot_ambient.integration.viewing.page_files import ASSETS, asset, json_text, worst, write_page

from .conftest import EVIL, SHAKY


def data_of(folder, name):
    text = (folder / "data" / f"{name}.js").read_text()
    assert "<" not in text
    return json.loads(re.fullmatch(rf'viewData\("{name}", (.*)\);\n', text)[1])


def test_the_folder_holds_what_the_page_asks_for(view, tmp_path):
    written = write_page(view, tmp_path / "page", images=40)
    folder = written.page.parent
    html = written.page.read_text()
    assert 'data-kind="folder"' in html
    assert set(re.findall(r'(?:src|href)="([^"]+)"', html)) == set(ASSETS)
    assert EVIL not in html
    index = data_of(folder, "index")
    assert index["datasets"][1]["name"] == EVIL
    assert len(index["episodes"]) == written.episodes == len(list((folder / "data").glob("episode-*.js")))
    shaky = data_of(folder, f"episode-1-{SHAKY}")
    assert shaky["columns"] == view.episode(view.find(1, SHAKY))["columns"]
    there = {path.name for path in (folder / "frames").iterdir()}
    assert {f"1-{SHAKY}-{frame}-0.jpg" for frame in shaky["pictures"]} <= there
    assert len(there) == written.pictures == 30
    assert written.bytes == sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def test_of_many_episodes_those_that_look_worst_are_written_and_it_is_said(view, tmp_path, monkeypatch):
    some = worst(view, 2)
    assert [one.dataset for one in some].count(1) == 2
    assert (some[0].dataset, some[0].episode) == (1, SHAKY)
    monkeypatch.setattr(page_files, "WRITTEN_EPISODES", 2)
    monkeypatch.setattr(page_files.worst, "__defaults__", (2,))
    folder = write_page(view, tmp_path / "page", images=0).page.parent
    notes = data_of(folder, "index")["notes"]
    assert "6 of 17 episodes are in this folder, of each dataset the 2 that look worst." in notes
    assert any(note.startswith("pictures of 0 of ") for note in notes)


def test_a_folder_of_something_else_is_left_alone(view, tmp_path):
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(ValueError, match="holds other files; give a new folder"):
        write_page(view, tmp_path, images=0)
    with pytest.raises(ValueError, match="is a file"):
        write_page(view, tmp_path / "thesis.tex", images=0)
    assert (tmp_path / "thesis.tex").read_text() == "years of work"


def test_recordings_beside_a_page_of_another_are_left_alone(view, tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "episode.parquet").write_text("weeks of work")
    (tmp_path / "view.js").write_text("")
    (tmp_path / "index.html").write_text("<!doctype html>")
    with pytest.raises(ValueError, match="holds other files; give a new folder"):
        write_page(view, tmp_path, images=0)
    assert (tmp_path / "data" / "episode.parquet").is_file()


def test_what_an_earlier_view_wrote_is_replaced(view, tmp_path):
    write_page(view, tmp_path, images=15)
    stale = tmp_path / "data" / "episode-9-9.js"
    stale.write_text("")
    write_page(view, tmp_path, images=15)
    assert not stale.exists()


def test_json_in_a_script_begins_no_tag_and_holds_numbers_only():
    assert json_text({"a": "</script>"}) == '{"a":"\\u003c/script>"}'
    with pytest.raises(ValueError, match="JSON"):
        json_text({"a": float("nan")})


def test_no_script_reads_names_as_html_and_the_colours_are_the_figures():
    scripts = b"".join(asset(name) for name in ASSETS if name.endswith(".js")).decode()
    for way in ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "http:", "https:"):
        assert way not in scripts
    css = asset("view.css").decode()
    for name, colour in (("target", style.TARGET), ("source", style.SOURCE), ("window", style.WINDOW)):
        assert f"--{name}: {colour};" in css
