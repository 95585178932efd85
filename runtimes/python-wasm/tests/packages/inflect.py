# requires: inflect==7.6.0
import inflect

engine = inflect.engine()


def handler(params):
    return [[engine.plural(word, params["count"]) for word in ("child", "cactus", "ox", "analysis")], engine.a("hour"), engine.ordinal(23), engine.number_to_words(1234567), engine.join(["a", "b", "c"]), engine.singular_noun("geese"), engine.present_participle("run"), engine.no("cat", 0)]
