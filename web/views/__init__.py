"""Endpoints by noun: request and reply shapes, then the routes that use them."""
