# SPDX-License-Identifier: Apache-2.0
"""The model card: what it says is what the mixture was, and it can be written without any dataset."""

from __future__ import annotations

import json
from dataclasses import replace
from types import SimpleNamespace

import draccus
import numpy as np
import pytest
import yaml
from lerobot.configs import FeatureType, PolicyFeature, PreTrainedConfig

from lerobot_ambient.core.windows import Window
from lerobot_ambient.data.declared.sources import Source
from lerobot_ambient.data.export.record import decode_shares, encode_shares, license_of
from lerobot_ambient.data.normalization.affine import ActionNormalization
from lerobot_ambient.data.provenance.data_record import DataRecord
from lerobot_ambient.data.windows.windows_file import WINDOWS_PATH, WindowTable, write_windows
from lerobot_ambient.integration.training.configured_mixture import load_train_config
from lerobot_ambient.integration.training.merged_training import make_merged_datasets
from lerobot_ambient.policy.card.alignment import alignment
from lerobot_ambient.policy.card.hub_card import plan_picture
from lerobot_ambient.policy.card.model_card import Result, model_card, record_shares
from lerobot_ambient.policy.diffusion.configuration_ambient_diffusion import AmbientDiffusionConfig
from lerobot_ambient.policy.diffusion.modeling_ambient_diffusion import AmbientDiffusionPolicy
from lerobot_ambient.testing.loopback_hub.store import metadata_errors

from .conftest import SMALL_POLICY


@pytest.fixture(scope="module")
def trained(roots) -> SimpleNamespace:
    """A policy as training makes it, its configuration, and the merged dataset."""
    from lerobot.policies import make_policy

    target, sim = roots
    source = {"repo_id": "me/sim", "root": str(sim), "sigma_min": 0.4, "weight": 2.0}
    words = ["--dataset.repo_id=me/target", f"--dataset.root={target}", f"--policy.sources={json.dumps([source])}"]
    cfg = load_train_config(None, [*words, *SMALL_POLICY, "--policy.repo_id=me/policy"])
    dataset, _ = make_merged_datasets(cfg)
    return SimpleNamespace(cfg=cfg, dataset=dataset, policy=make_policy(cfg.policy, ds_meta=dataset.meta))


def card_of(trained, **kwargs) -> str:
    return str(model_card(trained.cfg.policy, trained.cfg.to_dict(), **kwargs))


def test_lerobot_gets_our_card_from_the_method_it_calls(trained, monkeypatch):
    def unreachable(*args, **kwargs):
        pytest.fail("writing a card asked the network")

    monkeypatch.setattr("huggingface_hub.repocard.get_session", unreachable)
    cfg = trained.cfg
    arguments = (cfg.dataset.repo_id, cfg.policy.type, None, None)
    card = trained.policy.generate_model_card(*arguments, cfg=cfg, dataset_meta=trained.dataset.meta)
    assert str(card) == card_of(trained, figure=True)


def test_the_header_is_valid_and_names_every_data_set(trained):
    text = card_of(trained)
    assert metadata_errors(text) == []
    header = yaml.safe_load(text.split("---\n")[1])
    assert header["datasets"] == ["me/target", "me/sim"]
    assert header["license"] == "apache-2.0"
    assert "nobody chose it" in text
    assert "base_model" not in header


def test_the_numbers_are_those_of_the_plan(trained):
    plan = trained.dataset.mixture.plan
    shares, sigmas = record_shares(trained.cfg.policy)
    np.testing.assert_allclose(shares, plan.shares_by_source().numpy(), atol=5e-7)
    np.testing.assert_array_equal(sigmas, plan.schedule.sigmas.numpy())
    text = card_of(trained)
    share = float(plan.by_source().sum(1)[1])
    assert f"| `me/sim` | (0.4, 1] | given in the configuration | {100 * share:.1f} % |" in text
    assert "| `me/sim` | source | not stated | not stated | 2 | 43 | 10 | 2 |" in text
    # By hand: half of each level where the source may teach, and nothing below.
    assert "| `me/sim` | 0 % | 0 % | 0 % | 0 % | 50 % | 50 % | 50 % | 50 % | 50 % | 50 % |" in text
    # 100 squared-cosine timesteps, counted by hand.
    assert "| all draws | 5 % | 7 % | 6 % | 7 % | 7 % | 8 % | 8 % | 10 % | 13 % | 29 % |" in text
    *of_data, _ = trained.cfg.policy.mixture_fingerprint
    assert all(line in text for line in of_data)
    assert "**Note:**" not in text


