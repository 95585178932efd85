# requires: pydantic==1.10.27
from datetime import datetime
from typing import Optional

from pydantic import BaseModel, Field, ValidationError, validator


class Item(BaseModel):
    name: str = Field(..., min_length=1)
    count: int = 1


class Order(BaseModel):
    items: list[Item]
    when: datetime
    note: Optional[str] = None

    @validator("note")
    def title(cls, value):
        return value.title()


def handler(params):
    order = Order(items=[{"name": params["name"], "count": "5"}], when=params["date"], note="by hand")
    try:
        Order(items=[{"name": ""}, {"count": "x"}], when="soon")
    except ValidationError as error:
        errors = error.errors()
    return [order.json(), order.dict(exclude={"when"}), errors, Order.schema(), Order.parse_raw(order.json()) == order]
