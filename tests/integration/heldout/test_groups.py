# SPDX-License-Identifier: Apache-2.0
"""Sources that are judged together: one map and one window for a group, and as before where each stands alone."""

from dataclasses import replace

import pytest
import torch

from lerobot_ambient.annotate.classifier.shared_work import Processes
from lerobot_ambient.integration.heldout import training
from lerobot_ambient.integration.heldout.designs import designs_of
from lerobot_ambient.integration.heldout.method import HeldOutMethod, annotate_held_out
from lerobot_ambient.integration.training.configured_mixture import load_train_config
from tests.integration.heldout.decisions import options, write


def test_designs_of_groups_have_all_their_sources():
    designs = designs_of([(1, 3), (2,), (4,)], (0.5,))
    assert [design.sources for design in designs] == [
        (),
        (1, 3),
        (2,),
        (4,),
        (1, 2, 3, 4),
        (2, 4),
        (1, 3, 4),
        (1, 2, 3),
    ]
    assert [design.sources for design in designs_of([(1, 3), (2,)], (0.5,), alone=True)] == [(), (1, 3), (2,)]


@pytest.fixture(scope="module")
def roots(tmp_path_factory):
    home = tmp_path_factory.mktemp("groups")
    sizes = {"target": 9, "a": 8, "b": 7, "c": 6}
    return [write(home / name, f"me/{name}", size, seed) for seed, (name, size) in enumerate(sizes.items())]


def test_a_group_is_trained_and_judged_as_one(roots, tmp_path, monkeypatch):
    cfg = load_train_config(None, options(*roots))
    groups = ("left", "right", "left")
    cfg.policy.sources = [replace(one, group=group) for one, group in zip(cfg.policy.sources, groups, strict=True)]
    drawn = []
    fit = training.Trainer.fit

    def noted(self, plan, *args):
        drawn.append(tuple((plan.group_law > 0).nonzero().flatten().tolist()))
        return fit(self, plan, *args)

    monkeypatch.setattr(training.Trainer, "fit", noted)
    method = HeldOutMethod(folds=2, steps=2, shares=(0.5,), work=tmp_path, group_by="group")
    a, b, c = annotate_held_out(cfg, method, Processes(0, 1, torch.device("cpu")), progress=False)
    # The target, each group, and both; no source of a group without the other.
    assert set(drawn) == {(0,), (0, 1, 3), (0, 2), (0, 1, 2, 3)}
    assert [(one.source, one.group, one.together) for one in (a, b, c)] == [
        ("me/a", "left", 2),
        ("me/b", None, 1),
        ("me/c", "left", 2),
    ]
    assert a.verdict == c.verdict and (a.safe, a.estimate) == (c.safe, c.estimate)
    assert "me/c (with all 2 of 'left')" in c.headline() and "with all" not in b.headline()
    assert (c.to_dict()["group"], b.to_dict()["group"]) == ("left", None)


def test_a_score_and_a_group_are_not_judged_at_once():
    with pytest.raises(ValueError, match="a score divides each source, and group_by='group' joins them"):
        HeldOutMethod(column="score", group_by="group")
    with pytest.raises(ValueError, match="group_by must be one of source, group; got 'robot'"):
        HeldOutMethod(group_by="robot")