def test_a_flow_policys_card_is_under_its_own_law_of_time(trained):
    kind = PreTrainedConfig.get_choice_class("ambient_smolvla")
    target, sim = trained.cfg.policy.mixture_record
    admitted = Window(0.7).admits_of(kind(device="cpu").noise_schedule())
    shares = [(1.0 - 0.5 * admitted.double()).numpy(), (0.5 * admitted.double()).numpy()]
    records = [replace(one, shares=encode_shares(share)) for one, share in zip((target, sim), shares, strict=True)]
    config = kind(
        device="cpu",
        input_features=trained.cfg.policy.input_features,
        output_features=trained.cfg.policy.output_features,
        mixture_record=records,
    )
    text = str(model_card(config))
    assert "The policy's time follows its own law, Beta(1.5, 1) on [0.001, 1]; the last line is of that." in text
    line = next(line for line in text.splitlines() if line.startswith("| all draws |"))
    draws = [int(cell.split()[0]) for cell in line.split("|")[2:-1]]
    # P(sigma > 0.7) = 0.65, and 45 % of all draws above 0.9.
    assert sum(draws[7:]) == pytest.approx(65, abs=1.5)
    assert draws[-1] == 45
    assert "256 cells of Beta(1.5, 1) on [0.001, 1], sigma 0.0010 to 1.0000" in text
    assert "timestep" not in text
    assert plan_picture(config).startswith(b"\x89PNG")


def test_the_card_says_what_annotate_noted_beside_the_window(roots, tmp_path, monkeypatch):
    target, sim = roots
    note = "annotate --method=spectral, the safe end; the estimate is 0.300; chunks alone were compared"
    text = (
        f"dataset: {{repo_id: me/target, root: {target}}}\npolicy:\n  type: ambient_diffusion\n  sources:\n"
        f"    - repo_id: me/sim\n      root: {sim}\n      sigma_min: 0.4  # {note}\n"
    )
    (tmp_path / "mine.yaml").write_text(text)
    monkeypatch.setattr("sys.argv", ["lerobot-train", f"--config_path={tmp_path / 'mine.yaml'}"])

    def found(*more, known=None):
        cfg = load_train_config(str(tmp_path / "mine.yaml"), [*SMALL_POLICY, *more])
        if known is not None:
            cfg.resume, cfg.policy.mixture_record = True, known
        make_merged_datasets(cfg)
        return cfg.policy.mixture_record

    records = found()
    assert records[1].found == f"given in the configuration, noted there: {note}"
    # Another window was typed beside the file, so the note is not of it.
    source = {"repo_id": "me/sim", "root": str(sim), "sigma_min": 0.5}
    assert found(f"--policy.sources={json.dumps([source])}")[1].found == "given in the configuration"
    # The checkpoint's own configuration has no comments.
    (tmp_path / "mine.yaml").write_text(text.replace(f"  # {note}", ""))
    assert found()[1].found == "given in the configuration"
    assert found(known=records) == records


