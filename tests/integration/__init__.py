"""Tests against real Redis, SQLite and MariaDB, and real workers."""
