# SPDX-License-Identifier: Apache-2.0
"""Names of dimensions in the forms that recorders and converters write, and what happens where they cannot be read."""

import itertools
import json
import shutil

import numpy as np
import pytest

from lerobot_ambient.cli.__main__ import main
from lerobot_ambient.data.alignment.feature_map import resolve
from lerobot_ambient.data.declared.alignment import DimensionConfig
from lerobot_ambient.data.files.dimension_names import dimension_names, read_names, with_names


def spec(names, *shape):
    return {"dtype": "float32", "shape": shape, "names": names}


READ = {
    "a list": (["x", "y", "z"], (3,), "x y z"),
    "a tuple": (("x", "y", "z"), (3,), "x y z"),
    "a list in a list": ([["x", "y", "z"]], (3,), "x y z"),
    "lists in a list": ([["x"], ["y", "z"]], (3,), "x y z"),
    "a group": ({"motors": ["x", "y", "z"]}, (3,), "x y z"),
    "a list in a group": ({"motors": [["x", "y", "z"]]}, (3,), "x y z"),
    "groups": ({"arm": ["x", "y"], "hand": ["z"]}, (3,), "x y z"),
    "groups with equal names": ({"left": ["x", "y"], "right": ["x", "y"]}, (4,), "left.x left.y right.x right.y"),
    "places": ({"delta_x": 0, "delta_y": 1, "gripper": 2}, (3,), "delta_x delta_y gripper"),
    "places out of order": ({"z": 2, "x": 0, "y": 1}, (3,), "x y z"),
    "names by place": ({"1": "y", "0": "x"}, (2,), "x y"),
    "places in groups": ({"left": {"y": 1, "x": 0}, "right": {"y": 3, "x": 2}}, (4,), "left.x left.y right.x right.y"),
    "places that begin anew": ({"arm": {"y": 1, "x": 0}, "hand": {"z": 0}}, (3,), "x y z"),
    "one name": ("x", (1,), "x"),
    "one name by axis": (["x", "y", "z"], (1, 3), "x y z"),
    "axes": ([["left", "right"], ["x", "y", "z"]], (2, 3), "left.x left.y left.z right.x right.y right.z"),
    "axes by name": ({"arm": ["l", "r"], "joint": ["x", "y", "z"]}, (2, 3), "l.x l.y l.z r.x r.y r.z"),
    "as the numbers stand": ([["a", "b", "c"], ["d", "e", "f"]], (2, 3), "a b c d e f"),
}


@pytest.mark.parametrize(("written", "shape", "names"), READ.values(), ids=READ)
def test_names_that_are_read(written, shape, names):
    assert read_names(spec(written, *shape)).problem is None
    assert dimension_names(spec(written, *shape)) == names.split()


@pytest.mark.parametrize(
    ("written", "shape"),
    [
        (None, (2,)),
        ([], (2,)),
        ([None, None], (2,)),
        (["", ""], (2,)),
        ({}, (2,)),
        ([[]], (2,)),
        (["actions"], (2,)),
        ("observation.state", (2,)),
        (["time", "joint"], (2, 3)),
    ],
)
def test_a_feature_without_names_is_numbered(written, shape):
    names = read_names(spec(written, *shape))
    assert names.are_numbers and names.problem is None and len(names.names) == np.prod(shape)


UNREAD = {
    "too few": (["x", "y"], (3,), r"names 2 of 3 dimensions: \['x', 'y'\]"),
    "too many": (["x", "y", "z", "w"], (3,), "names 4 of 3"),
    "too many in a list": ([["x", "y", "z", "w"]], (3,), "names 4 of 3"),
    "twice the same": (["x", "y", "x"], (3,), "names 'x' more than once"),
    "rows or axes": ([["a", "b"], ["c", "d"]], (2, 2), "4 dimensions or the axes"),
    "a gap in the places": ({"x": 0, "y": 2}, (2,), r"its places are \[0, 2\], not 0 to 1"),
    "places of too few": ({"x": 0, "y": 1}, (3,), "places to 2 of 3"),
    "places and names": ({"x": 0, "y": "b"}, (2,), "places to 2 of 2"),
    "a word": ("xyz", (3,), "names 1 of 3 dimensions: xyz"),
    "neither names nor places": ({"x": 0.5, "y": 1.5}, (2,), "0.5 is no name"),
    "some without": ([["x"], None], (2,), "None is no name"),
}


