# SPDX-License-Identifier: Apache-2.0
"""`la.Mixture`: opened from Python as from a command line, drawn by the plan, refused in sentences."""

from __future__ import annotations

import json
import warnings

import pytest
import torch
from matplotlib.figure import Figure
from safetensors.torch import load_file
from torch.utils.data import DataLoader, DistributedSampler, SequentialSampler

import lerobot_ambient as la
from lerobot_ambient.data.batches.merged_dataset import GROUP_KEY
from lerobot_ambient.policy.diffusion.modeling_ambient_diffusion import AmbientDiffusionPolicy

from ..conftest import SMALL_POLICY

SMALL = {"device": "cpu", "denoiser": "mlp", "mlp_width": 32, "mlp_depth": 1, "horizon": 8, "n_action_steps": 4}


@pytest.fixture
def declared(roots):
    target, sim = roots
    return la.Source("me/target", root=str(target)), la.Source("me/sim", root=str(sim), sigma_min=0.4)


@pytest.fixture
def mix(declared):
    target, sim = declared
    return la.Mixture.open(target, [sim], drop_n_last_frames=2, **SMALL)


def test_the_loader_draws_what_training_draws(mix, roots, tmp_path, lerobot_train, monkeypatch):
    seen = []
    original = AmbientDiffusionPolicy.forward

    def forward(self, batch, reduction="mean"):
        seen.append((batch["index"].tolist(), batch["info"][GROUP_KEY].tolist(), batch["task"]))
        return original(self, batch, reduction)

    monkeypatch.setattr(AmbientDiffusionPolicy, "forward", forward)
    target, sim = roots
    sources = json.dumps([{"repo_id": "me/sim", "root": str(sim), "sigma_min": 0.4}])
    places = ["--dataset.repo_id=me/target", f"--dataset.root={target}", f"--policy.sources={sources}"]
    run = [f"--output_dir={tmp_path / 'run'}", "--steps=7", "--batch_size=16", "--save_checkpoint=false"]
    lerobot_train([*places, *run, *SMALL_POLICY])
    ours, loader = [], mix.loader(batch_size=16)
    while len(ours) < 7:  # An epoch has fewer batches, and the next pass is the next epoch.
        ours += [(b["index"].tolist(), b["info"][GROUP_KEY].tolist(), b["task"]) for b in loader]
    assert ours[:7] == seen


def test_another_seed_draws_others_and_the_same_seed_the_same(mix):
    first, again, other = (next(iter(mix.loader(32, seed=seed)))["index"].tolist() for seed in (1, 1, 2))
    assert first == again != other


def test_a_configuration_file_opens_to_the_same_mixture(mix, declared, tmp_path):
    target, sim = declared
    source = {"repo_id": "me/sim", "root": sim.root, "sigma_min": 0.4}
    policy = {"type": "ambient_diffusion", "sources": [source], "drop_n_last_frames": 2, **SMALL}
    file = tmp_path / "mine.json"
    file.write_text(json.dumps({"dataset": {"repo_id": "me/target", "root": target.root}, "policy": policy}))
    read = la.Mixture.from_config(str(file), "--batch_size=16")
    assert repr(read) == repr(mix)
    assert read.loader().batch_size == 16


@pytest.mark.parametrize(
    ("policy", "option", "message"),
    [
        (
            "ambient_diffusion",
            "--policy.horizn=8",
            r"^there is no option --policy.horizn; did you mean --policy.horizon",
        ),
        ("diffusion", "--policy.horizn=8", r"^there is no option --policy.horizn; did you mean --policy.horizon"),
        ("ambient_diffusion", "--batch_size=many", "batch_size"),
        ("ambient_diffusion", "mine.yaml", "^'mine.yaml' stands alone; did you mean --config_path=mine.yaml"),
    ],
)
def test_options_of_a_configuration_are_refused_without_an_exit(tmp_path, capsys, monkeypatch, policy, option, message):
    monkeypatch.setattr("sys.argv", ["kernel", "--config_path=nowhere.yaml", "--f=kernel.json"])
    file = tmp_path / "mine.json"
    file.write_text(json.dumps({"dataset": {"repo_id": "me/target"}, "policy": {"type": policy}}))
    with pytest.raises(ValueError, match=message):
        la.Mixture.from_config(file, option)
    assert capsys.readouterr() == ("", "")


def test_opening_reads_no_command_line_and_leaves_the_configuration(mix, monkeypatch):
    monkeypatch.setattr("sys.argv", ["kernel", "--config_path=nowhere.yaml", "--policy.path=nowhere"])
    again = la.Mixture(mix.config)
    assert repr(again) == repr(mix)
    assert again.config.policy.mixture_fingerprint is None


def test_every_rule_of_mixing_is_the_one_of_a_configuration(declared):
    target, sim = declared
    for rule in (la.TargetOnly(), la.Cotrain(0.5), la.Ambient(0.5), la.Soft.linear(1.0, 0.1), la.Exclusive()):
        mix = la.Mixture.open(target, [sim], mixing=rule, **SMALL)
        assert str(mix.config.policy.mixing) == str(rule)
        assert type(mix.config.policy.mixing).__name__ == f"{type(rule).__name__}Config"