def test_a_target_that_is_crowded_out_is_told_at_the_start_of_the_training_and_in_the_card(roots, caplog):
    target, sim = roots
    source = {"repo_id": "me/sim", "root": str(sim), "sigma_min": 0.4, "weight": 20.0}
    words = ["--dataset.repo_id=me/target", f"--dataset.root={target}", f"--policy.sources={json.dumps([source])}"]
    words.append('--policy.mixing={"type": "ambient", "alpha": null}')
    cfg = load_train_config(None, [*words, *SMALL_POLICY])
    make_merged_datasets(cfg)
    ours = [
        record for record in caplog.records if record.name == "lerobot_ambient.integration.training.merged_training"
    ]
    place, told = [record.getMessage() for record in ours if record.levelname == "WARNING"]
    assert "observation.environment_state: dimensions are matched by position" in place
    assert "the target 'me/target' has less than a tenth of the draws at" in told
    # The card knows the shares to six decimals only, and says the same.
    assert f"**Note:** {told}" in str(model_card(cfg.policy))


def test_the_checkpoint_alone_gives_the_same_card(trained, tmp_path):
    trained.policy.save_pretrained(tmp_path)
    again = AmbientDiffusionPolicy.from_pretrained(tmp_path)
    assert again.config.mixture_record == trained.cfg.policy.mixture_record
    assert str(model_card(again.config, trained.cfg.to_dict())) == card_of(trained)
    assert plan_picture(again.config).startswith(b"\x89PNG")
    # Without the training configuration it says so instead of guessing.
    assert "The training configuration was not at hand." in str(model_card(again.config))


def test_results_and_the_base_reach_the_header(trained):
    policy = trained.cfg.policy
    policy.pretrained_path, before = "me/base", policy.pretrained_path
    try:
        text = card_of(trained, results=[Result("ambient_maze", 50, 46)])
    finally:
        policy.pretrained_path = before
    assert metadata_errors(text) == []
    header = yaml.safe_load(text.split("---\n")[1])
    assert header["base_model"] == "me/base"
    (result,) = header["model-index"][0]["results"]
    assert result["metrics"][0]["value"] == 0.92
    # Wilson's interval of 46 in 50, as statsmodels gives it too.
    assert "| ambient_maze | 50 | 46 | 92.0 % | 81.2 to 96.8 % |" in text


@pytest.mark.parametrize(("trials", "successes"), [(0, 0), (5, 6), (5, -1)])
def test_impossible_results_are_refused(trials, successes):
    with pytest.raises(ValueError, match=f"result of 'maze': {successes} successes in {trials} trials"):
        Result("maze", trials, successes)


def test_a_policy_without_a_record_says_that_it_has_none():
    config = AmbientDiffusionConfig(device="cpu", push_to_hub=False)
    text = str(model_card(config, {"dataset": {"repo_id": "me/target"}}))
    assert "The checkpoint has no record of its data. Declared: `me/target`." in text
    assert metadata_errors(text) == []
    assert plan_picture(config) is None


def test_nothing_in_card_or_log_is_a_python_repr(trained):
    for text in (card_of(trained), str(trained.dataset.mixture)):
        assert "(alpha=" not in text
        assert "NoiseSchedule" not in text
        assert "Config" not in text
        assert "ambient, the target has 50 % of each noise level that it shares (alpha 0.5)" in text
        assert "100 noise levels, sigma 0.0251 to 1.0000" in text
    assert "36 samples, " in str(trained.dataset.mixture)


@pytest.mark.parametrize(
    ("mixing", "words"),
    [
        (
            "{type: ambient, alpha: 0.25}",
            "ambient, the target has 25 % of each noise level that it shares (alpha 0.25)",
        ),
        ("{type: cotrain}", "cotrain, the datasets share a noise level by weight times size"),
        (
            "{type: soft, sigmas: [0.0, 1.0], clean_shares: [1.0, 0.1]}",
            "soft, the target has 100 % at sigma 0, 10 % at sigma 1, in between linearly",
        ),
        ("{type: exclusive}", "exclusive, sources alone where one may teach"),
        ("{type: target_only}", "target_only, no source is drawn"),
    ],
)
def test_every_mixing_is_told_in_words(mixing, words):
    config = draccus.decode(AmbientDiffusionConfig, {"device": "cpu", "mixing": yaml.safe_load(mixing)})
    assert f"Mixing: {words}." in str(model_card(config))


