# SPDX-License-Identifier: Apache-2.0
"""Where a sweep's study is kept: a journal file, or a database named by a URL."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from typing import IO

from optuna.storages import JournalStorage, RDBStorage
from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock
from sqlalchemy.exc import SQLAlchemyError


class KernelLock(JournalFileOpenLock):
    """A lock of the journal that the kernel releases when its holder is killed; Optuna's stays for 30 seconds.

    A line that a killed writer left half written is cut off: it was never acknowledged, and with the next line
    behind it the journal could not be read any more.
    """

    def __init__(self, file: Path) -> None:
        super().__init__(str(file))
        self._file = file
        self._held: IO[str] | None = None

    def acquire(self) -> bool:
        held = open(f"{self._file}.lock", "w")  # noqa: SIM115  (held until release)
        fcntl.flock(held, fcntl.LOCK_EX)
        self._held = held
        with open(self._file, "rb+") as journal:
            size = journal.seek(0, os.SEEK_END)
            if size:
                journal.seek(size - 1)
                if journal.read(1) != b"\n":
                    journal.seek(0)
                    journal.truncate(journal.read().rfind(b"\n") + 1)
        return True

    def release(self) -> None:
        assert self._held is not None
        held, self._held = self._held, None
        held.close()


def open_journal(file: Path) -> JournalStorage:
    """A study in a file, which several processes may write."""
    return JournalStorage(JournalFileBackend(str(file), lock_obj=KernelLock(file)))


def open_database(url: str) -> RDBStorage:
    """A study in a database.

    Raises:
        ValueError: no such kind of database, no driver for it, or no connection to it.
    """
    try:
        # A worker waits for its turn; SQLite's own patience is five seconds.
        options = {"connect_args": {"timeout": 60}} if url.startswith("sqlite") else None
        return RDBStorage(url, engine_kwargs=options)
    except (ImportError, SQLAlchemyError) as error:
        raise ValueError(
            f"--storage {url}: {error}. Give the URL of a database, e.g. sqlite:////data/sweep.db or "
            "postgresql+psycopg2://user@host/sweep with its driver installed."
        ) from error


def sqlite_file(url: str) -> Path | None:
    """The file of a SQLite URL; None for any other database.

    Raises:
        ValueError: a database in memory, or in a folder that is not there.
    """
    if not url.startswith("sqlite"):
        return None
    file = url.partition(":///")[2].partition("?")[0]
    if not file or file == ":memory:":
        raise ValueError(f"--storage {url} keeps nothing: a SQLite URL needs a file, e.g. sqlite:////data/sweep.db.")
    if not Path(file).resolve().parent.is_dir():
        raise ValueError(
            f"--storage {url}: there is no folder {Path(file).resolve().parent}; make it, or name another."
        )
    return Path(file).resolve()
