# SPDX-License-Identifier: Apache-2.0
"""AmbientDiffusionPolicy beside LeRobot's DiffusionPolicy, and what it adds."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import ClassVar

import pytest
import torch
from lerobot.configs import FeatureType, NormalizationMode, PolicyFeature
from lerobot.policies.diffusion.configuration_diffusion import DiffusionConfig
from lerobot.policies.diffusion.modeling_diffusion import DiffusionPolicy
from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from lerobot_ambient.core.draws import frame_noise
from lerobot_ambient.core.losses import ambient_target, reduce_loss, renoise
from lerobot_ambient.core.mixing import Ambient, Cotrain
from lerobot_ambient.core.plan import Group, make_plan
from lerobot_ambient.core.windows import EVERYTHING, Window
from lerobot_ambient.data.batches.merged_dataset import GROUP_KEY
from lerobot_ambient.data.normalization.affine import RELATIVE_ACTION
from lerobot_ambient.policy.diffusion.averaging import GrowingAverage, decay_after
from lerobot_ambient.policy.diffusion.configuration_ambient_diffusion import AmbientDiffusionConfig
from lerobot_ambient.policy.diffusion.modeling_ambient_diffusion import AmbientDiffusionPolicy
from lerobot_ambient.policy.diffusion.processor_ambient_diffusion import make_ambient_diffusion_pre_post_processors
from lerobot_ambient.policy.diffusion.schedule import noise_schedule
from lerobot_ambient.policy.options.mixing import MixingConfig

A, S, H = 2, 2, 8
SMALL = {
    "device": "cpu",
    "push_to_hub": False,
    "horizon": H,
    "n_action_steps": 4,
    "down_dims": (16, 32),
    "n_groups": 4,
    "diffusion_step_embed_dim": 16,
    "pretrained_backbone_weights": None,
    "crop_shape": None,
}


def features(image: bool = False, env: bool = True) -> dict[str, dict[str, PolicyFeature]]:
    inputs = {"observation.state": PolicyFeature(FeatureType.STATE, (S,))}
    if env:
        inputs["observation.environment_state"] = PolicyFeature(FeatureType.ENV, (3,))
    if image:
        inputs["observation.images.cam"] = PolicyFeature(FeatureType.VISUAL, (3, 64, 64))
    return {"input_features": inputs, "output_features": {"action": PolicyFeature(FeatureType.ACTION, (A,))}}


def batch_of(size: int = 6, image: bool = False, env: bool = True, seed: int = 0) -> dict:
    g = torch.Generator().manual_seed(seed)
    batch = {
        "observation.state": torch.rand(size, 2, S, generator=g) * 2 - 1,
        "action": torch.rand(size, H, A, generator=g) * 2 - 1,
        "action_is_pad": torch.rand(size, H, generator=g) < 0.2,
        "index": torch.arange(size) * 7,
        "info": {GROUP_KEY: torch.arange(size) % 2},
    }
    if env:
        batch["observation.environment_state"] = torch.rand(size, 2, 3, generator=g)
    if image:
        batch["observation.images.cam"] = torch.rand(size, 2, 3, 64, 64, generator=g)
    return batch


def mixture(
    config: AmbientDiffusionConfig, mixing=None, window: Window = EVERYTHING, action_mask=None, absent_cameras=None
) -> SimpleNamespace:
    groups = (Group(0, "target", 10, EVERYTHING), Group(1, "sim", 30, window))
    plan = make_plan(groups, noise_schedule(config), mixing or Cotrain())
    return SimpleNamespace(
        mixture=SimpleNamespace(plan=plan, groups=groups, action_mask=action_mask, absent_cameras=absent_cameras)
    )


def ambient(meta_kwargs: dict | None = None, **kwargs) -> AmbientDiffusionPolicy:
    shape = {key: kwargs.pop(key) for key in ("image", "env") if key in kwargs}
    stats = kwargs.pop("dataset_stats", None)
    config = AmbientDiffusionConfig(**SMALL | features(**shape) | kwargs)
    torch.manual_seed(0)
    return AmbientDiffusionPolicy(config, dataset_meta=mixture(config, **(meta_kwargs or {})), dataset_stats=stats)


def stock(**kwargs) -> DiffusionPolicy:
    shape = {key: kwargs.pop(key) for key in ("image", "env") if key in kwargs}
    torch.manual_seed(0)
    return DiffusionPolicy(DiffusionConfig(**SMALL | features(**shape) | kwargs))


class TestEqualityWithLeRobot:
    @pytest.mark.parametrize(
        "kwargs",
        [
            {},
            {"prediction_type": "sample"},
            {"do_mask_loss_for_padding": True},
            {"noise_scheduler_type": "DDIM", "beta_schedule": "linear"},
            {"image": True, "use_group_norm": True, "crop_shape": (28, 28), "crop_is_random": True},
        ],
    )
    def test_open_windows_train_bit_for_bit_alike(self, kwargs):
        """Five optimiser steps: equal losses and equal weights, random crops included."""
        policies = [stock(**kwargs), ambient(**kwargs)]
        losses: list[list[float]] = []
        for policy in policies:
            policy.train()
            optimizer = torch.optim.Adam(policy.get_optim_params(), lr=1e-3)
            torch.manual_seed(42)
            losses.append([])
            for step in range(5):
                loss, _ = policy.forward(batch_of(image=kwargs.get("image", False), seed=step))
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                losses[-1].append(loss.item())
        assert losses[0] == losses[1]
        theirs, ours = (policy.diffusion.state_dict() for policy in policies)
        assert theirs.keys() == ours.keys()
        assert all(torch.equal(theirs[key], ours[key]) for key in theirs)

    def test_held_out_loss_is_lerobots(self):
        theirs, ours = stock().eval(), ambient(meta_kwargs={"mixing": Ambient(0.5), "window": Window(0.5)}).eval()
        torch.manual_seed(1)
        expected, _ = theirs.forward(batch_of())
        torch.manual_seed(1)
        got, logs = ours.forward(batch_of())
        assert expected.item() == got.item()
        assert logs is None

    def test_actions_are_lerobots(self):
        theirs, ours = stock().eval(), ambient().eval()
        noise = torch.randn(6, H, A)
        batch = {key: value[:, 0] for key, value in batch_of().items() if key.startswith("observation")}
        for _ in range(6):
            torch.manual_seed(5)
            expected = theirs.select_action(dict(batch), noise=noise)
            torch.manual_seed(5)
            assert torch.equal(expected, ours.select_action(dict(batch), noise=noise))


class TestLoss:
    def test_reduction_none_averages_to_the_mean(self):
        policy = ambient(meta_kwargs={"mixing": Ambient(None), "window": Window(0.4)}).train()
        torch.manual_seed(3)
        mean, _ = policy.forward(batch_of())
        torch.manual_seed(3)
        each, _ = policy.forward(batch_of(), reduction="none")
        assert each.shape == (6,)
        torch.testing.assert_close(each.mean(), mean)

    @pytest.mark.parametrize("prediction_type", ["sample", "epsilon"])
    @pytest.mark.parametrize("fresh", [False, True])
    def test_ambient_loss_by_hand(self, prediction_type, fresh):
        window = Window(0.3)
        policy = ambient(
            meta_kwargs={"mixing": Ambient(None), "window": window.buffered(4.0)},
            prediction_type=prediction_type,
            ambient_loss=True,
            ambient_loss_fresh_noise=fresh,
        ).train()
        # The plan runs on the buffered window, the loss on the declared one.
        policy.group_sigma_min[1] = window.sigma_min
        batch = batch_of(size=64)
        torch.manual_seed(11)
        got, _ = policy.forward(batch, reduction="none")

        torch.manual_seed(11)
        x_0, group = batch["action"], batch["info"][GROUP_KEY]
        eps = torch.randn(x_0.shape)
        timestep = policy.timestep_law(group)
        z = torch.randn_like(x_0) if fresh else frame_noise(batch["index"], (H, A))
        sigma = policy.sigmas[timestep]
        assert (sigma[group == 1] > window.buffered(4.0).sigma_min).all()
        model = policy.diffusion
        condition = model._prepare_global_conditioning(batch)
        for i in range(64):
            st = sigma[i]
            if group[i] == 0:
                x_t = model.noise_scheduler.add_noise(x_0[i : i + 1], eps[i : i + 1], timestep[i : i + 1])
                target = eps[i : i + 1] if prediction_type == "epsilon" else x_0[i : i + 1]
            else:
                smin = torch.tensor(0.3)
                x_tmin = torch.sqrt(1 - smin**2) * x_0[i : i + 1] + smin * z[i : i + 1]
                x_t = renoise(x_tmin, smin, st, eps[i : i + 1])
                target = ambient_target(x_tmin, x_t, smin, st, prediction_type)
            pred = model.unet(x_t, timestep[i : i + 1], global_cond=condition[i : i + 1])
            assert got[i].item() == pytest.approx(((pred - target) ** 2).mean().item(), rel=2e-4)

    def test_ambient_loss_leaves_the_low_noise_band_alone(self):
        policy = ambient(
            meta_kwargs={"mixing": Ambient(None), "window": Window(1.0, 0.4)},
            ambient_loss=True,
            prediction_type="sample",
        ).train()
        plain = ambient(
            meta_kwargs={"mixing": Ambient(None), "window": Window(1.0, 0.4)}, prediction_type="sample"
        ).train()
        torch.manual_seed(2)
        with_ambient, _ = policy.forward(batch_of())
        torch.manual_seed(2)
        without, _ = plain.forward(batch_of())
        assert with_ambient.item() == without.item()

    @pytest.mark.parametrize("mixing", ["cotrain", "target_only"])
    def test_ambient_loss_acts_only_where_the_mixing_admits_by_windows(self, mixing, caplog):
        """Just above sigma_min the ambient target explodes; co-training shows a source there, with no buffer."""
        rule = MixingConfig.get_choice_class(mixing)()
        losses = []
        for ambient_loss in (True, False):
            caplog.clear()
            policy = ambient(
                meta_kwargs={"mixing": Cotrain(), "window": Window(0.3)}, mixing=rule, ambient_loss=ambient_loss
            ).train()
            warned = [message for message in caplog.messages if "ambient_loss" in message]
            assert len(warned) == ambient_loss and all(mixing in message for message in warned)
            torch.manual_seed(4)
            losses.append(policy.forward(batch_of(size=64), reduction="none")[0])
        assert torch.equal(*losses)

    def test_logs_are_unbiased_per_source(self):
        policy = ambient(meta_kwargs={"mixing": Ambient(0.5), "window": Window(0.6)}).train()
        law = policy.source_law
        torch.manual_seed(0)
        totals: dict[str, float] = {}
        rounds = 60
        for i in range(rounds):
            batch = batch_of(size=200, seed=i)
            batch["info"][GROUP_KEY] = (torch.rand(200) < law[1]).long()
            with torch.no_grad():
                _, logs = policy.forward(batch)
            totals = {key: totals.get(key, 0.0) + value / rounds for key, value in logs.items()}
        assert totals.keys() == {f"{kind}/{name}" for kind in ("share", "loss", "sigma") for name in ("target", "sim")}
        assert totals["share/target"] == pytest.approx(float(law[0]), abs=0.02)
        plan = make_plan(
            (Group(0, "target", 10, EVERYTHING), Group(1, "sim", 30, Window(0.6))),
            noise_schedule(policy.config),
            Ambient(0.5),
        )
        for group, name in enumerate(("target", "sim")):
            mean = float((plan.timestep_law[group] * plan.schedule.sigmas).sum())
            assert totals[f"sigma/{name}"] == pytest.approx(mean, rel=0.05)

    def test_training_refuses_a_batch_without_groups(self):
        policy = ambient().train()
        batch = batch_of()
        del batch["info"]
        with pytest.raises(ValueError, match="carries no info"):
            policy.forward(batch)


class TestWithoutTraining:
    def test_a_checkpoint_needs_no_data(self, tmp_path):
        policy = ambient(meta_kwargs={"window": Window(0.3), "mixing": Ambient(None)}, ema_decay=0.9).eval()
        policy.config.sources = []
        policy.save_pretrained(tmp_path)
        again = AmbientDiffusionPolicy.from_pretrained(tmp_path)
        noise = torch.randn(6, H, A)
        torch.manual_seed(0)
        expected = policy.predict_action_chunk(batch_of(), noise=noise)
        torch.manual_seed(0)
        assert torch.equal(expected, again.predict_action_chunk(batch_of(), noise=noise))

    def test_configured_sources_without_their_merge_are_refused(self):
        config = AmbientDiffusionConfig(**SMALL | features(), sources=[])
        config.target_rename = {"actions": "action"}
        with pytest.raises(ValueError, match="is not their merge"):
            AmbientDiffusionPolicy(config, dataset_meta=SimpleNamespace())

    def test_state_alone_is_enough(self):
        policy = ambient(env=False).train()
        loss, _ = policy.forward(batch_of(env=False))
        assert torch.isfinite(loss)
        assert policy.eval().predict_action_chunk(batch_of(env=False)).shape == (6, 4, A)

    def test_missing_state_or_action_names_the_fix(self):
        shapes = features()
        del shapes["input_features"]["observation.state"]
        with pytest.raises(ValueError, match=r"needs 'observation.state' and 'action'.*target_rename"):
            AmbientDiffusionPolicy(AmbientDiffusionConfig(**SMALL | shapes))


class TestAverage:
    @pytest.mark.parametrize(
        # The second update's decay is 2/11, or the limit where that is smaller.
        ("limit", "kept"),
        [(0.75, 2 / 11), (0.1, 0.1)],
    )
    def test_update_follows_the_decay_and_evaluation_uses_it(self, limit, kept):
        policy = ambient(ema_decay=limit).train()
        weight = policy.diffusion.unet.final_conv[1].weight
        start = weight.detach().clone()
        policy.update()
        with torch.no_grad():
            weight.add_(1.0)
        policy.update()
        averaged = policy.averaged.module.unet.final_conv[1].weight
        torch.testing.assert_close(averaged, start + 1 - kept)
        noise = torch.randn(6, H, A)
        torch.manual_seed(0)
        acted = policy.eval().predict_action_chunk(batch_of(), noise=noise)
        policy.averaged = None
        torch.manual_seed(0)
        assert not torch.equal(acted, policy.predict_action_chunk(batch_of(), noise=noise))
        assert policy.diffusion.unet.final_conv[1].weight is weight

    def test_a_short_training_forgets_how_it_began_and_a_long_one_has_the_limit(self):
        decays = [decay_after(n, 0.999) for n in range(1, 20_000)]
        # The share of the initial weights; a constant 0.999 would leave 74 % and 3 %.
        assert math.prod(decays[:300]) < 1e-9
        assert math.prod(decays[:3500]) < 1e-9
        assert decays == sorted(decays)
        assert decays[8_000] < 0.999 == decays[9_000] == decays[-1]

    def test_it_is_torchs_average_to_the_bit(self):
        torch.manual_seed(0)
        model = nn.Sequential(nn.Linear(5, 7), nn.BatchNorm1d(7))

        def average(averaged, current, updates):
            get_ema_multi_avg_fn(decay_after(int(updates), 0.5))(averaged, current, updates)

        wanted, found = AveragedModel(model, multi_avg_fn=average), GrowingAverage(model, 0.5)
        for _ in range(8):
            model(torch.randn(4, 5))
            with torch.no_grad():
                for weight in model.parameters():
                    weight.add_(torch.randn_like(weight))
            wanted.update_parameters(model)
            found.update_parameters(model)
        state = wanted.state_dict()
        assert state.keys() == found.state_dict().keys()
        assert all(torch.equal(value, state[name]) for name, value in found.state_dict().items())

    def test_the_average_is_not_optimised_and_is_saved(self, tmp_path):
        policy = ambient(ema_decay=0.5).train()
        optimised = {id(p) for p in policy.get_optim_params()}
        assert not optimised & {id(p) for p in policy.averaged.parameters()}
        assert not any(p.requires_grad for p in policy.averaged.parameters())
        policy.update()
        with torch.no_grad():
            policy.diffusion.unet.final_conv[1].weight.add_(1.0)
        policy.update()
        policy.config.sources = []
        policy.save_pretrained(tmp_path)
        again = AmbientDiffusionPolicy.from_pretrained(tmp_path)
        state, restored = policy.state_dict(), again.state_dict()
        assert state.keys() == restored.keys()
        assert all(torch.equal(state[key], restored[key]) for key in state)
        assert int(again.averaged.n_averaged) == 2


class TestRelative:
    STATS: ClassVar = {
        "observation.state": {"min": torch.tensor([-2.0, 0.0]), "max": torch.tensor([2.0, 8.0])},
        "action": {"min": torch.tensor([-3.0, 1.0]), "max": torch.tensor([1.0, 9.0])},
        "observation.environment_state": {"min": torch.zeros(3), "max": torch.ones(3)},
        RELATIVE_ACTION: {"min": torch.tensor([-0.5, -0.2]), "max": torch.tensor([0.5, 0.6])},
    }

    def policy(self) -> AmbientDiffusionPolicy:
        return ambient(relative_actions=True, dataset_stats=self.STATS)

    def test_it_is_the_raw_difference_normalised(self):
        """Through LeRobot's own normaliser: raw chunk and state in, (a - s - offset) / scale noised."""
        policy = self.policy()
        pre, _ = make_ambient_diffusion_pre_post_processors(policy.config, self.STATS)
        state = torch.rand(5, 2, S) * torch.tensor([4.0, 8.0]) - torch.tensor([2.0, 0.0])
        action = state[:, -1:] + torch.rand(5, H, A) * 0.4
        batch = pre({"observation.state": state, "action": action, "action_is_pad": torch.zeros(5, H).bool()})
        expected = (action - state[:, -1:] - torch.tensor([0.0, 0.2])) / torch.tensor([0.5, 0.4])
        torch.testing.assert_close(policy.diffusion.trajectory(batch), expected, rtol=1e-4, atol=1e-5)

    def test_decode_inverts_encode(self):
        relative = self.policy().diffusion.relative
        action, state = torch.rand(5, H, A), torch.rand(5, S)
        torch.testing.assert_close(relative.decode(relative.encode(action, state), state), action, rtol=1e-4, atol=1e-5)

    def test_queued_actions_refer_to_the_state_of_their_chunk(self):
        """The robot moves while a chunk is executed; its later actions must not shift with it."""
        policy = self.policy().eval()
        noise = torch.randn(1, H, A)
        first = {"observation.state": torch.zeros(1, S), "observation.environment_state": torch.zeros(1, 3)}
        runs = []
        for drift in (0.0, 0.5):
            policy.reset()
            torch.manual_seed(0)
            moved = first | {"observation.state": torch.full((1, S), drift)}
            actions = [policy.select_action(dict(first), noise=noise)]
            runs.append(actions + [policy.select_action(dict(moved)) for _ in range(3)])
        for still, moving in zip(*runs, strict=True):
            assert torch.equal(still, moving)

    def test_constants_travel_with_the_checkpoint(self, tmp_path):
        policy = self.policy()
        policy.save_pretrained(tmp_path)
        again = AmbientDiffusionPolicy.from_pretrained(tmp_path)
        assert torch.equal(again.diffusion.relative.relative_scale, torch.tensor([0.5, 0.4]))

    def test_fine_tuning_on_another_target_takes_its_constants(self, tmp_path):
        policy = ambient(relative_actions=True, dataset_stats=self.STATS, ema_decay=0.9)
        policy.save_pretrained(tmp_path)
        other = {**self.STATS, RELATIVE_ACTION: {"min": torch.tensor([-2.0, -2.0]), "max": torch.tensor([2.0, 2.0])}}
        config = policy.config
        tuned = AmbientDiffusionPolicy.from_pretrained(
            tmp_path, config=config, dataset_stats=other, dataset_meta=mixture(config)
        )
        for model in (tuned.diffusion, tuned.averaged.module):
            assert torch.equal(model.relative.relative_scale, torch.tensor([2.0, 2.0]))
            assert torch.equal(model.relative.action_scale, torch.tensor([2.0, 4.0]))

    def test_it_needs_the_merged_statistics(self):
        with pytest.raises(ValueError, match="needs statistics of relative chunks"):
            ambient(relative_actions=True, dataset_stats={"action": {}})


