# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The language of messages, task names, documentation and docstrings: phrases that are not idiomatic are refused."""

from __future__ import annotations

import functools
import io
import re
import subprocess
import tokenize
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PLACES: tuple[str, ...] = ("plugins", "roles", "playbooks", "README.md", "CONTRIBUTING.md")
PLACES += (
    "docs/adopting.md",
    "docs/automation.md",
    "docs/upgrading.md",
    "docs/virtual-ip.md",
    "docs/design.md",
    "docs/security.md",
    "docs/preflight.md",
    "docs/reliability.md",
    "docs/troubleshooting.md",
    "docs/performance.md",
    "changelogs",
    "examples",
    "inventories/example",
    "lab",
    "devtools",
    "bench",
)
SUFFIXES = (".py", ".md", ".yml", ".yaml", ".ini", ".rst", ".sh")

#: Each phrase with what to write instead.
PHRASES = {
    r"\banew\b": "again",
    r"\bshall\b": "must, or drop it",
    r"(?<!\b[Tt]here) (?:is|are) no (?!longer\b|more than\b)": "is not a",
    r"\b(?:is|are) none of\b": "is not one of",
    r"\bbe had\b": "is not available, could not be fetched",
    r"\bwithout end\b": "infinity",
    r"\bsomebody\b|\bsomeone else\b": "name the subject; not created by this collection",
    r"\bcut off\b": "interrupted",
    r"\bmend(?:s|ed|ing)?\b": "fix",
    r"\bbegun\b": "started",
    r"\bas it was before it\b": "unchanged",
    r"\bwhole\b": "complete, all",
    r"\bhalf way\b": "interrupted",
    r"\bno node yet\b": "has not joined",
    r"\bstands? in the way\b": "prevents, is a problem of",
    r"\bmint(?:s|ed|ing)?\b": "create",
    r"\bended well\b": "succeeded",
    r"\bin step\b": "synchronized",
    r"\bcomes? to nothing\b": "fails",
    r"\bis at work\b": "is running",
    r"\b[Ii]nitialis(?:e|es|ed|ing)\b": "initialize",
    r"\bbeside\b": "next to, in addition to, together with",
    r"\b(?:[Nn]obody|[Aa]nybody)\b": "name the subject",
    r"\bgo(?:es)? on\b": "continue",
    r"\b[Mm]eanwhile\b": "since, during this time",
    r"\btold\b|\btells?\b": "report, show, say; the variable is true if",
}

#: Lines in which a phrase is right, as (end of the path, part of the line).
ALLOWED = (
    # The name of a task when the figures were taken.
    ("docs/performance.md", "control_plane: Initialise the cluster"),
    # The user of that name in /etc/passwd.
    ("lab/roots.py", "nobody:x:65534"),
    ("api_endpoint/virtual_ip_config.py", "script_user nobody"),
)


@functools.cache
def texts() -> list[Path]:
    """The files that users and developers read."""
    names = subprocess.run(
        ["git", "ls-files", "--", *PLACES], cwd=ROOT, stdout=subprocess.PIPE, check=True, text=True
    ).stdout.splitlines()
    return [ROOT / name for name in names if name.endswith(SUFFIXES)]


@functools.cache
def lines(path: Path) -> list[tuple[int, str]]:
    """The numbered lines of a file; of Python the comments and strings, so that names of variables do not count."""
    text = path.read_text(encoding="utf-8")
    if path.suffix != ".py":
        return list(enumerate(text.splitlines(), 1))
    return [
        numbered
        for token in tokenize.generate_tokens(io.StringIO(text).readline)
        if token.type == tokenize.COMMENT or "STRING" in tokenize.tok_name[token.type]
        for numbered in enumerate(token.string.splitlines(), token.start[0])
    ]


def is_allowed(path: Path, line: str) -> bool:
    return any(path.as_posix().endswith(end) and part in line for end, part in ALLOWED)


@pytest.mark.parametrize("phrase", PHRASES)
def test_no_file_has_a_phrase_that_is_not_idiomatic(phrase: str) -> None:
    pattern = re.compile(phrase)
    found = [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()}"
        for path in texts()
        for number, line in lines(path)
        if pattern.search(line) and not is_allowed(path, line)
    ]
    assert not found, f"write {PHRASES[phrase]!r} instead:\n" + "\n".join(found)


def test_the_files_are_found() -> None:
    suffixes = {path.suffix for path in texts()}
    assert len(texts()) > 200 and {".py", ".md", ".yml"} <= suffixes


@pytest.mark.parametrize(
    ("phrase", "bad", "good"),
    [
        (
            r"(?<!\b[Tt]here) (?:is|are) no (?!longer\b|more than\b)",
            "x is no list",
            "there is no list; x is no longer used",
        ),
        (r"\bmend(?:s|ed|ing)?\b", "mend it", "we recommend it"),
        (r"\bmint(?:s|ed|ing)?\b", "mints a token", "hints and a printed token"),
    ],
)
def test_a_phrase_matches_words_and_not_their_parts(phrase: str, bad: str, good: str) -> None:
    assert phrase in PHRASES
    assert re.search(phrase, bad) and not re.search(phrase, good)
