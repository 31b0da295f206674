# SPDX-License-Identifier: Apache-2.0
"""The report: what its page says, that it needs nothing else, and that hostile or missing input does no harm."""

import base64
import dataclasses
import io
import re
from html.parser import HTMLParser

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure
from PIL import Image

from lerobot_ambient.annotate.buckets.partition import Buckets
from lerobot_ambient.annotate.chunks.chunk_set import ActionAxes, ArrayChunks
from lerobot_ambient.annotate.chunks.mixture_chunks import Path
from lerobot_ambient.annotate.classifier.calibration import calibrate
from lerobot_ambient.annotate.classifier.curves import data_set_curve
from lerobot_ambient.annotate.classifier.distance import total_variation
from lerobot_ambient.annotate.classifier.evidence import ClassifierEvidence
from lerobot_ambient.annotate.classifier.fits import annotate_classifier
from lerobot_ambient.annotate.classifier.options import ClassifierOptions
from lerobot_ambient.annotate.locality.by_classifier import CropEvidence
from lerobot_ambient.annotate.locality.by_moments import locality_window
from lerobot_ambient.annotate.mixing.mode_mix import mode_mix
from lerobot_ambient.annotate.mixing.soft_shares import soft_shares
from lerobot_ambient.annotate.report.source import verdict
from lerobot_ambient.annotate.report.trajectory_figures import Trajectories, draw_trajectories, most_moved
from lerobot_ambient.annotate.report.window_figures import draw_overview
from lerobot_ambient.annotate.report.write import SourceReport, write_report
from lerobot_ambient.annotate.results.found_windows import Finding
from lerobot_ambient.annotate.results.source_evidence import SourceEvidence
from lerobot_ambient.annotate.results.windows_from_curves import Threshold, data_set_finding
from lerobot_ambient.annotate.spectra.spectrum import spectral_window
from lerobot_ambient.core.mixing import Ambient
from lerobot_ambient.core.noise_levels import NoiseSchedule
from lerobot_ambient.core.plan import Group, make_plan
from lerobot_ambient.core.windows import Window

HORIZON, DIMS, LENGTH = 8, 2, 20
TARGET, SOURCE = "me/target", "me/shaky"
HOSTILE = '<script>alert("1")</script> & $x_'
SCHEDULE = NoiseSchedule(torch.linspace(0.02, 0.99, 20, dtype=torch.float64))
YAML = f"sources:\n  - repo_id: {SOURCE}\n    sigma_min: 0.3"


def recording(name, episodes, seed, jitter):
    rng = np.random.default_rng(seed)
    path = np.cumsum(rng.normal(size=(episodes, LENGTH, DIMS)), axis=1) / 3
    path += rng.normal(size=(episodes, 1, DIMS)) + jitter * rng.normal(size=path.shape)
    x_0 = np.lib.stride_tricks.sliding_window_view(path, HORIZON, axis=1).transpose(0, 1, 3, 2)
    per_episode = x_0.shape[1]
    flat = torch.from_numpy(x_0.reshape(-1, HORIZON, DIMS).astype(np.float32))
    return ArrayChunks(name, flat, np.repeat(np.arange(episodes), per_episode))


@dataclasses.dataclass(frozen=True)
class Timed:
    """What `SourceReport.of` reads of a source's chunks."""

    episode: np.ndarray
    frame: np.ndarray


def timed(episodes, per_episode=LENGTH - HORIZON + 1):
    return Timed(np.repeat(np.arange(episodes), per_episode), np.tile(np.arange(per_episode), episodes))


def bare(name=SOURCE, sigma_min=0.3, sigma_max=0.0, episodes=12, interval=(0.25, 0.34), **more):
    """A report of one source without any evidence; windows may be one number or one per sample."""
    chunks = timed(episodes)
    low, high = (np.broadcast_to(bound, chunks.frame.shape).astype(float) for bound in (sigma_min, sigma_max))
    given = {"method": "spectral", "granularity": "dataset", **more}
    given["interval" if given["method"] == "classifier" else "bury_range"] = interval
    return SourceReport.of(SourceEvidence(Finding(source=name, sigma_min=low, sigma_max=high, **given)), chunks)


def plan_of(reports, target=TARGET):
    groups = [Group(0, target, 100, Window(0.0))]
    for index, report in enumerate(reports, start=1):
        bounds = np.stack([report.finding.sigma_min, report.finding.sigma_max], axis=1).round(2)
        for (low, high), count in zip(*np.unique(bounds, axis=0, return_counts=True), strict=True):
            window = Window(float(low), float(high))
            if bool(window.admits(SCHEDULE.sigmas).any()):
                groups.append(Group(index, report.finding.source, int(count), window))
    return make_plan(groups, SCHEDULE, Ambient(None))


