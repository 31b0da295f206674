# SPDX-License-Identifier: Apache-2.0
"""`make test` runs every test: those marked `alone` apart, in the files that it names."""

import runpy


def test_every_test_that_runs_alone_is_named(checkout):
    made = runpy.run_path(str(checkout / "scripts" / "side_by_side.py"))
    word = "pytest.mark." + "alone"
    marked = [path.relative_to(checkout).as_posix() for path in (checkout / "tests").rglob("test_*.py")]
    marked = [name for name in marked if word in (checkout / name).read_text()]
    assert marked
    assert [name for name in marked if not name.startswith(made["ALONE"])] == []
    assert all((checkout / name).exists() for name in made["ALONE"])


def test_the_last_lines_are_pytests(checkout):
    made = runpy.run_path(str(checkout / "scripts" / "side_by_side.py"))
    output = b"FAILED is a word\nx\nFAILED tests/a.py::b - AssertionError\n==== 1 failed, 2 passed in 3s ====\n"
    assert made["_summary"](output).splitlines()[-1] == "==== 1 failed, 2 passed in 3s ===="
    assert "FAILED tests/a.py::b - AssertionError" in made["_summary"](output)
