# SPDX-License-Identifier: Apache-2.0
"""One arm of a study against another: `python scripts/compare_arms.py maze ambient cotrain:0.9`.

Pages compare every arm with the target alone and with co-training. This pairs the kept rollouts of any two: success
less success in points, and the ratio of what else the study measures, with 95 % intervals.
"""

from __future__ import annotations

import argparse
import json

from results_overview import RESULTS, points, trainings_of

from lerobot_ambient.benchmarks.engine.crossed import ratio
from lerobot_ambient.benchmarks.studies.catalogue import study_named


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("study")
    parser.add_argument("ours")
    parser.add_argument("other")
    args = parser.parse_args()
    arms = json.loads((RESULTS / f"{args.study}.json").read_text(encoding="utf-8"))["arms"]
    by_name = {arm["arm"]: arm for arm in arms}
    if unknown := {args.ours, args.other} - set(by_name):
        parser.error(f"{args.study} has no arm {', '.join(sorted(unknown))}; it has {', '.join(by_name)}.")
    trainings = trainings_of(RESULTS, args.study, by_name)
    print(f"success: {points(trainings, args.ours, args.other)} points")
    for measure in study_named(args.study).measures:
        found = ratio(measure, trainings[args.ours], trainings[args.other])
        told = "no ratio" if found is None else f"{found.value:.2f} [{found.low:.2f}, {found.high:.2f}] times"
        print(f"{measure.label}: {told}")


if __name__ == "__main__":
    main()
