"""The project's own Python files, parsed once, for the house-rule tests."""

from __future__ import annotations

import ast
import subprocess
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("config", "models", "wechat", "tasks", "web", "workers")
FunctionNode = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True, slots=True)
class Source:
    """One parsed file; ``name`` is its path from the project's root."""

    name: str
    text: str
    tree: ast.Module

    @property
    def lines(self) -> int:
        """How many lines the file has."""
        return len(self.text.splitlines())

    def functions(self) -> Iterator[FunctionNode]:
        """Yield every function and method, nested ones too."""
        for node in ast.walk(self.tree):
            if isinstance(node, FunctionNode):
                yield node

    def calls(self) -> Iterator[tuple[int, str]]:
        """Yield every call as (line, dotted name as written), ``a.b.c`` or ``.c``."""
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Call):
                yield node.lineno, dotted(node.func)

    def imports(self) -> Iterator[tuple[int, str]]:
        """Yield every imported module name with its line."""
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Import):
                yield from ((node.lineno, alias.name) for alias in node.names)
            elif isinstance(node, ast.ImportFrom):
                yield node.lineno, node.module or ""


def dotted(node: ast.expr) -> str:
    """Return a callee as dotted text; the start is empty where it is no name."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        return f"{dotted(node.value)}.{node.attr}"
    return ""


def read(path: Path) -> Source:
    """Parse one file."""
    text = path.read_text()
    return Source(str(path.relative_to(ROOT)), text, ast.parse(text))


@cache
def production() -> tuple[Source, ...]:
    """Return every Python file that runs in production or development, by name."""
    found = [path for name in PACKAGES for path in (ROOT / name).rglob("*.py")]
    return tuple(read(path) for path in sorted(found))


@cache
def ours() -> tuple[Source, ...]:
    """Return the files written by hand: `production` without migration revisions."""
    return tuple(s for s in production() if "/migrations/versions/" not in s.name)


@cache
def tiers() -> tuple[Source, ...]:
    """Return every Python file of the test tiers and the bench."""
    return tuple(read(path) for path in sorted((ROOT / "tests").rglob("*.py")))


@cache
def project_files() -> tuple[Path, ...]:
    """Return files that are or would be committed: git's view, ignore rules applied."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    paths = (ROOT / line for line in done.stdout.splitlines())
    return tuple(sorted(path for path in paths if path.is_file()))
