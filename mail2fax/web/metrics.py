"""Counters for Prometheus, fed by the events of `log`, and gauges read from the spool when they are asked for.

No label ever holds an address, a number or an id: labels are words of this program and the names of fax lines.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from mail2fax import __version__
from mail2fax.model import FINAL
from mail2fax.spool.overview import Standing

# Version 1.0.0 of the text format is for names in UTF-8, which we have none of.
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

_FRACTIONS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5)
_SECONDS = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 40, 120)
_WAITS = (1, 2.5, 5, 10, 30, 60, 120, 300, 600, 1800, 3600, 14_400, 86_400)
_ERRORS = (
    "not accepted",
    "session failed",
    "step failed",
    "spool failed",
    "worker ended",
    "lease lost",
    "not reloaded",
    "template broken, the shipped one was used",
)
_CODE = re.compile(r"[45]\d\d( [45]\.\d{1,3}\.\d{1,3})?")

Facts = Mapping[str, Any]


class Metrics:
    """What one node counts from its start on. `note` is an observer for `log.observed`."""

    def __init__(self) -> None:
        # Each "_created" says no more than the start of the process does.
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self._accepted = self._counter("mails_accepted", "Mails that were answered with 250")
        self._refused = self._counter("mails_refused", "Answers 4yz and 5yz to clients", "code")
        self._ended = self._counter("faxes_ended", "Faxes whose outcome became known", "outcome")
        self._reasons = self._counter("faxes_ended_reasons", "The same by their reasons", "outcome", "reason")
        self._replies = self._counter("replies", "Replies by what became of them", "fate")
        self._postponed = self._counter("replies_postponed", "Attempts at a reply that the mail server did not take")
        self._logins = self._counter("logins_failed", "Wrong passwords, and those not even looked at")
        self._tls = self._counter("tls_failed", "TLS handshakes of clients that failed")
        self._answers = self._counter("provider_answers", "Requests to the provider by its answer", "request", "answer")
        self._errors = self._counter("errors", "Events that an administrator should look into", "event")
        self._commit = self._histogram("commit_seconds", "From the end of a mail to its commit", _FRACTIONS)
        self._prepare = self._histogram("prepare_seconds", "Making one document of a mail", _SECONDS)
        self._request = self._histogram("provider_seconds", "One request to the provider", _SECONDS, "request")
        self._outcome = self._histogram("outcome_seconds", "From the accepted mail to the outcome", _WAITS, "outcome")
        self._reply = self._histogram("reply_seconds", "From the accepted mail to the reply", _WAITS)
        self._born_at_zero()
        self._counted: Mapping[str, Callable[[Facts], None]] = {
            "accepted": self._note_accepted,
            "accepted for postmaster": lambda _: self._accepted.inc(),
            "refused": self._note_refused,
            "turned away": self._note_refused,
            "login failed": lambda _: self._logins.inc(),
            "login refused, too many failures": lambda _: self._logins.inc(),
            "TLS handshake failed": lambda _: self._tls.inc(),
            "prepared": lambda facts: self._prepare.observe(facts["seconds"]),
            "provider answered": self._note_answer,
            **{state.value: self._note_end for state in FINAL},
            "replied": self._note_reply,
            "no reply wanted": lambda _: self._replies.labels("suppressed").inc(),
            "reply undeliverable": lambda _: self._replies.labels("undeliverable").inc(),
            "reply not taken, trying again": lambda _: self._postponed.inc(),
            **dict.fromkeys(_ERRORS, self._note_error),
        }

    def _born_at_zero(self) -> None:
        """A series that begins with its first event rose from nothing, and no alert on a rise sees that."""
        for state in FINAL:
            self._ended.labels(state.value)
        for fate in ("sent", "suppressed", "undeliverable"):
            self._replies.labels(fate)
        for event in _ERRORS:
            self._errors.labels(event)

    def note(self, event: str, facts: Facts) -> None:
        """Count one event of `log`."""
        if count := self._counted.get(event):
            count(facts)

    def exposition(self, standing: Standing | None, *, up: bool, ready: bool, free_bytes: int | None) -> bytes:
        """All metrics as text. `standing`: None when the database did not answer."""
        now = CollectorRegistry()
        now.register(_Gauges(standing, up=up, ready=ready, free_bytes=free_bytes))
        return generate_latest(self.registry) + generate_latest(now)

    def _counter(self, name: str, what: str, *labels: str) -> Counter:
        return Counter(f"mail2fax_{name}", what, labels, registry=self.registry)

    def _histogram(self, name: str, what: str, buckets: tuple[float, ...], *labels: str) -> Histogram:
        return Histogram(f"mail2fax_{name}", what, labels, registry=self.registry, buckets=buckets)

    def _note_accepted(self, facts: Facts) -> None:
        self._accepted.inc()
        self._commit.observe(facts["seconds"])

    def _note_refused(self, facts: Facts) -> None:
        code = _CODE.match(str(facts["answer"]))
        self._refused.labels(code[0] if code else "other").inc()

    def _note_answer(self, facts: Facts) -> None:
        self._answers.labels(facts["request"], facts["answer"]).inc()
        self._request.labels(facts["request"]).observe(facts["seconds"])

    def _note_end(self, facts: Facts) -> None:
        self._ended.labels(facts["event"]).inc()
        self._reasons.labels(facts["event"], facts["reason"]).inc()
        self._outcome.labels(facts["event"]).observe(facts["seconds"])

    def _note_reply(self, facts: Facts) -> None:
        self._replies.labels("sent").inc()
        self._reply.observe(facts["seconds"])

    def _note_error(self, facts: Facts) -> None:
        self._errors.labels(facts["event"]).inc()


class _Gauges(Collector):
    """How things stand at one scrape."""

    def __init__(self, standing: Standing | None, *, up: bool, ready: bool, free_bytes: int | None) -> None:
        self._standing = standing
        self._up = up
        self._ready = ready
        self._free_bytes = free_bytes

    def collect(self) -> Iterator[Metric]:
        """Every gauge."""
        yield _labelled("build_info", "The version that runs", "version", {__version__: 1})
        yield _gauge("spool_up", "Whether the database answers and takes what is written", self._up)
        yield _gauge("ready", "Whether this node should be given mail", self._ready)
        if self._free_bytes is not None:
            yield _gauge("spool_free_bytes", "Disk space left where mails are kept", self._free_bytes)
        if self._standing:
            yield from _of_spool(self._standing)


def _of_spool(standing: Standing) -> Iterator[Metric]:
    # Nodes that share a database all say the same here: take max(), not sum().
    yield _labelled("faxes_waiting", "Faxes whose outcome is not known yet", "state", standing.waiting)
    oldest = {state: standing.oldest.get(state, 0.0) for state in standing.waiting}
    yield _labelled("oldest_waiting_seconds", "Since the oldest of them was received", "state", oldest)
    yield _gauge("faxes_held", "Waiting faxes that an operator holds", standing.held)
    yield _gauge("replies_owed", "Replies not sent yet", standing.owed)
    yield _gauge("replies_undeliverable", "Replies given up, of the last week's faxes", standing.undeliverable)
    yield _gauge("notices_owed", "Other mails not sent yet", standing.notices)
    shut = GaugeMetricFamily(
        "mail2fax_line_failures", "Failures in a row on a fax line in trouble", labels=["line", "kind"]
    )
    for trouble in standing.troubles:
        shut.add_metric([trouble.line or "default", trouble.kind], trouble.failures)
    yield shut


def _gauge(name: str, what: str, value: float) -> Metric:
    return GaugeMetricFamily(f"mail2fax_{name}", what, value=float(value))


def _labelled(name: str, what: str, label: str, values: Mapping[Any, float]) -> Metric:
    family = GaugeMetricFamily(f"mail2fax_{name}", what, labels=[label])
    for key, value in values.items():
        family.add_metric([str(key)], value)
    return family
