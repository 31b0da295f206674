# SPDX-License-Identifier: Apache-2.0
"""LeRobots as the seam meets them: signatures and call patterns of four generations, and nothing else of them.

`V061` is 0.6.1, `Head` its development head of August 2026, `V07` what 0.7's notes tell of it, and `Packed` a later one
whose datasets come back in a dataclass. Each has modules under LeRobot's names, and a `run` that looks names up in them
and calls them as LeRobot's loop does.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import ModuleType, SimpleNamespace
from typing import Any

import torch

TRAIN, UTILS = "lerobot.scripts.lerobot_train", "lerobot.common.train_utils"


class MetricsTracker:
    def reset_averages(self):
        pass

    def to_dict(self, use_avg=True):
        return {}


class EpisodeAwareSampler:
    """The constructor of all generations; 0.7's may be asked without a seed."""

    def __init__(
        self,
        dataset_from_indices,
        dataset_to_indices,
        episode_indices_to_use=None,
        drop_n_first_frames=0,
        drop_n_last_frames=0,
        shuffle=False,
        seed=0,
        absolute_to_relative_idx=None,
    ):
        self.shuffle, self.seed = shuffle, seed


@dataclass
class TrainEvalDatasets:
    train: Any
    eval: Any
    test: Any
    episode_split: Any


def update_policy(
    train_metrics,
    policy,
    batch,
    optimizer,
    grad_clip_norm,
    accelerator,
    lr_scheduler=None,
    lock=None,
    sample_weighter=None,
):
    return train_metrics, {}


class V061:
    """LeRobot 0.6.1. `events` tells what its own functions did."""

    card_is_a_method = True

    def __init__(self) -> None:
        self.events: list[Any] = []
        self.train, self.utils = ModuleType(TRAIN), ModuleType(UTILS)
        self.train.make_train_eval_datasets = self._factory()
        self.train.EpisodeAwareSampler = EpisodeAwareSampler
        self.train.MetricsTracker = MetricsTracker
        self.train.update_policy = update_policy
        self.train.make_pre_post_processors = (
            lambda policy_cfg, pretrained_path=None, pretrained_revision=None, **kwargs: (None, None)
        )
        self.train.update_last_checkpoint = lambda checkpoint_dir: None
        self.train.eval_policy_all = lambda envs, policy, env_preprocessor, n_episodes, *, start_seed=None: {}
        self._further()

    def _factory(self) -> Any:
        def make_train_eval_datasets(cfg) -> tuple[Any, Any]:
            return "stock", None

        return make_train_eval_datasets

    def _further(self) -> None:
        pass

    @property
    def modules(self) -> list[ModuleType]:
        """In the order in which LeRobot loads them."""
        return [self.utils, self.train]

    def run(self, cfg: Any) -> SimpleNamespace:
        """The loop as far as the seam reaches: datasets, samplers, the loader's first draws, one step."""
        dataset, held_out = self._datasets(cfg)
        if dataset == "stock":
            return SimpleNamespace(dataset=dataset)
        sampler = self.train.EpisodeAwareSampler(
            dataset.meta.episodes["dataset_from_index"],
            dataset.meta.episodes["dataset_to_index"],
            episode_indices_to_use=dataset.episodes,
            drop_n_last_frames=cfg.policy.drop_n_last_frames,
            shuffle=True,
            seed=cfg.seed if cfg.seed is not None else 0,
            absolute_to_relative_idx=dataset.absolute_to_relative_idx,
        )
        loader = torch.utils.data.DataLoader(dataset, batch_size=4, sampler=sampler, generator=self._generator(cfg))
        drawn = [batch["index"].tolist() for batch in loader]
        tracker = MetricsTracker()
        self.train.update_policy(tracker, torch.nn.Identity(), drawn[0], None, 1.0, accelerator=None, lr_scheduler=None)
        return SimpleNamespace(
            dataset=dataset, held_out=held_out, drawn=drawn, held_out_sampler=self._held_out_sampler(cfg, held_out)
        )

    def _datasets(self, cfg: Any) -> Any:
        return self.train.make_train_eval_datasets(cfg)

    def _generator(self, cfg: Any) -> torch.Generator | None:
        return None

    def _held_out_sampler(self, cfg: Any, held_out: Any) -> Any:
        return None


class Head(V061):
    """The development head: cards and pushes by functions, the training script has one of them by import."""

    card_is_a_method = False

    def _further(self) -> None:
        def generate_model_card(model_cfg, cfg=None, dataset_meta=None):
            self.events.append("stock card is written")
            return "stock card"

        def publish_trained_model(cfg, model, preprocessor, postprocessor, dataset_meta, *, peft_model=None):
            self.events.append("weights are uploaded")
            card = self.utils.generate_model_card(model.config, cfg=cfg, dataset_meta=dataset_meta)
            self.events.append(f"card is uploaded: {card}")

        self.utils.generate_model_card = generate_model_card
        self.utils.publish_trained_model = publish_trained_model
        # `from lerobot.common.train_utils import publish_trained_model`
        self.train.publish_trained_model = publish_trained_model

    def publish(self, cfg: Any, model: Any) -> None:
        self.train.publish_trained_model(cfg, model, None, None, None, peft_model=None)


class V07(Head):
    """0.7: the held-out frames have a sampler too, without a seed, and the loader a generator of its own."""

    def _generator(self, cfg: Any) -> torch.Generator:
        return torch.Generator().manual_seed(cfg.seed or 0)

    def _held_out_sampler(self, cfg: Any, held_out: Any) -> Any:
        if held_out is None:
            return None
        return self.train.EpisodeAwareSampler(
            held_out.meta.episodes["dataset_from_index"],
            held_out.meta.episodes["dataset_to_index"],
            episode_indices_to_use=held_out.episodes,
            drop_n_last_frames=cfg.policy.drop_n_last_frames,
            absolute_to_relative_idx=held_out.absolute_to_relative_idx,
        )


class Packed(V07):
    """A later one: the factory gives a dataclass, and takes a further argument with a default."""

    def _factory(self) -> Any:
        def make_train_eval_datasets(cfg, cache=None) -> TrainEvalDatasets:
            return TrainEvalDatasets("stock", None, None, None)

        return make_train_eval_datasets

    def _datasets(self, cfg: Any) -> Any:
        made = self.train.make_train_eval_datasets(cfg)
        assert isinstance(made, TrainEvalDatasets)
        return made.train, made.eval


GENERATIONS = (V061, Head, V07, Packed)