@pytest.mark.parametrize(("written", "shape", "problem"), UNREAD.values(), ids=UNREAD)
def test_names_that_cannot_be_read_count_as_none_and_say_why(written, shape, problem):
    names = read_names(spec(written, *shape))
    assert names.are_numbers
    with pytest.raises(ValueError, match=problem):
        raise ValueError(names.problem)


FORMS = {
    "flat": list,
    "nested": lambda names: [list(names)],
    "places": lambda names: {name: i for i, name in enumerate(names)},
    "group": lambda names: {"motors": list(names)},
}


@pytest.mark.parametrize(("mine", "theirs"), itertools.product(FORMS, FORMS))
def test_any_two_forms_are_matched_by_name(mine, theirs):
    feature, problems = resolve("action", spec(FORMS[mine]("abc"), 3), spec(FORMS[theirs]("cab"), 3), {})
    assert problems == [] and feature.remark is None
    assert feature.take.tolist() == [1, 2, 0]


@pytest.mark.parametrize(("written", "shape", "problem"), UNREAD.values(), ids=UNREAD)
def test_nothing_is_laid_onto_names_that_cannot_be_read(written, shape, problem):
    good = spec([f"j{i}" for i in range(int(np.prod(shape)))], *shape)
    for target, source, side in ((good, spec(written, *shape), "source"), (spec(written, *shape), good, "target")):
        (line,) = resolve("action", target, source, {})[1]
        assert f"the {side}'s names of dimensions cannot be read (" in line
    # What both write alike has one order.
    feature, problems = resolve("action", spec(written, *shape), spec(written, *shape), {})
    assert problems == [] and feature.is_identity and "cannot be read" in feature.remark


def test_the_lines_to_write_are_right():
    broken = spec(["pan", "lift"], 3)
    (line,) = resolve("action", spec(["pan", "lift", "hand"], 3), broken, {})[1]
    assert line.endswith('dimensions: {action: {pan: {take: "0"}, lift: {take: "1"}, hand: {take: "2"}}}')
    rules = {name: DimensionConfig(take=str(i)) for i, name in enumerate(["pan", "lift", "hand"])}
    feature, problems = resolve("action", spec(["pan", "lift", "hand"], 3), broken, rules)
    assert problems == [] and feature.is_identity and feature.remark is None
    (line,) = resolve("action", broken, spec(["hand", "lift", "pan"], 3), {})[1]
    assert line.endswith('--policy.target_dimension_names=\'{"action": ["hand", "lift", "pan"]}\'')
    named = with_names({"action": broken}, {"action": ["pan", "lift", "hand"]}, "me/target")["action"]
    assert resolve("action", named, spec(["hand", "lift", "pan"], 3), {})[0].take.tolist() == [2, 1, 0]


@pytest.mark.parametrize(
    ("target", "source", "remark"),
    [
        (None, None, "matched by position: neither the target nor the source names them"),
        (None, ["a", "b"], r"the target does not name them; taken as \['a', 'b'\]"),
        (["a", "b"], None, r"the source does not name them; taken as \['a', 'b'\]"),
    ],
)
def test_what_is_taken_by_place_is_told(target, source, remark):
    feature, problems = resolve("action", spec(target, 2), spec(source, 2), {})
    assert problems == [] and feature.is_identity
    with pytest.raises(ValueError, match=remark):
        raise ValueError(feature.remark)
    names = target or ["0", "1"]
    takes = {name: DimensionConfig(take=take) for name, take in zip(names, source or ["0", "1"], strict=True)}
    assert resolve("action", spec(target, 2), spec(source, 2), takes)[0].remark is None


