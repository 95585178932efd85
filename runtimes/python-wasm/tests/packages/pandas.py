# requires: pandas==3.1.1
import pandas


def handler(params):
    return pandas.Series(params["values"]).describe().to_dict()