def test_the_card_tells_how_each_source_was_aligned():
    source = {
        "repo_id": "me/sim",
        "rename": {"actions": "action"},
        "dimensions": {
            "action": {
                "elbow.pos": {"take": "right_elbow", "scale": 57.29578, "offset": -3.0},
                "wrist.pos": {"mask": True},
                "gripper.pos": {"fill": 0.5},
            },
            "observation.state": {"elbow.pos": {"take": "q1"}},
            "observation.environment_state": {"elbow.pos": {"take": "q1"}},
        },
        "action_gain": 0.05,
        "cameras": {"observation.images.front": {"fit": "crop"}, "observation.images.wrist": {"fill": 0.0}},
        "normalization": "own",
        "action_type": "delta",
    }
    declared = [draccus.decode(Source, one) for one in (source, {"repo_id": "me/twin"})]
    records = [
        DataRecord(name="me/t", repo_id="me/t", fps=30.0),
        DataRecord(name="me/merged", repo_id="me/merged", fps=30.0),
        DataRecord(name="me/sim", repo_id="me/sim", fps=20.0),
        DataRecord(name="me/twin", repo_id="me/twin", fps=30.0),
    ]
    text = alignment(records, declared)
    for expected in (
        "**`me/merged`** was aligned when it was merged into the target.",
        "**`me/sim`**: `actions` is read as `action`; recorded at 20 frames a second, resampled to 30; its actions are "
        "steps from the current state; a step of 1 moves the state by 0.05; normalised by its own "
        "statistics; camera `observation.images.front`: another "
        "aspect ratio, crop; camera `observation.images.wrist`: absent, a grey image of brightness 0 stands for it.",
        "| `action` | `elbow.pos` | `right_elbow` | times 57.2958 (radians to degrees), plus -3 |",
        "| `action` | `wrist.pos` | absent | carries no loss |",
        "| `action` | `gripper.pos` | absent | constant 0.5 |",
        "| `observation.state`, `observation.environment_state` | `elbow.pos` | `q1` | nothing |",
        "**`me/twin`**: normalised by the target's statistics.\n\nDimensions have the target's names and units.",
    ):
        assert expected in text
    # A checkpoint from before there were records, and a policy without sources.
    assert "**`me/sim`**: `actions` is read as `action`; its actions are steps" in alignment([], declared)
    assert alignment([], []) == "There is no source."


@pytest.mark.parametrize(
    ("recorded", "option"),
    [
        (None, "ROBOT"),
        ("so101_follower", "so101_follower"),
        ("so101", "so101_follower"),
        ("so100", "so100_follower"),
        ("so_follower", "so101_follower"),
        ("aloha", "aloha"),
    ],
)
def test_the_roll_out_names_the_robot_of_the_target(recorded, option):
    config = AmbientDiffusionConfig(device="cpu", push_to_hub=False)
    config.mixture_record = [DataRecord(name="me/t", repo_id="me/t", robot_type=recorded, share=1.0, shares="100*1")]
    assert f"--robot.type={option} --robot.port=PORT" in str(model_card(config))
    assert f"| `me/t` | target | {recorded or 'not stated'} |" in str(model_card(config))


def test_the_card_has_a_title_joint_names_and_links(trained):
    policy = trained.cfg.policy
    text = card_of(trained)
    assert "\n# me/policy\n" in text
    assert "Dimensions of `action`, in this order: `joint_0`, `joint_1`." in text
    policy.repo_id, before = None, policy.repo_id
    records = [replace(record, on_the_hub=True) for record in policy.mixture_record]
    policy.mixture_record, kept = records, policy.mixture_record
    try:
        text = card_of(trained)
    finally:
        policy.repo_id, policy.mixture_record = before, kept
    assert "\n# Ambient diffusion policy for me/target\n" in text
    assert "| [`me/sim`](https://huggingface.co/datasets/me/sim) | source |" in text
    assert "huggingface.co/datasets" not in card_of(trained)


