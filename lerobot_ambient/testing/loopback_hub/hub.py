# SPDX-License-Identifier: Apache-2.0
"""A small Hub on the loopback interface, for tests and for rehearsing a push without a network.

It speaks what huggingface_hub asks of an endpoint when it creates, commits, lists, tags and downloads (with large files
by Git LFS; the xet protocol is a service of its own, so clients set HF_HUB_DISABLE_XET=1). Everything is in memory and
gone when it stops. Files are also given by ranges of bytes, after a delay or from another address where that is asked
for. On demand it misbehaves: error codes, dropped connections, downloads that break off, ranges that come back short.
"""

from __future__ import annotations

import json
import re
import sys
import threading
import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from lerobot_ambient.testing.loopback_hub.store import (
    Repo,
    apply_operations,
    git_oid,
    is_large,
    lfs_oid,
    metadata_errors,
    tree_entries,
)

DROP = 0
"""The status of a fault that closes the connection instead of answering."""
SHORT = 206
"""The status of a fault that answers with the first half of a range, as if no more had been asked for."""
WHOLE = 200
"""The status of a fault that answers a range with the whole file, as servers do that know no ranges."""

_REPO = r"(?P<id>[^/]+/[^/]+)"
_API = rf"/api/(?P<kind>model|dataset)s/{_REPO}"
_WRITES = ("POST", "PUT", "DELETE")
_ERROR_CODES = {401: "Unauthorized", 403: "Forbidden", 404: "Not Found", 429: "Too Many Requests"}


@dataclass
class Fault:
    """A misbehaviour.

    Args:
        pattern: regular expression searched in "METHOD /path".
        status: what is answered, or DROP.
        times: how often; it is used up one request at a time.
        after: with DROP, how many bytes of the answer's body are sent before.
        headers: of the answer, e.g. {"Retry-After": "2"}.
    """

    pattern: str
    status: int
    times: int = 1
    after: int | None = None
    headers: dict[str, str] = field(default_factory=dict)


class LoopbackHub:
    """The server. Use it as a context manager, or `start` and `stop`.

    Args:
        port: of 127.0.0.1; 0 takes a free one.
        tokens: token to what it may do, "write" or "read"; writing needs a token that may write.

    Attributes:
        repos: (kind, repo_id) to repository.
        large: large files by their hash.
        faults: misbehaviours still to come.
        requests: "METHOD /path" of everything that was asked.
        sent: bytes of files that went out.
        delay: seconds before every answer, as a network that is far away has them.
        elsewhere: answer downloads with a redirect to an address that needs no token, as the real Hub does.
        addresses: those given out, by what they end in; one that is taken away has expired.
    """

    def __init__(self, port: int = 0, tokens: dict[str, str] | None = None) -> None:
        self.tokens = {"hf_loopback": "write"} if tokens is None else tokens
        self.repos: dict[tuple[str, str], Repo] = {}
        self.large: dict[str, bytes] = {}
        self.faults: list[Fault] = []
        self.requests: list[str] = []
        self.sent = 0
        self.delay = 0.0
        self.elsewhere = False
        self.addresses: dict[str, tuple[str, str, str, str]] = {}
        self.lock = threading.RLock()
        self._server = _Server(("127.0.0.1", port), _handler_of(self))
        self._server.daemon_threads = True

    @property
    def url(self) -> str:
        """What HF_ENDPOINT is set to."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def start(self) -> None:
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def __enter__(self) -> LoopbackHub:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def fail(
        self,
        pattern: str,
        status: int,
        times: int = 1,
        after: int | None = None,
        headers: dict[str, str] | None = None,
    ) -> None:
        """Misbehave `times` times at requests whose "METHOD /path" the pattern is found in."""
        self.faults.append(Fault(pattern, status, times, after, headers or {}))

    def files(self, repo_id: str, kind: str = "model", revision: str = "main") -> dict[str, bytes]:
        """What a repository holds; nothing where it, or the revision, does not exist."""
        repo = self.repos.get((kind, repo_id))
        commit = None if repo is None else repo.resolve(revision)
        return {} if repo is None or commit is None else dict(repo.commits[commit])

    def due(self, request: str) -> Fault | None:
        """The misbehaviour that this request meets, used up."""
        with self.lock:
            for fault in self.faults:
                if fault.times > 0 and re.search(fault.pattern, request):
                    fault.times -= 1
                    return fault
        return None


class _Server(ThreadingHTTPServer):
    def handle_error(self, request: Any, client_address: Any) -> None:
        """Nothing where a client went away, as one does that has read enough of an answer."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


