# SPDX-License-Identifier: Apache-2.0
"""Pictures that are not what info.json says: every kind, in the target and in a source, works or is refused by name."""

import io
import json
import logging
import shutil

import numpy as np
import PIL.Image
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from diffusers.schedulers.scheduling_ddpm import DDPMScheduler
from lerobot.datasets.dataset_metadata import LeRobotDatasetMetadata

from lerobot_ambient.core.mixing import Cotrain
from lerobot_ambient.core.noise_levels import NoiseSchedule
from lerobot_ambient.data.cameras.picture_files import broken_pictures
from lerobot_ambient.data.declared.alignment import CameraConfig
from lerobot_ambient.data.declared.recipe import MixtureRecipe
from lerobot_ambient.data.declared.sources import Source
from lerobot_ambient.data.files.camera_specs import camera_shape, policy_spec
from lerobot_ambient.data.mixture import make_mixture
from lerobot_ambient.data.reading.open_dataset import ReadOptions

SCHEDULE = NoiseSchedule.from_alphas_cumprod(DDPMScheduler(100, beta_schedule="squaredcos_cap_v2").alphas_cumprod)
OPTIONS = ReadOptions(observation_deltas=[-1, 0], action_deltas=list(range(-1, 7)))
RECIPE = MixtureRecipe(schedule=SCHEDULE, mixing=Cotrain(), action_mode="MIN_MAX")
CAM = "observation.images.cam"


@pytest.fixture(scope="module")
def recorded(tmp_path_factory, write_dataset):
    """me/seeing: 2 episodes of 6 and 5 frames with a 12x16 camera stored as images."""
    return write_dataset(tmp_path_factory.mktemp("odd") / "seeing", "me/seeing", [6, 5], image=(12, 16))


@pytest.fixture
def odd(recorded, tmp_path):
    """A private copy."""
    return shutil.copytree(recorded, tmp_path / "odd")


def declare(root, **entries):
    path = root / "meta/info.json"
    info = json.loads(path.read_text())
    info["features"][CAM] |= entries
    path.write_text(json.dumps(info))


def rewrite(root, change, frames=range(11)):
    """Replace the cells of these rows; `change` maps {bytes, path} to another."""
    (path,) = (root / "data").rglob("*.parquet")
    table = pq.read_table(path)
    cells = table[CAM].to_pylist()
    for i in frames:
        cells[i] = change(cells[i])
    at = table.column_names.index(CAM)
    pq.write_table(table.set_column(at, CAM, pa.array(cells, table[CAM].type)), path)


def redraw(root, draw, frames=range(11), format="PNG"):
    def change(cell):
        buffer = io.BytesIO()
        draw(PIL.Image.open(io.BytesIO(cell["bytes"]))).save(buffer, format)
        return cell | {"bytes": buffer.getvalue()}

    rewrite(root, change, frames)


def drop_column(root):
    (path,) = (root / "data").rglob("*.parquet")
    pq.write_table(pq.read_table(path).drop_columns([CAM]), path)


def sixteen_bits(picture):
    return PIL.Image.fromarray(np.asarray(picture)[..., 0].astype(np.uint16) * 256)


