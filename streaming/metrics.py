"""Every metric of Ringwatch, in one typed list.

Code that measures is handed a :class:`Metrics` and uses its instruments; nothing else makes one. A field's name is
the metric's name on the wire after ``ringwatch_`` (a counter's ends in ``_total`` there), and every label has few
values. This module refuses to know where the numbers go: :mod:`ringwatch.telemetry` serves them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, get_args, get_type_hints

from opentelemetry.metrics import CallbackOptions, Counter, Histogram, Meter, NoOpMeter, Observation

#: Upper bounds in seconds: a batch should take tens of milliseconds, and an outage may hold one for a while.
_BOUNDS_S = (0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)


class Levels:
    """A gauge with one label whose values are replaced together: what is no longer named is no longer reported.

    A worker that loses a partition therefore stops reporting that partition's lag.
    """

    def __init__(self, meter: Meter, name: str, about: About) -> None:
        (self._label,) = about.labels
        self._values: dict[str, float] = {}
        meter.create_observable_gauge(name, callbacks=[self._observe], description=about.meaning)

    def replace(self, values: Mapping[str, float]) -> None:
        """Report exactly these values from now on, by their label's value."""
        self._values = dict(values)

    def _observe(self, _: CallbackOptions) -> Iterator[Observation]:
        for label, value in self._values.items():
            yield Observation(value, {self._label: label})


@dataclass(frozen=True)
class About:
    """What a metric means, in a sentence, and the labels that every one of its values carries."""

    meaning: str
    labels: tuple[str, ...] = ()


@dataclass(frozen=True)
class Metrics:
    """The instruments: ``add`` to a counter, ``record`` seconds into a histogram, ``replace`` levels."""

    # What comes in.
    records: Annotated[Counter, About("Records that a source handed over.")]
    accepted: Annotated[Counter, About("Transactions that were new and entered the graph.")]
    duplicates: Annotated[Counter, About("Transactions and labels seen before with the same content.")]
    labels: Annotated[
        Counter, About("Labels that said something new, by verdict and source.", ("verdict", "source"))
    ]
    dead_letters: Annotated[Counter, About("Records set aside, by the reason that they carry.", ("reason",))]
    unknown_fields: Annotated[Counter, About("Fields kept out because no event has them.")]
    late_events: Annotated[Counter, About("Transactions later than the lateness allowed (written all the same).")]
    replayed_batches: Annotated[Counter, About("Batches evaluated again after a restart.")]
    lag: Annotated[Levels, About("Records between the last commit and the end, by partition.", ("partition",))]
    watermark_seconds: Annotated[
        Levels, About("Event time reached, in seconds since the epoch, by partition.", ("partition",))
    ]

    # What a batch costs; the phases are write, rules, assemble and publish.
    batch_seconds: Annotated[Histogram, About("Time that a batch takes, by phase.", ("phase",))]
    retention_deletions: Annotated[
        Counter, About("Nodes and relationships deleted because they expired, by kind.", ("kind",))
    ]

    # What the rules do; the search for dense blocks counts as one of them, dense_block.
    rule_seconds: Annotated[Histogram, About("Time that one rule takes on one batch.", ("rule",))]
    rule_anchors: Annotated[Counter, About("Anchors that a rule was run on.", ("rule",))]
    rule_findings: Annotated[Counter, About("Findings that a rule returned.", ("rule",))]
    shadow_findings: Annotated[Counter, About("Findings of a rule in status test, which alert nobody.", ("rule",))]
    rule_failures: Annotated[
        Counter, About("Batches on which a rule failed at some anchors; the rest went on.", ("rule",))
    ]
    density_held: Annotated[
        Levels,
        About("What the search for dense blocks holds in memory, by kind (transactions, edges).", ("kind",)),
    ]
    density_dropped: Annotated[Counter, About("Transactions that it let go before their time, to bound memory.")]

    rule_refusals: Annotated[
        Counter, About("Changed rule files that were refused; what ran before went on.", ("rule",))
    ]

    muted_rules: Annotated[
        Levels, About("1 while a rule is muted because it fired on too many of its anchors.", ("rule",))
    ]
    muted_anchors: Annotated[
        Counter, About("Anchors that a muted rule was not run on, or whose findings were withheld.", ("rule",))
    ]
    deferred_anchors: Annotated[
        Counter, About("Anchors put off because the rule's time budget was spent.", ("rule",))
    ]
    caught_up_anchors: Annotated[Counter, About("Anchors that were put off and worked off since.", ("rule",))]
    waiting_anchors: Annotated[Levels, About("Anchors put off that wait in the graph.", ("rule",))]

    # What learned scores do.
    arrivals_scored: Annotated[Counter, About("Payments scored as they arrived.")]
    arrival_failures: Annotated[Counter, About("Batches that went on without scores because scoring failed.")]
    passes: Annotated[Counter, About("Passes over the graph, by outcome (done, failed, no_model).", ("outcome",))]
    pass_seconds: Annotated[Histogram, About("Time that a pass over what has changed takes.")]
    scored_nodes: Annotated[Counter, About("Nodes given a risk by a pass, by label.", ("label",))]
    learned_findings: Annotated[Counter, About("Groups of risky payments that a pass found to hang together.")]
    drift: Annotated[
        Levels,
        About("Population stability index against the model's data, of scores and (median) of inputs.", ("of",)),
    ]

    # What goes out.
    allowed_findings: Annotated[
        Counter, About("Findings dropped because only allow-listed entities held them together.")
    ]
    rings: Annotated[Levels, About("Rings in the graph, by status.", ("status",))]
    suppressed_findings: Annotated[
        Counter, About("Findings that changed a dismissed ring, and so nobody heard of.")
    ]
    alerts: Annotated[
        Counter, About("Alerts published; one with two typologies counts under both.", ("typology",))
    ]

    @classmethod
    def create(cls, meter: Meter | None = None) -> Metrics:
        """Make every instrument with ``meter`` (without one, instruments that record nothing)."""
        meter = meter or NoOpMeter("ringwatch")
        instruments: dict[str, Any] = {}
        for name, kind, about in definitions():
            if kind is Counter:
                instruments[name] = meter.create_counter(f"ringwatch_{name}", description=about.meaning)
            elif kind is Histogram:
                instruments[name] = meter.create_histogram(
                    f"ringwatch_{name}",
                    unit="s",
                    description=about.meaning,
                    explicit_bucket_boundaries_advisory=_BOUNDS_S,
                )
            else:
                instruments[name] = Levels(meter, f"ringwatch_{name}", about)
        return cls(**instruments)


def definitions() -> Iterator[tuple[str, type, About]]:
    """The list as data: each metric's name, its kind (Counter, Histogram or Levels) and what it means."""
    for name, annotation in get_type_hints(Metrics, include_extras=True).items():
        kind, about = get_args(annotation)
        yield name, kind, about