@pytest.mark.parametrize(
    ("declared", "message"),
    [
        ({"act": ["a", "b"]}, r"'me/sim': names are declared for the dimensions of 'act'; it has \['action'\]"),
        ({"action": ["a"]}, r"action has 2 dimensions and needs as many different names, declared are \['a'\]"),
        ({"action": ["a", "a"]}, "as many different names"),
    ],
)
def test_declared_names_must_fit(declared, message):
    with pytest.raises(ValueError, match=message):
        with_names({"action": spec(None, 2)}, declared, "me/sim")


def about(text):
    """What is said, the environment state aside, which has no names in either dataset."""
    return "\n".join(line for line in text.splitlines() if "environment_state" not in line)


@pytest.fixture
def inspect(target_root, source_root, tmp_path, capsys):
    """`lerobot-ambient inspect` on both datasets, their names written as given; gives (exit code, what it prints)."""

    def run(mine, theirs, *options, **of_source):
        roots = {}
        for root, names in ((target_root, mine), (source_root, theirs)):
            roots[root.name] = str(shutil.copytree(root, tmp_path / root.name, dirs_exist_ok=True))
            path = tmp_path / root.name / "meta" / "info.json"
            info = json.loads(path.read_text())
            for key in ("action", "observation.state"):
                info["features"][key]["names"] = names
            path.write_text(json.dumps(info))
        source = {"repo_id": "me/sim", "root": roots[source_root.name], "sigma_min": 0.3, **of_source}
        code = main(
            [
                *("inspect", "--policy.type=ambient_diffusion", "--policy.horizon=8", "--policy.n_action_steps=4"),
                *("--dataset.repo_id=me/target", f"--dataset.root={roots[target_root.name]}", *options),
                *(() if theirs is None and "alone" in of_source else (f"--policy.sources={json.dumps([source])}",)),
            ]
        )
        captured = capsys.readouterr()
        return code, captured.out + captured.err

    return run


def test_inspect_reads_refuses_or_warns(inspect):
    code, text = inspect([["a", "b"]], {"b": 0, "a": 1})
    assert code == 0 and "warning: " not in about(text)
    code, text = inspect(None, None)
    assert code == 0
    assert "warning: 'me/sim': action: dimensions are matched by position: neither the target nor the source" in text
    code, text = inspect(["a", "b"], ["a", "b", "c"])
    assert code != 0
    assert (
        "action: the source's names of dimensions cannot be read (it names 3 of 2 dimensions: ['a', 'b', 'c'])" in text
    )
    assert 'dimensions: {action: {a: {take: "0"}, b: {take: "1"}}}' in text
    names = {"action": ["b", "a"], "observation.state": ["b", "a"]}
    code, text = inspect(["a", "b"], ["a", "b", "c"], dimension_names=names)
    assert code == 0 and "warning: " not in about(text)
    code, text = inspect(["a", "a"], ["a", "b"])
    assert code != 0 and '--policy.target_dimension_names=\'{"action": ["a", "b"]}\'' in text
    code, text = inspect(["a", "a"], ["a", "b"], f"--policy.target_dimension_names={json.dumps(names)}")
    assert code == 0 and "warning: " not in about(text)
    code, text = inspect(["a", "a"], None, alone=True)
    assert code == 0 and "warning: 'me/target': action: the names of its dimensions cannot be read" in text


def test_relative_actions_need_states_in_the_actions_order(inspect):
    code, text = inspect({"action": ["a", "b"]}, ["a", "b"], "--policy.relative_actions=true")
    assert code == 0
    names = json.dumps({"action": ["a", "b"], "observation.state": ["b", "a"]})
    code, text = inspect(
        ["a", "b"], ["a", "b"], "--policy.relative_actions=true", f"--policy.target_dimension_names={names}"
    )
    assert code != 0 and "has them in another order, ['b', 'a'] and ['a', 'b']" in text
