# SPDX-License-Identifier: Apache-2.0
import json

import pytest

from lerobot_ambient.cli.__main__ import main


@pytest.fixture(scope="module")
def options(tmp_path_factory, write_dataset):
    folder = tmp_path_factory.mktemp("inspect")
    target = write_dataset(folder / "target", "me/target", [20, 22], seed=1)
    sim = write_dataset(folder / "sim", "me/sim", [30, 40, 30], seed=2)
    source = {"repo_id": "me/sim", "root": str(sim), "sigma_min": 0.5, "sigma_max": 0.03}
    return [
        "--policy.type=ambient_diffusion",
        "--policy.device=cpu",
        "--policy.horizon=8",
        "--policy.n_action_steps=4",
        "--policy.drop_n_last_frames=0",
        "--dataset.repo_id=me/target",
        f"--dataset.root={target}",
        f"--policy.sources={json.dumps([source])}",
        "--policy.mixing.type=ambient",
        "--policy.mixing.alpha=0.25",
    ]


def test_json_gives_the_plan_in_numbers(options, capsys):
    assert main(["inspect", "--json", *options]) == 0
    report = json.loads(capsys.readouterr().out)
    target, sim = report["sources"]
    assert [(s["name"], s["episodes"], s["frames"], s["samples"]) for s in (target, sim)] == [
        ("me/target", 2, 42, 42),
        ("me/sim", 3, 100, 100),
    ]
    assert sim["windows"] == ["[0, 0.03) U (0.5, 1]"]
    # The squared-cosine schedule: one timestep below 0.03 (sigma 0.0251), and the first above 0.5.
    assert sim["teaches_below_sigma"] == pytest.approx(0.0251, abs=1e-4)
    assert 0.5 < sim["teaches_from_sigma"] < 0.52
    admitted = sim["timesteps"][0]
    assert sim["share"] == pytest.approx(0.75 * admitted / 100)
    assert target["share"] + sim["share"] == pytest.approx(1.0)
    shares = {tuple(band["sigma"]): band["share"] for band in report["bands"]}
    assert shares[(0.3, 0.4)] == [1.0, 0.0]
    assert shares[(0.8, 0.9)] == pytest.approx([0.25, 0.75])


def test_text_names_every_data_set_and_the_picture_is_drawn(options, capsys, tmp_path):
    picture = tmp_path / "deep" / "plan.png"
    assert main(["inspect", f"--png={picture}", *options]) == 0
    text = capsys.readouterr().out
    for expected in ("me/target", "me/sim", "[0, 0.03) U (0.5, 1]", "share at sigma", str(picture)):
        assert expected in text
    from matplotlib import image

    height, width, _ = image.imread(picture).shape
    assert width > height > 100


def test_a_config_file_is_read_like_lerobot_train_reads_it(options, capsys, tmp_path):
    config = tmp_path / "train.yaml"
    config.write_text(
        "dataset: {repo_id: me/target}\npolicy: {type: ambient_diffusion, device: cpu, horizon: 8, n_action_steps: 4}\n"
    )
    more = [option for option in options if not option.startswith(("--policy.type", "--policy.mixing"))]
    assert main(["inspect", "--json", f"--config_path={config}", *more]) == 0
    assert [s["name"] for s in json.loads(capsys.readouterr().out)["sources"]] == ["me/target", "me/sim"]


def test_another_policy_type_has_no_mixture(options, capsys):
    assert main(["inspect", "--policy.type=diffusion", "--dataset.repo_id=me/target"]) == 2
    assert "policy type is diffusion; only ambient_diffusion has a mixture" in capsys.readouterr().err