def write(folder, reports, target=TARGET, **more):
    given = {"yaml": YAML, "command": "lerobot-ambient annotate --method=classifier", **more}
    return write_report(folder, reports, plan_of(reports, target), target=target, **given)


@pytest.fixture
def legends(monkeypatch):
    """What stands in the legends of the figures that are drawn, colour bars among them, a list a figure."""
    drawn, save = [], Figure.savefig

    def saved(figure, *args, **kwargs):
        boxes = [*figure.legends, *(axis.get_legend() for axis in figure.axes if axis.get_legend() is not None)]
        bars = [axis.get_ylabel() for axis in figure.axes if axis.get_label() == "<colorbar>"]
        drawn.append([text.get_text() for box in boxes for text in box.get_texts()] + bars)
        return save(figure, *args, **kwargs)

    monkeypatch.setattr(Figure, "savefig", saved)
    return drawn


def test_every_figure_says_by_itself_what_is_what(tmp_path, full, legends):
    files = write(tmp_path, [full])
    assert len(legends) == len(files.figures) > 8
    assert all(legends), legends


@pytest.mark.parametrize(
    ("reports", "words"),
    [
        ([bare()], ["the source teaches too", "the target alone", "min", "estimate of", "burying levels"]),
        ([bare(method="classifier")], ["teaches", "alone", "min", "estimate of", "its 95 % interval"]),
        (
            [bare(sigma_min=np.linspace(0.1, 0.9, 156)), bare("me/b", method="classifier")],
            ["teaches", "some of its samples do", "alone", "min", "estimate of", "what is known of it"],
        ),
        ([bare(sigma_min=0.0)], ["the target alone", "burying levels"]),
        ([bare(sigma_max=0.1)], ["teaches", "alone", "max", "min", "estimate of", "burying levels"]),
        ([bare(sigma_min=1.0, sigma_max=0.1, interval=(1.0, 1.0), method="heldout")], ["teaches", "alone", "max"]),
    ],
)
def test_the_overview_explains_what_it_shows_and_nothing_else(reports, words, legends):
    draw_overview(reports)
    ((*said,),) = legends
    assert len(said) == len(words)
    assert all(word in text for word, text in zip(words, said, strict=True)), said


def test_of_many_dimensions_those_that_move_are_drawn_by_name():
    rng = np.random.default_rng(0)
    names = tuple(f"left_hand.joint_{dim}.pos" for dim in range(20))
    action = np.where(np.arange(20) < 5, 0.5, rng.normal(size=(30, 20)))
    path = Path(3, np.arange(30) / 30, action)
    drawn = draw_trajectories(Trajectories((TARGET, SOURCE), (path,), (path,), ActionAxes(names, 30.0)))
    assert "16 panels" in drawn.alt
    assert "The 4 that move least are not shown." in drawn.caption
    # The first of the constants has the place that is left.
    assert most_moved(Trajectories((TARGET, SOURCE), (path,), (path,), ActionAxes(names)), 16) == [0, *range(5, 20)]


@pytest.fixture(scope="module")
def target():
    return recording(TARGET, 16, 0, 0.0)


@pytest.fixture(scope="module")
def evidence(target):
    source = recording(SOURCE, 20, 1, 0.4)
    options = ClassifierOptions(steps=60, folds=2, levels=8, draws=4, width=32)
    (scores,) = annotate_classifier(target, [source], SCHEDULE, options, progress=False)
    calibration = calibrate(scores)
    return ClassifierEvidence(scores, calibration, data_set_curve(scores, calibration), total_variation(scores))


@pytest.fixture(scope="module")
def full(target, evidence):
    """A report of one source with windows per sample and every kind of evidence."""
    source, chunks = recording(SOURCE, 20, 1, 0.4), timed(20)
    sigmas = SCHEDULE.sigmas.numpy()
    finding = data_set_finding(evidence, len(source), Threshold())
    wave = 0.4 + 0.3 * np.sin(np.arange(len(source)))
    finding = dataclasses.replace(finding, granularity="datapoint", sigma_min=wave).with_notes(
        "A remark to find again."
    )
    modes = Buckets((chunks.frame > 5).astype(np.int64), 2, str)
    return SourceReport.of(
        SourceEvidence(
            finding.with_notes("A remark to find again."),
            spectral=spectral_window(target, source),
            classifier=evidence,
            locality=locality_window(target, source, sigmas[::4]),
            mode_mixes=(mode_mix(SOURCE, "data point", modes, chunks.episode, wave, sigmas),),
        ),
        chunks,
    )


