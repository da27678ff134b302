"""Hostile annotation values, as any tenant with write access may set them."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import strategies as st

from trustplane.api.clustertrust import TRUST_APPLIED, TRUST_INSPECTION, TRUST_PROOF, TRUST_UPDATE_ERROR

RECORDS = (TRUST_APPLIED, TRUST_PROOF, TRUST_INSPECTION)
DIGEST = "0123456789abcdef" * 4
LEAP = timedelta(days=400)  # into the future
# No zone, implausible years, no date, endless digits, and a time that overflows in UTC.
BAD_TIMES = (
    "2026-01-01T00:00:00",
    "0001-01-01T00:00:00+14:00",
    "9999-12-31T23:59:59-23:59",
    "9999-12-31T23:59:59Z",
    "2001-99-99T00:00:00Z",
    "9" * 5000,
    (datetime.now(UTC) + LEAP).isoformat(),
)
DEEP = ("[" * 200_000, '{"a":' * 50_000, '{"digest": ' + "[" * 5000 + "]" * 5000 + "}")

_leaves: st.SearchStrategy[Any] = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text()
    | st.sampled_from([*BAD_TIMES, DIGEST, DIGEST + "0", "x" * 5000, 10**400, "\x1b[2J"])
)
_values = st.recursive(
    _leaves, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
)
_results = st.fixed_dictionaries(
    {},
    optional=dict.fromkeys(("registry", "verdict", "reason", "message", "pulled"), _values),
)
_records = st.fixed_dictionaries(
    {},
    optional={
        "digest": st.just(DIGEST) | _values,
        "at": st.sampled_from(BAD_TIMES) | _values,
        "results": st.lists(_results, max_size=3) | _values,
        **dict.fromkeys(("method", "restarted", "message", "hidden", "refusal", "error"), _values),
    },
)
texts = st.sampled_from(DEEP) | st.text() | (_values | _records).map(json.dumps)
annotations = st.dictionaries(st.sampled_from([*RECORDS, TRUST_UPDATE_ERROR]), texts)
