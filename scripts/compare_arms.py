# SPDX-License-Identifier: Apache-2.0
"""How often one arm of a study succeeds less another: `python scripts/compare_arms.py maze ambient cotrain:0.9`.

Pages compare every arm with the target alone and with co-training. This pairs the kept rollouts of any two.
"""

from __future__ import annotations

import argparse
import json

from results_overview import RESULTS, points, trainings_of


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
    print(points(trainings_of(RESULTS, args.study, by_name), args.ours, args.other))


if __name__ == "__main__":
    main()
