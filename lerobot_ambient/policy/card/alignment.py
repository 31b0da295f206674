# SPDX-License-Identifier: Apache-2.0
"""What a model card says of how each source was fitted to the target: keys, dimensions, units, time, statistics."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from lerobot_ambient.data.declared.alignment import DimensionConfig
from lerobot_ambient.data.declared.sources import Source
from lerobot_ambient.data.provenance.data_record import DataRecord
from lerobot_ambient.figures.markdown import markdown_table

_UNITS = {
    math.degrees(1.0): "radians to degrees",
    math.radians(1.0): "degrees to radians",
    1000.0: "m to mm",
    0.001: "mm to m",
}
_CLOSE = 1e-5
_ACTIONS = {"delta": "steps from the current state", "absolute": "positions"}


def alignment(records: Sequence[DataRecord], declared: Sequence[Source]) -> str:
    """A paragraph for each source.

    Args:
        records: of all datasets, the target first; none in an old checkpoint.
        declared: the sources of the configuration. Those of a merged target stand before them among the records.
    """
    first = max(len(records) - len(declared), 0)
    merged = [f"**`{record.name}`** was aligned when it was merged into the target." for record in records[1:first]]
    paragraphs = []
    for index, source in enumerate(declared):
        record = records[first + index] if records else None
        name = source.repo_id if record is None else record.name
        rate = "" if record is None else _rate(record, records[0])
        whose = "its own" if source.normalization == "own" else "the target's"
        lines = [
            *(f"`{key}` is read as `{new}`" for key, new in source.rename.items()),
            *([rate] if rate else []),
            *([f"its actions are {_ACTIONS[source.action_type]}"] if source.action_type is not None else []),
            *(
                [f"a step of 1 moves the state by {_gain(source.action_gain)}"]
                if source.action_gain is not None
                else []
            ),
            f"normalised by {whose} statistics",
            *(f"camera `{key}`: {camera}" for key, camera in _cameras(source)),
        ]
        rows = [
            (keys, f"`{name}`", *_rule(name, rule)) for keys, rules in _features(source) for name, rule in rules.items()
        ]
        head = ("feature", "the target's dimension", "comes from", "converted by")
        listed = table(head, rows) if rows else "Dimensions have the target's names and units."
        paragraphs.append(f"**`{name}`**: {'; '.join(lines)}.\n\n{listed}")
    return "\n\n".join([*merged, *paragraphs]) or "There is no source."


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table in Markdown."""
    return "\n".join(markdown_table(head, rows))


def _rate(record: DataRecord, target: DataRecord) -> str:
    if record.fps == target.fps:
        return ""
    return f"recorded at {record.fps:g} frames a second, resampled to {target.fps:g}"


def _features(source: Source) -> list[tuple[str, dict[str, DimensionConfig]]]:
    """The features with their rules; actions and states that share theirs are one."""
    rules: list[dict[str, DimensionConfig]] = []
    for one in source.dimensions.values():
        rules += [] if one in rules else [one]
    shared = [[key for key, one in source.dimensions.items() if one == each] for each in rules]
    return [(", ".join(f"`{key}`" for key in keys), each) for keys, each in zip(shared, rules, strict=True)]


def _gain(gain: float | dict[str, float]) -> str:
    if isinstance(gain, dict):
        return ", ".join(f"{value:g} (`{name}`)" for name, value in gain.items())
    return f"{gain:g}"


def _cameras(source: Source) -> list[tuple[str, str]]:
    words = []
    for key, camera in source.cameras.items():
        absent = f"absent, a grey image of brightness {camera.fill:g} stands for it" if camera.fill is not None else ""
        words.append((key, absent or f"another aspect ratio, {camera.fit or 'stretch'}"))
    return words


def _rule(name: str, rule: DimensionConfig) -> tuple[str, str]:
    """Where a dimension comes from, and what is done to it."""
    if rule.mask:
        return "absent", "carries no loss"
    if rule.fill is not None:
        return "absent", f"constant {rule.fill:g}"
    known = (words for scale, words in _UNITS.items() if math.isclose(abs(rule.scale), scale, rel_tol=_CLOSE))
    unit = next(known, "")
    steps = [] if rule.scale == 1.0 else [f"times {rule.scale:g}" + (f" ({unit})" if unit else "")]
    steps += [] if rule.offset == 0.0 else [f"plus {rule.offset:g}"]
    return f"`{rule.take or name}`", ", ".join(steps) or "nothing"