def test_without_a_window_it_opens_and_only_the_plan_is_refused(declared):
    target, sim = declared
    mix = la.Mixture.open(target, [la.Source(sim.repo_id, root=sim.root)], **SMALL)
    assert "no window yet, so no plan: me/sim" in repr(mix)
    for use in (lambda: mix.plan, mix.loader):
        with pytest.raises(ValueError, match=r"no plan without a window for 'me/sim'.*mix\.with_windows"):
            use()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"horizn": 8}, "horizn is no option of the policy ambient_diffusion; did you mean horizon?"),
        ({"sources": [{"repo_id": "me/sim"}]}, r'a source is written la.Source\("me/sim"'),
        ({"sources": la.Source("me/sim")}, r"sources are a list, \[la.Source\(.*; got Source\('me/sim'\)"),
        ({"mixing": "cotrain"}, "mixing is a rule such as la.Ambient"),
        ({"target": la.Source("me/target", sigma_min=0.3, weight=2.0)}, "so it takes no weight, sigma_min. It takes"),
        ({"denoiser": "transformer"}, "policy.denoiser = 'transformer' is unknown"),
        ({"target": la.Source("me/target", root="nowhere")}, "no LeRobot data ?set in root nowhere"),
    ],
)
def test_what_cannot_be_opened_is_a_value_error_with_the_fix(declared, options, message):
    with pytest.raises(ValueError, match=message):
        la.Mixture.open(**{"target": declared[0], **options})


def test_a_data_loader_of_a_mixture_is_refused(mix):
    with pytest.raises(TypeError, match=r"Use `mix.loader\(batch_size=...\)` in place of DataLoader\(mix\)"):
        DataLoader(mix, batch_size=4, shuffle=True)
    with pytest.raises(TypeError, match="num_frames"):
        next(iter(DataLoader(mix, batch_size=4)))
    assert mix
    assert mix.num_frames == 85


