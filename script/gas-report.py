#!/usr/bin/env python3
"""Writes the tables and charts of docs/gas.md from measurements.

    script/gas-report.py            writes the tables in docs/gas.md, docs/gas/use.svg and docs/gas/breakdown.svg
    script/gas-report.py --check    changes nothing; exits with 1 if they differ from the measurements

Reads SessionKeyGas.json (written by `forge test --mc SessionKeyGasTest`) and SessionKeyModuleGas.json in
contracts/test/gas/snapshots, and docs/gas/deployed.json, which names the source of its figures. Runs the client crate's
example gas_breakdown.
"""

import json
import pathlib
import re
import subprocess
import sys
from html import escape

ROOT = pathlib.Path(__file__).resolve().parent.parent
RECORD = ROOT / "contracts/test/gas/snapshots/SessionKeyGas.json"
MODULE_RECORD = ROOT / "contracts/test/gas/snapshots/SessionKeyModuleGas.json"
DEPLOYED = ROOT / "docs/gas/deployed.json"
PAGE = ROOT / "docs/gas.md"

WIDTH = 860
LABELS = 260
BAR = 15
FONT = 'font-family="sans-serif" font-size="12"'
COLOURS = ["#1f4e79", "#2e75b6", "#9dc3e6", "#c55a11", "#f4b183", "#548235", "#a9d18e", "#7f7f7f"]


def text(x: float, y: float, content: str, anchor: str = "start") -> str:
    return f'<text x="{x:.0f}" y="{y:.0f}" text-anchor="{anchor}" {FONT}>{escape(content)}</text>'


def bar(x: float, y: float, width: float, height: float, colour: str) -> str:
    return f'<rect x="{x:.1f}" y="{y:.0f}" width="{width:.1f}" height="{height}" fill="{colour}"/>'


def svg(title: str, height: int, shapes: list[str]) -> str:
    return "\n".join([
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" role="img">',
        f"<title>{escape(title)}</title>",
        bar(0, 0, WIDTH, height, "#ffffff"),
        text(10, 22, title),
        *shapes,
        "</svg>",
        "",
    ])


def legend(names: list[str], colours: list[str], y: int) -> list[str]:
    shapes, x = [], 10
    for name, colour in zip(names, colours):
        shapes += [bar(x, y - 10, 11, 11, colour), text(x + 16, y, name)]
        x += 30 + 7 * len(name)
        if x > WIDTH - 150:
            x, y = 10, y + 18
    return shapes


def use_chart(rows: list[tuple[str, int, int]]) -> str:
    # The two one-time operations would flatten the other bars.
    rows = [row for row in rows if row[2] < 300_000]
    scale = (WIDTH - LABELS - 70) / max(theirs for _, _, theirs in rows)
    colours = [COLOURS[0], COLOURS[7]]
    shapes = legend(["here", "deployed"], colours, 44)
    y = 62
    for name, ours, theirs in rows:
        shapes.append(text(LABELS - 8, y + BAR + 4, name, "end"))
        for figure, colour in zip([ours, theirs], colours):
            shapes += [bar(LABELS, y, figure * scale, BAR - 1, colour), text(LABELS + figure * scale + 5, y + 12, f"{figure:,}")]
            y += BAR
        y += 8
    return svg("Gas units of a handleOps transaction with one operation, second use", y + 6, shapes)


def breakdown_chart(operations: dict[str, list[tuple[str, int]]]) -> str:
    parts = [part for part, _ in next(iter(operations.values()))]
    scale = (WIDTH - LABELS - 70) / max(sum(gas for _, gas in rows) for rows in operations.values())
    shapes = legend(parts, COLOURS, 44)
    y = 84
    for name, rows in operations.items():
        shapes.append(text(LABELS - 8, y + 20, name, "end"))
        x = float(LABELS)
        for (_, gas), colour in zip(rows, COLOURS):
            shapes.append(bar(x, y, gas * scale, 30, colour))
            x += gas * scale
        shapes.append(text(x + 5, y + 20, f"{sum(gas for _, gas in rows):,}"))
        y += 42
    return svg("Where the gas of a session key's operation goes, second use", y + 6, shapes)


def use_table(rows: list[tuple[str, int, int]]) -> str:
    lines = ["| operation | here | deployed | saved |", "| --- | --: | --: | --: |"]
    lines += [f"| {name} | {ours:,} | {theirs:,} | {100 * (theirs - ours) / theirs:.0f} % |" for name, ours, theirs in rows]
    return "\n".join(lines)


def module_table(record: dict[str, int]) -> str:
    lines = ["| operation | validation | execution |", "| --- | --: | --: |"]
    for key, gas in record.items():
        phase, _, name = key.partition(": ")
        if phase == "validation":
            lines.append(f"| key: {name} | {gas:,} | {record[f'execution: {name}']:,} |")
    return "\n".join(lines)


def breakdown_table(operations: dict[str, list[tuple[str, int]]]) -> str:
    names = list(operations)
    lines = ["| part | " + " | ".join(names) + " |", "| --- |" + " --: |" * len(names)]
    for index, (part, _) in enumerate(operations[names[0]]):
        lines.append(f"| {part} | " + " | ".join(f"{operations[name][index][1]:,}" for name in names) + " |")
    lines.append("| in all | " + " | ".join(f"{sum(gas for _, gas in operations[name]):,}" for name in names) + " |")
    return "\n".join(lines)


def measured_parts() -> dict[str, list[tuple[str, int]]]:
    command = ["cargo", "run", "--quiet", "--locked", "-p", "session-key-client", "--example", "gas_breakdown"]
    operations: dict[str, list[tuple[str, int]]] = {}
    for line in subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout.splitlines():
        name, part, gas = line.split("\t")
        operations.setdefault(name, []).append((part, int(gas)))
    return operations


def with_table(page: str, name: str, table: str) -> str:
    pattern = re.compile(rf"(<!-- {name} -->\n).*?(<!-- end of {name} -->)", re.DOTALL)
    if not pattern.search(page):
        raise SystemExit(f"docs/gas.md has no place for the table '{name}'")
    return pattern.sub(lambda found: found[1] + table + "\n" + found[2], page)


def main() -> int:
    if sys.argv[1:] not in [[], ["--check"]]:
        print(__doc__, file=sys.stderr)
        return 2
    ours = {name: int(gas) for name, gas in json.loads(RECORD.read_text()).items()}
    theirs = json.loads(DEPLOYED.read_text())
    rows = [(name, ours[name], gas) for name, gas in theirs.items() if name != "source"]
    if missing := set(ours) - set(theirs):
        raise SystemExit(f"docs/gas/deployed.json lacks {sorted(missing)}")
    operations = measured_parts()

    page = with_table(PAGE.read_text(), "use", use_table(rows))
    page = with_table(page, "breakdown", breakdown_table(operations))
    module = {name: int(gas) for name, gas in json.loads(MODULE_RECORD.read_text()).items()}
    page = with_table(page, "module", module_table(module))
    files = {
        PAGE: page,
        ROOT / "docs/gas/use.svg": use_chart(rows),
        ROOT / "docs/gas/breakdown.svg": breakdown_chart(operations),
    }
    if sys.argv[1:]:
        stale = [path for path, content in files.items() if not path.exists() or path.read_text() != content]
        for path in stale:
            print(f"{path.relative_to(ROOT)} differs from the measurements: run script/gas-report.py", file=sys.stderr)
        return 1 if stale else 0
    for path, content in files.items():
        path.write_text(content)
    return 0


if __name__ == "__main__":
    sys.exit(main())
