# SPDX-License-Identifier: Apache-2.0
"""`la.annotate` and `Mixture.with_windows`: what the verb prints and writes, as objects."""

from __future__ import annotations

import inspect
import json

import pytest
from matplotlib.figure import Figure

import lerobot_ambient as la
import lerobot_ambient.annotate.annotations as home
from lerobot_ambient.cli.__main__ import main
from lerobot_ambient.data.windows.windows_file import read_windows

QUICK = {"folds": 2, "steps": 30, "draws": 4, "levels": 6, "device": "cpu", "progress": False}


@pytest.fixture(scope="module")
def places(tmp_path_factory, write_dataset):
    """me/target; me/sim, with wider steps; me/twin, another sample of what the target is one of."""
    folder = tmp_path_factory.mktemp("annotate")
    return {
        "me/target": write_dataset(folder / "target", "me/target", [24] * 8, seed=1, env_state=False),
        "me/sim": write_dataset(folder / "sim", "me/sim", [24] * 10, seed=2, env_state=False, spread=3.0),
        "me/twin": write_dataset(folder / "twin", "me/twin", [24] * 8, seed=3, env_state=False),
    }


@pytest.fixture(scope="module")
def opened(places):
    def open_(*names, **more):
        target, *sources = (la.Source(name, root=str(places[name])) for name in ("me/target", *names))
        return la.Mixture.open(target, sources, horizon=8, n_action_steps=4, device="cpu", **more)

    return open_


@pytest.fixture(scope="module")
def spectral(opened):
    mix = opened("me/sim")
    return mix, la.annotate(mix, method="spectral", locality=True, progress=False)


@pytest.fixture(scope="module")
def classified(opened, tmp_path_factory):
    mix = opened("me/sim", "me/twin")
    work = tmp_path_factory.mktemp("work")
    return mix, la.annotate(
        mix, "classifier", granularity="bucket", bucket="episode", take="estimate", work_dir=work, **QUICK
    )


def test_it_finds_what_the_verb_finds(spectral, places, capsys):
    _, found = spectral
    source = json.dumps([{"repo_id": "me/sim", "root": str(places["me/sim"])}])
    options = ["--policy.type=ambient_diffusion", "--policy.horizon=8", "--policy.n_action_steps=4"]
    data = ["--dataset.repo_id=me/target", f"--dataset.root={places['me/target']}", f"--policy.sources={source}"]
    assert main(["annotate", "--method=spectral", "--locality", "--json", *options, "--policy.device=cpu", *data]) == 0
    (entry,) = json.loads(capsys.readouterr().out)
    said = found["me/sim"].evidence.to_dict()
    assert said == {key: entry[key] for key in said}
    assert found.interval is entry["interval"] is None
    assert found.bury_range == tuple(entry["bury_range"])
    assert found.gaussian == entry["gaussian"]
    assert found.window == la.Window(float(f"{entry['sigma_min']:.4g}"), float(f"{entry['sigma_max']:.4g}"))
    assert repr(found).startswith("Action chunks alone were compared")


def test_found_windows_make_a_plan(spectral):
    mix, found = spectral
    with pytest.raises(ValueError, match="no plan without a window"):
        mix.plan  # noqa: B018
    windowed = mix.with_windows(found)
    assert windowed.plan.groups[1].window == found.window
    assert mix.sources[0].sigma_min is None
    assert next(iter(windowed.loader(8)))["action"].shape == (8, 8, 2)
    again = windowed.with_windows({"me/sim": la.Window(0.25)})
    assert again.sources[0].sigma_min == 0.25
    assert again.sources[0].sigma_max == 0.0


def test_a_saved_file_says_the_same(spectral, opened, tmp_path, places):
    mix, found = spectral
    path = found.save(tmp_path / "sim.parquet")
    assert read_windows(path).sigma_min[0] == pytest.approx(found.window.sigma_min, rel=1e-3)
    with pytest.raises(ValueError, match=r"exists; give overwrite=True"):
        found.save(path)
    read = la.Source("me/sim", root=str(places["me/sim"]), windows=str(path))
    by_file = la.Mixture.open(mix.target, [read], horizon=8, n_action_steps=4, device="cpu")
    assert len(by_file.plan.groups) == 2