class TestConfiguration:
    @pytest.mark.parametrize(
        ("kwargs", "message"),
        [
            ({"denoiser": "transformer"}, "'transformer' is unknown; choose one of unet, mlp"),
            ({"ema_decay": 1.0}, r"ema_decay must lie in \(0, 1\)"),
            ({"ambient_loss_max_amplification": 1.0}, "must exceed 1, got 1"),
            ({"n_action_steps": 8}, "n_action_steps = 8 exceeds horizon - n_obs_steps"),
            ({"mlp_width": 0}, "must be positive"),
        ],
    )
    def test_bad_values_are_refused(self, kwargs, message):
        with pytest.raises(ValueError, match=message):
            AmbientDiffusionConfig(**SMALL | kwargs)

    def test_the_mlp_is_small_and_conditioned_like_the_unet(self):
        policy = ambient(denoiser="mlp", mlp_width=32, mlp_depth=2, image=True, use_group_norm=True)
        loss, _ = policy.train().forward(batch_of(image=True))
        loss.backward()
        assert policy.diffusion.unet.enter.weight.grad.abs().sum() > 0
        assert policy.config.down_dims == (16, 32)
        mlp_only = sum(p.numel() for p in policy.diffusion.unet.parameters())
        assert mlp_only < 40_000

    def test_normalisation_maps_are_lerobots(self):
        from lerobot_ambient.data.normalization.affine import affine_of

        stats = {
            "min": torch.tensor([-1.0, 2.0]),
            "max": torch.tensor([3.0, 2.0]),
            "mean": torch.tensor([0.5, 2.0]),
            "std": torch.tensor([0.7, 0.1]),
            "q01": torch.tensor([-0.9, 1.9]),
            "q99": torch.tensor([2.9, 2.1]),
            "q10": torch.tensor([-0.5, 1.95]),
            "q90": torch.tensor([2.5, 2.05]),
        }
        raw = torch.tensor([[[0.3, 2.0], [1.0, 2.0]]], dtype=torch.float64)
        for mode in NormalizationMode:
            shape = features()
            mapping = {"ACTION": mode, "STATE": NormalizationMode.IDENTITY, "VISUAL": NormalizationMode.IDENTITY}
            config = AmbientDiffusionConfig(**SMALL | shape | {"normalization_mapping": mapping})
            pre, _ = make_ambient_diffusion_pre_post_processors(config, {"action": stats})
            normalised = pre({"action": raw, "observation.state": torch.zeros(1, S)})["action"]
            offset, scale = (torch.as_tensor(v) for v in affine_of(stats, mode.value))
            torch.testing.assert_close(normalised, (raw - offset) / scale, rtol=1e-4, atol=1e-6)


