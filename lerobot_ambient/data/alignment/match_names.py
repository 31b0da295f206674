# SPDX-License-Identifier: Apache-2.0
"""Which dimension of one robot is most likely which of another, by what their names say.

A guess for a person to confirm, never applied by itself. Arms are paired first, then dimensions of one kind (joints,
grippers, poses, rates) inside an arm: the same name, the same name without affixes, another name of the same place in
the arm, a similar name, and for joints that are left over their order. A joint is left out only where what is left over
on the other side sits elsewhere in the arm, as a torso does not stand for a wrist.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher

from lerobot_ambient.data.files.dimension_names import is_numbered

_SIMILAR = 0.6
"""From this similarity on names are proposed as a pair: wrist_rot and wrist_roll are, shoulder_pan and _lift not."""

_SIDES = {"left": "left", "right": "right", "l": "left", "r": "right"}
_AFFIXES = frozenset(
    {
        "pos",
        "position",
        "positions",
        "qpos",
        "joint",
        "joints",
        "main",
        "motor",
        "servo",
        "goal",
        "arm",
        "follower",
        "leader",
        "robot",
        "panda",
        "revolute",
        "k",
    }
)
_KINDS = {
    "gripper": frozenset({"gripper", "grip", "hand", "finger", "fingers", "thumb", "jaw", "claw"}),
    "rate": frozenset({"vel", "velocity", "torque", "effort", "current", "wheel"}),
    "pose": frozenset({"ee", "eef", "tcp"}),
}
_AXES = frozenset({"x", "y", "z", "roll", "pitch", "yaw", "rx", "ry", "rz", "qx", "qy", "qz", "qw", "w", "theta"})
_PLACES = {
    "shoulder pan": ("waist", "base", "base yaw", "base rotation", "base pan", "shoulder yaw", "shoulder rotation"),
    "shoulder lift": ("shoulder", "shoulder pitch", "shoulder flex"),
    "elbow flex": ("elbow", "elbow pitch", "elbow lift", "elbow bend"),
    "forearm roll": ("forearm", "elbow roll", "elbow yaw", "forearm rotation", "forearm rotate"),
    "wrist flex": ("wrist angle", "wrist pitch", "wrist 1", "wrist bend", "wrist lift", "wrist tilt"),
    "wrist yaw": ("wrist 2", "wrist pan"),
    "wrist roll": ("wrist rotate", "wrist rotation", "wrist rot", "wrist 3", "wrist twist"),
}
"""Places in an arm, from the base on: ours and SO-100's names first, then those of ALOHA, UR, Unitree and others."""

_CUSTOMARY = {other: place for place, others in _PLACES.items() for other in others}
_SEGMENTS = ("torso", "head", "neck", "hip", "knee", "ankle", "leg", "base", "shoulder", "elbow", "forearm", "wrist")


@dataclass(frozen=True)
class Dimension:
    """What the name of a dimension says.

    Args:
        name: as the dataset writes it.
        side: left, right, or None.
        kind: joint, gripper, pose (of an end effector) or rate (velocities, torques).
        words: the rest of the name, without side and affixes.
    """

    name: str
    side: str | None
    kind: str
    words: tuple[str, ...]

    @classmethod
    def parse(cls, name: str) -> Dimension:
        words = words_of(name)
        side = next((_SIDES[word] for word in words if word in ("left", "right")), None)
        if side is None and len(words) > 1 and words[0] in _SIDES:
            side, words = _SIDES[words[0]], words[1:]
        words = [word for word in words if word not in ("left", "right")]
        kind = next((kind for kind, known in _KINDS.items() if known.intersection(words)), None)
        rest = tuple(word for word in words if word not in _AFFIXES) or tuple(words)
        if kind is None:
            kind = "pose" if rest and _AXES.issuperset(rest) else "joint"
        return cls(name, side, kind, rest)

    @property
    def part(self) -> str:
        """The words as one customary name."""
        return _CUSTOMARY.get(" ".join(self.words), " ".join(self.words))

    @property
    def segment(self) -> str | None:
        """Where in the body a joint sits, as far as its name says: shoulder, wrist, torso."""
        return next((segment for segment in _SEGMENTS if segment in self.part.split()), None)


@dataclass(frozen=True)
class Match:
    """A proposed pair.

    Args:
        take: the source's dimension.
        why: one phrase for the person who has to confirm it.
        is_sure: whether the names alone say it.
    """

    take: str
    why: str
    is_sure: bool


def words_of(name: str) -> list[str]:
    """The words and numbers of a name in lower case: "leftArm.joint_1" gives left, arm, joint, 1."""
    return re.findall(r"[a-z]+|\d+", re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower())


