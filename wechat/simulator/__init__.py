"""A WeChat of our own for development and tests: a server, and a transport in process.

Production code never imports it; its rules are WeChat's, its control API is `/_sim`.
"""
