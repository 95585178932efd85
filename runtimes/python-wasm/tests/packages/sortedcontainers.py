# requires: sortedcontainers==2.4.0
from sortedcontainers import SortedDict, SortedKeyList, SortedList, SortedSet


def handler(params):
    values = SortedList(params["values"])
    values.update(range(0, 3000, 7))
    by = SortedKeyList(["ccc", "a", "bb"], key=len)
    table = SortedDict({"b": 2, "a": 1, "c": 3})
    return [values.bisect_left(5), values[10], values.count(1), list(values.irange(3, 20)), len(values), list(by), list(table.irange("b")), table.peekitem(0), list(SortedSet("hello") & SortedSet("world")), repr(values[:5])]
