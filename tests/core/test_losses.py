# SPDX-License-Identifier: Apache-2.0
"""The ambient targets against a Gaussian, where every conditional mean is known in closed form.

x_0 ~ N(0, s^2). With x_t = alpha_t x_0 + sigma_t eps:  E[x_0 | x_t] = alpha_t s^2 x_t / (alpha_t^2 s^2 + sigma_t^2)
and E[eps | x_t] = sigma_t x_t / (alpha_t^2 s^2 + sigma_t^2). Everything is jointly Gaussian, so the minimiser of a
regression on the target is linear in x_t and its slope is Cov(target, x_t) / Var(x_t), exactly computable.
"""

import math

import pytest
import torch

from lerobot_ambient.core.losses import ambient_pair, ambient_target, denoising_target, reduce_loss, renoise
from lerobot_ambient.core.windows import Window

LEVELS = [(0.1, 0.3), (0.3, 0.6), (0.5, 0.95), (0.6, 0.75)]
SCALE = 0.7


def tensors(sigma_min, sigma_t):
    return (torch.tensor(v, dtype=torch.float64) for v in (sigma_min, sigma_t))


def exact_slope(sigma_min, sigma_t, prediction_type, x_t_coefficient=None):
    """Slope of the minimiser of the regression on the ambient target, from exact covariances.

    The target is linear in (x_tmin, x_t); its coefficients are read off by probing with unit inputs.
    """
    smin, st = tensors(sigma_min, sigma_t)
    one, zero = torch.ones(1, 1, 1, dtype=torch.float64), torch.zeros(1, 1, 1, dtype=torch.float64)
    on_x_tmin = ambient_target(one, zero, smin, st, prediction_type).item()
    on_x_t = ambient_target(zero, one, smin, st, prediction_type).item() if x_t_coefficient is None else x_t_coefficient
    alpha_min, alpha_t = math.sqrt(1 - sigma_min**2), math.sqrt(1 - sigma_t**2)
    var_t = alpha_t**2 * SCALE**2 + sigma_t**2
    # x_t = (alpha_t / alpha_min) x_tmin + independent noise, so Cov(x_tmin, x_t) = (alpha_t / alpha_min) Var(x_tmin).
    cov = alpha_t / alpha_min * (alpha_min**2 * SCALE**2 + sigma_min**2)
    return on_x_tmin * cov / var_t + on_x_t


def truth(sigma_t, prediction_type):
    alpha_t = math.sqrt(1 - sigma_t**2)
    var_t = alpha_t**2 * SCALE**2 + sigma_t**2
    return (sigma_t if prediction_type == "epsilon" else alpha_t * SCALE**2) / var_t


@pytest.mark.parametrize("prediction_type", ["sample", "epsilon"])
@pytest.mark.parametrize(("sigma_min", "sigma_t"), LEVELS)
def test_the_minimiser_is_the_true_posterior_mean(sigma_min, sigma_t, prediction_type):
    assert exact_slope(sigma_min, sigma_t, prediction_type) == pytest.approx(truth(sigma_t, prediction_type), rel=1e-9)


