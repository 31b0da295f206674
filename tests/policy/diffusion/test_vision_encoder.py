# SPDX-License-Identifier: Apache-2.0
"""`policy.vision_encoder=cnn`: four convolutions in the place of LeRobot's ResNet."""

import pytest
import torch
from lerobot.configs import FeatureType, PolicyFeature

from lerobot_ambient.integration.deployment.stock_form import why_not_stock
from lerobot_ambient.policy.diffusion.modeling_ambient_diffusion import AmbientDiffusionPolicy
from tests.policy.diffusion.test_policy import SMALL, AmbientDiffusionConfig, ambient, batch_of, mixture

CNN = {"image": True, "vision_encoder": "cnn"}


def made(size: tuple[int, int], cameras: int = 1, **options) -> AmbientDiffusionPolicy:
    inputs = {"observation.state": PolicyFeature(FeatureType.STATE, (2,))}
    for number in range(cameras):
        inputs[f"observation.images.{number}"] = PolicyFeature(FeatureType.VISUAL, (3, *size))
    outputs = {"action": PolicyFeature(FeatureType.ACTION, (2,))}
    config = AmbientDiffusionConfig(
        **SMALL | {"vision_encoder": "cnn", "input_features": inputs, "output_features": outputs} | options
    )
    return AmbientDiffusionPolicy(config, dataset_meta=mixture(config))


@pytest.mark.parametrize(
    ("size", "options", "places"),
    [
        ((40, 40), {}, (10, 10)),
        ((41, 50), {}, (11, 13)),
        ((96, 96), {"crop_shape": (84, 80)}, (21, 20)),
        ((96, 96), {"resize_shape": (42, 32)}, (11, 8)),
    ],
)
def test_a_place_is_four_pixels_wide(size, options, places):
    (encoder,) = made(size, **options).diffusion.rgb_encoder
    seen = torch.rand(2, 3, *(options.get("crop_shape") or options.get("resize_shape") or size))
    assert encoder.backbone(seen).shape[2:] == places
    assert encoder(torch.rand(2, 3, *size)).shape == (2, encoder.feature_dim)


def test_it_tells_where_a_thing_is_to_a_tenth_of_the_picture():
    """A regression on the keypoints of pictures with one bright dot; a ResNet has two places a side to tell by."""
    torch.manual_seed(0)
    (encoder,) = made((40, 40)).diffusion.rgb_encoder
    answer = torch.nn.Linear(encoder.feature_dim, 2)
    adam = torch.optim.Adam([*encoder.parameters(), *answer.parameters()], lr=3e-3)
    generator = torch.Generator().manual_seed(1)

    def pictures(count: int) -> tuple[torch.Tensor, torch.Tensor]:
        at = torch.randint(2, 38, (count, 2), generator=generator)
        shown = torch.zeros(count, 3, 40, 40)
        for one, (row, column) in enumerate(at.tolist()):
            shown[one, :, row - 1 : row + 2, column - 1 : column + 2] = 1.0
        return shown, at / 40

    for _ in range(150):
        shown, at = pictures(32)
        loss = (answer(encoder(shown)) - at).square().mean()
        adam.zero_grad()
        loss.backward()
        adam.step()
    shown, at = pictures(128)
    with torch.no_grad():
        error = (answer(encoder(shown)) - at).abs().mean()
    assert error < 0.1, "a guess in the middle errs by a quarter"


@pytest.mark.parametrize("separate", [True, False])
def test_every_camera_has_it(separate):
    policy = made((32, 32), cameras=2, use_separate_rgb_encoder_per_camera=separate)
    encoders = list(policy.diffusion.rgb_encoder) if separate else [policy.diffusion.rgb_encoder]
    assert [len([one for one in part.backbone if isinstance(one, torch.nn.Conv2d)]) for part in encoders] == (
        [4] * (2 if separate else 1)
    )


def test_it_is_trained_and_says_what_lerobot_lacks():
    policy = ambient(**CNN).train()
    policy(batch_of(image=True))[0].backward()
    assert all(one.grad is not None and one.grad.abs().sum() > 0 for one in policy.diffusion.rgb_encoder.parameters())
    assert why_not_stock(policy.config) == ["policy.vision_encoder=cnn, and stock has ResNets only"]
    assert why_not_stock(ambient(image=True, use_group_norm=True).config) == []


def test_the_resnets_options_stay_in_the_configuration_and_nothing_is_downloaded():
    weights = "ResNet18_Weights.IMAGENET1K_V1"
    policy = ambient(**CNN, pretrained_backbone_weights=weights, vision_backbone="resnet34", denoiser="mlp")
    kept = policy.config
    assert (kept.pretrained_backbone_weights, kept.vision_backbone, kept.down_dims) == (weights, "resnet34", (16, 32))


def test_a_checkpoint_acts_alike(tmp_path):
    policy = ambient(**CNN, dataset_stats=None).eval()
    policy.save_pretrained(tmp_path)
    loaded = AmbientDiffusionPolicy.from_pretrained(tmp_path).eval()
    for (name, one), (other_name, other) in zip(policy.state_dict().items(), loaded.state_dict().items(), strict=True):
        assert name == other_name
        assert torch.equal(one, other), name


def test_another_encoder_is_refused():
    with pytest.raises(ValueError, match=r"policy\.vision_encoder = 'vit' is unknown; choose one of resnet, cnn"):
        AmbientDiffusionConfig(vision_encoder="vit")