class _RefusalError(Exception):
    """An answer other than 200."""

    def __init__(self, status: int, message: str, code: str | None = None) -> None:
        self.status, self.message, self.code = status, message, code


def _handler_of(hub: LoopbackHub) -> type[BaseHTTPRequestHandler]:
    class Handler(_Handler):
        pass

    Handler.hub = hub
    return Handler


class _Handler(BaseHTTPRequestHandler):
    hub: LoopbackHub
    protocol_version = "HTTP/1.1"
    # A body follows its head at once, as from a real server; the kernel would hold its end back for 40 ms.
    disable_nagle_algorithm = True

    def log_message(self, *_: Any) -> None:
        """Nothing: `requests` is the log."""

    def _serve(self) -> None:
        path = urlsplit(self.path)
        self.query = parse_qs(path.query)
        request = f"{self.command} {unquote(path.path)}"
        self.hub.requests.append(request)
        if self.hub.delay:
            time.sleep(self.hub.delay)
        if self.headers.get("Transfer-Encoding"):
            self.body = b"".join(iter(self._chunk, b""))
        else:
            self.body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.fault = self.hub.due(request)
        if self.fault is not None and self.fault.status == DROP and self.fault.after is None:
            self.close_connection = True
            return
        try:
            if self.fault is not None and self.fault.status not in (DROP, SHORT, WHOLE):
                status = self.fault.status
                raise _RefusalError(status, _ERROR_CODES.get(status, "Internal Error"))
            self._authorise(path.path)
            # Nothing that is read changes: a commit is a listing of its own.
            with nullcontext() if self.command in ("GET", "HEAD") else self.hub.lock:
                self._route(path.path)
        except _RefusalError as refusal:
            more = {"X-Error-Message": refusal.message} | ({"X-Error-Code": refusal.code} if refusal.code else {})
            more |= {} if self.fault is None else self.fault.headers
            self._send(refusal.status, json.dumps({"error": refusal.message}).encode(), more)

    do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = _serve  # noqa: N815

    def _chunk(self) -> bytes:
        size = int(self.rfile.readline().split(b";")[0], 16)
        data = self.rfile.read(size)
        self.rfile.readline()
        return data

    def _authorise(self, path: str) -> None:
        # Large files are put to a signed address, and a card is checked for anybody.
        if self.command not in _WRITES or path.startswith(("/lfs/", "/api/validate-yaml")) or "paths-info" in path:
            return
        token = (self.headers.get("Authorization") or "").removeprefix("Bearer ")
        if token not in self.hub.tokens:
            raise _RefusalError(401, "Invalid username or password.")
        if self.hub.tokens[token] != "write":
            raise _RefusalError(403, "You don't have the rights to write here with this token")

    def _route(self, path: str) -> None:
        for command, pattern, method in _ROUTES:
            found = re.fullmatch(pattern, path)
            if found and self.command in command:
                values = {name: unquote(value) if value else "" for name, value in found.groupdict().items()}
                method(self, **values)
                return
        raise _RefusalError(404, f"no endpoint {self.command} {path}")

    def _send(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in ({"Content-Type": "application/json"} | (headers or {})).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command == "HEAD":
            return
        if self.fault is not None and self.fault.after is not None:
            body = body[: self.fault.after]
            self.close_connection = True
        if status in (200, 206):
            with self.hub.lock:
                self.hub.sent += len(body)
        self.wfile.write(body)

    def _json(self, value: Any, status: int = 200) -> None:
        self._send(status, json.dumps(value).encode())

    def _repo(self, kind: str, repo_id: str) -> Repo:
        repo = self.hub.repos.get((kind or "model", repo_id))
        if repo is None:
            raise _RefusalError(404, "Repository not found", "RepoNotFound")
        return repo

    def _commit(self, kind: str, repo_id: str, revision: str) -> tuple[str, dict[str, bytes]]:
        repo = self._repo(kind, repo_id)
        name = repo.resolve(revision or "main")
        if name is None:
            raise _RefusalError(404, f"Invalid rev id: {revision}", "RevisionNotFound")
        return name, repo.commits[name]

    def whoami(self) -> None:
        self._json({"type": "user", "name": "me", "auth": {"accessToken": {"role": "write"}}, "orgs": []})

    def create(self) -> None:
        asked = json.loads(self.body)
        kind = asked.get("type") or "model"
        repo_id = f"{asked.get('organization') or 'me'}/{asked['name']}"
        url = f"{self.hub.url}/{'datasets/' if kind == 'dataset' else ''}{repo_id}"
        if (kind, repo_id) in self.hub.repos:
            self._json({"error": "You already created this repo", "url": url}, 409)
            return
        self.hub.repos[kind, repo_id] = Repo()
        self._json({"url": url, "name": repo_id})

    def validate(self) -> None:
        errors = metadata_errors(json.loads(self.body)["content"])
        self._json({"errors": [{"message": e} for e in errors], "warnings": []}, 400 if errors else 200)

    def preupload(self, kind: str, id: str, revision: str) -> None:
        _, files = self._commit(kind, id, revision)
        answer = []
        for file in json.loads(self.body)["files"]:
            there, large = files.get(file["path"]), is_large(file["path"])
            oid = None if there is None else lfs_oid(there) if large else git_oid(there)
            mode = "lfs" if large else "regular"
            answer.append({"path": file["path"], "uploadMode": mode, "shouldIgnore": False, "oid": oid})
        self._json({"files": answer})

    def lfs_batch(self, kind: str, id: str) -> None:
        self._repo(kind, id)
        objects = []
        for item in json.loads(self.body)["objects"]:
            href = f"{self.hub.url}/lfs/{item['oid']}"
            actions = {} if item["oid"] in self.hub.large else {"upload": {"href": href}}
            objects.append({**item, "authenticated": True, **({"actions": actions} if actions else {})})
        self._json({"transfer": "basic", "objects": objects})

    def lfs_put(self, oid: str) -> None:
        if lfs_oid(self.body) != oid:
            raise _RefusalError(400, f"the content does not hash to {oid}")
        self.hub.large[oid] = self.body
        self._json({})

    def commit(self, kind: str, id: str, revision: str) -> None:
        repo = self._repo(kind, id)
        if revision not in repo.branches:
            raise _RefusalError(404, f"Invalid rev id: {revision}", "RevisionNotFound")
        operations = [json.loads(line) for line in self.body.splitlines() if line]
        try:
            files = apply_operations(repo.commits[repo.branches[revision]], operations, self.hub.large)
        except ValueError as error:
            raise _RefusalError(400, str(error)) from error
        name = repo.commit(revision, files)
        prefix = "datasets/" if kind == "dataset" else ""
        url = f"{self.hub.url}/{prefix}{id}/commit/{name}"
        self._json({"success": True, "commitOid": name, "commitUrl": url, "pullRequestUrl": None})

    def info(self, kind: str, id: str, revision: str = "") -> None:
        name, files = self._commit(kind, id, revision)
        siblings = [{"rfilename": path} for path in sorted(files)]
        self._json({"id": id, "sha": name, "private": False, "tags": [], "siblings": siblings, "downloads": 0})

    def tree(self, kind: str, id: str, revision: str, below: str) -> None:
        _, files = self._commit(kind, id, revision)
        entries = tree_entries(files, below, recursive=self.query.get("recursive", ["false"])[0].lower() == "true")
        if below and not entries:
            raise _RefusalError(404, f"{below} does not exist on {revision}", "EntryNotFound")
        self._json(entries)

    def paths_info(self, kind: str, id: str, revision: str) -> None:
        _, files = self._commit(kind, id, revision)
        asked = parse_qs(self.body.decode()).get("paths", [])
        self._json([entry for entry in tree_entries(files) if entry["path"] in asked])

    def refs(self, kind: str, id: str) -> None:
        repo = self._repo(kind, id)

        def listed(names: dict[str, str], where: str) -> list[dict[str, str]]:
            return [{"name": n, "ref": f"refs/{where}/{n}", "targetCommit": c} for n, c in names.items()]

        tags, branches = listed(repo.tags, "tags"), listed(repo.branches, "heads")
        self._json({"branches": branches, "tags": tags, "converts": []})

    def tag(self, kind: str, id: str, revision: str) -> None:
        repo, tag = self._repo(kind, id), json.loads(self.body)["tag"]
        name, _ = self._commit(kind, id, revision)
        if tag in repo.tags:
            raise _RefusalError(409, f"Tag {tag} already exists")
        repo.tags[tag] = name
        self._json({})

    def delete_tag(self, kind: str, id: str, revision: str) -> None:
        if self._repo(kind, id).tags.pop(revision, None) is None:
            raise _RefusalError(404, f"no tag {revision}", "RevisionNotFound")
        self._json({})

    def resolve(self, kind: str, id: str, revision: str, file: str) -> None:
        name, files = self._commit(kind, id, revision)
        if file not in files:
            raise _RefusalError(404, "Entry not found", "EntryNotFound")
        data = files[file]
        oid = self._repo(kind, id).oid(file, data)
        headers = {"Content-Type": "application/octet-stream", "ETag": f'"{oid}"', "X-Repo-Commit": name}
        if self.hub.elsewhere and is_large(file):
            key = f"{len(self.hub.addresses)}-{oid[:8]}"
            self.hub.addresses[key] = (kind, id, name, file)
            port = self.hub.url.rpartition(":")[2]
            # Another host, as the Hub's storage is one.
            headers |= {"Location": f"http://localhost:{port}/elsewhere/{key}", "X-Linked-ETag": f'"{oid}"'}
            headers["X-Linked-Size"] = str(len(data))
            self._send(302, b"", headers)
            return
        self._file(data, headers)

    def elsewhere(self, key: str) -> None:
        if key not in self.hub.addresses:
            raise _RefusalError(403, "Request has expired")
        if self.headers.get("Authorization"):
            raise _RefusalError(400, "a signed address and a token were given; one is enough")
        kind, id, revision, file = self.hub.addresses[key]
        _, files = self._commit(kind, id, revision)
        self._file(files[file], {"Content-Type": "application/octet-stream", "ETag": f'"{key}"'})

    def _file(self, data: bytes, headers: dict[str, str]) -> None:
        """The file, or the range of it that was asked for."""
        wanted = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range") or "")
        kind = None if self.fault is None else self.fault.status
        if wanted is None or kind == WHOLE:
            self._send(200, data, headers)
            return
        start, stop = int(wanted[1]), min(int(wanted[2] or len(data) - 1) + 1, len(data))
        if start >= stop:
            self._send(416, b"", headers | {"Content-Range": f"bytes */{len(data)}"})
            return
        if kind == SHORT:
            stop = start + (stop - start) // 2
        headers = headers | {"Content-Range": f"bytes {start}-{stop - 1}/{len(data)}"}
        self._send(206, data[start:stop], headers)


_ROUTES: tuple[tuple[str, str, Callable[..., None]], ...] = (
    ("GET", r"/api/whoami-v2", _Handler.whoami),
    ("POST", r"/api/repos/create", _Handler.create),
    ("POST", r"/api/validate-yaml", _Handler.validate),
    ("POST", rf"{_API}/preupload/(?P<revision>[^/]+)", _Handler.preupload),
    ("POST", rf"/((?P<kind>dataset)s/)?{_REPO}\.git/info/lfs/objects/batch", _Handler.lfs_batch),
    ("PUT", r"/lfs/(?P<oid>[0-9a-f]{64})", _Handler.lfs_put),
    ("POST", rf"{_API}/commit/(?P<revision>[^/]+)", _Handler.commit),
    ("GET", rf"{_API}(/revision/(?P<revision>[^/]+))?", _Handler.info),
    ("GET", rf"{_API}/tree/(?P<revision>[^/]+)(/(?P<below>.*))?", _Handler.tree),
    ("POST", rf"{_API}/paths-info/(?P<revision>[^/]+)", _Handler.paths_info),
    ("GET", rf"{_API}/refs", _Handler.refs),
    ("POST", rf"{_API}/tag/(?P<revision>[^/]+)", _Handler.tag),
    ("DELETE", rf"{_API}/tag/(?P<revision>[^/]+)", _Handler.delete_tag),
    ("GET HEAD", r"/elsewhere/(?P<key>.+)", _Handler.elsewhere),
    ("GET HEAD", rf"/((?P<kind>dataset)s/)?{_REPO}/resolve/(?P<revision>[^/]+)/(?P<file>.+)", _Handler.resolve),
)