def similarity(a: Sequence[str], b: Sequence[str]) -> float:
    """How similar two names are, in [0, 1]: the share of words that have a similar word on the other side."""
    if not a or not b:
        return 0.0
    pairs = [(SequenceMatcher(None, x, y).ratio(), i, j) for i, x in enumerate(a) for j, y in enumerate(b)]
    total, left, right = 0.0, set(range(len(a))), set(range(len(b)))
    for ratio, i, j in sorted(pairs, reverse=True):
        alike = a[i] == b[j] or (ratio >= 0.5 and not (a[i].isdigit() or b[j].isdigit()))
        if alike and i in left and j in right:
            total += ratio
            left.remove(i)
            right.remove(j)
    return total / max(len(a), len(b))


def match_dimensions(
    targets: Sequence[str],
    sources: Sequence[str],
    *,
    settled: Mapping[str, str | None] | None = None,
    source_motion: Mapping[str, float] | None = None,
    target_motion: Mapping[str, float] | None = None,
) -> dict[str, Match]:
    """A source dimension for every target dimension that has a plausible one; none is used twice.

    Args:
        targets, sources: dimension names, each unique; "0", "1", ... where a dataset names none.
        settled: target dimensions that need no match, with the source dimension each takes, or None.
        source_motion, target_motion: standard deviation of each dimension. Where only one side has several arms,
            the arm that moves more is chosen; of several joints of a hand, the one that moves most.
    """
    moves, target_moves, settled = source_motion or {}, target_motion or {}, settled or {}
    numbered = is_numbered(targets) or is_numbered(sources)
    if numbered and len(targets) == len(sources):
        pairs = zip(targets, sources, strict=True)
        return {name: Match(take, "same place", True) for name, take in pairs if name not in settled}
    wanted = [name for name in targets if name not in settled]
    offered = [name for name in sources if name not in settled.values()]
    if numbered:
        # Equal numbers mean nothing between features of different sizes.
        return _by_number(wanted, offered, is_gripper_last=is_numbered(sources))
    found = {name: Match(name, "same name", True) for name in wanted if name in offered}
    left = [Dimension.parse(name) for name in wanted if name not in found]
    right = [Dimension.parse(name) for name in offered if name not in found]
    for side, other, arms in _pair_sides(left, right, target_moves, moves):
        for kind in ("joint", "gripper", "pose", "rate"):
            mine = [d for d in left if d.side == side and d.kind == kind]
            theirs = [d for d in right if d.side == other and d.kind == kind]
            named = _by_name(mine, theirs)
            if kind == "joint":
                named |= _by_place(mine, theirs, named)
            if kind == "gripper":
                named |= _grippers(_without(mine, named), _left_over(theirs, named), target_moves, moves)
            for name, match in named.items():
                found[name] = Match(match.take, match.why + arms, match.is_sure)
                arms = ""
    return found | _left_grippers(left, right, found)


def _pair_sides(
    targets: Sequence[Dimension],
    sources: Sequence[Dimension],
    target_moves: Mapping[str, float],
    source_moves: Mapping[str, float],
) -> list[tuple[str | None, str | None, str]]:
    """(target side, source side, remark on the choice): equal sides, then the remaining ones by motion."""
    mine, theirs = _sides(targets, target_moves), _sides(sources, source_moves)
    if mine == [None] and len(theirs) > 1:
        theirs = [side for side in theirs if side is not None]
    if theirs == [None] and len(mine) > 1:
        mine = [side for side in mine if side is not None]
    same = [side for side in mine if side in theirs]
    rest = [side for side in mine if side not in same], [side for side in theirs if side not in same]
    remark = ""
    if rest[1] and len(rest[1]) > 1 and len(rest[0]) == 1:
        remark = f", {rest[1][0]} arm (it moves more)"
    elif len(rest[0]) > 1 and len(rest[1]) == 1:
        remark = f", for the {rest[0][0]} arm (it moves more)"
    return [(side, side, "") for side in same] + [(a, b, remark) for a, b in zip(*rest, strict=False)]


def _sides(dimensions: Sequence[Dimension], moves: Mapping[str, float]) -> list[str | None]:
    """The arms, that which moves most first."""

    def motion(side: str | None) -> float:
        values = [moves.get(d.name, 0.0) for d in dimensions if d.side == side and d.kind != "gripper"]
        return sum(values) / max(len(values), 1)

    return sorted(dict.fromkeys(d.side for d in dimensions), key=motion, reverse=True)


def _by_number(targets: Sequence[str], sources: Sequence[str], *, is_gripper_last: bool) -> dict[str, Match]:
    """Between a feature without names and one of another size: by order, a single gripper from the last."""
    found = {}
    rest = list(sources)
    grippers = [name for name in targets if Dimension.parse(name).kind == "gripper"]
    if is_gripper_last and len(grippers) == 1 and len(rest) > 1:
        why = f"the last of {len(sources)}, as grippers mostly are"
        found[grippers[0]] = Match(rest.pop(), why, False)
    unmatched = [name for name in targets if name not in found]
    for i, (name, take) in enumerate(zip(unmatched, rest, strict=False), start=1):
        found[name] = Match(take, f"number {i} of {len(unmatched)} by order ({len(sources)} there)", False)
    return found


