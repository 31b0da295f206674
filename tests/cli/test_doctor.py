# SPDX-License-Identifier: Apache-2.0
"""`lerobot-ambient doctor`: a healthy place passes, and every fault is named with its fix."""

import importlib
import json
import logging
import shutil
import subprocess
import sys
import tomllib
import types

import av
import pytest
from packaging.requirements import Requirement

from lerobot_ambient.cli.__main__ import EXTRAS as LACKING
from lerobot_ambient.cli.__main__ import main
from lerobot_ambient.cli.doctor import block, summary
from lerobot_ambient.integration.doctor import data as doctor_data
from lerobot_ambient.integration.doctor import installation as doctor
from lerobot_ambient.integration.doctor.installation import Check
from lerobot_ambient.integration.errors import decoder_notice
from lerobot_ambient.integration.errors.decoder_notice import ShortenedNotice
from lerobot_ambient.integration.seams import push
from lerobot_ambient.integration.seams.table import LOST, TRAIN_MODULE
from lerobot_ambient.policy.card import hub_card

RENAME = {"actions": "action", "state": "observation.state", "image": "observation.images.front"}


@pytest.fixture
def no_discovery(monkeypatch):
    """LeRobot's discovery takes seconds, in a process of its own; few tests are about it."""
    monkeypatch.setattr(doctor, "check_plugin", lambda: [Check("plugin", "ok", "not asked")])


def report(capsys, *options):
    """Runs `doctor --json`; exit code and the checks by name."""
    code = main(["doctor", "--json", *options])
    told = json.loads(capsys.readouterr().out)
    assert told["ok"] == (code == 0)
    return code, {check["name"]: check for check in told["checks"]}


# The installation


def test_a_healthy_installation_passes(capsys, no_discovery):
    code, checks = report(capsys)
    assert code == 0
    assert all(set(check) == {"name", "status", "found", "fix"} for check in checks.values())
    assert {check["status"] for check in checks.values()} <= {"ok", "warning", "skipped"}
    assert checks["lerobot-train"]["status"] == checks["pyav"]["status"] == checks["video backend"]["status"] == "ok"
    assert checks["HF_HUB_OFFLINE"]["found"].startswith("on")
    assert checks["configuration"]["status"] == "skipped"