@pytest.fixture(scope="module")
def written(full, evidence, tmp_path_factory):
    soft = soft_shares([evidence], n_target=16, n_sources=[20], alone_above=0.5)
    return write(tmp_path_factory.mktemp("report"), [full], soft=soft, notes=["About the run."])


def test_of_many_sources_those_drawn_most_come_first_and_have_figures(tmp_path, monkeypatch):
    monkeypatch.setattr("lerobot_ambient.annotate.report.write.MANY", 2)
    levels = (0.9, 0.3, 0.7, 0.5)
    files = write(tmp_path, [bare(f"me/at-{one}", np.linspace(one - 0.05, one + 0.05, 156)) for one in levels])
    page = files.page.read_text(encoding="utf-8")
    told = re.findall(r"<summary>(.*?)</summary>", page)
    # A window that opens earlier is drawn from more often.
    assert [one for one in told if one.startswith("me/")] == [
        *("me/at-0.3", "me/at-0.5"),
        *("me/at-0.7 (in words)", "me/at-0.9 (in words)"),
    ]
    assert re.findall(r'<th scope="row" role="rowheader">(me/at.*?)</th>', page)[:4] == [
        f"me/at-{level}" for level in sorted(levels)
    ]
    drawn = {file.name.partition("_")[0] for file in files.figures if file.name[0].isdigit()}
    # By their number in the configuration.
    assert drawn == {"2", "4"}
    assert "Of 4 sources the 2 with the largest shares" in page
    assert page.count("<article") == 4