DAMAGES = {
    "no column": (drop_column, r"no parquet file under data/ has the column observation\.images\.cam"),
    "null": (lambda root: rewrite(root, lambda cell: None), r"frame 0 is not there \(null\)"),
    "cut": (
        lambda root: rewrite(root, lambda cell: cell | {"bytes": cell["bytes"][:60]}),
        r"frame 0 cannot be decoded \(",
    ),
    "no bytes": (lambda root: rewrite(root, lambda cell: cell | {"bytes": b""}), r"frame 0 cannot be decoded \("),
    "file lost": (
        lambda root: rewrite(root, lambda cell: {"bytes": None, "path": "lost/frame.png"}),
        r"frame 0 cannot be decoded \(.*lost/frame.png",
    ),
    "other size": (
        lambda root: redraw(root, lambda picture: picture.resize((32, 24))),
        r"frame 0 has \(height, width, channels\) \[24, 32, 3\], meta/info.json says \[12, 16, 3\]",
    ),
    "size promised": (
        lambda root: declare(root, shape=[24, 32, 3]),
        r"frame 0 has \(height, width, channels\) \[12, 16, 3\], meta/info.json says \[24, 32, 3\]",
    ),
    "grey unpromised": (
        lambda root: redraw(root, lambda picture: picture.convert("L")),
        r"frame 0 has \(height, width, channels\) \[12, 16, 1\], meta/info.json says \[12, 16, 3\]",
    ),
    "grey promised": (
        lambda root: declare(root, shape=[12, 16, 1]),
        r"frame 0 has \(height, width, channels\) \[12, 16, 3\], meta/info.json says \[12, 16, 1\]",
    ),
    "four channels": (
        lambda root: (redraw(root, lambda picture: picture.convert("RGBA")), declare(root, shape=[12, 16, 4])),
        r"frame 0 has the mode RGBA; the image encoder reads eight bits of RGB|target has 3 channels, source 4",
    ),
    "palette": (lambda root: redraw(root, lambda picture: picture.convert("P")), "frame 0 has the mode P;"),
    "sixteen bits": (
        lambda root: (redraw(root, sixteen_bits), declare(root, shape=[12, 16, 1])),
        r"frame 0 has the mode I;16; .*`is_depth_map: true`",
    ),
    "floats": (
        lambda root: (redraw(root, lambda p: p.convert("F"), format="TIFF"), declare(root, shape=[12, 16, 1])),
        "frame 0 has the mode F;",
    ),
    "shape of one axis": (lambda root: declare(root, shape=[16], names=["width"]), r"shape \[16\] in meta/info.json"),
    "depth": (
        lambda root: declare(root, shape=[12, 16, 1], info={"is_depth_map": True}),
        r"hold depth.*target_rename='{observation.images.cam: unused.cam}'|target has 3 channels, source 1 \(depth\)",
    ),
}
WORKS = {
    "grey": lambda root: (redraw(root, lambda p: p.convert("L")), declare(root, shape=[12, 16, 1])),
    "grey of two axes": lambda root: (
        redraw(root, lambda p: p.convert("L")),
        declare(root, shape=[12, 16], names=["height", "width"]),
    ),
    "channels first": lambda root: declare(root, shape=[3, 12, 16], names=["channels", "height", "width"]),
    "channels first, names last": lambda root: declare(root, shape=[3, 12, 16]),
    "channels first, no names": lambda root: declare(root, shape=[3, 12, 16], names=None),
    "no names": lambda root: declare(root, names=None),
    "JPEG": lambda root: redraw(root, lambda picture: picture, format="JPEG"),
}


def config_of(root, role, **kwargs):
    return Source("me/odd", root=str(root), **({"sigma_min": 0.3} if role == "source" else {}), **kwargs)


def mixture(root, role, recorded, options=OPTIONS, **kwargs):
    """The mixture with the dataset as the target, or as a source of the sound one."""
    config = config_of(root, role, **kwargs)
    if role == "target":
        return make_mixture(config, [], options, RECIPE)
    return make_mixture(Source("me/seeing", root=str(recorded)), [config], options, RECIPE)


# As a source, one of each way in which it is found.
@pytest.mark.parametrize(
    ("role", "kind"),
    [("target", kind) for kind in DAMAGES]
    + [("source", kind) for kind in ("no column", "cut", "other size", "four channels", "depth")],
)
def test_what_cannot_be_used_is_refused_when_it_is_opened(odd, recorded, kind, role):
    damage, message = DAMAGES[kind]
    damage(odd)
    with pytest.raises(ValueError, match=f"(?s){message}") as refused:
        mixture(odd, role, recorded)
    assert "'me/odd'" in str(refused.value)
    assert CAM in str(refused.value)


@pytest.mark.parametrize(("role", "kind"), [*(("target", kind) for kind in WORKS), ("source", "grey")])
def test_what_can_be_used_gives_three_channels(odd, recorded, kind, role):
    WORKS[kind](odd)
    made = mixture(odd, role, recorded)
    images = made.dataset.gather([0, len(made.dataset) - 1])[CAM]
    assert images.shape == (2, 2, 3, 12, 16)
    spec = made.meta.features[CAM]
    shape = tuple(spec["shape"])
    # LeRobot's reading of it.
    read = (shape[2], shape[0], shape[1]) if spec["names"][2] == "channels" else shape
    assert read == (3, 12, 16)
    if kind.startswith("grey"):
        here = images[-1]
        assert torch.equal(here[:, 0], here[:, 1]) and torch.equal(here[:, 0], here[:, 2])


