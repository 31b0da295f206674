# SPDX-License-Identifier: Apache-2.0
"""LeRobot's model card accepts the mixture's metadata."""

import json

from lerobot_ambient.integration.training import load_train_config, make_merged_datasets
from lerobot_ambient.policy.modeling_ambient_diffusion import AmbientDiffusionPolicy

from .conftest import SMALL_POLICY


def test_the_card_names_target_tasks_and_totals(roots, monkeypatch):
    # LeRobot has the Hub check the card's metadata; there is none here.
    monkeypatch.setattr("huggingface_hub.ModelCard.validate", lambda self, **kwargs: None)
    target, sim = roots
    source = {"repo_id": "me/sim", "root": str(sim), "sigma_min": 0.4}
    cfg = load_train_config(
        None,
        [
            "--dataset.repo_id=me/target",
            f"--dataset.root={target}",
            f"--policy.sources={json.dumps([source])}",
            *SMALL_POLICY,
        ],
    )
    dataset, held_out = make_merged_datasets(cfg)
    assert held_out is None
    from lerobot.policies import make_policy

    policy = make_policy(cfg.policy, ds_meta=dataset.meta)
    assert isinstance(policy, AmbientDiffusionPolicy)
    card = policy.generate_model_card(
        cfg.dataset.repo_id, cfg.policy.type, None, None, cfg=cfg, dataset_meta=dataset.meta
    )
    text = str(card)
    assert "me/target" in text
    assert "85" in text
    assert "ambient_diffusion" in text
    # The checkpoint's own configuration lists the sources and the fingerprint.
    assert cfg.policy.mixture_fingerprint[1].startswith("me/sim: 2 episodes, 43 frames, (0.4, 1]")
