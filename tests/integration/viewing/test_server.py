# SPDX-License-Identifier: Apache-2.0
"""The server answers what the page asks for, to this machine alone, and nothing else."""

import http.client
import json
import socket
import threading

import pytest

from lerobot_ambient.integration.viewing.server import LOOPBACK, ViewServer

from .conftest import EVIL, shade
from .test_pictures import colour_of


@pytest.fixture(scope="module")
def server(view):
    made = ViewServer(view)
    thread = threading.Thread(target=made.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    yield made
    made.shutdown()
    made.server_close()
    thread.join()


@pytest.fixture
def get(server):
    def ask(path, **headers):
        connection = http.client.HTTPConnection(LOOPBACK, server.server_address[1], timeout=20)
        connection.request("GET", path, headers=headers)
        answer = connection.getresponse()
        content = answer.read()
        connection.close()
        return answer.status, dict(answer.getheaders()), content

    return ask


def test_it_listens_on_loopback_alone(server):
    assert server.socket.getsockname()[0] == "127.0.0.1"
    with socket.socket() as taken:
        taken.bind((LOOPBACK, 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(ValueError, match=f"--port={port}: .*in use; leave it out to take a free one"):
            ViewServer(server.view, port)


def test_the_page_and_its_data(get, view):
    status, headers, page = get("/")
    assert status == 200
    assert b'data-kind="live"' in page
    assert EVIL.encode() not in page
    assert "default-src 'none'; script-src 'self'" in headers["Content-Security-Policy"]
    assert headers["Cross-Origin-Resource-Policy"] == "same-origin"
    status, headers, content = get("/data/index.json")
    assert (status, headers["Content-Type"]) == (200, "application/json")
    assert json.loads(content) == json.loads(json.dumps(view.index()))
    assert json.loads(get("/data/episode-1-4.json")[2]) == json.loads(json.dumps(view.episode(view.find(1, 4))))


def test_a_frame_is_a_jpeg_of_that_frame(get):
    status, headers, content = get("/frames/1-2-55-0.jpg")
    assert (status, headers["Content-Type"]) == (200, "image/jpeg")
    assert colour_of(content) == pytest.approx(shade(2, 55), abs=3)


@pytest.mark.parametrize(
    "path",
    [
        *(
            "/../../etc/passwd",
            "/%2e%2e/%2e%2e/etc/passwd",
            "//etc/passwd",
            "/view.js/../shown.py",
            "/shown.py",
            "/data/",
        ),
        *("/data/../view.js", "/data/episode-1-99.json", "/data/episode-9-0.json", "/data/episode-1-1.js"),
        *("/frames/0-0-40-0.jpg", "/frames/0-0-0-1.jpg", "/frames/2-0-0-0.jpg", "/frames/0-0-0-0.png", "/view.html"),
        "/frames/0-0-00000000000000000000000000000001-0.jpg",
    ],
)
def test_nothing_else_is_there(get, path):
    status, _, content = get(path)
    assert status == 404
    assert b"root:" not in content
    assert b"SPDX" not in content


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:80", "127.0.0.1.evil.example", "localhost@evil.example", ""]
)
def test_a_name_that_was_pointed_at_this_machine_is_refused(get, host):
    status, _, content = get("/data/index.json", Host=host)
    assert status == 403
    assert b"me/target" not in content


@pytest.mark.parametrize("host", ["localhost:9999", "127.0.0.1", "LOCALHOST", "[::1]:8000"])
def test_this_machine_s_own_names_are_not(get, host):
    assert get("/data/index.json", Host=host)[0] == 200


@pytest.mark.parametrize(
    ("site", "status"), [("cross-site", 403), ("same-site", 403), ("same-origin", 200), ("none", 200)]
)
def test_pages_elsewhere_may_not_read_it(get, site, status):
    assert get("/data/episode-0-0.json", **{"Sec-Fetch-Site": site})[0] == status


def test_it_can_be_read_and_nothing_more(server):
    connection = http.client.HTTPConnection(LOOPBACK, server.server_address[1], timeout=20)
    connection.request("POST", "/", body=b"x")
    assert connection.getresponse().status == 501
    connection.close()
