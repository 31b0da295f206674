# SPDX-License-Identifier: Apache-2.0
"""A dataset on the Hub at one commit: which files it has there, and ranges of their bytes.

Every request names the commit, so a branch that moves changes nothing. What comes back is compared with the listing:
the size of the file, and its hash where the Hub says it.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import httpx
from huggingface_hub import HfApi, constants, hf_hub_url
from huggingface_hub.errors import EntryNotFoundError, OfflineModeIsEnabled, RevisionNotFoundError
from huggingface_hub.hf_api import RepoFile
from huggingface_hub.utils import build_hf_headers, hf_raise_for_status, http_stream_backoff

from lerobot_ambient.data.files.hub_errors import NOT_ON_THE_HUB, reason_of
from lerobot_ambient.data.files.replace_file import replace_file

WAITS = (1.0, 2.0, 4.0)
"""Seconds before a range that came short is asked for again. What huggingface_hub repeats by itself (429, 5xx, lost
connections; up to five times, as long as Retry-After says) comes on top."""
_EXPIRED = (401, 403, 404, 410)
"""What a signed address answers once it is no longer valid."""
_LAPSED = "is asked for at an address that has expired"
_CHANGED = "The dataset was changed under its commit; start a new run, which lists it anew"


class RemoteReadError(OSError, ValueError):
    """Bytes of a file on the Hub that cannot be had; the message names dataset, file, reason and fix."""


@dataclass(frozen=True)
class RemoteFile:
    """A file of a listing: bytes, and the hash by which the Hub knows it."""

    size: int
    oid: str


@dataclass
class PinnedRepo:
    """Files of a dataset on the Hub at a commit; picklable.

    Args:
        repo_id: of the dataset.
        commit: full name of the commit.
        files: by path.
    """

    repo_id: str
    commit: str
    files: Mapping[str, RemoteFile]
    _signed: dict[str, str] = field(default_factory=dict, init=False, repr=False)

    @classmethod
    def open(cls, repo_id: str, commit: str, below: str, kept: Path) -> PinnedRepo:
        """The files of a folder, listed once: a commit never changes.

        Args:
            repo_id, commit: of the dataset.
            below: folder in the repository.
            kept: file that holds the listing afterwards, and is read instead of the Hub where it is there.

        Raises:
            RemoteReadError: the Hub cannot be asked, or has no such commit.
        """
        try:
            listed = json.loads(kept.read_text(encoding="utf-8"))
        except (FileNotFoundError, ValueError):
            listed = _listing(repo_id, commit, below)
            kept.parent.mkdir(parents=True, exist_ok=True)
            replace_file(kept, json.dumps(listed).encode())
        return cls(repo_id, commit, {path: RemoteFile(size, oid) for path, (size, oid) in listed.items()})

    def read(self, path: str, start: int, stop: int) -> bytes:
        """The bytes [start, stop) of a file.

        Raises:
            RemoteReadError: they cannot be had, or the file is not the one that was listed.
        """
        reason, waits = None, iter(WAITS)
        while True:
            try:
                body, reason = self._ask(path, start, stop)
            except OfflineModeIsEnabled as error:
                raise self._error(
                    f"{path} is not wholly in the block cache, and HF_HUB_OFFLINE is set. Unset it, or read the same "
                    "frames once while the Hub can be reached"
                ) from error
            except RevisionNotFoundError as error:
                raise self._error(f"{path}: the Hub no longer has this commit. {_CHANGED}") from error
            except (*NOT_ON_THE_HUB, httpx.RequestError) as error:
                raise self._error(f"{path} cannot be read{reason_of(error) or f': {error}'}") from error
            if reason is None:
                return body
            if reason == _LAPSED:
                # Once for each address that was given out; the next one comes from the Hub.
                continue
            wait = next(waits, None)
            if wait is None:
                raise self._error(f"{path} {reason}, {1 + len(WAITS)} times; nothing is lost, repeat the command later")
            time.sleep(wait)

    def _ask(self, path: str, start: int, stop: int) -> tuple[bytes, str | None]:
        """The bytes, and why they have to be asked for again, if they have."""
        signed = self._signed.get(path)
        # Where files are stored, the address itself says who may read; the token is for the Hub alone.
        headers = {} if signed else build_hf_headers()
        headers |= {"Range": f"bytes={start}-{stop - 1}", "Accept-Encoding": "identity"}
        address = signed or hf_hub_url(self.repo_id, path, repo_type="dataset", revision=self.commit)
        timeout = constants.HF_HUB_DOWNLOAD_TIMEOUT
        try:
            with http_stream_backoff("GET", address, headers=headers, timeout=timeout) as response:
                if signed and response.status_code in _EXPIRED:
                    # Another thread may have met the same, and have a new one already.
                    if self._signed.get(path) == signed:
                        self._signed.pop(path, None)
                    return b"", _LAPSED
                self._compare(path, response, (start, stop), is_signed=bool(signed))
                try:
                    body = response.read()
                except httpx.TransportError as error:
                    return b"", f"came in part only ({type(error).__name__})"
        except RuntimeError as error:
            # huggingface_hub closes the client that all threads share when one of them cannot connect.
            if "closed" not in str(error):
                raise
            return b"", "lost its connection"
        # A renamed repository leads to another address of the Hub, which wants the token every time.
        if response.history and response.url.netloc != response.history[0].url.netloc:
            self._signed[path] = str(response.url)
        short = len(body) != stop - start
        return body, f"came in part only ({len(body)} of {stop - start} bytes)" if short else None

    def _compare(self, path: str, response: httpx.Response, wanted: tuple[int, int], *, is_signed: bool) -> None:
        """See that the answer is the wanted range of the file that was listed, before its bytes are read."""
        listed = self.files[path]
        if response.status_code == 416:
            raise self._error(f"{path} was listed with {listed.size} bytes and has fewer now. {_CHANGED}")
        if response.status_code >= 400:
            # Without its text where the connection is lost over it: the status says enough.
            with suppress(httpx.TransportError):
                response.read()
        hf_raise_for_status(response)
        if response.status_code == 206:
            said = response.headers.get("Content-Range", "")
            found = re.fullmatch(r"bytes (\d+)-\d+/(\d+)", said)
            if found is None or int(found[1]) != wanted[0]:
                raise self._error(f"{path}: of byte {wanted[0]} on the answer is the range '{said}'")
            size = int(found[2])
        else:
            size = int(response.headers.get("Content-Length", listed.size))
            if wanted != (0, listed.size):
                raise self._error(
                    f"{path} is given as a whole only: this server answers no ranges of bytes. Leave out `stream` "
                    "(--dataset.streaming for the target), so that it is downloaded"
                )
        if size != listed.size:
            raise self._error(f"{path} was listed with {listed.size} bytes and has {size} now. {_CHANGED}")
        oid = None if is_signed else _hash_said(response)
        if oid is not None and oid != listed.oid:
            raise self._error(f"{path} was listed with the hash {listed.oid} and has {oid} now. {_CHANGED}")

    def _error(self, what: str) -> RemoteReadError:
        return RemoteReadError(f"'{self.repo_id}' at {self.commit[:12]}: {what}.")


def _listing(repo_id: str, commit: str, below: str) -> dict[str, tuple[int, str]]:
    """{path: (bytes, hash)} of the files of a folder at a commit; empty where there is no such folder."""
    for wait in (*WAITS, None):
        try:
            entries = list(HfApi().list_repo_tree(repo_id, below, recursive=True, revision=commit, repo_type="dataset"))
            break
        except EntryNotFoundError:
            return {}
        except NOT_ON_THE_HUB as error:
            # Of a listing huggingface_hub repeats little by itself.
            if wait is None or not isinstance(error, httpx.TransportError):
                why = reason_of(error)
                if isinstance(error, OfflineModeIsEnabled):
                    why = ", and HF_HUB_OFFLINE is set. Unset it, or open the dataset once while the Hub can be reached"
                raise RemoteReadError(
                    f"'{repo_id}' at {commit[:12]}: its files under {below} cannot be listed{why}."
                ) from error
            time.sleep(wait)
    files = [entry for entry in entries if isinstance(entry, RepoFile)]
    return {file.path: (file.size, file.blob_id if file.lfs is None else file.lfs.sha256) for file in files}


def _hash_said(response: httpx.Response) -> str | None:
    """The file's hash by the Hub's own answer; storage behind it has hashes of its own."""
    # A renamed repository leads elsewhere first.
    led = [one.headers["X-Linked-ETag"] for one in (*response.history, response) if "X-Linked-ETag" in one.headers]
    said = led[0] if led else None if response.history else response.headers.get("ETag")
    return None if said is None else said.removeprefix("W/").strip('"')
