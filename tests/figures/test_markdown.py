# SPDX-License-Identifier: Apache-2.0
from lerobot_ambient.figures.markdown import markdown_table


def test_a_table():
    assert markdown_table(["a", "b"], [["1", "x|y"]]) == ["| a | b |", "| --- | --- |", "| 1 | x\\|y |"]
    assert markdown_table(["a"], [], numbers=True) == ["| a |", "| ---: |"]
