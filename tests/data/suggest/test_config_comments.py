# SPDX-License-Identifier: Apache-2.0
"""Comments find the options they stood at in a text of another layout."""

import pytest
import yaml

from lerobot_ambient.data.suggest.config_comments import carry_comments

NEW = """dataset:
  repo_id: me/arm
policy:
  sources:
    - repo_id: me/sim
      weight: 2.0
    - repo_id: me/twin
"""


@pytest.mark.parametrize(
    ("old", "kept"),
    [
        ("dataset: {repo_id: me/arm}  # small\n", "dataset:  # small\n  repo_id: me/arm\n"),
        ("dataset:\n  # small\n  repo_id: me/arm\n", "dataset:\n  # small\n  repo_id: me/arm\n"),
        # A source is the same one wherever it stands in the list.
        (
            "policy:\n  sources:\n    # late\n    - {root: x, repo_id: me/twin}  # Tuesday's\n",
            "    # late\n    - repo_id: me/twin  # Tuesday's\n",
        ),
        ("policy:\n  sources:\n  - weight: 2.0  # why\n    repo_id: me/sim\n", "      weight: 2.0  # why\n"),
        # What has no place goes above what was around it, or to the end.
        ("policy:\n  horizon: 16  # as in the paper\n", "# horizon: 16  # as in the paper\npolicy:\n"),
        ("steps: 100  # few\n# done\n", "me/twin\n# steps: 100  # few\n# done\n"),
        # A sign inside of a value is none.
        ("dataset: {repo_id: 'me # arm'}  # isn't '#1'\n", "dataset:  # isn't '#1'\n"),
        ("# only comments\n", "me/twin\n# only comments\n"),
        ("# PROBLEM: one that was settled,\n#   in two lines\n# mine\ndataset: {}\n", "# mine\ndataset:\n"),
    ],
)
def test_a_comment_stays_at_its_option(old, kept):
    carried = carry_comments(old, NEW)
    assert kept in carried
    assert yaml.safe_load(carried) == yaml.safe_load(NEW)
    assert carry_comments(carried, NEW) == carried
    assert "settled" not in carried and "two lines" not in carried


def test_what_both_say_is_said_once():
    old = "a: 1    # why\n# note to self\nb: 2  # mine\n"
    assert carry_comments(old, "# note to self\na: 1\nb: 2  # yours\n") == (
        "# note to self\na: 1    # why\n# mine\nb: 2  # yours\n"
    )
    assert carry_comments(old, old) == old


def test_a_value_of_several_lines_gets_no_comment_inside():
    new = "a: one\n  two\nb: |\n  # text\n"
    carried = carry_comments("a: one two  # why\n", new)
    assert carried == f"# why\n{new}"
    assert carry_comments(carried, new) == carried
