"""Tests of `web`, without network."""
