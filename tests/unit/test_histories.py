"""Random histories of a trust configuration, as the end-to-end tests apply them."""

import itertools
import random
from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st

from e2e.histories import MOST, Configuration, certificate, history, victims
from trustplane.trust.removal import compare_fingerprints, fingerprints_by_name

HOST = "apps.corp.test"
START = Configuration({name: certificate(name, 1) for name in ("corp-root", "apps-root")})


@settings(deadline=None, max_examples=10)
@given(st.randoms(use_true_random=True))
def test_every_step_changes_the_set_and_none_is_refused(chance: random.Random) -> None:
    before, actions = START, set()
    for action, after in itertools.islice(history(START, HOST, chance), 40):
        assert after.trust.digest != before.trust.digest
        assert after.authorities.keys() >= START.authorities.keys()
        assert after.trust.names == sorted(after.authorities)
        assert len(after.extras) <= MOST
        assert not compare_fingerprints(
            fingerprints_by_name(before.trust), fingerprints_by_name(after.trust)
        ).needs_permission
        actions.add(action.partition(" ")[0])
        before = after
    assert actions <= {"add", "replace", "remove", "rescope"}


def test_nodes_have_a_file_of_each_entry_and_one_that_names_those_of_a_registry() -> None:
    scoped = Configuration({**START.authorities, "storm-1": certificate("storm-1", 1)}, {"storm-1": HOST})
    assert set(scoped.digests) == {
        "/etc/ssl/certs/tkg-corp-root.pem",
        "/etc/ssl/certs/tkg-apps-root.pem",
        f"/etc/containerd/certs.d/{HOST}/tkg-storm-1.pem",
        f"/etc/containerd/certs.d/{HOST}/hosts.toml",
    }


@given(st.integers(1, 60), st.randoms())
def test_kinds_have_their_turn_about_equally_often(count: int, chance: random.Random) -> None:
    kinds = ["a", "b", "c", "d", "e", "f", "g"]
    chosen = victims(kinds, count, chance)
    assert len(chosen) == count
    counts = Counter(chosen)
    assert max(counts.values()) - min(counts.get(kind, 0) for kind in kinds) <= 1


def test_a_seed_repeats_a_run() -> None:
    first, second = (victims(list("abc"), 20, random.Random(7)) for _ in range(2))  # noqa: S311 - repeatable
    assert first == second
