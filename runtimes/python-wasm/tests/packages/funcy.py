# requires: funcy==2.1
import funcy


def handler(params):
    values = params["values"]
    return [funcy.group_by(lambda value: value % 3, values), list(funcy.chunks(3, values)), funcy.walk_values(str, {"a": 1}), funcy.merge({"a": 1}, {"b": 2}), list(funcy.distinct(values)), funcy.rcompose(sum, str)(values), funcy.get_in({"a": [{"b": 5}]}, ["a", 0, "b"]), list(funcy.pairwise(values)), funcy.re_find(r"\w+", params["text"]), funcy.update_in({}, ["a", "b"], lambda value: value or 1), list(funcy.flatten([1, [2, [3]]]))]
