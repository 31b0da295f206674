# SPDX-License-Identifier: Apache-2.0
"""The page in headless Chromium: it plays, scrubs and compares, and what it says are the dataset's numbers."""

import threading

import numpy as np
import pytest
import torch

from lerobot_ambient.integration.viewing.page_files import write_page
from lerobot_ambient.integration.viewing.server import ViewServer

from .chromium import Browser, find
from .conftest import EVIL, JOINT_NAMES, SHAKY, shade

READY = "document.querySelectorAll('.joint').length === 6 && document.getElementById('clock').textContent !== ''"
ARROW_LEFT, ARROW_UP, ARROW_RIGHT, ARROW_DOWN, SPACE = 37, 38, 39, 40, 32


@pytest.fixture(scope="module")
def program():
    found = find()
    if found is None:
        pytest.skip("THERE IS NO CHROMIUM, so the view is not looked at in a browser: install the package chromium")
    return found


@pytest.fixture(scope="module")
def url(view):
    server = ViewServer(view)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    yield server.url
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture(scope="module")
def folder(view, tmp_path_factory):
    return write_page(view, tmp_path_factory.mktemp("page"), images=75).page.as_uri()


@pytest.fixture
def browser(program, tmp_path):
    made = Browser(program, tmp_path / "profile")
    yield made
    made.close()
    assert made.troubles == []


@pytest.fixture(params=["url", "folder"])
def page(request, browser):
    browser.open(request.getfixturevalue(request.param))
    browser.wait(READY)
    return browser


def numbers(browser, word):
    said = browser.ask(f"[...document.querySelectorAll('dd[data-word={word}]')].map(one => one.textContent)")
    return [float(one) for one in said]


def current(browser):
    return browser.ask("[shown.episode.dataset, shown.episode.episode, shown.frame]")


def pixel(browser):
    """The colour in the middle of the camera's picture, once it shows the wanted frame."""
    browser.wait("(() => { const one = document.querySelector('img'); return one.complete && one.naturalWidth > 0 "
                 "&& one.dataset.busy === '' && one.dataset.wanted === one.dataset.has; })()")  # fmt: skip
    return browser.ask(
        "(() => { const one = document.querySelector('img'), canvas = document.createElement('canvas');"
        "canvas.width = one.naturalWidth; canvas.height = one.naturalHeight; const pen = canvas.getContext('2d');"
        "pen.drawImage(one, 0, 0); return [...pen.getImageData(9, 9, 1, 1).data].slice(0, 3); })()"
    )


def test_what_looks_wrong_is_open_and_its_name_is_text(page):
    assert current(page) == [1, SHAKY, 0]
    assert page.ask("document.getElementById('name').textContent") == f"{EVIL}, episode {SHAKY}"
    assert page.ask("document.getElementById('task').textContent") == "source · pick <b>it</b> up"
    assert page.ask("document.title") == "Episodes beside me/target"
    assert page.ask("document.querySelectorAll('img[src=x], #task b').length") == 0
    assert "moves elbow_flex.pos" in page.ask("document.getElementById('why').textContent")
    assert page.ask("shown.joint") == JOINT_NAMES.index("elbow_flex.pos")


def test_it_scrubs_and_steps_and_says_the_dataset_s_numbers(page, view):
    told = view.episode(view.find(1, SHAKY))["columns"]
    page.ask("document.getElementById('scrub').value = 47;"
             "document.getElementById('scrub').dispatchEvent(new Event('input'))")  # fmt: skip
    for key, frame in ((None, 47), (("ArrowRight", ARROW_RIGHT), 48), (("ArrowLeft", ARROW_LEFT), 47)):
        if key is not None:
            page.press(*key)
        assert current(page) == [1, SHAKY, frame]
        for word, column in (("action", "action"), ("state", "observation.state")):
            assert numbers(page, word) == pytest.approx([values[frame] for values in told[column]], rel=1e-4)
    page.press("ArrowRight", ARROW_RIGHT, shift=True)
    assert current(page)[2] == 83
    page.click(".joint[data-joint='2'] .plot", across=0.25)
    assert abs(current(page)[2] - 21) <= 1
    assert page.ask("document.getElementById('clock').textContent").endswith("/ 83")


