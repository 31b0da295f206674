# SPDX-License-Identifier: Apache-2.0
"""Many datasets are opened side by side: in order, all refusals said together, and one refusal as it stands."""

import threading
from dataclasses import replace

import pytest

from lerobot_ambient.core.mixing import Ambient
from lerobot_ambient.data.declared.groups import group_name
from lerobot_ambient.data.declared.sources import Source
from lerobot_ambient.data.mixture import make_mixture
from lerobot_ambient.data.reading.open_many import in_threads

from ..small_recipe import OPTIONS, RECIPE


def test_work_is_done_side_by_side_and_returned_in_order():
    meeting = threading.Barrier(3, timeout=10)

    def work(number: int) -> int:
        meeting.wait()
        return 10 * number

    assert in_threads(work, [3, 1, 2], "working", threads=3) == [30, 10, 20]
    assert in_threads(work, [], "working") == []


def test_one_refusal_stays_as_it_is_and_several_are_told_together():
    def refuse(number: int) -> int:
        if number % 2:
            raise ValueError(f"number {number} is odd")
        return number

    with pytest.raises(ValueError, match=r"^number 3 is odd$"):
        in_threads(refuse, [0, 2, 3, 4], "working")

    def refuse_with_note(number: int) -> None:
        error = ValueError(f"number {number} is wrong")
        error.add_note("declared so")
        raise error

    with pytest.raises(ValueError, match=r"1\. number 1 is wrong\ndeclared so\n2\. number 2 is wrong\ndeclared so$"):
        in_threads(refuse_with_note, [1, 2], "working")
    both = r"^2 of 4 datasets cannot be used:\n1\. number 1 is odd\n2\. number 3 is odd$"
    with pytest.raises(ValueError, match=both):
        in_threads(refuse, [0, 1, 2, 3], "working")


def test_what_is_no_refusal_is_not_collected():
    def break_down(number: int) -> int:
        raise RuntimeError(f"a bug at {number}")

    with pytest.raises(RuntimeError, match="a bug at 1"):
        in_threads(break_down, [1, 2], "working")


def test_a_group_is_the_robot_or_the_owner():
    assert group_name(None, "Franka", "lerobot/a") == group_name(None, "franka", "me/b") == "franka"
    assert group_name(None, "unknown", "lerobot/a") == group_name(None, None, "lerobot/b") == "lerobot"
    assert group_name("Mine", "franka", "lerobot/a") == "Mine"
    # Conversions of Open-X call their robots unknown.
    assert Source(catalogue="openx/toto").group == "franka"


def test_a_mixture_names_all_sources_that_cannot_be_used(target_root, source_root, tmp_path):
    sources = [
        Source("me/gone", root=str(tmp_path / "gone"), sigma_min=0.3),
        Source("me/sim", root=str(source_root), sigma_min=0.3),
        Source("me/short", root=str(source_root), episodes=[7], sigma_min=0.3),
    ]
    with pytest.raises(ValueError, match=r"(?s)^2 of 3 datasets.*1\. dataset 'me/gone'.*2\. 'me/short' has 4 episodes"):
        make_mixture(Source("me/target", root=str(target_root)), sources, OPTIONS, RECIPE)


def test_many_sources_are_told_in_a_table(target_root, source_root):
    sources = [
        Source("me/sim", root=str(source_root), sigma_min=0.3, weight=1.0 + number, group="b" if number < 9 else None)
        for number in range(14)
    ]
    recipe = replace(RECIPE, mixing=Ambient())
    mixture = make_mixture(Source("me/target", root=str(target_root)), sources, OPTIONS, recipe)
    head, table, target, *rows, folded, groups = str(mixture).splitlines()
    assert head.startswith("mixture of 15 datasets over 100 noise levels")
    assert table.split() == ["dataset", "episodes", "frames", "fps", "samples", "share", "window"]
    assert target.split()[0] == "me/target" and len(rows) == 12
    # The heaviest comes first, the two lightest are folded.
    assert [row.split()[0] for row in rows] == [f"me/sim#{number}" for number in range(13, 1, -1)]
    law = mixture.plan.by_source().sum(1)
    assert folded.strip() == (
        f"... and 2 more sources with 170 samples, together {100 * float(law[1:3].sum()):.1f} % of the draws"
    )
    of_b, others = float(law[1:10].sum()), float(law[10:].sum())
    assert groups.strip() == f"by group: me (5) {100 * others:.1f} %, b (9) {100 * of_b:.1f} %"
    assert max(map(len, [table, target, *rows, folded, groups])) < 120