class Parsed(HTMLParser):
    """Tags with their attributes, and the text outside of style."""

    def __init__(self, page):
        super().__init__()
        self.tags, self.text, self.tag = [], "", ""
        self.feed(page.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        self.tag = tag

    def handle_data(self, data):
        self.text += data if self.tag != "style" else ""

    def all(self, tag):
        return [attrs for name, attrs in self.tags if name == tag]


def test_the_page_needs_no_other_file(written):
    page = Parsed(written.page)
    assert page.all("img")
    assert all(image["src"].startswith("data:image/png;base64,") for image in page.all("img"))
    assert all(link["href"] == "data:," for link in page.all("link"))
    assert not {"script", "iframe", "object", "embed", "video", "audio", "form"} & {tag for tag, _ in page.tags}
    assert {link["href"] for link in page.all("a") if not link["href"].startswith("#")} == {
        "https://arxiv.org/abs/2606.12365"
    }
    style = re.search(r"<style>(.*?)</style>", written.page.read_text(encoding="utf-8"), re.DOTALL)
    assert style is not None
    assert "url(" not in style[1] and "@import" not in style[1]
    assert not [attrs for _, attrs in page.tags if any(key.startswith("on") for key in attrs)]


def test_every_figure_lies_beside_the_page_and_is_the_one_embedded(written):
    embedded = [base64.b64decode(image["src"].partition(",")[2]) for image in Parsed(written.page).all("img")]
    assert sorted(embedded) == sorted(path.read_bytes() for path in written.figures)
    assert {path.name for path in written.page.parent.iterdir()} == {"report.html", *(f.name for f in written.figures)}
    kinds = {path.stem.partition("_")[2].partition("_")[2] for path in written.figures if path.name[0].isdigit()}
    assert kinds == {
        *("classifier", "distance", "calibration", "reliability"),
        *("spectra", "spectrum_decides", "ratios", "locality", "histogram", "over_time", "mode_mix_1"),
    }
    for path in written.figures:
        assert path.stat().st_size < 150_000
        with Image.open(io.BytesIO(path.read_bytes())) as picture:
            assert min(picture.size) > 200
            assert len(picture.convert("RGB").getcolors(1 << 20)) > 5


def test_links_lead_somewhere_and_images_have_words_and_sizes(written):
    page = Parsed(written.page)
    ids = [attrs["id"] for _, attrs in page.tags if "id" in attrs]
    assert len(ids) == len(set(ids))
    assert {link["href"][1:] for link in page.all("a") if link["href"].startswith("#")} <= set(ids)
    assert all(
        len(image["alt"]) > 30 and int(image["width"]) > 0 and int(image["height"]) > 0 for image in page.all("img")
    )
    assert all(cell["scope"] in ("col", "row") for cell in page.all("th"))


def test_the_page_says_what_was_found(written, full):
    text = " ".join(Parsed(written.page).text.split())
    assert verdict(full) in text
    for expected in ("A remark to find again.", "About the run.", "lerobot-ambient annotate --method=classifier"):
        assert expected in text
    share = plan_of([full]).by_source()[1].sum()
    assert f"{100 * float(share):.1f} %" in text
    assert YAML in Parsed(written.page).text
    assert "mixing: {type: soft, sigmas: [" in text


def test_equal_input_gives_equal_bytes(tmp_path, full):
    report = dataclasses.replace(bare(), locality=full.locality, mode_mixes=full.mode_mixes)
    one, other = (write(tmp_path / name, [report]) for name in "ab")
    assert one.page.read_bytes() == other.page.read_bytes()
    assert [path.read_bytes() for path in one.figures] == [path.read_bytes() for path in other.figures]


def test_a_hostile_name_stays_text(tmp_path):
    hostile = bare(HOSTILE, notes=(HOSTILE,))
    files = write(tmp_path, [hostile], target="<b>t", yaml=HOSTILE, command=HOSTILE)
    page = Parsed(files.page)
    assert not page.all("script")
    assert not page.all("b")
    assert page.text.count(HOSTILE) >= 5
    assert all(re.fullmatch(r"[A-Za-z0-9_.-]+", path.name) for path in files.figures)


def test_three_sources_without_evidence_share_their_notes(tmp_path):
    reports = [
        bare("me/one", 0.3, notes=("Said of both.",)),
        bare("me/two", np.linspace(0.2, 0.8, 12 * 13), notes=("Said of both.", "Only here.")),
        bare("me/three", 1.0, interval=(1.0, 1.0)),
    ]
    page = Parsed(write(tmp_path, reports).page)
    assert page.text.count("Said of both.") == 1
    assert "me/one, me/two\n\nSaid of both." in page.text
    assert "me/two\n\nOnly here." in page.text
    assert page.text.count("No evidence was kept for this source.") == 2
    # The last one teaches nowhere, so the plan has no group of it.
    assert "never drawn" in page.text
    assert "0 of 20" in page.text


def test_crops_judged_by_classifiers_are_drawn(tmp_path, full):
    assert full.locality is not None
    levels = np.linspace(0.1, 0.9, 5)
    crops = CropEvidence(
        target=TARGET,
        source=SOURCE,
        field=full.locality.field,
        sigmas=levels,
        length=np.array([1, 2, 4, 8, 8]),
        p=np.array([0.5, 0.48, 0.3, 0.4, 0.49]),
        low=np.array([0.46, 0.41, 0.2, 0.3, 0.4]),
        high=np.array([0.52, 0.5, 0.4, 0.5, 0.55]),
        tau=0.05,
        sigma_max=0.3,
        shown=0.1,
        weak=True,
        notes=(),
    )
    page = Parsed(write(tmp_path, [dataclasses.replace(bare(), locality=crops)]).page)
    (alt,) = [image["alt"] for image in page.all("img") if image["alt"].startswith("Local motion")]
    assert "shown to be alike up to 0.100 and not distinguished up to 0.300" in alt


def test_nan_in_the_evidence_is_drawn_around(tmp_path, evidence, full):
    holes = evidence.curve.p.copy()
    holes[2] = np.nan
    curve = dataclasses.replace(evidence.curve, p=holes)
    (mix,) = full.mode_mixes
    empty = dataclasses.replace(mix, mix=np.full_like(mix.mix, np.nan), shift=np.full_like(mix.shift, np.nan))
    partly = dataclasses.replace(mix, mix=mix.mix.copy(), shift=mix.shift.copy())
    partly.mix[:3], partly.shift[:3] = np.nan, np.nan
    report = dataclasses.replace(
        bare(method="classifier", tau=0.05),
        classifier=dataclasses.replace(evidence, curve=curve, distance=None),
        mode_mixes=(empty, partly),
    )
    names = [path.name for path in write(tmp_path, [report]).figures]
    assert "1_me-shaky_classifier.png" in names
    assert "1_me-shaky_distance.png" not in names
    assert "1_me-shaky_mode_mix_2.png" in names
    assert "1_me-shaky_mode_mix_1.png" not in names


def test_a_report_is_replaced_whole(tmp_path):
    write(tmp_path, [bare()])
    (tmp_path / "report.html").write_text("old")
    (tmp_path / "mine.txt").write_text("keep")
    files = write(tmp_path, [bare()])
    assert "Windows for me/target" in files.page.read_text(encoding="utf-8")
    assert {path.name for path in tmp_path.iterdir()} == {"report.html", "windows.png", "plan.png", "mine.txt"}


def test_reports_that_are_not_the_plans_are_refused(tmp_path):
    plan = plan_of([bare("me/other")])
    with pytest.raises(ValueError, match=r"dataset 1 of the plan is 'me/other', but the report is about"):
        write_report(tmp_path, [bare()], plan, YAML, target=TARGET, command="x")
    with pytest.raises(ValueError, match="there is no source to report on"):
        write_report(tmp_path, [], plan_of([]), YAML, target=TARGET, command="x")
    assert not list(tmp_path.iterdir())
