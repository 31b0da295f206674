# SPDX-License-Identifier: Apache-2.0
"""How a policy comes to the Hub with its own card, by LeRobot's push.

LeRobot uploads weights, configurations and card, but no pictures, and asks huggingface.co whether the card's header is
valid, whatever HF_ENDPOINT says. Here the endpoint that gets the commits checks the header before anything is uploaded,
and the picture goes first, so that the card never refers to a file that is not there.

LeRobot 0.6.1 leaves push and card to two methods of the policy, `CardOnHub`. A later one has functions for both, in
whose places `integration/seams/push.py` puts those that call `before_push` and `card_of`.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from huggingface_hub import HfApi, ModelCard
from huggingface_hub.utils import build_hf_headers, get_session, hf_raise_for_status
from lerobot.policies.pretrained import PreTrainedPolicy

from lerobot_ambient.data.files.hub_errors import NOT_ON_THE_HUB, reason_of
from lerobot_ambient.policy.card.model_card import FIGURE, Result, model_card, record_shares
from lerobot_ambient.policy.options.mixture_options import MixtureOptions
from lerobot_ambient.policy.options.train_config import TrainConfig

if TYPE_CHECKING:
    from pathlib import Path

logger = logging.getLogger(__name__)


class CardOnHub(PreTrainedPolicy):
    """A policy whose card tells what its mixture was. Abstract: mixed into one that has a network."""

    config_class = MixtureOptions
    name = "ambient_diffusion"
    config: MixtureOptions

    @classmethod
    def from_pretrained(cls, pretrained_name_or_path: Any, **kwargs: Any) -> Any:
        """As LeRobot's; where the policy cannot be had, the error carries its name and the Hub's reason."""
        try:
            return super().from_pretrained(pretrained_name_or_path, **kwargs)
        except NOT_ON_THE_HUB as error:
            error.add_note(f"while loading the policy '{pretrained_name_or_path}'{reason_of(error)}")
            raise

    def push_model_to_hub(self, cfg: TrainConfig, peft_model: Any = None, **kwargs: Any) -> None:
        """As LeRobot's, after `before_push`. Safe to repeat.

        Raises:
            HfHubHTTPError, httpx.TransportError: what the Hub answers; nothing local is changed.
        """
        if is_by_method():
            before_push(self.config, cfg)
        super().push_model_to_hub(cfg, peft_model=peft_model, **kwargs)

    def generate_model_card(
        self,
        dataset_repo_id: str,
        model_type: str,
        license: str | None,
        tags: list[str] | None,
        cfg: TrainConfig | None = None,
        dataset_meta: Any = None,
    ) -> ModelCard:
        """The card, from the configuration and `cfg`; the other arguments are LeRobot's and already in these."""
        train = {"dataset": {"repo_id": dataset_repo_id}} if cfg is None else cfg.to_dict()
        return model_card(self.config, train, figure=_can_draw(self.config))


def is_by_method() -> bool:
    """Whether this LeRobot asks the policy for its card, as 0.6.1 does."""
    return hasattr(PreTrainedPolicy, "generate_model_card")


def card_of(config: MixtureOptions, cfg: TrainConfig | None) -> ModelCard:
    """The card of a policy that is pushed, with the plan's picture where it can be drawn."""
    return model_card(config, None if cfg is None else cfg.to_dict(), figure=_can_draw(config))


def before_push(config: MixtureOptions, cfg: TrainConfig) -> None:
    """Have the Hub check the card's header, then upload the plan's picture in a commit of its own. Safe to repeat.

    Raises:
        ValueError: a header that the Hub does not take, e.g. a licence that it does not know.
        HfHubHTTPError, httpx.TransportError: what the Hub answers.
    """
    api = HfApi()
    _check_header(card_of(config, cfg), api)
    picture = plan_picture(config)
    if picture is None:
        return
    repo_id = api.create_repo(repo_id=config.repo_id, private=config.private, exist_ok=True).repo_id
    api.upload_file(
        path_or_fileobj=picture,
        path_in_repo=FIGURE,
        repo_id=repo_id,
        commit_message="Upload the plan's picture",
    )


def _check_header(card: ModelCard, api: HfApi) -> None:
    # huggingface_hub asks the same before a commit, but LeRobot may have uploaded the weights by then.
    response = get_session().post(
        f"{api.endpoint}/api/validate-yaml",
        json={"content": str(card), "repoType": "model"},
        headers=build_hf_headers(),
    )
    if response.status_code == HTTPStatus.BAD_REQUEST:
        told = "\n".join(f"- {error.get('message')}" for error in response.json().get("errors", []))
        raise ValueError(f"Invalid metadata in README.md.\n{told}")
    hf_raise_for_status(response)


def write_card(
    folder: Path, config: MixtureOptions, train: dict[str, Any] | None, results: Sequence[Result] = ()
) -> list[Path]:
    """Write README.md, and where it can be drawn the picture, into a checkpoint's folder; returns what was written."""
    picture = plan_picture(config)
    written = []
    if picture is not None:
        (folder / FIGURE).write_bytes(picture)
        written.append(folder / FIGURE)
    readme = folder / "README.md"
    readme.write_text(str(model_card(config, train, results, figure=picture is not None)), encoding="utf-8")
    return [readme, *written]


def plan_picture(config: MixtureOptions) -> bytes | None:
    """The heat map as a PNG; None without a record of the mixture, or without matplotlib."""
    if not config.mixture_record:
        return None
    if not _can_draw(config):
        logger.warning("the model card has no picture of the plan: matplotlib is not installed (extra `plots`).")
        return None
    import numpy as np

    from lerobot_ambient.core.heat_map import shares_figure
    from lerobot_ambient.figures.style import png_of

    shares, _ = record_shares(config)
    law = np.array([record.share for record in config.mixture_record])
    names = [record.name for record in config.mixture_record]
    return png_of(shares_figure(shares, law, config.noise_schedule(), names))


def _can_draw(config: MixtureOptions) -> bool:
    from importlib.util import find_spec

    return bool(config.mixture_record) and find_spec("matplotlib") is not None