@pytest.mark.parametrize("prediction_type", ["sample", "epsilon"])
@pytest.mark.parametrize(
    ("sigma_min", "variance", "expected"), [(0.7, 1.0, 7.84), (0.7, 0.01, 388.3), (0.3, 0.49, 4.81)]
)
def test_the_irreducible_error_at_the_buffers_edge(sigma_min, variance, expected, prediction_type):
    """Var(target | x_t) = s (1 + r_m^2 / v) Var(x_0 or eps | x_t): s_max bounds the coefficient and not the loss."""
    s_max = 4.0
    sigma_t = Window(sigma_min).buffered(s_max).sigma_min
    smin, st = tensors(sigma_min, sigma_t)
    one, zero = torch.ones(1, 1, 1, dtype=torch.float64), torch.zeros(1, 1, 1, dtype=torch.float64)
    on_x_tmin = ambient_target(one, zero, smin, st, prediction_type).item()
    alpha_min, alpha_t = math.sqrt(1 - sigma_min**2), math.sqrt(1 - sigma_t**2)
    if prediction_type == "sample":
        assert on_x_tmin == pytest.approx(s_max / alpha_min, rel=1e-9)
    var_min, var_t = alpha_min**2 * variance + sigma_min**2, alpha_t**2 * variance + sigma_t**2
    of_x_tmin = var_min - (alpha_t / alpha_min * var_min) ** 2 / var_t
    of_x_0 = variance - (alpha_t * variance) ** 2 / var_t
    # eps = (x_t - alpha_t x_0) / sigma_t, given x_t.
    of_usual_target = of_x_0 if prediction_type == "sample" else (alpha_t / sigma_t) ** 2 * of_x_0
    ratio = on_x_tmin**2 * of_x_tmin / of_usual_target
    r_m = sigma_min / alpha_min
    assert ratio == pytest.approx(s_max * (1 + r_m**2 / variance), rel=1e-6)
    assert ratio == pytest.approx(expected, rel=1e-3)


@pytest.mark.parametrize(("sigma_min", "sigma_t"), LEVELS)
def test_the_slides_epsilon_form_does_not_have_it(sigma_min, sigma_t):
    d = sigma_t**2 - sigma_min**2
    slide = sigma_t**2 * (1 - sigma_min**2) / (d * math.sqrt(1 - sigma_t**2))
    slope = exact_slope(sigma_min, sigma_t, "epsilon", x_t_coefficient=slide)
    assert abs(slope - truth(sigma_t, "epsilon")) > 0.05 * abs(truth(sigma_t, "epsilon"))


def test_the_slides_form_fails_its_own_limit():
    # At sigma_min = 0 the target must be (x_t - alpha_t x_0) / sigma_t, whose x_t coefficient is 1 / sigma_t.
    sigma_t = 0.6
    slide = sigma_t**2 / (sigma_t**2 * math.sqrt(1 - sigma_t**2))
    assert abs(slide - 1 / sigma_t) > 0.1


def test_at_sigma_min_zero_the_ambient_targets_are_the_usual_ones():
    x_0, eps = torch.randn(3, 4, 2, dtype=torch.float64), torch.randn(3, 4, 2, dtype=torch.float64)
    zero, sigma_t = tensors(0.0, 0.6)
    x_t = renoise(x_0, zero, sigma_t, eps)
    for kind in ("sample", "epsilon"):
        torch.testing.assert_close(ambient_target(x_0, x_t, zero, sigma_t, kind), denoising_target(x_0, eps, kind))


@pytest.mark.parametrize("prediction_type", ["sample", "epsilon"])
def test_by_regression_on_drawn_samples(prediction_type):
    """The same through the code that training runs: renoise, target, least squares."""
    generator = torch.Generator().manual_seed(0)
    n = 400_000
    x_0 = SCALE * torch.randn(n, 1, 1, generator=generator, dtype=torch.float64)
    z, eps = (torch.randn(n, 1, 1, generator=generator, dtype=torch.float64) for _ in range(2))
    smin, st = tensors(0.3, 0.6)
    x_tmin = torch.sqrt(1 - smin**2) * x_0 + smin * z
    x_t = renoise(x_tmin, smin, st, eps)
    target = ambient_target(x_tmin, x_t, smin, st, prediction_type)
    slope = float((target * x_t).mean() / (x_t**2).mean())
    residual = target - slope * x_t
    error = float(residual.std() / (x_t.std() * math.sqrt(n)))
    assert abs(slope - truth(0.6, prediction_type)) < 4 * error


