# requires: marshmallow==4.4.0
import datetime

from marshmallow import Schema, ValidationError, fields, post_load, validate


class Author(Schema):
    name = fields.Str(required=True, validate=validate.Length(min=2))
    email = fields.Email()


class Book(Schema):
    title = fields.Str(data_key="Title")
    when = fields.DateTime()
    price = fields.Decimal(places=2, as_string=True)
    authors = fields.List(fields.Nested(Author))

    @post_load
    def made(self, data, **keywords):
        return {**data, "made": True}


def handler(params):
    book = {"Title": "T", "when": params["date"], "price": "9.999", "authors": [{"name": params["name"]}]}
    loaded = Book().load(book)
    try:
        Book().load({"Title": 1, "when": "x", "authors": [{"name": "A", "email": "no"}], "extra": 1})
    except ValidationError as error:
        messages = error.messages
    return [Book().dump(loaded), loaded["made"], str(loaded["price"]), loaded["when"] == datetime.datetime.fromisoformat(params["date"]), messages]
