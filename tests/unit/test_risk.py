"""Risk is the noisy-OR of its parts, and every part is said."""

from __future__ import annotations

import math

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from queries.spec import SEVERITIES, Measure, Severity
from streaming.ring_state import Learned, Ring, Verdict
from streaming.rings import RingBook
from streaming.risk import PRIOR_WEIGHT, PRIORS, Calibration, assess, risk_in_words
from tests.findings import DAY, SETTINGS, finding, only, taken


def ring() -> Ring:
    """A ring of two rules, a dense block and a burst."""
    book = RingBook(SETTINGS)
    farm = finding("d1", list("abc"))
    measured = Measure("cards", 5, 4, "cards at the device")
    taken(
        book,
        msgspec.structs.replace(farm, measures=(measured,)),
        finding("d1", list("abc"), rule="takeover", severity="critical", time=DAY + 1),
        msgspec.structs.replace(
            finding("d1", list("abc"), rule="dense_block", severity="medium", time=DAY + 2),
            part="density",
            burst=10.0,
        ),
    )
    return only(book)


def test_the_parts_make_the_risk() -> None:
    risk = assess(ring(), Calibration())
    assert {part.id: part.risk for part in risk.rules} == {"device_farm": 0.7, "takeover": 0.85}
    assert risk.density == 0.5
    assert risk.burst == pytest.approx(0.1 * 0.998435, abs=1e-6)  # chi-squared with one degree of freedom at 10
    assert risk.burst is not None
    assert risk.final == pytest.approx(1 - 0.3 * 0.15 * 0.5 * (1 - risk.burst), abs=1e-6)
    assert (risk.model, risk.model_version) == (None, None)


def test_verdicts_move_the_parts_that_they_are_about() -> None:
    calibration = Calibration(
        [("confirmed", ["takeover"]), ("dismissed", ["device_farm", "x"]), ("dismissed", ["device_farm"])]
    )
    parts = {part.id: part for part in assess(ring(), calibration).rules}
    assert parts["device_farm"].risk == pytest.approx(7 / 12, abs=1e-6)
    assert parts["takeover"].risk == pytest.approx(9.5 / 11, abs=1e-6)
    assert (parts["device_farm"].confirmed, parts["device_farm"].dismissed) == (0, 2)


@given(st.integers(0, 500), st.integers(0, 500), st.sampled_from(SEVERITIES))
def test_a_part_lies_between_its_prior_and_what_people_say(
    confirmed: int, dismissed: int, severity: Severity
) -> None:
    verdicts: list[tuple[Verdict, list[str]]] = [("confirmed", ["r"])] * confirmed
    verdicts += [("dismissed", ["r"])] * dismissed
    calibration = Calibration(verdicts)
    prior, part = PRIORS[severity], calibration.part("r", severity)
    said = confirmed / (confirmed + dismissed) if confirmed + dismissed else prior
    assert min(prior, said) - 1e-6 <= part.risk <= max(prior, said) + 1e-6
    assert math.isclose(
        part.risk,
        (prior * PRIOR_WEIGHT + confirmed) / (PRIOR_WEIGHT + confirmed + dismissed),
        abs_tol=1e-6,
    )


def test_every_part_is_said_in_words() -> None:
    said = risk_in_words(ring(), Calibration([("confirmed", ["takeover"])]))
    assert said == [
        "risk 0.98: how likely one of the following is right at least",
        "dense_block 0.50: 0.5 as medium severity goes, 0 confirmed and 0 dismissed rings so far",
        "device_farm 0.70: 0.7 as high severity goes, 0 confirmed and 0 dismissed rings so far",
        "takeover 0.86: 0.85 as critical severity goes, 1 confirmed and 0 dismissed rings so far",
        "burst 0.10: highest MIDAS score of its members: 10 (threshold 3.841)",
        "no learned part: no model has scored its payments",
    ]


def test_a_model_s_word_is_a_part_that_no_verdict_moves() -> None:
    told = ring()
    before = assess(told, Calibration())
    told.typologies["learned"] = msgspec.structs.replace(told.typologies["takeover"], part="model")
    told.learned = Learned(0.8, "20250101-abc", 3, 4)
    risk = assess(told, Calibration([("dismissed", ["learned"])]))
    assert (risk.model, risk.model_version, risk.rules) == (0.8, "20250101-abc", before.rules)
    assert risk.final == pytest.approx(1 - (1 - before.final) * 0.2, abs=1e-6)
    expected = "learned 0.80: the mean over 3 of its 4 latest payments, scored by model 20250101-abc"
    assert risk_in_words(told, Calibration())[-1] == expected