class TestWhatASourceLacks:
    """Masked action dimensions carry no loss; an absent camera is marked."""

    def policy(self, **kwargs):
        mask = torch.tensor([[True] * A, [True, *[False] * (A - 1)]])
        return ambient({"action_mask": mask}, **kwargs).train()

    def batch(self, group):
        batch = batch_of()
        batch["info"] = {GROUP_KEY: torch.full((len(batch["action"]),), group)}
        return batch

    def loss(self, policy, batch):
        torch.manual_seed(5)
        return policy.forward(batch)

    @pytest.mark.parametrize("padding", [False, True])
    def test_masked_dimensions_do_not_matter(self, padding):
        policy = self.policy(do_mask_loss_for_padding=padding)
        one, other = self.batch(1), self.batch(1)
        other["action"] = other["action"].clone()
        other["action"][..., 1:] += 100.0
        assert self.loss(policy, one)[0] == self.loss(policy, other)[0]
        loss, _ = self.loss(policy, one)
        loss.backward()
        head = policy.diffusion.unet.final_conv[-1].weight.grad
        assert (head[0] != 0).any()
        assert (head[1:] == 0).all()

    def test_the_mean_is_over_what_is_left(self):
        element = torch.arange(12.0).reshape(2, 3, 2)
        counts = torch.tensor([[True, True], [True, False]])
        is_pad = torch.tensor([[False, False, True], [False, False, False]])
        kept = [0.0, 1.0, 2.0, 3.0, 6.0, 8.0, 10.0]
        assert reduce_loss(element, is_pad, "mean", counts) == pytest.approx(sum(kept) / 7)
        assert reduce_loss(element, is_pad, "none", counts).tolist() == pytest.approx([1.5, 8.0])
        assert reduce_loss(element, None, "none", counts).tolist() == pytest.approx([2.5, 8.0])

    def test_a_sample_of_the_target_keeps_its_loss(self):
        plain = ambient().train()
        assert self.loss(self.policy(), self.batch(0))[0] == self.loss(plain, self.batch(0))[0]

    def test_an_absent_camera_is_a_learned_vector(self):
        key = "observation.images.cam"
        absent = {key: torch.tensor([False, True])}
        policy = ambient({"absent_cameras": absent}, image=True, use_group_norm=True, marked_cameras=[key]).train()
        batch = batch_of(image=True)
        other = dict(batch) | {key: torch.rand_like(batch[key])}
        for group, same in ((0, False), (1, True)):
            info = {"info": {GROUP_KEY: torch.full((len(batch["action"]),), group)}}
            loss, changed = (self.loss(policy, b | info)[0] for b in (batch, other))
            assert bool(loss == changed) == same
        loss.backward()
        assert (policy.diffusion.absent_camera.grad != 0).any()
        policy.zero_grad()
        self.loss(policy, batch | {"info": {GROUP_KEY: torch.zeros(len(batch["action"]), dtype=torch.int64)}})[
            0
        ].backward()
        assert (policy.diffusion.absent_camera.grad == 0).all()

    def test_held_out_samples_of_a_source_lack_it_too(self):
        key = "observation.images.cam"
        meta = {"absent_cameras": {key: torch.tensor([False, True])}}
        meta["action_mask"] = torch.tensor([[True] * A, [True, *[False] * (A - 1)]])
        policy = ambient(meta, image=True, use_group_norm=True, marked_cameras=[key]).eval()
        batch = batch_of(image=True) | {"info": {GROUP_KEY: torch.ones(6, dtype=torch.int64)}}
        other = batch | {key: torch.rand_like(batch[key]), "action": batch["action"].clone()}
        other["action"][..., 1:] += 100.0
        for masks in (False, True):
            policy.masks_held_out = masks
            assert bool(self.loss(policy, batch)[0] == self.loss(policy, other)[0]) == masks
        assert self.loss(policy, batch)[1] is None

    def test_acting_needs_no_flag(self):
        key = "observation.images.cam"
        meta = {"absent_cameras": {key: torch.tensor([False, True])}}
        policy = ambient(meta, image=True, use_group_norm=True, marked_cameras=[key]).eval()
        assert policy.predict_action_chunk(batch_of(image=True)).shape == (6, 4, A)