def test_it_plays_to_the_end_and_stops(page):
    page.ask("document.getElementById('speed').value = '4'; go(60)")
    page.press(" ", SPACE)
    assert page.ask("player.playing") is True
    # Playing again where it has ended begins anew, so the end is where it must stop.
    page.wait("!player.playing && shown.frame === 83")
    assert page.ask("document.getElementById('play').textContent") == "▶"
    page.click("#play")
    page.wait("player.playing && shown.frame < 83")
    page.press(" ", SPACE)
    assert page.ask("player.playing") is False


def test_another_episode_by_key_and_by_hand(page, view):
    order = [[one.dataset, one.episode] for one in view.episodes]
    page.press("ArrowDown", ARROW_DOWN)
    page.wait(f"shown.episode.dataset === {order[1][0]} && shown.episode.episode === {order[1][1]}")
    page.press("ArrowUp", ARROW_UP)
    page.wait(f"shown.episode.dataset === 1 && shown.episode.episode === {SHAKY}")
    page.click("#datasets button:nth-child(2)")
    assert page.ask("document.querySelectorAll('#episodes li').length") == 7
    page.click("#episodes li:last-child button")
    page.wait("shown.episode.dataset === 0")
    frames = view.find(*current(page)[:2]).frames
    assert page.ask("Number(document.getElementById('scrub').max)") == frames - 1
    assert numbers(page, "action") == pytest.approx(
        [values[0] for values in view.episode(view.find(*current(page)[:2]))["columns"]["action"]], rel=1e-4
    )


def test_an_episode_that_is_opened_while_another_plays_begins_at_its_beginning(page):
    page.ask("document.getElementById('speed').value = '0.25'; go(60); play(true)")
    page.wait("shown.frame > 60")
    page.click("#episodes li:last-child button")
    page.wait("shown.entry !== shown.index.episodes[0] && shown.episode.episode === shown.entry.episode")
    page.wait("player.playing && player.from === 0 && shown.frame > 0")
    assert page.ask("shown.frame") < 30


def test_what_could_not_be_read_is_asked_for_again(browser, url):
    browser.open(url)
    browser.wait(READY)
    browser.ask("window.whole = window.fetch; window.fetch = async () => { throw new Error('away'); };")
    browser.click("#episodes li:last-child button")
    browser.wait("!document.getElementById('trouble').hidden")
    browser.ask("window.fetch = window.whole;")
    browser.click("#episodes li:last-child button")
    browser.wait("document.getElementById('trouble').hidden && shown.episode.episode === shown.entry.episode")
    assert current(browser)[:2] != [1, SHAKY]


def test_the_noise_level_decides_whether_the_frame_teaches(page):
    """Episode 3 teaches below 0.1 and above 0.2 + 0.005 * 20 at frame 20."""
    page.ask("go(20)")
    for sigma, teaches in ((0.05, True), (0.1, False), (0.25, False), (0.3, False), (0.31, True), (1.0, True)):
        page.ask(f"document.getElementById('sigma').value = {sigma};"
                 "document.getElementById('sigma').dispatchEvent(new Event('input'))")  # fmt: skip
        said = page.ask("document.getElementById('verdict').textContent")
        assert said.startswith(f"At σ = {sigma:.2f} this frame {'teaches.' if teaches else 'does not teach'}"), sigma
        assert page.ask("document.getElementById('sigma-value').textContent") == f"{sigma:.2f}"
    page.ask("go(81)")
    assert page.ask("document.getElementById('verdict').textContent").startswith("No sample begins this close")


