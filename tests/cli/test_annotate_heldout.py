# SPDX-License-Identifier: Apache-2.0
"""`annotate --method=heldout`: what it says of a source that decides wrongly, in every form, and what it writes."""

import json

import pytest
import yaml

from lerobot_ambient.annotate.results.trust import CHUNKS_ALONE, CONDITIONAL
from tests.integration.heldout.decisions import command, write


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    folder = tmp_path_factory.mktemp("heldout")
    write(folder / "target", "me/target", 24, seed=1)
    write(folder / "wrong", "me/wrong", 60, seed=3, wrong=True)
    return folder


@pytest.fixture
def annotate(home, capsys):
    return command(home, "wrong", capsys)


def test_a_source_that_decides_wrongly_is_refused(annotate, tmp_path):
    code, printed = annotate()
    assert code == 0
    assert printed.out.startswith(CONDITIONAL)
    assert CHUNKS_ALONE not in printed.out
    assert "me/wrong: hurts (held-out error +" in printed.out
    assert "the error is raised at sigma" in printed.out
    pasted = yaml.safe_load(printed.out[printed.out.index("sources:") :])
    assert pasted == {"sources": [{"repo_id": "me/wrong"}]}


def test_json_and_configuration(annotate, tmp_path):
    file = tmp_path / "mine.yaml"
    code, printed = annotate("--json", f"--write-config={file}")
    assert code == 0
    (entry,) = json.loads(printed.out)
    assert (entry["method"], entry["heldout"]["verdict"], entry["recommended"]) == ("heldout", "hurts", False)
    assert entry["check"] is None
    assert "sigma" not in file.read_text()


def test_what_is_said_of_the_configuration(annotate, tmp_path):
    _, printed = annotate(f"--write-config={tmp_path / 'mine.yaml'}")
    assert "me/wrong: left as it was: hurts (held-out error" in printed.out


def test_windows_are_not_written_where_none_is_named(annotate, tmp_path):
    annotate(f"--windows-dir={tmp_path}")
    (file,) = tmp_path.iterdir()
    from lerobot_ambient.data.windows.windows_file import read_windows

    table = read_windows(file)
    assert (table.method, float(table.sigma_min.min()), float(table.sigma_max.max())) == ("heldout", 1.0, 0.0)
