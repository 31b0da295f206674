# SPDX-License-Identifier: Apache-2.0
"""Stock `lerobot-train` on cameras that are not the usual ones: trains, or is refused with the line to write."""

import io
import json

import PIL.Image
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from lerobot.configs.policies import PreTrainedConfig

from lerobot_ambient.cli.__main__ import main

from .conftest import SMALL_POLICY

CAM = "observation.images.cam"
IMAGES = ("--policy.crop_shape=null", "--policy.pretrained_backbone_weights=null", "--policy.use_group_norm=true")
ONE_STEP = ("--steps=1", "--batch_size=2", "--log_freq=1", "--save_checkpoint=true")


def train_options(repo_id, root, output, *more):
    data = [f"--dataset.repo_id={repo_id}", f"--dataset.root={root}", f"--output_dir={output}"]
    return [*SMALL_POLICY, *IMAGES, *ONE_STEP, "--wandb.enable=false", *data, *more]


def edit_info(root, edit):
    path = root / "meta/info.json"
    info = json.loads(path.read_text())
    edit(info["features"])
    path.write_text(json.dumps(info))


def edit_table(root, edit):
    (path,) = (root / "data").rglob("*.parquet")
    pq.write_table(edit(pq.read_table(path)), path)


def bleach(table):
    """The same pictures with one channel."""
    cells = table[CAM].to_pylist()
    for cell in cells:
        buffer = io.BytesIO()
        PIL.Image.open(io.BytesIO(cell["bytes"])).convert("L").save(buffer, "PNG")
        cell["bytes"] = buffer.getvalue()
    return table.set_column(table.column_names.index(CAM), CAM, pa.array(cells, table[CAM].type))


@pytest.mark.parametrize("imagenet", [True, False])
def test_a_grey_camera_trains_and_its_policy_takes_three_channels(lerobot_train, write_dataset, tmp_path, imagenet):
    root = write_dataset(tmp_path / "grey", "me/grey", [12], image=(32, 32))
    edit_table(root, bleach)
    edit_info(root, lambda features: features[CAM].update(shape=[32, 32, 1]))
    more = f"--dataset.use_imagenet_stats={str(imagenet).lower()}"
    lerobot_train(train_options("me/grey", root, tmp_path / "out", more))
    policy = PreTrainedConfig.from_pretrained(tmp_path / "out/checkpoints/last/pretrained_model")
    # What LeRobot's cameras and environments give at a rollout.
    assert tuple(policy.input_features[CAM].shape) == (3, 32, 32)


def test_a_lost_picture_stops_the_training_by_name(lerobot_train, write_dataset, tmp_path):
    root = write_dataset(tmp_path / "lost", "me/lost", [12], image=(32, 32))

    def cut(table):
        cells = table[CAM].to_pylist()
        cells[1:] = [cell | {"bytes": cell["bytes"][:60]} for cell in cells[1:]]
        return table.set_column(table.column_names.index(CAM), CAM, pa.array(cells, table[CAM].type))

    edit_table(root, cut)
    with pytest.raises((ValueError, SystemExit), match=rf"'me/lost' {CAM}, episode 0: the picture of frame \d+ cannot"):
        lerobot_train(train_options("me/lost", root, tmp_path / "out"))


def rename_camera(root):
    edit_info(root, lambda features: features.update(image=features.pop(CAM)))
    edit_table(root, lambda t: t.rename_columns(["image" if name == CAM else name for name in t.column_names]))


def add_smaller_camera(root):
    def copy(table):
        cells = table[CAM].to_pylist()
        for cell in cells:
            buffer = io.BytesIO()
            PIL.Image.open(io.BytesIO(cell["bytes"])).resize((16, 16)).save(buffer, "PNG")
            cell["bytes"] = buffer.getvalue()
        return table.append_column("observation.images.wrist", pa.array(cells, table[CAM].type))

    edit_table(root, copy)
    edit_info(root, lambda f: f.update({"observation.images.wrist": f[CAM] | {"shape": [16, 16, 3]}}))


@pytest.mark.parametrize(
    ("change", "message", "way"),
    [
        (rename_camera, "the camera 'image' is not under 'observation.'", "{image: observation.images.image}"),
        (
            add_smaller_camera,
            f"more than one size ({CAM} 32x32, observation.images.wrist 16x16)",
            "{observation.images.wrist: unused.wrist}",
        ),
    ],
)
def test_cameras_that_no_policy_takes_are_refused_with_the_line_to_write(
    lerobot_train, write_dataset, tmp_path, capsys, change, message, way
):
    root = write_dataset(tmp_path / "odd", "me/odd", [12], image=(32, 32))
    change(root)
    options = train_options("me/odd", root, tmp_path / "out")
    with pytest.raises((ValueError, SystemExit)) as refused:
        lerobot_train(options)
    assert message in str(refused.value)
    assert f"--policy.target_rename='{way}'" in str(refused.value)
    lerobot_train([*options, f"--policy.target_rename={way}"])


def test_inspect_finds_what_training_would(write_dataset, tmp_path, capsys):
    root = write_dataset(tmp_path / "odd", "me/odd", [12], image=(32, 32))
    edit_info(root, lambda features: features[CAM].update(shape=[64, 64, 3]))
    options = ["--policy.type=ambient_diffusion", "--dataset.repo_id=me/odd", f"--dataset.root={root}"]
    assert main(["inspect", *options]) != 0
    assert f"'me/odd' {CAM}, episode 0: the picture of frame 0 has" in capsys.readouterr().err


@pytest.mark.parametrize("fix", ["--policy.use_group_norm=true", "--policy.resize_shape=[96, 96]"])
def test_pictures_too_small_for_batch_normalisation_are_refused_with_two_ways_on(
    lerobot_train, write_dataset, tmp_path, fix
):
    root = write_dataset(tmp_path / "small", "me/small", [12], image=(24, 32))
    options = [*train_options("me/small", root, tmp_path / "out"), "--policy.use_group_norm=false"]
    with pytest.raises((ValueError, SystemExit), match=rf"24x32 pixels from '{CAM}'.*--policy\.use_group_norm=true"):
        lerobot_train(options)
    lerobot_train([*options[:-1], "--policy.use_group_norm=false", fix])
