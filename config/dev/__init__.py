"""What a developer's machine needs and production does not: nothing here is imported.

`environment`, `apt`, `demo` and `guard` use the standard library alone.
"""
