# SPDX-License-Identifier: Apache-2.0
"""The seam on stand-ins of LeRobot's generations, and on LeRobots that it does not know."""

from __future__ import annotations

import logging
import subprocess
import sys
from functools import partial
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest

from lerobot_ambient.integration.hooks.substitute import SeamError
from lerobot_ambient.integration.seams import push
from lerobot_ambient.integration.seams.table import CARD, HOOKS, LOST, SOURCES, install, ways
from lerobot_ambient.policy.card import hub_card

from .generations import GENERATIONS, TRAIN, UTILS, V061, V07, Head, MetricsTracker, Packed


@pytest.fixture
def installed(monkeypatch):
    """installed(generation): one of them with the seam in it."""

    def make(generation: type[V061], **changes: Any) -> Any:
        monkeypatch.setattr(hub_card, "is_by_method", lambda: generation.card_is_a_method)
        made = generation()
        for name, value in changes.items():
            setattr(made.train, name, value)
        for module in made.modules:
            install(module)
        return made

    return make


@pytest.fixture
def configured(configured, tmp_path):
    """With seed 3, and a folder of its own."""
    return partial(configured, "--seed=3", f"--output_dir={tmp_path}")


@pytest.mark.parametrize("generation", GENERATIONS)
def test_a_mixture_is_trained_on_and_drawn_alike_in_every_generation(generation, installed, configured):
    ran = installed(generation).run(configured("--dataset.eval_split=0.4", "--eval_steps=2"))
    assert [source.name for source in ran.dataset.mixture.sources] == ["me/target", "me/sim"]
    assert ran.held_out.mixture.sources[0].episodes != ran.dataset.mixture.sources[0].episodes
    drawn = [index for batch in ran.drawn for index in batch]
    assert drawn == [ran.dataset[position]["index"].item() for position in ran.dataset.mixture.sampler(3)]


@pytest.mark.parametrize("generation", [V07, Packed])
def test_held_out_frames_come_in_order_and_without_the_ends_of_episodes(generation, installed, configured):
    ran = installed(generation).run(configured("--dataset.eval_split=0.4", "--eval_steps=2"))
    mixture = ran.held_out.mixture
    lengths = [int(stop - start) for start, stop in zip(*ran.held_out.meta.episodes.values(), strict=True)]
    # drop_n_last_frames=2 of each held-out episode, by hand.
    starts = np.cumsum([0, *lengths[:-1]])
    wanted = [start + row for start, length in zip(starts.tolist(), lengths, strict=True) for row in range(length - 2)]
    assert list(ran.held_out_sampler) == ran.held_out_sampler.indices == wanted
    assert len(ran.held_out_sampler) == len(wanted) == len(mixture.sample_rows(0))
    assert list(ran.held_out_sampler) == wanted


@pytest.mark.parametrize("generation", GENERATIONS)
def test_other_policies_see_the_originals(generation, installed):
    lerobot = installed(generation)
    assert lerobot.run(SimpleNamespace(policy=object())).dataset == "stock"
    made = lerobot.train.EpisodeAwareSampler([0], [3], seed=5, absolute_to_relative_idx={0: 0})
    assert made.seed == 5
    if generation is not V061:
        lerobot.publish("cfg", SimpleNamespace(config=SimpleNamespace(type="act")))
        assert lerobot.events == ["weights are uploaded", "stock card is written", "card is uploaded: stock card"]


@pytest.mark.parametrize("generation", GENERATIONS)
def test_installing_twice_wraps_once(generation, installed):
    lerobot = installed(generation)
    before = [dict(vars(module)) for module in lerobot.modules]
    for module in lerobot.modules:
        install(module)
    assert [dict(vars(module)) for module in lerobot.modules] == before


@pytest.mark.parametrize("generation", [Head, V07, Packed])
def test_where_cards_are_written_by_a_function_ours_is_checked_and_its_picture_sent_before_the_weights(
    generation, installed, configured, monkeypatch
):
    lerobot = installed(generation)
    cfg = configured("--policy.repo_id=me/policy")
    lerobot.run(cfg)

    class Api:
        endpoint = "http://hub"

        def create_repo(self, repo_id, private, exist_ok):
            return SimpleNamespace(repo_id=repo_id)

        def upload_file(self, path_or_fileobj, path_in_repo, repo_id, commit_message):
            assert path_or_fileobj.startswith(b"\x89PNG")
            lerobot.events.append(f"{path_in_repo} is uploaded to {repo_id}")

    monkeypatch.setattr(hub_card, "HfApi", Api)
    monkeypatch.setattr(hub_card, "_check_header", lambda card, api: lerobot.events.append(f"checked: {card}"))
    lerobot.publish(cfg, SimpleNamespace(config=cfg.policy))
    card = str(hub_card.card_of(cfg.policy, cfg))
    assert "| `me/sim` | source |" in card and "ambient_plan.png" in card
    assert lerobot.events == [
        f"checked: {card}",
        "ambient_plan.png is uploaded to me/policy",
        "weights are uploaded",
        f"card is uploaded: {card}",
    ]


def test_only_the_first_of_several_processes_sends_the_picture(installed, configured, monkeypatch):
    import torch.distributed as dist

    lerobot = installed(Head)
    cfg = configured()
    monkeypatch.setattr(hub_card, "before_push", lambda config, cfg: lerobot.events.append("picture"))
    monkeypatch.setattr(dist, "is_initialized", lambda: True)
    for rank in (0, 1):
        monkeypatch.setattr(dist, "get_rank", lambda rank=rank: rank)
        lerobot.publish(cfg, SimpleNamespace(config=cfg.policy))
    assert lerobot.events.count("picture") == 1
    assert lerobot.events.count("weights are uploaded") == 2


