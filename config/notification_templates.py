"""The subscribe-message templates this backend may send, with their fields.

Adding a template is adding an entry here; the key is what callers use, the id is
WeChat's. Field limits follow WeChat's page on subscribe messages.
"""

from __future__ import annotations

from typing import NamedTuple


class Field(NamedTuple):
    """One field of a template: WeChat's name of it and what we put there."""

    name: str
    meaning: str

    @property
    def kind(self) -> str:
        """WeChat's type of the field: its name without the number."""
        return self.name.rstrip("0123456789")


class Template(NamedTuple):
    """One subscribe-message template."""

    key: str
    template_id: str
    title: str
    fields: tuple[Field, ...]
    page: str


# Longest text of each kind in characters, from WeChat's page; `models/template_data.py`
# has the rest of each rule. Where WeChat names no length (a time, an amount with its
# sign) it is that of the longest form: two moments joined by "~".
FIELD_LIMITS = {
    "thing": 20,
    "number": 32,
    "letter": 32,
    "symbol": 5,
    "character_string": 32,
    "time": 48,
    "date": 48,
    "amount": 16,
    "phone_number": 17,
    "car_number": 8,
    "name": 20,
    "phrase": 5,
    "enum_string": 20,
}

TEMPLATES: dict[str, Template] = {
    template.key: template
    for template in (
        Template(
            key="order_update",
            template_id="demo_order_update",
            title="Order update",
            fields=(
                Field("character_string1", "order number"),
                Field("thing2", "what was ordered"),
                Field("phrase3", "state of the order"),
                Field("time4", "time of the change"),
            ),
            page="pages/orders/detail",
        ),
        Template(
            key="appointment",
            template_id="demo_appointment",
            title="Appointment reminder",
            fields=(
                Field("thing1", "what the appointment is for"),
                Field("time2", "when it begins"),
                Field("thing3", "where, or what to bring"),
            ),
            page="pages/appointments/detail",
        ),
        Template(
            key="marketing_news",
            template_id="demo_marketing_news",
            title="News of the shop",
            fields=(
                Field("thing1", "the news"),
                Field("date2", "valid until"),
            ),
            page="pages/news/index",
        ),
    )
}
