# requires: toolz==1.2.0
from toolz import compose, curry, curried, dicttoolz, itertoolz, pipe


@curry
def power(exponent, base):
    return base**exponent


def handler(params):
    values = params["values"]
    return [pipe(values, curried.filter(lambda value: value % 2), curried.map(power(2)), list), itertoolz.groupby(lambda value: value % 3, values), itertoolz.frequencies(values), list(itertoolz.sliding_window(2, values)), dicttoolz.merge_with(sum, {"a": 1}, {"a": 2, "b": 3}), dicttoolz.assoc_in({}, ["a", "b"], 1), compose(str, power(3))(2), list(itertoolz.partition_all(3, values)), itertoolz.reduceby(len, lambda a, b: a + b, ["a", "bb", "cc"]), list(itertoolz.interleave([[1, 2], [3, 4]]))]
