"""Runs tests of CPython in a call: `module` is imported at deploy. worker.js puts its name in."""

import importlib
import unittest

from test import support

MODULE = "MODULE"
# A test's message may be the whole of two long texts.
MESSAGE_CHARS_MAX = 300

# As regrtest does when it is given no option.
support.use_resources = []
support.verbose = 0
# CPython's tests take it that there are neither where it is compiled for WASI, also where none are needed.
support.has_socket_support = support.has_subprocess_support = "FORCED" != ""


def flat(suite):
    for each in suite:
        if isinstance(each, unittest.TestSuite):
            yield from flat(each)
        else:
            yield each


def short(error):
    message = " ".join(f"{type(error).__name__}: {error}".split())
    return message if len(message) <= MESSAGE_CHARS_MAX else message[:MESSAGE_CHARS_MAX] + "…"


class Outcomes(unittest.TestResult):
    """The outcome of each test: `pass`, or another word and why."""

    def __init__(self):
        super().__init__()
        self.by_test = {}

    def put(self, test, outcome, why=""):
        # That a test failed is not forgotten when its other parts pass.
        known = self.by_test.get(test.id())
        if known is None or known[0] in ("pass", "skip") and outcome != "pass":
            self.by_test[test.id()] = [outcome, why]

    def addSuccess(self, test):
        self.put(test, "pass")

    def addExpectedFailure(self, test, error):
        self.put(test, "pass")

    def addUnexpectedSuccess(self, test):
        self.put(test, "fail", "it passes, and was expected to fail")

    def addFailure(self, test, error):
        self.put(test, "fail", short(error[1]))

    addError = addFailure

    def addSkip(self, test, reason):
        self.put(getattr(test, "test_case", test), "skip", reason)

    def addSubTest(self, test, subtest, error):
        if error is not None:
            self.put(test, "fail", short(error[1]))


module = importlib.import_module(MODULE)
tests = {}
for test in flat(unittest.defaultTestLoader.loadTestsFromModule(module)):
    tests.setdefault(test.id(), test)


def handler(params):
    """Without names: the names of all tests, by the class that they are in. With names: the outcomes of these."""
    if params["names"] is None:
        groups = {}
        for name, test in tests.items():
            groups.setdefault(f"{type(test).__module__}.{type(test).__qualname__}", []).append(name)
        return list(groups.values())
    outcomes = Outcomes()
    unittest.TestSuite(tests[name] for name in params["names"]).run(outcomes)
    return outcomes.by_test
