# requires: cachetools==8.0.0
from cachetools import LFUCache, LRUCache, TTLCache, cached, cachedmethod
from cachetools.keys import hashkey

calls = []


@cached(LRUCache(maxsize=2), key=lambda a, b=1: hashkey(a), info=True)
def double(a, b=1):
    calls.append(a)
    return a * 2


def handler(params):
    results = [double(each) for each in (1, 2, 1, 3, 2)]
    time = [0]
    lasting = TTLCache(4, 10, timer=lambda: time[0])
    lasting["a"] = 1
    time[0] = 11
    rare = LFUCache(2)
    for key in "aabc":
        rare[key] = rare.get(key, 0) + 1
    return [results, list(calls), list(double.cache_info()), "a" in lasting, sorted(rare), LRUCache(5, getsizeof=len).maxsize]
