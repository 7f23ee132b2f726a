"""Tells tests/vm/run what happens, one line of JSON for each event, at the moment when it happens."""

import json
import os


class Reporter:
    def __init__(self, path):
        # Unbuffered: the next test may be the one that kills the host.
        self.channel = open(path, "wb", buffering=0)
        self.seen = {}

    def say(self, event, **fields):
        self.channel.write(json.dumps({"event": event, **fields}).encode() + b"\n")

    def pytest_collectreport(self, report):
        if report.failed:
            self.say("result", test=report.nodeid or "collection", outcome="failed", seconds=0,
                     text=str(report.longrepr))

    def pytest_collection_finish(self, session):
        self.say("collected", tests=[item.nodeid for item in session.items])

    def pytest_runtest_logstart(self, nodeid):
        self.seen = {"outcome": "passed", "seconds": 0.0, "text": ""}
        self.say("start", test=nodeid)

    def pytest_runtest_logreport(self, report):
        """Set-up, call and clean-up are one result: the worst of them."""
        self.seen["seconds"] += report.duration
        if report.failed:
            text = "\n".join([str(report.longrepr), *(text for _, text in report.sections)])
            self.seen.update(outcome="failed", text=self.seen["text"] + text)
        elif report.skipped and self.seen["outcome"] == "passed":
            why = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr
            self.seen.update(outcome="skipped", text=str(why).removeprefix("Skipped: "))

    def pytest_runtest_logfinish(self, nodeid):
        self.say("result", test=nodeid, **self.seen)

    def pytest_sessionfinish(self, exitstatus):
        self.say("finished", status=int(exitstatus))


def pytest_configure(config):
    config.pluginmanager.register(Reporter(os.environ["STEAD_EVENTS"]))
