# SPDX-License-Identifier: Apache-2.0
"""Many datasets at once: opened side by side in threads, and what is wrong with several of them said together."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

from tqdm import tqdm

_SILENT_S = 3.0
"""Seconds that pass before a bar is shown; a few datasets on a local disk take less."""
_THREADS = 16
"""Metadata are small files that are waited for, on a disk, a network share or the Hub."""


def in_threads[In, Out](
    work: Callable[[In], Out], items: Sequence[In], doing: str, *, unit: str = "dataset", threads: int | None = None
) -> list[Out]:
    """`work` of every item, side by side, in the order of the items; a bar is shown where it takes longer.

    Args:
        work: of one item; it touches nothing that another's touches.
        items: what is worked on.
        doing: what the bar says.
        unit: of what there is an item.
        threads: at most; by default four a core, 16 at most.

    Raises:
        ValueError: of the one item that was refused, as it stands; of several, all of them in one message.
    """
    count = min(len(items), threads or min(_THREADS, 4 * (os.cpu_count() or 1)))
    with tqdm(total=len(items), desc=doing, unit=unit, delay=_SILENT_S, leave=False) as bar:

        def one(item: In) -> Out | ValueError:
            try:
                return work(item)
            except ValueError as error:
                return error
            finally:
                bar.update()

        if count <= 1:
            found = [one(item) for item in items]
        else:
            with ThreadPoolExecutor(count, thread_name_prefix="datasets") as pool:
                found = list(pool.map(one, items))
    return _without_refused(found)


def _without_refused[Out](found: Sequence[Out | ValueError]) -> list[Out]:
    """The results, where there is no refusal among them.

    Raises:
        ValueError: the one refusal, or all of them in one message.
    """
    refused = [one for one in found if isinstance(one, ValueError)]
    if len(refused) == 1:
        raise refused[0]
    if refused:
        told = ("\n".join([str(error), *getattr(error, "__notes__", [])]) for error in refused)
        listing = "\n".join(f"{number}. {one}" for number, one in enumerate(told, start=1))
        raise ValueError(f"{len(refused)} of {len(found)} datasets cannot be used:\n{listing}")
    return [one for one in found if not isinstance(one, ValueError)]
