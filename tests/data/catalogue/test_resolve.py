# SPDX-License-Identifier: Apache-2.0
"""What `catalogue:` in a source stands for, and how it is written down and read again."""

import draccus
import pytest

from lerobot_ambient.data.catalogue.library import VARIABLE, entry
from lerobot_ambient.data.declared.alignment import CameraConfig
from lerobot_ambient.data.declared.sources import Source
from lerobot_ambient.data.suggest.suggest import plain

from .mine import FRONT, POSE, VALUES, WRIST, changed, text

VIEWS = {"third_person": FRONT, "wrist": WRIST}


@pytest.fixture
def arm(tmp_path, monkeypatch):
    """The file of `mine/arm`, which the environment names."""
    path = tmp_path / "mine/arm.yaml"
    path.parent.mkdir()
    path.write_text(text(VALUES))
    monkeypatch.setenv(VARIABLE, str(tmp_path))
    return path


def test_it_stands_for_the_options_of_its_entry():
    source = Source(catalogue="openx/toto", sigma_min=0.5)
    known = entry("openx/toto")
    assert (source.repo_id, source.revision) == (known.repo_id, known.revision)
    assert source.dimension_names["action"] == POSE
    assert source.dimension_names["observation.state"][-1] == "pad"
    assert (source.action_type, source.action_gain) == ("delta", None)
    assert Source(catalogue="openx/nyu_door_opening").action_gain == 0.333333


def test_what_the_block_says_stands_above_the_entry():
    names = [f"n{i}" for i in range(7)]
    source = Source(
        catalogue="openx/toto",
        repo_id="me/toto",
        revision="v3.0",
        action_type="absolute",
        dimension_names={"action": names},
        rename={"observation.images.image": "observation.images.top"},
    )
    assert (source.repo_id, source.revision, source.action_type) == ("me/toto", "v3.0", "absolute")
    assert source.dimension_names["action"] == names
    assert source.dimension_names["observation.state"][0] == "joint_1"
    # A commit is of one repository.
    assert Source(catalogue="openx/toto", repo_id="me/toto").revision is None
    # Positions have no gain.
    assert Source(catalogue="openx/taco_play", action_type="absolute").action_gain is None
    assert Source(catalogue="openx/taco_play", action_gain=2.0).action_gain == 2.0


def test_swapped_colours_are_the_entrys_unless_said_and_not_of_other_copies():
    own = ["observation.images.image", "observation.images.wrist_image"]
    source = Source(catalogue="openx/stanford_hydra", views={"wrist": WRIST})
    assert source.bgr == own and source.said().keys() == {"catalogue", "views"}
    assert Source(catalogue="openx/stanford_hydra", repo_id="me/hydra").bgr == own
    assert Source(catalogue="openx/stanford_hydra", bgr=[]).bgr == []
    assert Source(catalogue="openx/stanford_hydra", repo_id="IPEC-COMMUNITY/stanford_hydra_dataset_lerobot").bgr is None


def test_views_rename_cameras_and_stand_in_for_absent_ones():
    source = Source(catalogue="openx/viola", views=VIEWS)
    assert source.rename == {"observation.images.agentview_rgb": FRONT, "observation.images.eye_in_hand_rgb": WRIST}
    assert source.cameras == {}
    source = Source(
        catalogue="openx/toto", views=VIEWS, cameras={FRONT: CameraConfig(fit="crop"), WRIST: CameraConfig(fit="pad")}
    )
    assert source.rename == {"observation.images.image": FRONT}
    # There is nothing to fit where there is no camera.
    assert source.cameras == {FRONT: CameraConfig(fit="crop"), WRIST: CameraConfig(fill=0.0)}
    grey = Source(catalogue="openx/toto", views=VIEWS, cameras={WRIST: CameraConfig(fill=0.5)})
    assert grey.cameras == {WRIST: CameraConfig(fill=0.5)}


def test_a_camera_of_the_targets_key_that_looks_from_elsewhere_makes_room(arm):
    source = Source(catalogue="mine/arm", views={"wrist": FRONT})
    assert source.rename == {WRIST: FRONT, FRONT: "unused.front"}


def test_names_go_with_a_feature_that_the_source_renames():
    source = Source(catalogue="robomind/agilex", repo_id="me/agilex", rename={"actions.joint_position_left": "action"})
    assert source.dimension_names["action"][0] == "left_joint_1"
    assert "actions.joint_position_left" not in source.dimension_names
    assert source.said() == {"catalogue": "robomind/agilex", "repo_id": "me/agilex", "rename": source.rename}


def test_views_that_cannot_be():
    with pytest.raises(ValueError, match=r"views of 'openx/toto' name \['front'\]; its cameras are \['third_person'\]"):
        Source(catalogue="openx/toto", views={"front": FRONT})
    with pytest.raises(ValueError, match=r"views of 'openx/viola' give one key to several cameras"):
        Source(catalogue="openx/viola", views={"third_person": FRONT, "wrist": FRONT})
    with pytest.raises(ValueError, match=r"source 'me/a' has views .* and no catalogue entry .* rename"):
        Source("me/a", views={"wrist": FRONT})


def test_an_entry_without_a_dataset_needs_one():
    with pytest.raises(ValueError, match=r"'agibot/world' names no dataset on the Hub.*repo_id: me/mine, root: FOLDER"):
        Source(catalogue="agibot/world")
    assert Source(catalogue="agibot/world", repo_id="me/agibot").action_type == "absolute"
    with pytest.raises(ValueError, match=r"the catalogue has no entry 'openx/nothing'"):
        Source(catalogue="openx/nothing")


def test_what_it_says_is_what_was_written():
    assert Source(catalogue="openx/toto", sigma_min=0.5).said() == {"catalogue": "openx/toto", "sigma_min": 0.5}
    source = Source(catalogue="openx/toto", views=VIEWS, rename={"a": "b"}, root="data/toto")
    assert source.said() == {"catalogue": "openx/toto", "root": "data/toto", "rename": {"a": "b"}, "views": VIEWS}
    assert plain(source) == source.said()
    assert repr(source).startswith("Source(catalogue='openx/toto', root='data/toto', rename=")
    assert repr(Source("me/sim", sigma_min=0.3)) == "Source('me/sim', sigma_min=0.3)"
    assert Source(**source.said()) == source


def test_a_checkpoint_keeps_the_options_whatever_becomes_of_the_entry(arm):
    source = Source(catalogue="mine/arm", views=VIEWS, sigma_min=0.4)
    written = draccus.encode(source)
    assert written["catalogue"] == f"mine/arm@{entry('mine/arm').digest}"
    assert draccus.decode(Source, written) == source
    arm.write_text(text(changed(repo_id="me/another")))
    again = draccus.decode(Source, written)
    assert again == source
    # What another entry would say has to be written.
    assert again.said()["repo_id"] == "me/arm"
    arm.unlink()
    assert draccus.decode(Source, written) == source
    with pytest.raises(ValueError, match=r"write `catalogue: mine/arm` to take them from the entry again"):
        Source(catalogue=written["catalogue"])
