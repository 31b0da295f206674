# SPDX-License-Identifier: Apache-2.0
import json
import shutil

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


def test_a_target_that_is_crowded_out_is_told_with_the_line_to_write(options, capsys):
    mixing = [option for option in options if not option.startswith("--policy.mixing")]
    heavy = [option.replace('"sigma_min"', '"weight": 20.0, "sigma_min"') for option in mixing]
    assert heavy != mixing
    heavy.append('--policy.mixing={"type": "ambient", "alpha": null}')
    assert main(["inspect", *heavy]) == 0
    text = capsys.readouterr().out
    # 42 samples of the target against twenty times 100.
    assert "\nwarning: the target 'me/target' has less than a tenth of the draws at " in text
    assert "2.1 % at the least" in text
    assert "`mixing: {type: ambient, alpha: 0.5}`" in text
    assert main(["inspect", "--json", *heavy]) == 0
    place, crowded = json.loads(capsys.readouterr().out)["warnings"]
    assert "observation.environment_state: dimensions are matched by position" in place
    assert "less than a tenth" in crowded
    fix = '--policy.mixing={"type": "ambient", "alpha": 0.5}'
    assert main(["inspect", "--json", *heavy, fix]) == 0
    assert json.loads(capsys.readouterr().out)["warnings"] == [place]


def flow_options(options, kind, *more):
    """The same mixture for a flow policy, from sigma 0.7 on, with the observation.state that they all need."""
    own = ("--policy.type", "--policy.horizon", "--policy.n_action_steps", "--policy.drop", "--policy.sources")
    (source,) = json.loads(next(o for o in options if o.startswith("--policy.sources")).partition("=")[2])
    source = {"repo_id": source["repo_id"], "root": source["root"], "sigma_min": 0.7}
    kept = [option for option in options if not option.startswith(own)]
    return [*kept, f"--policy.type={kind}", f"--policy.sources={json.dumps([source])}", *more]


@pytest.mark.parametrize(
    ("kind", "more", "above"),
    [
        # P(sigma > 0.7) = 1 - F(tau(0.7)) under each policy's own law of time, by hand.
        ("ambient_pi0", [], 1 - ((0.49505 - 0.001) / 0.999) ** 1.5),
        ("ambient_pi05", [], 1 - ((0.49505 - 0.001) / 0.999) ** 1.5),
        ("ambient_smolvla", [], 1 - ((0.49505 - 0.001) / 0.999) ** 1.5),
        (
            "ambient_multi_task_dit",
            ["--policy.objective=flow_matching", "--policy.timestep_sampling_strategy=uniform"],
            1 - 0.49505,
        ),
    ],
)
def test_a_window_is_shown_under_the_policys_own_law(options, capsys, kind, more, above):
    assert main(["inspect", "--json", *flow_options(options, kind, *more)]) == 0
    report = json.loads(capsys.readouterr().out)
    _, sim = report["sources"]
    assert (report["unit"], report["cells"]) == ("cells", 256)
    assert "timesteps" not in report
    # A bound costs at most one cell.
    assert above - 1 / 256 <= sim["admitted"][0] <= above
    assert sim["cells"] == [round(256 * sim["admitted"][0])] * 2
    assert sim["share"] == pytest.approx(0.75 * sim["admitted"][0])
    draws = {tuple(band["sigma"]): band["draws"] for band in report["bands"]}
    assert sum(draws.values()) == pytest.approx(1.0)
    assert sum(draw for (low, _), draw in draws.items() if low >= 0.7) == pytest.approx(above, abs=1 / 256)
    assert main(["inspect", *flow_options(options, kind, *more)]) == 0
    text = capsys.readouterr().out
    assert "timestep" not in text
    assert f"{sim['cells'][0]} ({100 * sim['admitted'][0]:.0f} %)" in text
    assert f"The policy itself draws every cell equally often: its time follows {report['law']}." in text


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
    assert "policy type is diffusion; only the ambient types have a mixture" in capsys.readouterr().err


@pytest.fixture(scope="module")
def foreign(tmp_path_factory, write_dataset):
    """A target, and a source with other keys, other names, radians and another frame rate."""
    folder = tmp_path_factory.mktemp("suggest")
    joints = ["shoulder_pan", "elbow_flex", "wrist_roll"]
    target = write_dataset(
        folder / "target", "me/arm", [20, 22], seed=1, names=joints, dims=3, env_state=False, spread=20
    )
    keys = {"action": "actions", "observation.state": "qpos"}
    names = [f"right_{name}_joint" for name in (*joints[::-1], "torso")]
    source = write_dataset(
        folder / "sim", "me/sim", [60, 50], seed=2, names=names, dims=4, env_state=False, spread=0.1, fps=20, keys=keys
    )
    head = (
        f"dataset: {{repo_id: me/arm, root: {target}}}\n"
        "policy:\n  type: ambient_diffusion\n  device: cpu\n  horizon: 8\n  n_action_steps: 4\n  sources:\n"
    )
    return head, f"    - {{repo_id: me/sim, root: {source}}}\n"