@pytest.mark.parametrize(("dataset", "episode"), [(0, 1), (1, SHAKY), (1, 6)])
def test_the_chunk_is_training_s(browser, url, view, dataset, episode):
    browser.open(f"{url}#{dataset}-{episode}-0")
    browser.wait(f"{READY} && shown.episode.dataset === {dataset} && shown.episode.episode === {episode}")
    chunks = view.chunks[dataset]
    for frame in (0, 1, 17, view.find(dataset, episode).frames - 5):
        row = int(np.flatnonzero((chunks.episode == episode) & (chunks.frame == frame))[0])
        x_0, is_pad = chunks.gather(torch.tensor([row]))
        for dimension in (0, 2, 5):
            at = f"Chunk.at(shown.index, shown.episode, {frame}, {dimension})"
            assert browser.ask(f"{at}.clean") == pytest.approx(x_0[0, :, dimension].tolist(), abs=2e-5)
            assert browser.ask(f"{at}.padded") == is_pad[0].tolist()


def test_the_noise_is_standard_normal_and_keeps_its_draw(browser, url):
    browser.open(url)
    browser.wait(READY)
    drawn = np.array(browser.ask("Chunk.gaussian(20000, 5)"))
    assert abs(drawn.mean()) < 4 / np.sqrt(20000)
    assert abs(drawn.var() - 1) < 4 * np.sqrt(2 / 20000)
    assert browser.ask("Chunk.gaussian(8, 5)") == drawn[:8].tolist()
    assert browser.ask("Chunk.noised([2, -1], 0.6, [1, 1])") == pytest.approx([0.8 * 2 + 0.6, -0.8 + 0.6])


def test_the_picture_is_the_frame_s(browser, url):
    browser.open(f"{url}#1-{SHAKY}-10")
    browser.wait(f"{READY} && shown.frame === 10")
    assert pixel(browser) == pytest.approx(shade(SHAKY, 10), abs=4)
    browser.press("ArrowRight", ARROW_RIGHT, shift=True)
    assert pixel(browser) == pytest.approx(shade(SHAKY, 50), abs=4)


def test_a_folder_shows_the_nearest_picture_that_it_holds(browser, folder, view):
    browser.open(f"{folder}#1-{SHAKY}-10")
    browser.wait(f"{READY} && shown.frame === 10")
    held = browser.ask("shown.episode.pictures")
    assert len(held) == 5
    browser.wait("document.querySelector('img').naturalWidth > 0")
    assert browser.ask("Number(document.querySelector('img').dataset.has)") == min(held, key=lambda one: abs(one - 10))


def test_rollouts_are_marked_and_their_arm_is_drawn(page):
    page.click("#datasets button:nth-child(4)")
    page.click("#episodes li button")
    page.wait("shown.episode.dataset === 2")
    assert page.ask("document.getElementById('task').textContent").startswith("rollouts · ")
    assert page.ask("document.getElementById('why').textContent") == "failed"
    told = page.ask("[...document.querySelectorAll('#episodes li')].map(one => one.textContent)")
    assert told == ["episode 11.8 sfailed", "episode 01.6 sreached its goal"]
    assert page.ask("document.getElementById('verdict').textContent").startswith("A rollout is not trained on")
    assert page.ask("document.getElementById('pictures').textContent").startswith(
        "observation.images.front: this dataset lacks it"
    )
    before = page.ask("document.getElementById('arm').toDataURL()")
    page.ask("go(15)")
    assert page.ask("document.getElementById('arm').toDataURL()") != before


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("width", [1280, 390])
def test_it_fits_its_width_in_light_and_dark(program, url, tmp_path, width, dark):
    browser = Browser(program, tmp_path, width, 844, dark=dark)
    try:
        browser.open(url)
        browser.wait(READY)
        assert browser.ask("document.documentElement.scrollWidth") <= width
        ground = browser.ask("getComputedStyle(document.body).backgroundColor")
        assert (max(int(one) for one in ground[4:-1].split(",")) < 60) is dark
        # Every curve is drawn: each canvas that is laid out holds ink.
        inked = browser.ask(
            "[...document.querySelectorAll('.joint canvas, #band, #own-chunk, #other-chunk, #arm')].map(one => "
            "one.getContext('2d').getImageData(0, 0, one.width, one.height).data.some(value => value))"
        )
        assert len(inked) == 10
        assert all(inked)
        assert browser.troubles == []
    finally:
        browser.close()