def test_a_call_that_says_more_than_is_known_is_refused(installed, configured):
    lerobot = installed(Packed)
    lerobot.train.make_train_eval_datasets(configured(), cache=None)
    with pytest.raises(SeamError, match=r"gives make_train_eval_datasets cache='ram', which ambient policies do not"):
        lerobot.train.make_train_eval_datasets(configured(), cache="ram")
    with pytest.raises(TypeError, match="unexpected keyword"):
        lerobot.train.make_train_eval_datasets(configured(), cach=None)


def factory_of(kind):
    def make_train_eval_datasets(cfg):
        return None

    make_train_eval_datasets.__annotations__["return"] = kind
    return make_train_eval_datasets


def unresolved(cfg) -> Nowhere:  # noqa: F821
    return None


UNKNOWN = [
    ({"make_train_eval_datasets": lambda cfg, extra: None}, "takes ('cfg', 'extra'), asks for extra besides"),
    ({"make_train_eval_datasets": lambda config: None}, "takes ('config',), lacks cfg and asks for config besides"),
    ({"make_train_eval_datasets": factory_of(dict)}, "make_train_eval_datasets returns dict"),
    ({"make_train_eval_datasets": factory_of(MetricsTracker)}, "make_train_eval_datasets returns MetricsTracker"),
    ({"make_train_eval_datasets": unresolved}, "what unresolved returns cannot be known: name 'Nowhere'"),
    ({"EpisodeAwareSampler": None}, "has no EpisodeAwareSampler"),
    (
        {"EpisodeAwareSampler": lambda indices: None},
        "takes ('indices',), lacks dataset_from_indices, dataset_to_indices",
    ),
]


@pytest.mark.parametrize(("changes", "told"), UNKNOWN)
def test_an_unknown_lerobot_is_named_and_left_alone(changes, told, installed, caplog):
    lerobot = installed(V061, **changes)
    sources = next(way for way in ways(lerobot.train) if way.part == SOURCES)
    for name in sources.names:
        wanted = changes.get(name, getattr(V061().train, name, None))
        found = getattr(lerobot.train, name)
        assert found is wanted or found.__name__ == wanted.__name__
        assert not hasattr(found, "_lerobot_ambient_original")
    (record,) = [record for record in caplog.records if record.levelno == logging.ERROR]
    message = record.getMessage()
    assert told in message
    assert "a policy with sources refuses to train" in message
    assert "Install lerobot 0.6.1, or a newer lerobot_policy_ambient_diffusion." in message


def test_a_dataclass_with_a_field_that_is_not_known_is_not_filled(installed, caplog):
    from dataclasses import make_dataclass

    more = make_dataclass("More", [("train", Any), ("eval", Any), ("mixture", Any)])
    installed(V061, make_train_eval_datasets=factory_of(more))
    assert "make_train_eval_datasets returns More of eval, mixture, train" in caplog.text


def test_on_an_unknown_lerobot_a_policy_with_sources_refuses_the_stock_dataset(configured):
    from lerobot_ambient.policy.shared.following import FollowsMixture

    policy = FollowsMixture()
    policy.config = configured().policy
    with pytest.raises(ValueError, match=r"has 1 sources but the dataset is not their merge.*lerobot-ambient doctor"):
        policy._follow(None)


def test_what_a_later_lerobot_adds_with_a_default_changes_nothing(installed, configured):
    def with_more(
        train_metrics, policy, batch, optimizer, grad_clip_norm, accelerator, *, profiler=None, lr_scheduler=None
    ):
        return train_metrics, {}

    lerobot = installed(V061, update_policy=with_more)
    assert hasattr(lerobot.train.update_policy, "_lerobot_ambient_original")
    assert len(lerobot.run(configured()).drawn) == 19


def test_metrics_are_replaced_together_or_not_at_all(installed, caplog):
    lerobot = installed(V061, update_policy=lambda batch: None)
    assert not hasattr(lerobot.train.update_last_checkpoint, "_lerobot_ambient_original")
    assert hasattr(lerobot.train.make_train_eval_datasets, "_lerobot_ambient_original")
    assert "update_policy takes ('batch',), lacks train_metrics, policy, accelerator" in caplog.text
    assert LOST["metrics"] in caplog.text


def test_a_card_function_that_is_another_leaves_lerobots_card_and_says_so(installed, caplog, monkeypatch):
    lerobot = Head()
    lerobot.utils.generate_model_card = lambda checkpoint: "stock card"
    monkeypatch.setattr(hub_card, "is_by_method", lambda: False)
    install(lerobot.utils)
    assert not hasattr(lerobot.utils.publish_trained_model, "_lerobot_ambient_original")
    assert "generate_model_card takes ('checkpoint',), lacks model_cfg, cfg" in caplog.text
    assert LOST[CARD] in caplog.text


def test_every_row_names_what_this_lerobot_has():
    """The table against the LeRobot that is installed, whichever it is."""
    import importlib

    for name in dict.fromkeys(hook.module for hook in HOOKS):
        for way in ways(importlib.import_module(name)):
            assert way.problems == (), way
    by_function = {hook.exists() for hook in HOOKS if hook.part == CARD}
    assert by_function == {push.is_by_function()}


def test_a_module_that_runs_as_the_program_is_found_by_its_own_name(monkeypatch):
    lerobot = V061()
    lerobot.train.__name__ = "__main__"
    install(lerobot.train, TRAIN)
    assert hasattr(lerobot.train.make_train_eval_datasets, "_lerobot_ambient_original")
    assert ways(ModuleType("__main__")) == []
    assert UTILS in {hook.module for hook in HOOKS}


def test_importing_the_package_does_not_load_the_training_script():
    code = "import lerobot_ambient, sys; print('lerobot.scripts.lerobot_train' in sys.modules)"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert out.strip() == "False"
