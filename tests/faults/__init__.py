"""Fault drills: break the system on purpose, count what was lost, doubled or late.

`python -m tests.faults` runs them and writes the report; `test_smoke.py` and
`test_sabotage.py` are the part that runs with every change.
"""
