#!/usr/bin/env python3
"""Adds up what parts of a run of simulated histories have printed.

    for from in 0 1000; do ./script/simulate.sh --seeds 1000 --from $from --no-shrink >part-$from.log; done
    ./script/sum-histories.py part-*.log

Prints the failures, the table of faults by step, the outcomes, what is rarest of both, and last how many histories ran and failed.
"""

import re
import sys
from collections import Counter
from pathlib import Path

# As in crates/simulation/src/table.rs.
TOLD = ["answered", "in the end", "looked up", "resumed"]


def cells(row):
    return [cell.strip() for cell in row.strip().strip("|").split("|")]


def main():
    steps, kinds, groups = [], [], []
    table, outcomes, possible = Counter(), Counter(), set()
    failures, ran, failed = [], 0, 0
    for file in sys.argv[1:]:
        text = Path(file).read_text()
        end = re.search(r"^(\d+) histories, (\d+) failed$", text, re.M)
        if not end:
            sys.exit(f"{file} has no end")
        ran, failed = ran + int(end[1]), failed + int(end[2])
        failures += re.findall(r"^FAILED .*", text, re.M)
        rows = [cells(line) for line in text.splitlines() if line.startswith("| ")]
        names = rows[0][1:]
        steps += [name for name in names if name not in steps]
        for kind, *counts in rows[2:]:
            kinds += [kind] if kind not in kinds else []
            for step, count in zip(names, counts):
                if count:
                    possible.add((kind, step))
                    table[kind, step] += int(count)
        for group, hows in re.findall(r"^([a-z ]+): (.*;)$", text, re.M):
            groups += [group] if group not in groups else []
            for how, count in re.findall(r"(.+?) (\d+);\s?", hows):
                outcomes[group, how] += int(count)
    print("\n".join(failures), end="\n\n" if failures else "")
    print("| fault |" + "".join(f" {step} |" for step in steps))
    print("| --- |" + " ---: |" * len(steps))
    first, *others = kinds
    for kind in [first, *sorted(others)]:
        row = (str(table[kind, step]) if (kind, step) in possible else "" for step in steps)
        print(f"| {kind} |" + "".join(f" {cell} |" if cell else "  |" for cell in row))
    print()
    for group in sorted(groups):
        hows = sorted(how for of, how in outcomes if of == group)
        print(f"- {group}: " + "; ".join(f"{how} {outcomes[group, how]}" for how in hows) + ";")
    told = Counter()
    for (group, how), count in outcomes.items():
        if group in TOLD:
            told[how] += count
    print("\ntold: " + "; ".join(f"{how} {count:,}" for how, count in told.most_common()))
    faults = [place for place in possible if place[0] != first]
    kind, step = min(faults, key=lambda place: (table[place], place))
    print(f"rarest fault: {kind} at {step}, {table[kind, step]}")
    print(f"{ran} histories, {failed} failed")


if __name__ == "__main__":
    main()
