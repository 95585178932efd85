# requires: pyparsing==3.3.3
import pyparsing as pp

number = pp.common.number
term = pp.infix_notation(number, [(pp.one_of("* /"), 2, pp.OpAssoc.LEFT), (pp.one_of("+ -"), 2, pp.OpAssoc.LEFT)])
pair = pp.Group(pp.Word(pp.alphas)("key") + pp.Suppress("=") + pp.QuotedString('"')("value"))


def handler(params):
    try:
        term.parse_string("1 + * 2", parse_all=True)
    except pp.ParseException as error:
        fault = str(error)
    return [term.parse_string("1 + 2 * 3 - 4 / 5").as_list(), [each.as_dict() for each in pp.OneOrMore(pair).parse_string('a="1" b="x y"')], fault, list(pp.common.iso8601_date.search_string(params["date"]).as_list())]
