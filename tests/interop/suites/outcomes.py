"""A pytest plugin: what became of each test, a line each, in the file that OUTCOMES names.

The tests in HURRIED, a line each, run last and end after HURRIED_SECONDS.
"""

import os
import signal

import pytest

_hurried = os.environ.get("HURRIED", "").split("\n")
_became = {}


def pytest_collection_modifyitems(items):
    items.sort(key=lambda item: item.nodeid in _hurried)
    for item in items:
        if item.nodeid in _hurried:
            # Another clock than pytest-timeout's, which strikes once: such a test may also hang in
            # what it does to clean up.
            item.add_marker(pytest.mark.timeout(0))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item):
    if item.nodeid not in _hurried:
        return (yield)
    signal.signal(signal.SIGALRM, lambda *_: pytest.fail("took too long"))
    signal.setitimer(signal.ITIMER_REAL, int(os.environ["HURRIED_SECONDS"]), 5)
    try:
        return (yield)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)


def pytest_runtest_logreport(report):
    if _became.get(report.nodeid, "passed") == "passed":
        _became[report.nodeid] = report.outcome
    if report.when == "teardown":
        with open(os.environ["OUTCOMES"], "a", encoding="utf-8") as file:
            file.write(f"{_became[report.nodeid]} {report.nodeid}\n")
