"""What a section of the identity report is: a question, a run, figures, a table."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@dataclass(slots=True)
class Findings:
    """What a section measured, and each promise that was not kept."""

    figures: dict[str, object] = field(default_factory=dict)
    table: str = ""
    broken: list[str] = field(default_factory=list)

    def expect(self, holds: object, words: str) -> None:
        """Note ``words`` as broken unless ``holds``."""
        if not holds:
            self.broken.append(words)


@dataclass(frozen=True, slots=True)
class Section:
    """One part of the report; ``run`` gets an empty folder for what it starts."""

    name: str
    title: str
    about: str
    run: Callable[[Path], Findings]


def rendered(section: Section, findings: Findings) -> str:
    """Return the section as Markdown."""
    lines = [
        f"## {section.title}",
        "",
        section.about,
        "",
        *(f"- {name}: {value}" for name, value in findings.figures.items()),
        *(f"- **broken: {words}**" for words in findings.broken),
    ]
    text = "\n".join(lines).rstrip()
    return f"{text}\n\n{findings.table}" if findings.table else text


def placed(report: str, section: Section, text: str) -> str:
    """Return ``report`` with ``text`` as the part of that section."""
    before, heading, after = report.partition(f"## {section.title}\n")
    rest = after.partition("\n## ")[2] if heading else ""
    parts = [before.strip(), text.strip(), f"## {rest.strip()}" if rest else ""]
    return "\n\n".join(part for part in parts if part) + "\n"