@pytest.mark.parametrize("frame_cache", [False, True])
def test_a_picture_that_is_lost_later_is_named_in_training(odd, recorded, frame_cache, tmp_path):
    rewrite(odd, lambda cell: cell | {"bytes": cell["bytes"][:60]}, frames=[6 + 3])
    options = ReadOptions(
        OPTIONS.observation_deltas, OPTIONS.action_deltas, frame_cache=tmp_path / "frames" if frame_cache else None
    )
    message = rf"'me/odd' {CAM}, episode 1: the picture of frame 3 cannot be decoded \("
    with pytest.raises(ValueError, match=message):
        mixture(odd, "target", recorded, options).dataset.gather([2, 9])


def test_skip_broken_leaves_episodes_with_such_pictures_out(odd, recorded, caplog):
    rewrite(odd, lambda cell: cell | {"bytes": cell["bytes"][:60]}, frames=[2])
    with caplog.at_level(logging.WARNING):
        made = mixture(odd, "source", recorded, skip_broken=True)
    assert made.sources[1].episodes == [1]
    assert f"episode 0: the picture of frame 2 of {CAM} cannot be decoded" in caplog.text


def test_a_grey_image_stands_for_a_camera_without_frames(odd, recorded):
    drop_column(odd)
    with pytest.raises(ValueError, match=rf"cameras: {{{CAM}: {{fill: 0.0}}}}"):
        mixture(odd, "source", recorded)
    made = mixture(odd, "source", recorded, cameras={CAM: CameraConfig(fill=0.5)})
    assert (made.dataset[11 + 3][CAM] == 0.5).all()


def test_a_camera_renamed_out_of_the_observations_is_left_out(odd, recorded):
    drop_column(odd)
    made = mixture(odd, "target", recorded, rename={CAM: "unused.cam"})
    assert made.meta.camera_keys == []
    assert "unused.cam" not in made.dataset[0]


def test_every_picture_is_looked_at(odd):
    meta = LeRobotDatasetMetadata("me/odd", root=odd)
    assert broken_pictures(meta, [0, 1], [CAM]) == {}
    rewrite(odd, lambda cell: None, frames=[4])
    redraw(odd, lambda picture: picture.resize((8, 8)), frames=[7])
    assert broken_pictures(meta, [0, 1], [CAM]) == {
        0: f"the picture of frame 4 of {CAM} is not there (null)",
        1: f"the picture of frame 1 of {CAM} has (height, width, channels) [8, 8, 3], meta/info.json says [12, 16, 3]",
    }
    assert list(broken_pictures(meta, [1], [CAM])) == [1]


def test_damage_is_found_without_decoding_every_pixel(odd):
    """PNG by its checksums, JPEG by decoding it small."""
    meta = LeRobotDatasetMetadata("me/odd", root=odd)
    rewrite(odd, lambda cell: cell | {"bytes": cell["bytes"][:200] + b"?" + cell["bytes"][201:]}, frames=[5])
    redraw(odd, lambda picture: picture, frames=[8], format="JPEG")
    assert list(broken_pictures(meta, [0, 1], [CAM])) == [0]
    rewrite(odd, lambda cell: cell | {"bytes": cell["bytes"][:-60]}, frames=[8])
    assert broken_pictures(meta, [1], [CAM])[1].startswith(f"the picture of frame 2 of {CAM} cannot be decoded (")


def test_shapes_that_contradict_their_names():
    names = ["height", "width", "channels"]
    assert camera_shape({"shape": (3, 12, 16), "names": names}) == (3, 12, 16)
    assert camera_shape({"shape": (12, 16, 3), "names": ["channels", "height", "width"]}) == (3, 12, 16)
    assert camera_shape({"shape": (12, 16), "names": None}) == (1, 12, 16)
    plain = {"dtype": "image", "shape": (12, 16, 3), "names": names}
    assert policy_spec(plain) is plain
