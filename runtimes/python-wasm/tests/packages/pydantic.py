# requires: pydantic==2.14.3
from pydantic import BaseModel


class Item(BaseModel):
    name: str
    count: int = 1


def handler(params):
    return Item(**params).model_dump()
