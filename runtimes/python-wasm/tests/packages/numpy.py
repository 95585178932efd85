# requires: numpy==2.5.5
import numpy


def handler(params):
    return numpy.array(params["values"]).cumsum().tolist()
