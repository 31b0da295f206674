# SPDX-License-Identifier: Apache-2.0
"""The held-out map on small datasets: a source that decides wrongly is seen, work is found again, input is checked."""

import json

import numpy as np
import pytest
import torch

from lerobot_ambient.annotate.classifier.shared_work import Processes
from lerobot_ambient.annotate.heldout.error_map import MapRule
from lerobot_ambient.annotate.heldout.errors import POSITION
from lerobot_ambient.annotate.heldout.verdict import HELPS
from lerobot_ambient.integration.heldout import training
from lerobot_ambient.integration.heldout.method import HeldOutMethod, annotate_held_out
from lerobot_ambient.integration.training.configured_mixture import load_train_config
from tests.integration.heldout.decisions import options, write

ALONE = Processes(0, 1, torch.device("cpu"))
METHOD = {"shares": (0.3,), "folds": 3, "steps": 150}


@pytest.fixture(scope="module")
def roots(tmp_path_factory):
    home = tmp_path_factory.mktemp("decisions")
    return {
        "target": write(home / "target", "me/target", 24, seed=1),
        "more": write(home / "more", "me/more", 60, seed=2),
        "wrong": write(home / "wrong", "me/wrong", 60, seed=3, wrong=True),
    }


def annotated(roots, work, *names, **given):
    cfg = load_train_config(None, options(roots["target"], *(roots[name] for name in names)))
    method = HeldOutMethod(**{**METHOD, "work": work, **given})
    return annotate_held_out(cfg, method, ALONE, progress=False)


@pytest.fixture(scope="module")
def found(roots, tmp_path_factory):
    return annotated(roots, tmp_path_factory.mktemp("work"), "more", "wrong", steps=250)


def test_verdicts(found):
    more, wrong = found
    assert more.verdict.confirmed.log < 0.0
    assert not more.read.raised.any()
    assert not more.verdict.window.is_nothing
    # Wrong decisions are seen where noise hides the way: there the prior speaks.
    assert wrong.read.raised[-1]
    assert not wrong.safe.is_everything
    assert wrong.verdict.word != HELPS
    assert any("error is raised" in reason for reason in wrong.verdict.reasons)


def test_what_a_source_adds_to_the_others(found):
    more, wrong = found
    assert more.adds is not None
    assert more.adds.ratio.log[:, POSITION].mean() < 0.0 < wrong.adds.ratio.log[:, POSITION].mean()


def test_soft_shares_follow_the_map(found):
    more, wrong = found
    assert all(METHOD["shares"][0] <= share <= 1.0 for share in more.soft_shares())
    assert more.soft_shares()[-1] < 0.9
    assert wrong.soft_shares()[-1] == 1.0


def test_json_holds_the_map(found):
    entry = json.loads(json.dumps(found[1].to_dict()))
    assert entry["verdict"] == found[1].verdict.word
    assert np.shape(entry["ratio"]) == (len(entry["sigmas"]), len(entry["bands"]))
    assert entry["ratio"][-1][POSITION] > 1.0


def test_work_is_found_again_and_changes_with_the_options(roots, tmp_path, monkeypatch):
    first = annotated(roots, tmp_path, "wrong", steps=20)
    trained = []
    fit = training.Trainer.fit
    monkeypatch.setattr(training.Trainer, "fit", lambda self, *args: trained.append(1) or fit(self, *args))
    again = annotated(roots, tmp_path, "wrong", steps=20)
    assert trained == []
    np.testing.assert_array_equal(first[0].read.ratio.log, again[0].read.ratio.log)
    # Another reading of the same work trains nothing but a window of its own.
    annotated(roots, tmp_path, "wrong", steps=20, rule=MapRule(tolerance=9.0))
    assert len(trained) in (0, 3)
    del trained[:]
    annotated(roots, tmp_path, "wrong", steps=21)
    assert len(trained) >= 6


