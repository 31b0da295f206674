# SPDX-License-Identifier: Apache-2.0
"""The oracles: their truths against other ways to the same numbers, resuming, and a quick case from end to end."""

import functools
import json
from dataclasses import replace

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.special import erf
from scipy.stats import norm

from lerobot_ambient.annotate.classifier.options import ClassifierOptions
from lerobot_ambient.benchmarks.estimators import kept_cases, oracles
from lerobot_ambient.benchmarks.estimators.oracles import OracleOptions, OracleOutcome, case_file, cases_of, run_oracles
from lerobot_ambient.benchmarks.estimators.oracles_cases import LOCALITY_LEVELS, SigmaMaxCase, SigmaMinCase
from lerobot_ambient.benchmarks.estimators.oracles_laws import MixturePair, Trajectories
from lerobot_ambient.benchmarks.estimators.oracles_locality import InTurn, Jittered
from lerobot_ambient.benchmarks.estimators.oracles_report import claims, write_report

PAIR = MixturePair(0.6)
QUICK = ClassifierOptions(folds=3, steps=200, levels=16, draws=4, width=64)


def densities(pair, sigma):
    """p_sigma and q_sigma along the line, as functions."""
    alpha = np.sqrt(1 - sigma**2)
    deviation = np.sqrt(alpha**2 * (pair.spread**2 + pair.shared**2) + sigma**2)

    def density(shift):
        return lambda x: sum(norm.pdf(x, alpha * (mode + shift), deviation) for mode in (-1, 1)) / 2

    return density(0.0), density(pair.shift)


# Truths


@pytest.mark.parametrize("pair", [PAIR, MixturePair(1.2, 0.05, 0.3, 16)])
@pytest.mark.parametrize("sigma", [0.0, 0.3, 0.8, 0.99])
def test_truths_are_those_of_adaptive_integration(pair, sigma):
    p, q = densities(pair, sigma)

    def integral(of):
        return sum(quad(of, low, low + 0.5, limit=200)[0] for low in np.arange(-7.0, 8.0, 0.5))

    delta = integral(lambda x: (p(x) - q(x)) ** 2 / (p(x) + q(x) + 1e-300)) / 2
    assert pair.p_of(sigma) == pytest.approx((1 - delta) / 2, abs=1e-6)
    assert pair.distance(sigma) == pytest.approx(integral(lambda x: abs(p(x) - q(x))) / 2, abs=1e-5)


def test_modes_far_from_each_other_are_pairs_of_gaussians():
    """With hardly any overlap between the modes the distance is that of two Gaussians."""
    pair = MixturePair(0.05, spread=0.05)
    assert pair.distance(0.0) == pytest.approx(erf(0.05 / 0.05 / np.sqrt(8)), abs=1e-6)


def test_sigma_min_is_where_p_crosses():
    found = PAIR.sigma_min(0.05)
    assert PAIR.p_of(found - 1e-6) < 0.45 < PAIR.p_of(found + 1e-6)
    assert MixturePair(0.0).sigma_min(0.05) == 0.0 == Trajectories().sigma_min(0.05)
    assert MixturePair(8.0).sigma_min(0.05) > 0.99
    assert [MixturePair(shift).sigma_min(0.05) for shift in (0.3, 0.6, 1.2)] == pytest.approx(
        [0.341, 0.525, 0.829], abs=0.001
    )


def test_draws_have_the_law():
    """The line's coordinate has its modes and widths; across the line nothing but the spread."""
    pair = MixturePair(0.6, spread=0.2, shared=0.1)
    for of_target, shift in ((True, 0.0), (False, 0.6)):
        chunks = pair.draw(of_target=of_target, episodes=4000, per_episode=2, seed=0)
        x = chunks.x_0.flatten(1).numpy().astype(np.float64)
        along = x.sum(1) / 4.0
        assert along.mean() == pytest.approx(shift, abs=0.05)
        assert np.mean(along > shift) == pytest.approx(0.5, abs=0.03)
        near = along[along > shift] - shift - 1.0
        assert near.std() == pytest.approx(np.hypot(0.2, 0.1), rel=0.05)
        across = x - along[:, None] / 4.0
        assert (across**2).sum(1).mean() == pytest.approx(15 * (0.2**2 + 0.1**2), rel=0.03)
        # The two chunks of an episode share a tenth.
        assert (across[::2] * across[1::2]).sum(1).mean() == pytest.approx(15 * 0.1**2, rel=0.1)