def test_the_records_of_older_checkpoints_are_read():
    old = {"name": "me/t", "repo_id": "me/t", "fps": 30.0, "windows": ["[0, 1]"], "share": 1.0, "shares": "100*1"}
    config = draccus.decode(AmbientDiffusionConfig, {"device": "cpu", "mixture_record": [old]})
    assert "| `me/t` | target | not stated | not stated | 0 | 0 | 30 | 1 |" in str(model_card(config))


def test_the_roll_out_names_the_cameras_with_their_sizes():
    config = AmbientDiffusionConfig(device="cpu", push_to_hub=False)
    config.input_features = {
        "observation.state": PolicyFeature(FeatureType.STATE, (6,)),
        "observation.images.front": PolicyFeature(FeatureType.VISUAL, (3, 480, 640)),
    }
    config.mixture_record = [DataRecord(name="me/t", repo_id="me/t", fps=30.0, share=1.0, shares="100*1")]
    camera = "--robot.cameras='{front: {type: opencv, index_or_path: INDEX, width: 640, height: 480, fps: 30}}'"
    assert f"--robot.port=PORT {camera} --duration=60" in str(model_card(config))


def test_windows_of_a_file_say_how_they_were_found(roots, tmp_path):
    target, sim = roots
    words = ["--dataset.repo_id=me/target", f"--dataset.root={target}", *SMALL_POLICY]

    def record(source: dict) -> DataRecord:
        cfg = load_train_config(None, [*words, f"--policy.sources={json.dumps([source])}"])
        dataset, _ = make_merged_datasets(cfg)
        record.normalization = dataset.mixture.normalization
        return cfg.policy.mixture_record[1]

    source = {"repo_id": "me/sim", "root": str(sim)}
    record(source | {"sigma_min": 0.4})
    normalization: ActionNormalization = record.normalization
    episode, frame = np.repeat([0, 1], [20, 23]), np.concatenate([np.arange(20), np.arange(23)])
    level = np.where(episode == 0, 0.25, 0.5).astype(np.float32)
    table = WindowTable(
        *("me/sim", episode, frame, level, np.zeros_like(level), normalization, "classifier"),
        granularity="bucket",
        tau=0.05,
    )
    write_windows(table, tmp_path / WINDOWS_PATH)
    found = record(source | {"windows": str(tmp_path / WINDOWS_PATH)})
    assert found.found == "windows file, method classifier, one a bucket, tau 0.05"
    # Each shown as the narrowest window the schedule can distinguish from its neighbours.
    assert found.windows == [repr(Window(0.25)), repr(Window(0.5))]


@pytest.mark.parametrize("shares", [[], [1.0], [0.0] * 16 + [0.48] * 84, [0.123456, 0.123457, 1 / 3]])
def test_shares_survive_their_text(shares):
    np.testing.assert_allclose(decode_shares(encode_shares(shares)), shares, atol=5e-7)


def test_runs_are_short():
    assert encode_shares([0.0] * 16 + [0.5] * 84) == "16*0 84*0.5"


@pytest.mark.parametrize(
    ("card", "stated"),
    [
        (None, None),
        ("# no header", None),
        ("---\nlicense: mit\n---\n# x", "mit"),
        ("---\nlicense: mit\n", None),
        ("---\ntags: [a]\n---\n", None),
        ("---\n- a list\n---\n", None),
        ("---\n: : :\n  - [\n---\n", None),
    ],
)
def test_the_licence_is_read_from_the_data_sets_card(tmp_path, card, stated):
    if card is not None:
        (tmp_path / "README.md").write_text(card)
    assert license_of(tmp_path) == stated


@pytest.mark.parametrize(
    ("header", "errors"),
    [
        ("license: mit", 0),
        ("license: my own", 1),
        ("datasets: [me/a, me/b/c]", 1),
        ("tags: [1]", 1),
        ("- a", 1),
        ("a: [", 1),
        ("model-index: [{name: x, results: [{task: {type: robotics}}]}]", 1),
    ],
)
def test_the_loopback_hub_finds_bad_headers(header, errors):
    assert len(metadata_errors(f"---\n{header}\n---\n# card")) == errors