def test_a_suggested_block_is_pasted_and_opens(foreign, capsys, tmp_path):
    head, declared = foreign
    config = tmp_path / "train.yaml"
    config.write_text(head + declared)
    assert main(["inspect", f"--config_path={config}"]) == 2
    assert "does not fit the target" in capsys.readouterr().err
    assert main(["inspect", "--suggest", f"--config_path={config}"]) == 0
    block = capsys.readouterr().out
    for expected in (
        "actions: action  ",
        "qpos: observation.state  ",
        "shoulder_pan: {take: right_shoulder_pan_joint, scale: 57.29578}  #",
        "radians to degrees, check the sign",
        "# note: 20 fps there, 10 here: resampled in time, nothing to declare",
    ):
        assert expected in block
    config.write_text(head + block.replace("# sigma_min", "sigma_min"))
    assert main(["inspect", "--json", f"--config_path={config}"]) == 0
    target, sim = json.loads(capsys.readouterr().out)["sources"]
    assert (target["frames"], sim["windows"]) == (42, ["(0.3, 1]"])
    assert main(["inspect", "--suggest", f"--config_path={config}"]) == 0
    assert "# Nothing is needed: every source fits as it is declared." in capsys.readouterr().out


def test_suggestions_as_json(foreign, capsys, tmp_path):
    config = tmp_path / "train.yaml"
    config.write_text("".join(foreign))
    assert main(["inspect", "--suggest", "--json", f"--config_path={config}"]) == 0
    (sim,) = json.loads(capsys.readouterr().out)["sources"]
    assert (sim["name"], sim["needed"], sim["problems"]) == ("me/sim", True, [])
    assert sim["source"]["rename"] == {"actions": "action", "qpos": "observation.state"}
    assert {"option": ["rename", "actions"], "why": "what others call action"} in sim["reasons"]
    assert sim["alternatives"][0]["line"] == "sigma_min: 0.3"


def test_what_no_option_mends_is_the_exit_code(foreign, options, capsys, tmp_path):
    config = tmp_path / "train.yaml"
    (target,) = [option for option in options if option.startswith("--dataset.root=")]
    config.write_text(
        foreign[0] + f"    - {{repo_id: me/target, root: {target.partition('=')[2]}, sigma_min: 0.3, "
        "rename: {action: something_else}}\n"
    )
    assert main(["inspect", "--suggest", f"--config_path={config}"]) == 1
    assert "PROBLEM: " in capsys.readouterr().out


def test_suggestions_need_a_source_and_no_picture(options, capsys, tmp_path):
    none = [option for option in options if not option.startswith("--policy.sources")]
    assert main(["inspect", "--suggest", *none]) == 2
    assert "there is no source to align; name one" in capsys.readouterr().err
    assert main(["inspect", "--suggest", f"--png={tmp_path / 'plan.png'}", *options]) == 2
    assert "--png draws the plan, which --suggest does not make" in capsys.readouterr().err


def test_the_block_for_the_real_pair_opens(shared_data, capsys, tmp_path):
    so101, hands = (shutil.copytree(shared_data / n, tmp_path / n) for n in ("so101_teleop", "bimanual_hands"))
    head = (
        f"dataset: {{repo_id: so101_teleop, root: {so101}}}\n"
        "policy:\n  type: ambient_diffusion\n  device: cpu\n  push_to_hub: false\n  sources:\n"
    )
    config = tmp_path / "train.yaml"
    config.write_text(head + f"    - {{repo_id: bimanual_hands, root: {hands}, sigma_min: 0.3}}\n")
    assert main(["inspect", "--suggest", f"--config_path={config}"]) == 0
    block = capsys.readouterr().out
    config.write_text(head + block.replace("# normalization: own", "normalization: own"))
    assert main(["inspect", "--json", f"--config_path={config}"]) == 0
    target, source = json.loads(capsys.readouterr().out)["sources"]
    assert (target["frames"], source["frames"], source["windows"]) == (1492, 3223, ["(0.3, 1]"])