@pytest.mark.parametrize("law", [PAIR, Trajectories(), InTurn(0.2, 1), Jittered(0.2)])
def test_draws_are_pure_in_their_seed(law):
    size = {"episodes": 5, "per_episode": 3}
    first = law.draw(of_target=True, seed=1, **size)
    np.random.seed(0)
    assert first.x_0.equal(law.draw(of_target=True, seed=1, **size).x_0)
    assert not first.x_0.equal(law.draw(of_target=False, seed=1, **size).x_0)
    assert not first.x_0.equal(law.draw(of_target=True, seed=2, **size).x_0)
    assert np.bincount(first.episode).tolist() == [3] * 5


def test_chunks_of_a_trajectory_overlap():
    x_0 = Trajectories().draw(of_target=True, episodes=3, per_episode=5, seed=0).x_0
    assert x_0.shape == (15, 16, 2)
    assert x_0[0, 1:].equal(x_0[1, :-1]) and not x_0[4, 1:].equal(x_0[5, :-1])


@pytest.mark.parametrize("law", [InTurn(0.4, 3), Jittered(0.2)])
def test_gaussian_draws_have_their_covariance(law):
    for of_target in (True, False):
        x_0 = law.draw(of_target=of_target, episodes=200, per_episode=100, seed=0).x_0.double().numpy()
        found = np.einsum("nha,ngb->ahbg", x_0, x_0) / len(x_0)
        np.testing.assert_allclose(found, law.covariance(of_target=of_target), atol=0.06)


def test_planted_scales_give_the_levels_they_should():
    assert InTurn(0.2, 1, swapped=False).sigma_max(LOCALITY_LEVELS) == 1.0
    assert Jittered(0.05).sigma_max(LOCALITY_LEVELS) == 0.0
    # A wider texture makes the denoiser look further at the same level.
    near, far = (InTurn(0.4, width).sigma_max(LOCALITY_LEVELS) for width in (1, 3))
    assert 0.0 < far < near < 1.0


def test_a_law_without_width_is_refused():
    with pytest.raises(ValueError, match=r"spread = 0.0 must be positive and shared = 0.0 not negative"):
        MixturePair(0.3, spread=0.0)


# Running


def small(folder):
    return OracleOptions(folder, (0.6,), ((50, 20),), 1, 1, 1, QUICK)


def test_a_case_is_found_by_all_that_it_depends_on(tmp_path):
    cases = cases_of(small(tmp_path))
    # The law with correlated chunks is asked for by two groups, and measured once.
    assert len({case_file(tmp_path, case) for case in cases}) == len(cases) - 1
    case = cases[0]
    assert case_file(tmp_path, replace(case, group="other", label="shift0.6")) == case_file(tmp_path, case)
    for change in (
        {"seed": 1},
        {"per_episode": 21},
        {"law": MixturePair(0.6, spread=0.21)},
        {"options": replace(QUICK, steps=201)},
    ):
        assert case_file(tmp_path, replace(case, **change)) != case_file(tmp_path, case)


def test_finished_cases_are_not_measured_again(tmp_path, monkeypatch):
    """One case is missing; the others' files hold what no run would give, and stay."""
    cases = [SigmaMaxCase("locality", "jitter", Jittered(0.2), 20, 20, 5, seed) for seed in range(3)]
    monkeypatch.setattr(oracles, "cases_of", lambda options: cases)
    for case in cases[:2]:
        path = case_file(tmp_path, case)
        path.parent.mkdir(exist_ok=True)
        path.write_text('{"sigma_max": 17.0}')
    outcome = run_oracles(small(tmp_path), progress=False)
    assert [found["sigma_max"] for found in outcome.results[:2]] == [17.0, 17.0]
    assert outcome.results[2]["sigma_max"] == outcome.results[2]["truth"] == 0.0
    written = json.loads(case_file(tmp_path, cases[2]).read_text())
    assert written == outcome.results[2]
    # Now nothing is missing: no process is started.
    monkeypatch.setattr(kept_cases, "ProcessPoolExecutor", None)
    assert run_oracles(small(tmp_path), progress=False).results == outcome.results


