"""Tests of what needs no store in `tasks`."""
