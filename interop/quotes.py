#!/usr/bin/env python3
"""docs/clients quotes the scripts that interop/run runs. This checks the quotes; with --write it renews them.

A quoted part of a script stands between the comments `docs: TITLE` and `docs: end`; its fence in a page is
```LANGUAGE no-run: interop/SCRIPT, TITLE
"""

import re
import sys
from pathlib import Path
from textwrap import dedent

ROOT = Path(__file__).resolve().parent.parent
FENCE = re.compile(r"(^```\w+ no-run: (interop/\S+), ([^\n]+)\n)(.*?)(^```$)", re.M | re.S)


def parts(script):
    """The quotable parts of a script, by title."""
    found = re.findall(r"^[ \t]*(?:#|//) docs: ([^\n]+)\n(.*?)^[ \t]*(?:#|//) docs: end$", script, re.M | re.S)
    return {title: dedent(text) for title, text in found}


def renewed(page):
    def quote(match):
        head, script, title, _, tail = match.groups()
        return head + parts((ROOT / script).read_text())[title] + tail

    return FENCE.sub(quote, page)


def problems(write=False):
    """What is wrong with the pages."""
    wrong = []
    for file in sorted((ROOT / "docs/clients").glob("*.md")):
        page = file.read_text()
        try:
            new = renewed(page)
        except (KeyError, OSError) as error:
            wrong.append(f"{file.relative_to(ROOT)} quotes what is not there: {error}")
            continue
        if new != page and write:
            file.write_text(new)
        elif new != page:
            wrong.append(f"{file.relative_to(ROOT)} differs from the script: run interop/quotes.py --write")
    return wrong


if __name__ == "__main__":
    sys.exit("\n".join(problems(write="--write" in sys.argv)) or None)
