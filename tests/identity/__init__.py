"""What was tried against tokens, sessions and limits, and the answers: a report.

`python -m tests.identity` runs the sections of `tests/identity/sections` against stacks
of their own and writes `docs/identity-report.md`.
"""
