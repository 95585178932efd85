# requires: more-itertools==11.2.1
import more_itertools as more


def handler(params):
    values = params["values"]
    bucket = more.bucket(values, key=lambda value: value % 3)
    peekable = more.peekable(values)
    return [list(more.chunked(values, 3)), [list(each) for each in more.windowed(values, 3)], list(more.flatten([[1], [2, 3]])), [list(bucket[each]) for each in sorted(bucket)], peekable.peek(), list(more.split_at(values, lambda value: value == 1)), list(more.interleave_longest([1, 2], "abc")), more.minmax(values), list(more.unique_everseen(values)), list(more.collapse([1, [2, [3]]])), list(map(list, more.distribute(3, values))), more.first_true(values, pred=lambda value: value > 4), len(list(more.set_partitions("abc"))), more.nth_permutation("abcd", 2, 5)]
