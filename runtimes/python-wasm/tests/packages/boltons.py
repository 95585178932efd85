# requires: boltons==26.2.0
from boltons import cacheutils, dictutils, iterutils, mathutils, statsutils, strutils, timeutils, urlutils


def handler(params):
    many = dictutils.OMD([("a", 1), ("b", 2), ("a", 3)])
    cache = cacheutils.LRI(2)
    cache.update({1: 1, 2: 2, 3: 3})
    url = urlutils.URL("https://example.org/ä b?q=1")
    url.query_params["n"] = params["name"]
    return [many.getlist("a"), sorted(cache), iterutils.chunked(params["values"], 3), iterutils.remap({"a": [1, None]}, lambda path, key, value: value is not None), strutils.slugify(params["text"]), strutils.bytes2human(12345678, 1), mathutils.clamp(9, 0, 5), statsutils.median(params["values"]), url.to_text(), str(timeutils.parse_timedelta("1h 30m")), strutils.cardinalize("wolf", 2)]
