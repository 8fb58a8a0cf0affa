"""How well text that nobody sees in HTML is told apart without a browser; a browser is the judge.

Usage: python benchmarks/html_visibility.py [--snippets FILE.json]

Needs Chromium on the path of programs, or a browser of Playwright.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from bench import record
from bench.browser import Browser, open_browser
from bench.html_snippets import SNIPPETS

from mm_megacontext.layout.flow.flow import Picture, Unread, Unseen
from mm_megacontext.layout.flow.html.flow import page_flow

NAME = "html_visibility"
GOAL = 0.95


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument(
        "--snippets", type=Path, metavar="FILE", help="more of them: a JSON object of groups of names and HTML"
    )
    record.add_arguments(parser, NAME)
    args = parser.parse_args()
    load = record.load()
    groups = {"own": SNIPPETS}
    if args.snippets is not None:
        groups |= json.loads(args.snippets.read_text())
    with open_browser() as browser:
        rows = [measure(browser, name, snippets) for name, snippets in groups.items()]
    found = [
        record.Target(name=f"{row['group']}: {what}", value=row[what], at_least=GOAL)
        for row in rows
        for what in ("hidden told apart", "visible read")
        if row[what] is not None
    ]
    record.Record(name=NAME, seed=args.seed, rows=rows, targets=found, notes={"judge": "Chromium"}).publish(
        args.out, load
    )


def measure(browser: Browser, group: str, snippets: dict[str, str]) -> dict[str, Any]:
    """Of the snippets of a group: shares told right, and the names of those that were not."""
    right = {True: 0, False: 0}
    n_of = {True: 0, False: 0}
    n_in_doubt, wrong = 0, []
    for name, html in snippets.items():
        word = next(word for word in ("WORD", "SECRET", "SEEN") if word in html)
        page = f"<!doctype html><html><head><meta charset=utf-8></head><body>{html}</body></html>"
        is_seen = any(word in text.text and text.is_seen for text in browser.judge(page.encode()))
        items = list(page_flow(page, lambda address: None))
        texts = [item for item in items if not isinstance(item, (Unseen, Unread, Picture))]
        is_read = any(word in repr(item) for item in texts)
        n_of[is_seen] += 1
        right[is_seen] += is_read == is_seen
        n_in_doubt += any(isinstance(item, Unseen) and item.why == "visibility_unsure" for item in items)
        wrong += [name] if is_read != is_seen else []
    return {
        "group": group,
        "hidden": n_of[False],
        "hidden told apart": right[False] / n_of[False] if n_of[False] else None,
        "visible": n_of[True],
        "visible read": right[True] / n_of[True] if n_of[True] else None,
        "in doubt": n_in_doubt,
        "wrong": ", ".join(wrong),
    }


if __name__ == "__main__":
    main()
