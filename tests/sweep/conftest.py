# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def postgresql_url() -> Iterator[str]:
    """The URL of an empty database on a PostgreSQL server that lives as long as the tests, on the loopback alone."""
    binaries = _binaries()
    missing = [] if binaries else ["PostgreSQL's initdb and postgres"]
    try:
        import psycopg2  # noqa: F401
    except ImportError:
        missing.append("psycopg2 (pip install -e '.[dev]')")
    if missing:
        said = f"no sweep is tested on a shared SQL database: {' and '.join(missing)} not found"
        warnings.warn(said, stacklevel=1)
        pytest.skip(said)
    # Not below pytest's folders, which are closed to others: root may not run a server, so another user does.
    home = Path(tempfile.mkdtemp(prefix="sweep-postgresql-"))
    who = {} if os.geteuid() else {"user": "nobody", "group": "nogroup", "extra_groups": []}
    if who:
        shutil.chown(home, "nobody", "nogroup")
    data, quiet = home / "data", {"cwd": home, "stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE, **who}
    make = [binaries / "initdb", "--auth=trust", "--username=me", "--no-sync", "--encoding=UTF8", f"--pgdata={data}"]
    subprocess.run(make, check=True, **quiet)
    port = _free_port()
    start = [binaries / "postgres", "-D", data, "-h", "127.0.0.1", "-p", str(port), "-k", home, "-F"]
    server = subprocess.Popen(start, **quiet)
    try:
        deadline = time.monotonic() + 30
        while not _answers(port):
            assert server.poll() is None, server.stderr.read().decode()
            assert time.monotonic() < deadline, "PostgreSQL did not answer within 30 s"
            time.sleep(0.05)
        yield f"postgresql+psycopg2://me@127.0.0.1:{port}/postgres"
    finally:
        server.send_signal(signal.SIGINT)
        server.communicate(timeout=30)
        shutil.rmtree(home, ignore_errors=True)


def _binaries() -> Path | None:
    """The folder of the server's programs; Debian keeps them off the path."""
    found = shutil.which("initdb")
    folders = [Path(found).resolve().parent] if found else sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    return next((folder for folder in reversed(folders) if (folder / "postgres").is_file()), None)


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def _answers(port: int) -> bool:
    import psycopg2

    try:
        psycopg2.connect(host="127.0.0.1", port=port, user="me", dbname="postgres").close()
    except psycopg2.OperationalError:
        return False
    return True
