# SPDX-License-Identifier: Apache-2.0
"""An entry against a dataset's own metadata: what differs, and what of it is refused."""

from types import SimpleNamespace

import pytest

from lerobot_ambient.data.catalogue.compare import checked_entry, disagreements, doubtful, remarks
from lerobot_ambient.data.catalogue.entry import generic
from lerobot_ambient.data.catalogue.library import entries, entry

from .mine import FRONT, POSE, mine


def features_of(one, **changes):
    """info.json's features as the entry has them; a list of names, a spec, or None to leave one out."""
    found = {key: changes.get(key, list(feature.stored or feature.names)) for key, feature in one.features.items()} | {
        key: {"dtype": "video", "shape": (*(c.shape or (4, 4)), 3), "names": ["height", "width", "channels"]}
        for key, c in one.cameras.items()
    }
    found |= changes
    spec = {
        key: {"dtype": "float32", "shape": (len(n),), "names": n} if isinstance(n, list) else n
        for key, n in found.items()
    }
    return {key: one for key, one in spec.items() if one is not None}


def found(one, fps=None, robot=None, named=None, rename=None, **changes):
    values = {"fps": fps or one.fps, "robot_type": robot or one.robot, "features": features_of(one, **changes)}
    return disagreements(one, **values, named=named, rename=rename)


@pytest.mark.parametrize("name", entries())
def test_an_entry_agrees_with_what_it_says(name):
    assert found(entry(name)) == []


def test_numbers_that_would_be_taken_for_others():
    one = mine()
    (other,) = found(one, action=POSE[:6])
    assert other.changes_meaning
    assert str(other) == f"action: the entry says 7 dimensions {POSE}, the dataset 6"
    (missing,) = found(one, action=None)
    assert str(missing) == "action: the entry says it has 7 dimensions, the dataset has no such feature"
    swapped = ["y", "x", *POSE[2:]]
    (order,) = found(one, action=swapped)
    assert order.changes_meaning
    assert str(order) == f"action: the entry says its dimensions are {POSE}, the dataset {swapped}"
    (picture,) = found(one, action={"dtype": "video", "shape": (4, 4, 3), "names": ["height", "width", "channels"]})
    assert picture.changes_meaning


def test_names_that_only_number_say_nothing():
    one = mine()
    for names in ([f"motor_{i}" for i in range(7)], [f"dim_{i}" for i in range(7)], [str(i) for i in range(7)]):
        assert generic(names)
        assert found(one, action=names) == []
    assert not generic(["motor_1", "motor_0"])
    assert not generic(["joint_0", "joint_1"])
    assert not generic(["x", "y"])


def test_names_that_the_entry_knows_to_be_stored():
    one = entry("openx/fractal")
    assert found(one, **{"observation.state": list(one.state.names)}) == []
    (other,) = found(one, **{"observation.state": [f"joint{i}" for i in "abcdefgh"]})
    assert "it calls its dimensions ['x', 'y', 'z', 'rx'" in other.entry


def test_names_of_the_user_stand_above_both():
    one = mine()
    swapped = ["y", "x", *POSE[2:]]
    assert found(one, action=swapped, named={"action": swapped}) == []
    # Those that the entry itself gave are checked.
    assert len(found(one, action=swapped, named={"action": POSE})) == 1


def test_what_changes_no_meaning():
    one = mine()
    small = {"dtype": "video", "shape": (12, 16, 3), "names": ["height", "width", "channels"]}
    assert [(str(d), d.changes_meaning) for d in found(one, fps=15, robot="franka", **{FRONT: small})] == [
        ("fps: the entry says 10, the dataset 15", False),
        ("robot: the entry says arm, the dataset franka", False),
        (f"{FRONT}: the entry says 24x32 pixels, the dataset 12x16", False),
    ]
    (gone,) = found(one, **{FRONT: None})
    assert str(gone).startswith(f"{FRONT}: the entry says it is a camera (third_person), the dataset has the cameras [")
    assert not gone.changes_meaning
    assert found(one, robot="Unknown") == found(one, fps=10.001) == []


def test_a_renamed_feature_is_found():
    one = mine()
    features = features_of(one)
    features["actions"] = features.pop("action")
    assert disagreements(one, fps=10, robot_type=None, features=features, rename={"action": "actions"}) == []


def test_a_source_is_refused_or_warned_of():
    one = entry("openx/toto")
    good = SimpleNamespace(fps=15, robot_type="franka", features=features_of(one))
    assert checked_entry("toto", None, good, {}, {}) == []
    (line,) = checked_entry("toto", "openx/toto", good, {}, {})
    assert line == "its catalogue entry openx/toto and its own metadata differ: fps: the entry says 30, the dataset 15."
    assert checked_entry("toto", "openx/toto@00000000", good, {}, {})[0].startswith(
        "its options are those of an older catalogue entry openx/toto (00000000, now "
    )
    assert "is not here, so it is not compared" in checked_entry("toto", "mine/gone@00000000", good, {}, {})[0]
    bad = SimpleNamespace(fps=15, robot_type="franka", features=features_of(one, action=["x", "y"]))
    with pytest.raises(ValueError) as refusal:
        checked_entry("toto", "openx/toto", bad, {}, {})
    message = str(refusal.value)
    assert "action: the entry says 7 dimensions" in message
    assert "fps: the entry says 30, the dataset 15" in message
    assert "'toto' is not what the catalogue entry openx/toto (lerobot_ambient/data/catalogue/entries/" in message
    assert "`catalogue: mine.yaml`" in message


def test_remarks_are_of_the_repo_id_too():
    one = entry("openx/toto")
    bad = SimpleNamespace(fps=30, robot_type="franka", features=features_of(one, action=["x", "y"]))
    (line,) = remarks(None, "lerobot/toto", bad)
    assert "action: the entry says 7 dimensions" in line
    assert remarks(None, "me/toto", bad) == []
    assert remarks("openx/toto", "me/toto", bad)[1] == doubtful(one)
    assert "could not verify action.frame, action.rotation" in doubtful(one)
    assert doubtful(entry("aloha/static_coffee")) is not None