def test_renoise_has_the_law_of_one_step_noising():
    generator = torch.Generator().manual_seed(1)
    n = 200_000
    x_0 = torch.full((n, 1, 1), 0.8, dtype=torch.float64)
    z, eps = (torch.randn(n, 1, 1, generator=generator, dtype=torch.float64) for _ in range(2))
    smin, st = tensors(0.4, 0.7)
    x_t = renoise(torch.sqrt(1 - smin**2) * x_0 + smin * z, smin, st, eps)
    assert float(x_t.mean()) == pytest.approx(0.8 * math.sqrt(1 - 0.49), abs=4 * 0.7 / math.sqrt(n))
    assert float(x_t.var()) == pytest.approx(0.49, rel=4 * math.sqrt(2 / n))


def test_reduce_loss_masks_padding_and_agrees_between_reductions():
    loss = torch.rand(5, 4, 3)
    is_pad = torch.zeros(5, 4, dtype=torch.bool)
    torch.testing.assert_close(reduce_loss(loss, is_pad, "mean"), loss.mean())
    torch.testing.assert_close(reduce_loss(loss, None, "none"), loss.mean(dim=(1, 2)))
    is_pad[0, 2:] = True
    is_pad[4] = True
    per_sample = reduce_loss(loss, is_pad, "none")
    torch.testing.assert_close(per_sample[0], loss[0, :2].mean())
    assert per_sample[4] == 0.0
    torch.testing.assert_close(reduce_loss(loss, is_pad, "mean"), loss[~is_pad].mean())


@pytest.mark.parametrize("target", ["epsilon", "sample", "velocity", "v"])
@pytest.mark.parametrize(("sigma_min", "sigma_t"), LEVELS)
def test_the_pairs_minimiser_is_the_true_posterior_mean_of_every_target(sigma_min, sigma_t, target):
    """x_0, z, eps are independent Gaussians; every quantity is linear in them, so covariances are sums of products."""
    r_m, r_t = sigma_min / math.sqrt(1 - sigma_min**2), sigma_t / math.sqrt(1 - sigma_t**2)
    unit = torch.eye(3, dtype=torch.float64)
    x_star, eps_star = ambient_pair(*unit, *tensors(r_m, 1 / r_t))
    variance = torch.tensor([SCALE**2, 1.0, 1.0], dtype=torch.float64)
    alpha_t = math.sqrt(1 - sigma_t**2)
    x_t = alpha_t * x_star + sigma_t * eps_star
    # The stock step noises the pair to the x_t that is made from x_tmin.
    torch.testing.assert_close(x_t, alpha_t * torch.tensor([1.0, r_m, math.sqrt(r_t**2 - r_m**2)], dtype=torch.float64))
    of_x, of_eps = {
        "epsilon": (0.0, 1.0),
        "sample": (1.0, 0.0),
        "velocity": (-1.0, 1.0),
        "v": (-sigma_t, alpha_t),
    }[target]
    slope = ((of_x * x_star + of_eps * eps_star) * x_t * variance).sum() / (x_t * x_t * variance).sum()
    expected = of_x * truth(sigma_t, "sample") + of_eps * truth(sigma_t, "epsilon")
    assert slope.item() == pytest.approx(expected, rel=1e-9)
    if target in ("epsilon", "sample"):
        torch.testing.assert_close(
            of_x * x_star + of_eps * eps_star,
            ambient_target(
                math.sqrt(1 - sigma_min**2) * (unit[0] + r_m * unit[1]), x_t, *tensors(sigma_min, sigma_t), target
            ),
        )


def test_without_a_sigma_min_the_pair_is_what_was_drawn():
    x_0, z, eps = (torch.randn(4, 16, 2) for _ in range(3))
    pair = ambient_pair(x_0, z, eps, torch.zeros(4, 1, 1), torch.rand(4, 1, 1) * 10)
    assert torch.equal(pair[0], x_0)
    assert torch.equal(pair[1], eps)
    at_pure_noise = ambient_pair(x_0, z, eps, torch.full((4, 1, 1), 0.5), torch.zeros(4, 1, 1))
    assert torch.equal(at_pure_noise[0], x_0 + 0.5 * z)
    assert torch.equal(at_pure_noise[1], eps)
