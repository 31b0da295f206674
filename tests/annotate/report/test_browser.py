# SPDX-License-Identifier: Apache-2.0
"""The report in headless Chromium: it renders, on a wide screen and a narrow one, without errors."""

import shutil
import subprocess

import numpy as np
import pytest
import torch
from PIL import Image

from lerobot_ambient.annotate.report.write import SourceReport, write_report
from lerobot_ambient.annotate.results.found_windows import Finding
from lerobot_ambient.core.mixing import Ambient
from lerobot_ambient.core.noise_levels import NoiseSchedule
from lerobot_ambient.core.plan import Group, make_plan
from lerobot_ambient.core.windows import Window

NAME = "<script>document.title='broken'</script>"
SECTIONS = ("summary", "paste", "caveats", "evidence", "plan", "method")
FLAGS = ("--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--enable-logging=stderr")


@pytest.fixture(scope="module")
def browser():
    found = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if found is None:
        pytest.skip("THERE IS NO CHROMIUM, so the report is not looked at in a browser: install the package chromium")
    return found


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    samples = 200
    sigma_min = np.linspace(0.1, 0.9, samples)
    report = SourceReport(
        finding=Finding(
            NAME, "classifier", "datapoint", sigma_min, np.zeros(samples), (0.3, 0.6), ("A note.",), tau=0.05
        ),
        spectral=None,
        classifier=None,
        locality=None,
        mode_mixes=(),
        frame=np.tile(np.arange(20), 10),
        episode=np.repeat(np.arange(10), 20),
        position=np.tile(np.linspace(0, 1, 20), 10),
    )
    schedule = NoiseSchedule(torch.linspace(0.02, 0.99, 20, dtype=torch.float64))
    groups = [Group(0, "me/target", 100, Window(0.0)), Group(1, NAME, samples, Window(0.4))]
    folder = tmp_path_factory.mktemp("report")
    plan = make_plan(groups, schedule, Ambient(None))
    return write_report(folder, [report], plan, "sources: []", target="me/target", command="annotate").page


def look(browser, page, profile, *flags):
    """What Chromium prints of the page, without errors of the page's own."""
    command = [browser, *FLAGS, f"--user-data-dir={profile}", *flags, page.as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    # The page's own messages are logged as CONSOLE; the rest is about buses and displays that a server lacks.
    assert [line for line in done.stderr.splitlines() if "CONSOLE" in line] == []
    return done.stdout


def test_the_sections_stand_in_order_and_the_name_is_not_executed(browser, page, tmp_path):
    dom = look(browser, page, tmp_path, "--dump-dom")
    places = [dom.index(f'<section id="{section}"') for section in SECTIONS]
    assert places == sorted(places)
    assert "<title>Windows for me/target</title>" in dom
    assert "<script" not in dom


def test_every_image_is_decoded(browser, page, tmp_path):
    # The page allows no script, so that a copy of it is asked.
    asking = page.with_name("asking.html")
    text = page.read_text(encoding="utf-8")
    policy = '<meta http-equiv="Content-Security-Policy"'
    assert text.count(policy) == 1
    script = (
        "<script>addEventListener('load', () => { document.documentElement.dataset.sizes = "
        "[...document.images].map(i => i.naturalWidth).join(' ') })</script></body>"
    )
    asking.write_text(text.replace(policy, "<meta name='policy'").replace("</body>", script), encoding="utf-8")
    dom = look(browser, asking, tmp_path, "--dump-dom")
    sizes = [int(size) for size in dom.partition('data-sizes="')[2].partition('"')[0].split()]
    assert len(sizes) == text.count("<img ")
    assert min(sizes) > 500


@pytest.mark.parametrize("width", [1200, 760, 500])
def test_the_page_is_drawn_and_fits_its_width(browser, page, tmp_path, width):
    picture = tmp_path / "page.png"
    look(browser, page, tmp_path / "profile", f"--window-size={width},4000", f"--screenshot={picture}")
    with Image.open(picture) as opened:
        pixels = np.asarray(opened.convert("RGB"), dtype=np.int64)
    assert pixels.shape[1] == width
    ink = (pixels < 200).any(2)
    # Text and figures from top to bottom, and a white margin on either side: nothing runs out of the page.
    assert all(ink[top : top + 250].mean() > 0.002 for top in range(0, 2000, 250))
    assert not ink[:, :4].any()
    assert not ink[:, -4:].any()