def test_the_full_run_asks_what_it_should(tmp_path):
    cases = cases_of(OracleOptions(tmp_path))
    count = {}
    for case in cases:
        count[case.group] = count.get(case.group, 0) + 1
    assert count == {"separation": 6, "disjoint": 1, "harm": 20, "null": 60, "locality": 18}
    assert {case.options.folds for case in cases if case.group == "harm"} == {1, 5}


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("jobs", 0, "jobs = 0 must be at least 1"),
        ("null_seeds", 0, "null_seeds = 0 must be at least 1"),
        ("shifts", (), "give at least one shift and one size"),
    ],
)
def test_options_without_work_are_refused(tmp_path, option, value, message):
    with pytest.raises(ValueError, match=message):
        OracleOptions(tmp_path, **{option: value})


def test_a_quick_case_finds_the_truth():
    found = SigmaMinCase("separation", "shift1.2", MixturePair(1.2), 50, 20, 0, QUICK).run()
    assert found["truth"] == pytest.approx(0.829, abs=0.001)
    assert found["sigma_min"] == pytest.approx(found["truth"], abs=0.04)
    assert found["interval"][0] <= found["sigma_min"] <= found["interval"][1]
    assert (np.array(found["distance_low"]) <= np.array(found["distance_truth"])).mean() > 0.9
    # Near the threshold and above; so short a training does not get far below it.
    high = np.array(found["sigmas"]) > 0.7
    assert high.sum() >= 6
    np.testing.assert_allclose(np.array(found["p"])[high], np.array(found["p_truth"])[high], atol=0.02)


# Report


@functools.cache
def truth_of(law):
    return law.sigma_max(LOCALITY_LEVELS) if isinstance(law, InTurn | Jittered) else law.sigma_min(0.05)


def made_up(folder):
    """An outcome with every group, whose numbers are the truth."""
    options = small(folder)
    cases, results = cases_of(options), []
    for case in cases:
        if isinstance(case, SigmaMaxCase):
            truth = truth_of(case.law)
            results.append({"truth": truth, "sigma_max": truth, "shown": truth, "levels_off": 0, "seconds": 1.0})
            continue
        sigmas = [0.1, 0.5, 0.9]
        p, distance = [case.law.p_of(sigma) for sigma in sigmas], [case.law.distance(sigma) for sigma in sigmas]
        truth = truth_of(case.law)
        found = {"truth": truth, "sigma_min": truth, "interval": [truth, truth], "spectral": 0.0, "seconds": 2.0}
        found |= {"sigmas": sigmas, "p": p, "p_low": p, "p_high": p, "p_truth": p}
        found |= {f"distance{end}": distance for end in ("", "_low", "_high", "_truth")}
        if case.options.folds == 1:
            found["sigma_min"] = 0.99
        results.append(found)
    return OracleOutcome(options, cases, results)


def test_the_report_says_what_held(tmp_path):
    report = write_report(made_up(tmp_path), "lerobot-ambient reproduce oracles", tmp_path / "docs")
    assert {path.name for path in (tmp_path / "docs").iterdir()} == {"oracles.json", "oracles.md", "oracles.png"}
    numbers = json.loads(report.numbers.read_text())
    assert len(numbers["claims"]) == 12 and all(claim["held"] for claim in numbers["claims"])
    assert numbers["tau"] == 0.05 and numbers["classifier"]["steps"] == 200
    assert "not held" not in report.table and "1 of 1 [0.21, 1.00]" in report.table
    assert report.page.read_text().startswith(report.table)
    assert report.figures[0].read_bytes()[:4] == b"\x89PNG"


@pytest.mark.parametrize(
    ("group", "wrong", "promise"),
    [
        ("separation", {"sigma_min": 0.6}, "mixtures at known distances"),
        ("separation", {"distance_low": [1.0, 1.0, 1.0]}, "total variation"),
        ("disjoint", {"sigma_min": 0.9}, "do not overlap"),
        ("null", {"sigma_min": 0.1}, "method classifier"),
        ("null", {"spectral": 0.1}, "method spectral"),
        ("harm", {"sigma_min": 0.7}, "without cross-fitting"),
        ("locality", {"levels_off": 2}, "planted locality"),
        ("locality", {"sigma_max": 0.1}, "planted jitter"),
    ],
)
def test_what_was_not_reached_is_said(tmp_path, group, wrong, promise):
    outcome = made_up(tmp_path)
    for case, found in zip(outcome.cases, outcome.results, strict=True):
        if case.group == group:
            found.update(wrong)
    missed = [claim.promise for claim in claims(outcome) if not claim.held]
    assert missed and all(promise in claim for claim in missed)
