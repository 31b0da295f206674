# SPDX-License-Identifier: Apache-2.0
"""Ranges of a file by way of redirects: who is told the token, what an expired address costs, what errors say."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import httpx
import pytest
from huggingface_hub import set_client_factory
from huggingface_hub.utils import _http

from lerobot_ambient.data.remote import pinned_repo
from lerobot_ambient.data.remote.pinned_repo import PinnedRepo, RemoteFile, RemoteReadError

DATA = bytes(range(256)) * 4
OID = "0f" * 32


class Broken(httpx.SyncByteStream):
    """A body over which the connection is lost."""

    def __iter__(self) -> Iterator[bytes]:
        yield b"half of a "
        raise httpx.ReadError("connection lost")


@pytest.fixture
def served(monkeypatch):
    """Makes a function of a request the whole network; gives what was asked, and the waits that were not slept."""
    asked, waits = [], []
    monkeypatch.setenv("HF_TOKEN", "hf_reader")
    for module in (pinned_repo, _http):
        monkeypatch.setattr(module, "time", SimpleNamespace(sleep=waits.append))

    def serve(answer):
        def noted(request):
            asked.append((request.url.host, request.url.path, "authorization" in request.headers))
            return answer(request)

        set_client_factory(lambda: httpx.Client(transport=httpx.MockTransport(noted), follow_redirects=True))
        return asked, waits

    yield serve
    set_client_factory(_http.default_client_factory)


@pytest.fixture
def repo():
    return PinnedRepo("me/filmed", "a" * 40, {"videos/a.mp4": RemoteFile(len(DATA), OID)})


def part(request, **headers):
    start, stop = (int(end) for end in request.headers["Range"].removeprefix("bytes=").split("-"))
    headers |= {"Content-Range": f"bytes {start}-{stop}/{len(DATA)}"}
    return httpx.Response(206, content=DATA[start : stop + 1], headers=headers)


def test_a_renamed_private_repository_is_asked_with_the_token_every_time(served, repo):
    def answer(request):
        if "authorization" not in request.headers:
            return httpx.Response(401)
        if "/me/filmed/" in request.url.path:
            return httpx.Response(307, headers={"Location": request.url.path.replace("filmed", "renamed")})
        return part(request, ETag=f'"{OID}"')

    asked, waits = served(answer)
    for start in (0, 100, 1000):
        assert repo.read("videos/a.mp4", start, start + 24) == DATA[start : start + 24]
    assert len(asked) == 6 and not waits


def test_the_token_stays_with_the_hub_and_storage_is_compared_by_the_hubs_hash(served, repo):
    said = [OID]

    def answer(request):
        if request.url.host == "storage.test":
            return part(request, ETag='"of storage"')
        if "/me/filmed/" in request.url.path:
            return httpx.Response(307, headers={"Location": request.url.path.replace("filmed", "renamed")})
        headers = {"Location": "https://storage.test/x?signature=1", "X-Linked-ETag": f'"{said[0]}"'}
        return httpx.Response(302, headers=headers)

    asked, _ = served(answer)
    assert repo.read("videos/a.mp4", 3, 9) == DATA[3:9]
    assert repo.read("videos/a.mp4", 9, 12) == DATA[9:12]
    assert [host for host, _, _ in asked] == ["huggingface.co"] * 2 + ["storage.test"] * 2
    assert [told for host, _, told in asked] == [True, True, False, False]
    said[0] = "1f" * 32
    with pytest.raises(RemoteReadError, match=r"was listed with the hash 0f.* and has 1f.* now"):
        PinnedRepo(repo.repo_id, repo.commit, repo.files).read("videos/a.mp4", 0, 9)


def test_threads_that_meet_an_expired_address_together_get_a_new_one_at_once(served, repo):
    valid, met = [1], threading.Barrier(4)

    def answer(request):
        if request.url.host != "storage.test":
            return httpx.Response(302, headers={"Location": f"https://storage.test/{valid[0]}"})
        if request.url.path == f"/{valid[0]}":
            return part(request)
        met.wait(timeout=10)
        return httpx.Response(403)

    _, waits = served(answer)
    repo.read("videos/a.mp4", 0, 10)
    valid[0] = 2
    with ThreadPoolExecutor(4) as pool:
        read = list(pool.map(lambda start: repo.read("videos/a.mp4", start, start + 5), range(4)))
    assert read == [DATA[start : start + 5] for start in range(4)]
    assert not waits


def test_an_error_whose_text_is_lost_is_told_by_its_status(served, repo):
    served(lambda request: httpx.Response(404, stream=Broken(), headers={"Content-Length": "100"}))
    with pytest.raises(RemoteReadError, match=r"videos/a\.mp4 cannot be read: the Hub answered 404"):
        repo.read("videos/a.mp4", 0, 10)


def test_redirects_without_end_are_named(served, repo):
    served(lambda request: httpx.Response(302, headers={"Location": str(request.url)}))
    with pytest.raises(RemoteReadError, match="cannot be read: Exceeded maximum allowed redirects"):
        repo.read("videos/a.mp4", 0, 10)


@pytest.mark.parametrize("said", ["bytes 5-14/1024", "bytes 0-9/2048", "nonsense"])
def test_another_range_than_was_asked_for_is_refused(served, repo, said):
    served(lambda request: httpx.Response(206, content=DATA[:10], headers={"Content-Range": said}))
    with pytest.raises(RemoteReadError, match=r"the answer is the range|and has 2048 now"):
        repo.read("videos/a.mp4", 0, 10)
