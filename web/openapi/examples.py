"""One example for each schema, put together from the values of `example_values.py`.

Nothing is written beside a route: a new field gets its example by its name, or the
build of the document (and so its test) says which name has none.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from web.openapi.example_values import BY_NAME, MOMENT

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

Json = dict[str, Any]
REF: Final = "#/components/schemas/{name}"
_PLAIN: Final = {"boolean": False, "number": 1.5}
# What names of whole numbers end in, and what they then count.
_BY_ENDING: Final = {"_at": MOMENT, "_ms": 1000, "_s": 60}


def example_of(
    name: str, schemas: Mapping[str, Json], only: Collection[str] | None = None
) -> Json:
    """Return an example of the schema ``name``, of the fields ``only`` if given.

    Raises `LookupError` for a text, or anything without a type, that has no example.
    """
    return {
        field: _value(schema, schemas, name, field)
        for field, schema in schemas[name].get("properties", {}).items()
        if only is None or field in only
    }


def _value(schema: Json, schemas: Mapping[str, Json], owner: str, field: str) -> object:
    for key in (f"{owner}.{field}", field):
        if key in BY_NAME:
            return BY_NAME[key]
    if "$ref" in schema:
        return example_of(schema["$ref"].rpartition("/")[2], schemas)
    if "anyOf" in schema:
        told = next(one for one in schema["anyOf"] if one.get("type") != "null")
        return _value(told, schemas, owner, field)
    if schema.get("type") == "array":
        return [_value(schema["items"], schemas, owner, f"{field}[]")]
    return _plain(schema, owner, field)


def _plain(schema: Json, owner: str, field: str) -> object:
    if "enum" in schema:
        return schema["enum"][0]
    if schema.get("type") == "integer":
        return next((n for end, n in _BY_ENDING.items() if field.endswith(end)), 1)
    if schema.get("type") in _PLAIN:
        return _PLAIN[schema["type"]]
    raise LookupError(f"no example of {owner}.{field}")
