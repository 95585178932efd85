# requires: attrs==26.1.0
import attr
import attrs


@attrs.define
class Point:
    x: int = attrs.field(converter=int)
    y: int = attrs.field(default=2, validator=attrs.validators.ge(0))
    tags: list = attrs.field(factory=list, repr=False)


@attrs.frozen(order=True)
class Pair:
    left: str
    right: int


def handler(params):
    point = Point("7", tags=params["values"])
    try:
        Point(1, -1)
    except ValueError as error:
        refused = str(error)
    try:
        Pair("a", 1).left = "b"
    except attrs.exceptions.FrozenInstanceError as error:
        frozen = type(error).__name__
    return [repr(point), attrs.asdict(point), attrs.astuple(attrs.evolve(point, y=9)), refused, frozen, Pair("a", 1) < Pair("b", 0), attr.has(Point), [each.name for each in attrs.fields(Point)]]
