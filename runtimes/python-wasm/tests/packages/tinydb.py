# requires: tinydb==4.9.0
from tinydb import Query, TinyDB, where
from tinydb.operations import increment
from tinydb.storages import MemoryStorage


def handler(params):
    base = TinyDB(storage=MemoryStorage)
    people = base.table("people")
    people.insert_multiple({"name": f"{params['name']} {each}", "n": each} for each in params["values"])
    people.update(increment("n"), where("n") > 4)
    one = Query()
    return [people.count(one.n > 4), people.search((one.n == 2) | one.name.matches(".*9")), people.remove(one.n < 3), len(people), base.tables() == {"people"}]