@pytest.mark.parametrize("merged", [lambda mix: mix.require_plan(), lambda mix: mix.require_plan().mixture.dataset])
def test_shuffling_the_merged_datasets_warns_and_nothing_else_does(mix, merged):
    dataset = merged(mix)
    with pytest.warns(UserWarning, match=r"the plan is skipped.*mixture.loader\(batch_size=...\)") as caught:
        DataLoader(dataset, batch_size=4, shuffle=True)
    assert caught[0].filename == __file__
    with pytest.warns(UserWarning, match="DistributedSampler draws every frame"):
        DistributedSampler(dataset, num_replicas=2, rank=0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        len(dataset)
        next(iter(DataLoader(dataset, batch_size=4)))
        next(iter(DataLoader(dataset, batch_size=4, sampler=SequentialSampler(dataset))))
        next(iter(mix.loader(4)))
        DistributedSampler(dataset, num_replicas=2, rank=0, shuffle=False)


def test_a_plan_is_drawn_on_its_own_figure_or_on_an_axis(mix):
    figure = mix.plan.plot()
    assert isinstance(figure, Figure)
    assert [label.get_text() for label in figure.axes[0].get_yticklabels()] == [
        f"{name}\n{100 * law:.1f} % of draws"
        for name, law in zip(("me/target", "me/sim"), mix.plan.group_law, strict=True)
    ]
    own = Figure()
    axes = own.subplots(2)
    assert mix.plan.plot(ax=axes[1]) is own
    assert len(axes[0].images) == 0
    assert torch.equal(torch.tensor(axes[1].images[0].get_array()), 100 * mix.plan.shares_by_source())


def test_a_notebook_shows_the_recipe_and_the_heat_map(mix):
    page = mix._repr_html_()
    assert "ambient, the target has 50 % of each noise level that it shares" in page
    assert "me/sim: 100 %" not in page
    assert f"me/sim: {100 * mix.plan.group_law[1]:.1f} %" in page
    assert len(page) < 20_000


def test_the_heat_map_of_a_notebook_escapes_names_and_thins_out_timesteps():
    groups = [la.Group(0, "a<b>", 10, la.Window(0.0)), la.Group(1, "sim", 10, la.Window(0.5))]
    plan = la.make_plan(groups, la.NoiseSchedule(torch.linspace(0.001, 1.0, 1000)), la.Soft.linear(1.0, 0.0))
    page = plan._repr_html_()
    assert "a<b>" not in page
    assert "a&lt;b&gt;" in page
    assert len(page) < 20_000
    # Nothing of the source below its window, which is where the darkest cells end.
    assert "sim: 0 % at sigma 0.001 to 0.496" in page


def test_a_source_reads_as_it_is_written():
    source = la.Source("me/sim", root="data/sim", sigma_min=0.3, rename={"actions": "action"})
    assert eval(repr(source), {"Source": la.Source}) == source  # noqa: S307
    assert repr(la.Source("me/sim")) == "Source('me/sim')"


def test_a_written_configuration_opens_to_the_same_mixture_and_trains_by_the_command(mix, tmp_path, lerobot_train):
    file = mix.write_config(tmp_path / "new" / "mine.yaml")
    assert file == tmp_path / "new" / "mine.yaml"
    again = la.Mixture.from_config(file)
    assert repr(again) == repr(mix)
    assert again.sources == mix.sources and again.target == mix.target
    run = [f"--output_dir={tmp_path / 'run'}", "--steps=1", "--num_workers=0", "--save_checkpoint=false"]
    lerobot_train([f"--config_path={file}", *run])
    with pytest.raises(ValueError, match=r"mine.yaml exists; give overwrite=True to replace it"):
        mix.write_config(file)
    other = mix.with_windows({"me/sim": la.Window(0.7)})
    assert la.Mixture.from_config(other.write_config(file, overwrite=True)).sources[0].sigma_min == 0.7
    with pytest.raises(ValueError, match=r"a configuration is a YAML file; name it for example .*mine.yaml"):
        mix.write_config(tmp_path / "mine.txt")


def test_what_a_file_cannot_hold_is_not_written(declared, tmp_path):
    class Mine(la.Ambient):
        pass

    target, sim = declared
    own = la.Mixture.open(target, [sim], mixing=Mine(), **SMALL)
    with pytest.raises(ValueError, match="a file cannot hold the mixing rule Mine"):
        own.write_config(tmp_path / "mine.yaml")
    assert not (tmp_path / "mine.yaml").exists()


def test_chunks_are_drawn_as_the_policy_sees_them_under_noise(mix):
    from lerobot_ambient.annotate.chunks.mixture_chunks import chunks_of
    from lerobot_ambient.annotate.report.trajectory_figures import paired_chunks

    figure = mix.plot_noised((0.0, 0.6))
    clean, noised = ([line.get_ydata() for line in axis.lines] for axis in figure.axes[:2])
    target, source = paired_chunks(*chunks_of(mix.without_windows()), 3)
    for line, chunk in zip(clean, [*source, *target], strict=True):
        assert torch.equal(torch.tensor(line), torch.tensor(chunk[:, 0]))
    moved = torch.tensor(noised) - 0.8 * torch.tensor(clean)
    assert 0.3 < float(moved.std()) < 0.9, "sigma times unit noise"
    assert [axis.get_title() for axis in figure.axes[:2]] == ["σ = 0", "σ = 0.6"]


def test_a_source_that_is_drawn_is_one_there_is_and_levels_are_levels(mix, declared):
    target, sim = declared
    with pytest.raises(ValueError, match=r"no source is called me/x, source=...; the mixture declares me/sim"):
        mix.plot_noised(source="me/x")
    with pytest.raises(ValueError, match=r"levels are noise levels in \[0, 1\], at least one; got \[0.0, 1.1\]"):
        mix.plot_noised((0.0, 1.1))
    two = la.Mixture.open(target, [sim, sim], **SMALL)
    with pytest.raises(ValueError, match="name one of its sources"):
        two.plot_noised()
    alone = la.Mixture.open(target, **SMALL)
    with pytest.raises(ValueError, match="the mixture declares none"):
        alone.plot_noised()


def test_a_stock_checkpoint_goes_on_as_its_ambient_type(stock_checkpoint, write_dataset, tmp_path):
    look = {"dims": 6, "image": (32, 32), "env_state": False}
    target = la.Source("me/target", root=str(write_dataset(tmp_path / "target", "me/target", [12], seed=1, **look)))
    sim = la.Source("me/sim", root=str(write_dataset(tmp_path / "sim", "me/sim", [12], seed=2, **look)), sigma_min=0.5)
    base = stock_checkpoint("smolvla", cameras=("observation.images.front",))
    fresh = {"input_features": None, "output_features": None, "device": "cpu"}
    mix = la.Mixture.open(target, [sim], mixing=la.Ambient(0.5), policy_path=base, **fresh)
    policy = mix.config.policy
    assert (policy.type, policy.chunk_size, str(policy.pretrained_path)) == ("ambient_smolvla", 8, str(base))
    assert policy.input_features is None and policy.mixing.alpha == 0.5
    trained = la.train(mix, tmp_path / "run", steps=1, batch_size=2, num_workers=0)
    stock, ours = (load_file(folder / "model.safetensors") for folder in (base, trained))
    assert stock.keys() == ours.keys()
    moved = max(float((ours[name].float() - stock[name].float()).abs().max()) for name in stock)
    assert 0.0 < moved < 1e-2, "one step from the checkpoint's weights, not from random ones"


def test_a_checkpoint_to_go_on_from_is_there_and_alone(declared, tmp_path):
    target, sim = declared
    with pytest.raises(FileNotFoundError, match="nowhere"):
        la.Mixture.open(target, [sim], policy_path=tmp_path / "nowhere")
    with pytest.raises(ValueError, match=r"says its type itself; leave policy_type='ambient_pi0' out"):
        la.Mixture.open(target, [sim], policy_path="lerobot/pi0_base", policy_type="ambient_pi0")