def test_a_budget_is_kept_and_remembered(roots, tmp_path, monkeypatch):
    timed = []
    clock = iter(range(10**6))
    monkeypatch.setattr(
        "lerobot_ambient.integration.heldout.method.time.perf_counter", lambda: timed.append(1) or next(clock) * 0.02
    )
    monkeypatch.setattr("lerobot_ambient.integration.heldout.method.LEAST_STEPS", 5)
    (one,) = annotated(roots, tmp_path, "wrong", steps=None, minutes=0.4)
    # 3 designs (one confirms) times 3 folds of 0.02 s steps: 113 fit into 85 % of 24 s, in hundreds.
    assert one.steps == 100
    assert timed
    del timed[:]
    (again,) = annotated(roots, tmp_path, "wrong", steps=None, minutes=0.4)
    assert (again.steps, timed) == (100, [])


def test_the_global_generator_is_left_alone(roots, tmp_path):
    torch.manual_seed(5)
    before = torch.random.get_rng_state()
    annotated(roots, tmp_path, "wrong", steps=3)
    assert torch.equal(torch.random.get_rng_state(), before)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"folds": 30}, "24 episodes, too few for 30 folds"),
        ({"folds": 1}, "folds = 1 must be at least 2"),
        ({"shares": (1.0,)}, r"shares = \[1.0\] must be numbers in \(0, 1\)"),
        ({"shares": (0.5, 0.5)}, "name one share twice"),
        ({"denoiser": "huge"}, "no denoiser 'huge'"),
        ({"minutes": 0.0}, "budget = 0.0"),
        ({"steps": 0}, "steps = 0"),
    ],
)
def test_options_are_checked(roots, tmp_path, given, said):
    with pytest.raises(ValueError, match=said):
        annotated(roots, tmp_path, "wrong", **given)


def test_from_python(roots, tmp_path):
    import lerobot_ambient as la

    small = {"horizon": 8, "n_action_steps": 4, "denoiser": "mlp", "mlp_width": 32, "mlp_depth": 1, "device": "cpu"}
    target, wrong = (la.Source(f"me/{name}", root=str(roots[name])) for name in ("target", "wrong"))
    mix = la.Mixture.open(target, [wrong], prediction_type="sample", drop_n_last_frames=0, **small)
    options = {"shares": [0.5], "folds": 3, "steps": 60, "work_dir": tmp_path, "progress": False}
    found = la.annotate(mix, method="heldout", **options)
    assert repr(found).startswith("Held-out target chunks were denoised, given what they answer to")
    evidence = found["me/wrong"].evidence.heldout
    assert evidence.steps == 60
    assert len(found.plot().axes) >= 1
    with pytest.raises(ValueError, match='method="heldout" has no option draws'):
        la.annotate(mix, method="heldout", draws=4)
    with pytest.raises(ValueError, match="tolerance = 0 must lie in"):
        la.annotate(mix, method="heldout", tolerance=0)


def test_a_checkpoint_to_begin_with_is_begun_with(roots, tmp_path):
    from lerobot_ambient.integration.heldout.stand_in import chosen_denoiser
    from lerobot_ambient.integration.training.configured_mixture import mixture_without_windows

    cfg = load_train_config(None, options(roots["target"], roots["wrong"]))
    mixture = mixture_without_windows(cfg)
    config, told, _ = chosen_denoiser(cfg.policy, "policy", mixture.meta.features)
    assert told == "the policy's own denoiser (ambient_diffusion)"
    trainer = training.Trainer(config, mixture, torch.device("cpu"))
    first, other = (trainer._new_policy(mixture.meta) for _ in range(2))
    first.save_pretrained(tmp_path / "base")
    trainer.config.pretrained_path = tmp_path / "base"
    begun = trainer._new_policy(mixture.meta)
    same = [torch.equal(one, two) for one, two in zip(first.parameters(), begun.parameters(), strict=True)]
    new = [torch.equal(one, two) for one, two in zip(first.parameters(), other.parameters(), strict=True)]
    assert all(same)
    assert not all(new)