@pytest.mark.slow
def test_the_command_finds_the_plugin_and_prints_its_report_only(write_dataset, tmp_path):
    # In a process of its own: where torchcodec does not load, LeRobot would log a page about it.
    target = write_dataset(tmp_path / "target", "me/target", [20])
    command = [sys.executable, "-m", "lerobot_ambient.cli", "doctor", "--json", *options_for("me/target", target)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    checks = {check["name"]: check for check in json.loads(done.stdout)["checks"]}
    assert checks["plugin"]["found"].endswith("registers the policy type ambient_diffusion")
    assert checks["mixture"] == {"name": "mixture", "status": "ok", "found": "the target alone, 20 frames", "fix": None}
    assert "torchcodec" not in done.stderr


def test_a_configuration_of_a_flow_policy_is_read(write_dataset, tmp_path):
    # In a process of its own: what doctor loads first may not keep LeRobot's types from being known.
    target = write_dataset(tmp_path / "target", "me/target", [60], image=(32, 32), env_state=False)
    words = ["--policy.type=ambient_smolvla", "--dataset.repo_id=me/target", f"--dataset.root={target}"]
    command = [sys.executable, "-m", "lerobot_ambient.cli", "doctor", "--json", *words]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert "is unknown" not in done.stderr
    assert "the target alone, 60 frames" in done.stdout


def test_an_unknown_training_script_is_a_problem(capsys, monkeypatch, no_discovery):
    script = importlib.import_module(TRAIN_MODULE)
    monkeypatch.setattr(script, "make_train_eval_datasets", lambda cfg, extra: None)
    code, checks = report(capsys)
    assert code == 1
    assert checks["lerobot-train"]["status"] == "problem"
    assert "make_train_eval_datasets takes ('cfg', 'extra'), asks for extra besides" in checks["lerobot-train"]["found"]
    assert checks["lerobot-train"]["fix"].startswith("pip install 'lerobot[training,diffusion]<0.7,>=0.6.1'")


def test_a_part_that_lerobot_can_do_without_is_a_warning(monkeypatch):
    script = importlib.import_module(TRAIN_MODULE)
    monkeypatch.setattr(script, "update_policy", lambda batch: None)
    checks = {check.name: check for check in doctor.check_seam()}
    assert checks["metrics"].status == "warning"
    assert checks["metrics"].found.splitlines() == [
        "update_policy takes ('batch',), lacks train_metrics, policy, accelerator",
        LOST["metrics"],
    ]
    assert checks["lerobot-train"].status == "ok"


def test_the_way_of_each_part_is_told():
    checks = {check.name: check for check in doctor.check_seam()}
    assert set(checks) == {"lerobot-train", *LOST} - {"sources"}
    assert {check.status for check in checks.values()} == {"ok"}
    script = "lerobot.scripts.lerobot_train"
    told = checks["lerobot-train"].found
    assert told == f"by make_train_eval_datasets, EpisodeAwareSampler in {script}"
    by_function = (
        f"by publish_trained_model in {script}; by generate_model_card, publish_trained_model in "
        "lerobot.common.train_utils"
    )
    by_method = "by the policy's own methods push_model_to_hub and generate_model_card"
    assert checks["model card"].found == (by_function if push.is_by_function() else by_method)


def test_a_lerobot_that_goes_neither_way_with_cards_is_a_warning(monkeypatch):
    utils = importlib.import_module("lerobot.common.train_utils")
    monkeypatch.setattr(hub_card, "is_by_method", lambda: False)
    monkeypatch.setattr(utils, "generate_model_card", lambda checkpoint: None, raising=False)
    check = next(check for check in doctor.check_seam() if check.name == "model card")
    assert check.status == "warning"
    assert "generate_model_card takes ('checkpoint',), lacks model_cfg, cfg" in check.found
    assert LOST["model card"] in check.found


@pytest.mark.parametrize(
    ("names", "found"),
    [
        (["numpy"], "the distribution is not installed"),
        (["lerobot-policy-ambient-diffusion"], "the distribution is named lerobot-policy-ambient-diffusion"),
    ],
)
def test_a_distribution_that_lerobot_would_not_find_is_a_problem(capsys, monkeypatch, names, found):
    installed = [types.SimpleNamespace(metadata={"Name": name}) for name in names]
    monkeypatch.setattr(doctor.metadata, "distributions", lambda: installed)
    assert main(["doctor"]) == 1
    out = capsys.readouterr().out
    assert f"problem  plugin           {found}; LeRobot looks for names that start with lerobot_policy_" in out
    assert "fix: pip install lerobot_policy_ambient_diffusion" in out
    assert "\n1 problem, " in out


@pytest.mark.usefixtures("preloaded_commands")
def test_the_exception_that_discovery_swallows_is_told(monkeypatch, tmp_path):
    (tmp_path / f"{doctor.DISTRIBUTION}.py").write_text("import no_such_gizmo")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    (check,) = doctor.check_plugin()
    assert check.status == "problem"
    assert check.found.endswith("ModuleNotFoundError: No module named 'no_such_gizmo'")
    assert check.fix.startswith("see the traceback with: python -P -c 'import lerobot_policy_ambient_diffusion'")


@pytest.mark.parametrize(
    ("code", "out", "found"),
    [
        (0, '{"failure": null, "known": false, "file": "/other.py"}', "/other.py is imported, but does not register"),
        (1, "", "LeRobot's own discovery fails; ImportError: no torch"),
    ],
)
def test_other_ends_of_discovery_are_told(monkeypatch, code, out, found):
    done = subprocess.CompletedProcess([], code, f"noise\n{out}\n", "Traceback\nImportError: no torch\n")
    monkeypatch.setattr(subprocess, "run", lambda *args, **kwargs: done)
    (check,) = doctor.check_plugin()
    assert check.status == "problem"
    assert check.found.startswith(found)
    assert check.fix


@pytest.mark.parametrize(
    ("version", "status"), [("0.6.0", "problem"), ("0.6.1", "ok"), ("0.6.9", "ok"), ("0.7.0", "warning")]
)
def test_lerobot_is_held_against_the_declared_range(monkeypatch, version, status):
    monkeypatch.setattr(doctor.metadata, "version", lambda name: version)
    check = doctor.check_lerobot([Requirement("lerobot[training]>=0.6.1,<0.7")])
    assert check.status == status
    assert version in check.found


@pytest.mark.parametrize(
    ("threads", "cores", "load", "accelerator", "status"),
    [
        (1, 2, 5.0, None, "ok"),
        (2, 2, 0.0, None, "warning"),
        (8, 16, 8.0, None, "ok"),
        (8, 16, 8.1, None, "warning"),
        (16, 16, 9.0, "cuda", "ok"),
    ],
)
def test_threads_that_will_fight_are_warned_of(threads, cores, load, accelerator, status):
    check = doctor.check_threads(threads, cores, load, accelerator)
    assert check.status == status
    assert (check.fix is not None) == (status == "warning")


@pytest.mark.parametrize(("free", "status"), [(doctor.LITTLE_DISK, "ok"), (doctor.LITTLE_DISK - 1, "warning")])
def test_little_disk_is_warned_of_where_the_cache_will_be(monkeypatch, tmp_path, free, status):
    asked = []
    monkeypatch.setattr(shutil, "disk_usage", lambda path: asked.append(path) or types.SimpleNamespace(free=free))
    assert doctor.check_disk(tmp_path / "not" / "there").status == status
    assert asked == [tmp_path]


def test_an_extra_is_skipped_when_absent_and_warned_of_when_too_old():
    extra = [Requirement(text) for text in ("numpy", "no-such-gizmo>=1; extra == 'plots'")]
    check = doctor.check_extra("plots", extra)
    assert (check.status, check.fix) == ("skipped", "pip install 'lerobot_policy_ambient_diffusion[plots]'")
    assert "not installed (no-such-gizmo)" in check.found
    assert doctor.check_extra("maze", [*extra, Requirement("numpy; extra == 'maze'")]).status == "ok"
    stale = doctor.check_extra("smolvla", extra)
    assert (stale.status, "older than this code" in stale.found) == ("skipped", True)
    old = doctor.check_extra("plots", [Requirement("numpy>=99; extra == 'plots'")])
    assert old.status == "warning"
    assert old.found.endswith("needed >=99")


def test_what_lerobot_s_own_extra_brings_is_looked_for(monkeypatch):
    extra = [Requirement("lerobot[pi]; extra == 'pi'"), Requirement("lerobot[smolvla]; extra == 'smolvla'")]
    version = doctor.metadata.version

    def without_transformers(name):
        if name == "transformers":
            raise doctor.metadata.PackageNotFoundError(name)
        return "0.1" if name == "num2words" else version(name)

    monkeypatch.setattr(doctor.metadata, "version", without_transformers)
    check = doctor.check_extra("pi", extra)
    types = "--policy.type=ambient_pi0 and --policy.type=ambient_pi05"
    assert (check.status, check.found) == ("skipped", f"not installed (transformers); it is for {types}")
    assert "num2words 0.1, needed" in doctor.check_extra("smolvla", extra).found


def test_every_extra_is_looked_at(checkout):
    project = tomllib.loads((checkout / "pyproject.toml").read_text())["project"]
    assert set(doctor.EXTRAS) == set(project["optional-dependencies"]) - {"dev", "docs"}
    assert set(LACKING.values()) <= set(doctor.EXTRAS)


TORCHCODEC = """Could not load libtorchcodec. Likely causes:
FFmpeg version 8:
OSError: libavutil.so.60: cannot open shared object file: No such file or directory
OSError: Could not load this library: core8.so
FFmpeg version 7:
OSError: {}
OSError: Could not load this library: core7.so
"""


@pytest.mark.parametrize(
    ("error", "reason", "fix"),
    [
        (
            "libavutil.so.59: cannot open shared object file",
            "FFmpeg's shared libraries are not",
            "apt-get install ffmpeg",
        ),
        ("core7.so: undefined symbol: _ZN3c10", "core7.so: undefined symbol: _ZN3c10", "install the torchcodec that"),
    ],
)
def test_torchcodec_s_page_becomes_one_line(monkeypatch, error, reason, fix):
    monkeypatch.setattr(doctor.platform, "system", lambda: "Linux")
    told = decoder_notice.explain_torchcodec(TORCHCODEC.format(error))
    assert told[0].startswith(reason)
    assert told[1].startswith(fix)
    assert "\n" not in "".join(told)


@pytest.mark.parametrize(("system", "fix"), [("Darwin", "brew"), ("Windows", "winget"), ("FreeBSD", "conda")])
def test_the_remedy_is_the_platform_s(monkeypatch, system, fix):
    monkeypatch.setattr(doctor.platform, "system", lambda: system)
    page = TORCHCODEC.format("libavutil.so.59: cannot open shared object file")
    assert decoder_notice.explain_torchcodec(page)[1].startswith(f"{fix} install")


def test_a_training_tells_torchcodec_s_page_once_in_a_line(caplog):
    logger = logging.getLogger("tests.torchcodec")
    notice = ShortenedNotice()
    logger.addFilter(notice)
    page = TORCHCODEC.format("libavutil.so.59: cannot open") + "'torchcodec' is installed but cannot be loaded"
    for message in (page, page, "anything else"):
        logger.warning(message)
    logger.removeFilter(notice)
    first, other = (record.getMessage() for record in caplog.records)
    assert first.startswith("torchcodec does not load: FFmpeg's shared libraries are not installed. Videos are")
    assert "\n" not in first
    assert other == "anything else"


def test_without_pyav_and_torchcodec_nothing_decodes(monkeypatch):
    def refuse(name):
        raise ImportError(f"No module named '{name}'")

    monkeypatch.setattr(doctor.importlib, "import_module", refuse)
    checks = {check.name: check.status for check in doctor.check_decoders()}
    assert checks == {"torchcodec": "warning", "pyav": "problem", "video backend": "problem"}


def test_a_missing_decoder_is_warned_of(monkeypatch):
    real = av.codec.Codec
    monkeypatch.setattr(av.codec, "Codec", lambda name, mode: real(name.replace("lib", "no-such-"), mode))
    checks = {check.name: check.status for check in doctor.check_pyav()}
    assert checks == {"pyav": "ok", "decoder h264": "ok", "decoder av1": "warning"}


def test_logs_are_kept_and_the_handlers_come_back():
    before = list(logging.getLogger().handlers)
    with doctor.captured_logs() as records:
        logging.getLogger("lerobot.anything").warning("a page")
    assert [record.getMessage() for record in records] == ["a page"]
    assert logging.getLogger().handlers == before


def test_the_text_is_a_line_a_check_with_what_belongs_to_it_below():
    assert block(Check("python", "ok", "fine")) == "ok       python           fine"
    assert block(Check("video backend", "problem", "two\nlines", "fix it")).splitlines() == [
        "problem  video backend    two",
        "                          lines",
        "                          fix: fix it",
    ]
    checks = [Check("a", "ok", "x"), Check("b", "problem", "x"), Check("c", "warning", "x")]
    assert summary(checks) == "1 problem, 1 warning"


def test_each_finding_is_printed_as_soon_as_it_is_there(capsys, monkeypatch):
    seen = []
    monkeypatch.setattr(doctor, "check_environment", lambda: [Check("python", "ok", "fine")])
    monkeypatch.setattr(doctor, "check_plugin", lambda: seen.append(capsys.readouterr()) or [])
    monkeypatch.setattr(doctor, "check_seam", list)
    monkeypatch.setattr(doctor, "check_decoders", list)
    assert main(["doctor"]) == 0
    assert [one.out for one in seen] == ["ok       python           fine\n"]
    # LeRobot is loaded once more, in another process: seconds in which nothing else would be said.
    assert seen[0].err.splitlines()[-1].startswith("lerobot-ambient: starting LeRobot in a second Python")


# The data of a configuration


@pytest.fixture
def small_installation(monkeypatch):
    """Only the checks of the data."""
    for name in ("check_environment", "check_plugin", "check_seam", "check_decoders"):
        monkeypatch.setattr(doctor, name, list)


def options_for(repo_id, root, *more):
    return [
        "--policy.type=ambient_diffusion",
        "--policy.device=cpu",
        f"--dataset.repo_id={repo_id}",
        f"--dataset.root={root}",
        *more,
    ]


@pytest.fixture
def hands(shared_data, tmp_path):
    """A copy of the real recording, and the options that train on it."""
    root = tmp_path / "hands"
    shutil.copytree(shared_data / "bimanual_hands", root)
    return root, options_for("bimanual_hands", root, f"--policy.target_rename={json.dumps(RENAME)}")


def test_whole_recordings_pass_and_no_cache_is_built(capsys, small_installation, hands, tmp_path):
    root, options = hands
    code, checks = report(capsys, *options, f"--policy.frame_cache={tmp_path / 'cache'}")
    assert code == 0
    assert checks["target"]["found"] == (
        f"bimanual_hands in {root}: 8 of 8 episodes, 3223 frames, 30 fps, cameras image (video, 480x640x3)"
    )
    assert checks["target videos"]["found"] == "8 of 8 files open and reach the end of their episodes"
    assert checks["mixture"]["status"] == "ok"
    assert not (tmp_path / "cache").exists()


def test_broken_videos_are_named_by_episode_and_the_fix_is_one(capsys, small_installation, hands):
    root, options = hands
    videos = root / "videos/image/chunk-000"
    (videos / "file-003.mp4").unlink()
    damaged = (videos / "file-005.mp4").read_bytes()
    (videos / "file-005.mp4").write_bytes(damaged[: len(damaged) // 2])
    code, checks = report(capsys, *options)
    assert code == 1
    found = checks["target videos"]["found"].splitlines()
    assert found[0] == "2 of 8 episodes cannot be read"
    assert found[1] == "episode 3: videos/image/chunk-000/file-003.mp4 is missing"
    assert found[2].startswith("episode 5: videos/image/chunk-000/file-005.mp4 is truncated or damaged")
    assert "`--dataset.episodes='[0, 1, 2, 4, 6, 7]'`" in checks["target videos"]["fix"]

    code, checks = report(capsys, *options, "--dataset.episodes=[0, 1, 2, 4, 6, 7]")
    assert code == 0
    assert checks["target"]["found"].startswith(f"bimanual_hands in {root}: 6 of 8 episodes, 2460 frames")


def test_a_broken_video_of_a_source_offers_skip_broken(capsys, small_installation, hands):
    root, options = hands
    (root / "videos/image/chunk-000/file-006.mp4").unlink()
    source = {"repo_id": "bimanual_hands", "root": str(root), "episodes": [6, 7], "sigma_min": 0.3, "rename": RENAME}
    code, checks = report(capsys, *options, "--dataset.episodes=[0, 1]", f"--policy.sources={json.dumps([source])}")
    assert code == 1
    assert checks["target videos"]["status"] == "ok"
    assert checks["source 1 videos"]["found"].startswith("1 of 2 episodes cannot be read\nepisode 6: videos/image/")
    assert "`episodes: [7]`" in checks["source 1 videos"]["fix"]
    assert "`skip_broken: true`" in checks["source 1 videos"]["fix"]

    skipping = json.dumps([source | {"skip_broken": True}])
    code, checks = report(capsys, *options, "--dataset.episodes=[0, 1]", f"--policy.sources={skipping}")
    assert code == 0
    assert "source 1 videos" in checks
    assert checks["source 1"]["found"].startswith(f"bimanual_hands in {root}: 1 of 8 episodes, 460 frames")


def test_a_source_that_is_not_there_is_told_once(capsys, small_installation, write_dataset, tmp_path):
    target = write_dataset(tmp_path / "target", "me/target", [20, 22])
    source = {"repo_id": "me/sim", "root": str(tmp_path / "nowhere"), "sigma_min": 0.3}
    code, checks = report(capsys, *options_for("me/target", target, f"--policy.sources={json.dumps([source])}"))
    assert code == 1
    assert {name: check["status"] for name, check in checks.items()} == {
        "target": "ok",
        "source 1": "problem",
        "mixture": "skipped",
    }
    assert f"no LeRobot dataset in root {tmp_path / 'nowhere'}" in checks["source 1"]["found"]
    assert "no cameras" in checks["target"]["found"]
    assert not (tmp_path / "nowhere").exists()


def test_what_the_mixture_warns_of_and_refuses_is_told(
    capsys, small_installation, monkeypatch, write_dataset, tmp_path
):
    def refuse(cfg):
        logging.getLogger("lerobot_ambient.data").warning("a dimension is constant")
        logging.getLogger("lerobot").warning("a page")
        raise ValueError("fps is 10, the target's is 30")

    monkeypatch.setattr(doctor_data, "mixture_of", refuse)
    target = write_dataset(tmp_path / "target", "me/target", [20])
    assert main(["doctor", *options_for("me/target", target)]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[1:] == [
        "warning  mixture          a dimension is constant",
        "problem  mixture          fps is 10, the target's is 30",
        "",
        "1 problem, 1 warning",
    ]


@pytest.mark.parametrize(
    ("option", "found"),
    [
        ('--policy.sources=[{"repo_id": "me/sim", "sigma_min": 1.5}]', "sigma_min = 1.5 is outside [0, 1]"),
        ("--policy.horizon=many", "policy.horizon: Couldn't parse 'many' into an int"),
    ],
)
def test_a_value_that_does_not_fit_is_a_problem(capsys, small_installation, option, found):
    code, checks = report(capsys, *options_for("me/target", "anywhere", option))
    assert code == 1
    assert found in checks["configuration"]["found"]


def test_wrong_usage_ends_with_2(capsys, small_installation):
    assert main(["doctor", "--config_path=/no/such/file.yaml"]) == 2
    assert "--config_path=/no/such/file.yaml: no such folder: /no/such." in capsys.readouterr().err
    with pytest.raises(SystemExit) as left:
        main(["doctor", *options_for("me/target", "anywhere", "--policy.sorces=[]")])
    assert left.value.code == 2


def test_a_decoder_that_does_not_load_may_not_be_chosen(
    capsys, small_installation, monkeypatch, write_dataset, tmp_path
):
    monkeypatch.setattr(doctor_data, "get_safe_default_video_backend", lambda: "pyav")
    target = write_dataset(tmp_path / "target", "me/target", [20])
    code, checks = report(capsys, *options_for("me/target", target, "--dataset.video_backend=torchcodec"))
    assert code == 1
    assert checks["decoder chosen"]["fix"].startswith("--dataset.video_backend=pyav")
