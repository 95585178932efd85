# requires: lark==1.3.1
from lark import Lark, Transformer, UnexpectedInput, v_args

GRAMMAR = """
?sum: product | sum "+" product -> add | sum "-" product -> sub
?product: atom | product "*" atom -> mul
?atom: NUMBER -> number | "(" sum ")"
%import common.NUMBER
%import common.WS
%ignore WS
"""


@v_args(inline=True)
class Count(Transformer):
    from operator import add, mul, sub
    number = float


parser = Lark(GRAMMAR, start="sum", parser="lalr", transformer=Count())
trees = Lark(GRAMMAR, start="sum")


def handler(params):
    try:
        parser.parse("1 + + 2")
    except UnexpectedInput as error:
        fault = [type(error).__name__, error.column]
    return [parser.parse("2 * (3 + 4) - 1"), trees.parse("1 + 2 * 3").pretty(), fault]
