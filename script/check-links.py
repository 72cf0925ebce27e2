#!/usr/bin/env python3
"""Checks that every relative link in the Markdown files points to an existing file and heading."""

import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def anchors(text):
    """Returns the anchors that GitHub generates for a page's headings."""
    found = set()
    for heading in re.findall(r"^#+ (.*)$", text, re.M):
        plain = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).lower()
        found.add(re.sub(r"[^\w\- ]", "", plain).replace(" ", "-"))
    return found


def main():
    os.chdir(ROOT)
    listed = subprocess.run(["git", "ls-files", "-co", "--exclude-standard", "*.md"], check=True, capture_output=True, text=True)
    broken = 0
    for page in filter(os.path.exists, listed.stdout.split("\n")):
        text = re.sub(r"```.*?```", "", Path(page).read_text(), flags=re.S)
        for link in re.findall(r"\]\(([^)\s]+)\)", text):
            # rustdoc checks links to Rust items.
            if link.startswith(("http:", "https:", "mailto:")) or "::" in link or link.startswith("mod@"):
                continue
            path, _, anchor = link.partition("#")
            target = Path(os.path.normpath(Path(page).parent / path)) if path else Path(page)
            if not target.exists() or (anchor and target.suffix == ".md" and anchor not in anchors(target.read_text())):
                print(f"{page}: broken link: {link}")
                broken += 1
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