def _by_name(targets: Sequence[Dimension], sources: Sequence[Dimension]) -> dict[str, Match]:
    found: dict[str, Match] = {}

    def equal(what: Callable[[Dimension], object], why: str) -> None:
        for target in _without(targets, found):
            alike = [source for source in _left_over(sources, found) if what(source) == what(target)]
            if len(alike) == 1:
                found[target.name] = Match(alike[0].name, why, True)

    equal(lambda d: d.words, "same name but for affixes")
    equal(lambda d: d.part, "another name of this joint")
    scores = [
        (similarity(target.part.split(), source.part.split()), -i, -j)
        for i, target in enumerate(targets)
        for j, source in enumerate(sources)
    ]
    for score, i, j in sorted(scores, reverse=True):
        target, source = targets[-i], sources[-j]
        if score >= _SIMILAR and target.name not in found and source in _left_over(sources, found):
            found[target.name] = Match(source.name, f"similar name ({score:.2f} of 1)", False)
    return found


def _by_place(
    targets: Sequence[Dimension], sources: Sequence[Dimension], named: Mapping[str, Match]
) -> dict[str, Match]:
    """Joints that no name settles, in their order, as far as their names do not say that they sit elsewhere."""
    found: dict[str, Match] = {}
    rest = _left_over(sources, named)
    for target in _without(targets, named):
        near = [source for source in rest if target.segment is None or source.segment in (target.segment, None)]
        if not near:
            continue
        near.sort(key=lambda source: source.segment is None and target.segment is not None)
        rest.remove(near[0])
        number = list(targets).index(target) + 1
        there = f" ({len(sources)} there)" if not found and len(targets) != len(sources) else ""
        found[target.name] = Match(near[0].name, f"joint {number} of {len(targets)} by order{there}", False)
    return found


def _left_grippers(
    targets: Sequence[Dimension], sources: Sequence[Dimension], found: Mapping[str, Match]
) -> dict[str, Match]:
    """For the one gripper that is left over: the other side's only one, or its last joint, if that is left over, too.

    A gripper may be named without its arm's side, or stand among numbered joints.
    """
    mine, theirs = _without(targets, found), _left_over(sources, found)
    if any(Dimension.parse(name).kind == "gripper" for name in found):
        return {}
    hand, other = ([d for d in side if d.kind == "gripper"] for side in (mine, theirs))
    if len(hand) == len(other) == 1:
        return {hand[0].name: Match(other[0].name, "the only gripper", False)}
    for one, two, joints, left in ((hand, other, sources, theirs), (other, hand, targets, mine)):
        last = [d for d in joints if d.kind == "joint"][-1:]
        if len(one) == 1 and not two and last and last[0] in left and last[0].segment is None:
            target, source = (one[0], last[0]) if one is hand else (last[0], one[0])
            return {
                target.name: Match(source.name, "the last joint is left over, as grippers mostly stand last", False)
            }
    return {}


def _by_order(targets: Sequence[Dimension], sources: Sequence[Dimension]) -> dict[str, Match]:
    there = "" if len(targets) == len(sources) else f" ({len(sources)} there)"
    return {
        target.name: Match(source.name, f"joint {i} of {len(targets)} by order{there if i == 1 else ''}", False)
        for i, (target, source) in enumerate(zip(targets, sources, strict=False), start=1)
    }


def _grippers(
    targets: Sequence[Dimension],
    sources: Sequence[Dimension],
    target_moves: Mapping[str, float],
    source_moves: Mapping[str, float],
) -> dict[str, Match]:
    """Hands with hands by order; a gripper with the joint of a hand that moves most."""
    if len(targets) > 1 and len(sources) > 1:
        return _by_order(targets, sources)
    if not targets or not sources:
        return {}
    target = max(targets, key=lambda d: target_moves.get(d.name, 0.0))
    source = max(sources, key=lambda d: source_moves.get(d.name, 0.0))
    several = len(sources) if len(sources) > 1 else len(targets)
    why = "the only gripper" if several == 1 else f"of {several} hand joints the one that moves most"
    return {target.name: Match(source.name, why, False)}


def _without(targets: Iterable[Dimension], found: Mapping[str, Match]) -> list[Dimension]:
    return [target for target in targets if target.name not in found]


def _left_over(sources: Iterable[Dimension], found: Mapping[str, Match]) -> list[Dimension]:
    taken = {match.take for match in found.values()}
    return [source for source in sources if source.name not in taken]