def test_a_window_per_bucket_travels_in_a_file(classified, tmp_path):
    mix, found = classified
    one = found["me/sim"]
    with pytest.raises(ValueError, match=r"a window per bucket.*found\[\"me/sim\"\].save\("):
        mix.with_windows({"me/sim": one})
    one.save(tmp_path / "sim.parquet")
    windowed = mix.with_windows({"me/sim": one, "me/twin": la.Window(0.5)})
    windows = {group.window for group in windowed.plan.groups if group.name == "me/sim"}
    assert len(windows) > 1
    assert one.curve.sigmas.shape == one.curve.p.shape == (6,)


def test_several_sources_are_named(classified):
    mix, found = classified
    assert list(found) == ["me/sim", "me/twin"]
    with pytest.raises(ValueError, match=r'2 sources were annotated; name one, e.g. found\["me/sim"\]'):
        found.window  # noqa: B018
    with pytest.raises(ValueError, match=r"no source is called me/som; the mixture declares me/sim, me/twin\."):
        mix.with_windows({"me/som": la.Window(0.5)})


def test_full_trust_is_no_window_until_it_is_accepted(opened, tmp_path):
    mix = opened("me/twin")
    found = la.annotate(mix, method="spectral", take="estimate", progress=False)
    assert found["me/twin"].evidence.finding.is_full_trust
    assert found.window is None
    assert "no window to recommend" in repr(found)
    for use in (mix.with_windows, lambda found, **more: found.save(tmp_path / "twin.parquet", **more)):
        with pytest.raises(ValueError, match=r"would admit every noise level.*accept_full_trust=True"):
            use(found)
        use(found, accept_full_trust=True)
    assert mix.with_windows(found, accept_full_trust=True).plan.groups[1].window.is_everything


@pytest.mark.parametrize("kind", ["spectral", "classified"])
def test_evidence_is_drawn_on_its_own_figure_or_on_an_axis(kind, request):
    one = request.getfixturevalue(kind)[1]["me/sim"]
    figure = one.plot()
    labels = [text.get_text() for text in figure.axes[0].get_legend().get_texts()]
    assert ("p(σ)" if kind == "classified" else "me/sim") in labels
    assert figure._repr_png_().startswith(b"\x89PNG")
    own = Figure()
    axes = own.subplots(2)
    assert one.plot(ax=axes[1]) is own
    assert not axes[0].lines
    assert axes[1].lines


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"method": "spectrum"}, "annotate takes a method of spectral, classifier"),
        ({"method": "classifier", "step": 3}, "annotate has no option step; there are granularity"),
        ({"method": "spectral", "folds": 3}, 'folds belongs to method="classifier"'),
        ({"method": "classifier", "folds": 0}, "folds = 0 must be at least 1"),
        ({"method": "classifier", "granularity": "bucket"}, "the granularity bucket needs a rule for buckets"),
        ({"method": "classifier", "device": "abacus"}, "device 'abacus' cannot be used here"),
    ],
)
def test_wrong_options_are_value_errors(spectral, options, message):
    with pytest.raises(ValueError, match=message):
        la.annotate(spectral[0], **options)


def test_a_mixture_without_sources_has_nothing_to_annotate(opened):
    with pytest.raises(ValueError, match="the mixture has no sources to annotate"):
        la.annotate(opened(), method="spectral")


def test_spectra_have_no_curve(spectral):
    with pytest.raises(ValueError, match="was compared by spectra, which give no curve"):
        spectral[1].curve  # noqa: B018


def test_annotate_stays_a_function_when_its_package_is_loaded():
    assert la.annotate is not home.annotate
    assert inspect.unwrap(la.annotate) is home.annotate
    assert "method" in inspect.signature(la.annotate).parameters
