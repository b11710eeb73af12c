"""Addresses that send keys which nobody has."""

from __future__ import annotations

from pathlib import Path

import pytest
from conftest import error_of, running

from daguerre.errors import RateLimitError
from daguerre.server.access import auth_throttle as module
from daguerre.server.access.auth_throttle import Strangers, network


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_window_slides() -> None:
    """So many within a minute are looked up, of each address."""
    clock = Clock()
    strangers = Strangers(2, clock)
    for _ in range(2):
        strangers.check("10.0.0.1", "x")
        strangers.note_unknown("10.0.0.1", "x")
        clock.now += 20
    with pytest.raises(RateLimitError, match="2 unknown keys") as refusal:
        strangers.check("10.0.0.1", "y")
    assert refusal.value.retry_after_s == 20
    strangers.check("10.0.0.2", "y")
    clock.now += 20
    strangers.check("10.0.0.1", "y")


def test_good_keys_are_not_shut_out() -> None:
    """Whoever shares the address with a stranger goes on, until the key is good no more."""
    strangers = Strangers(1, Clock())
    strangers.note_good("good")
    strangers.note_unknown("10.0.0.1", "bad")
    strangers.check("10.0.0.1", "good")
    strangers.note_unknown("10.0.0.1", "good")
    with pytest.raises(RateLimitError):
        strangers.check("10.0.0.1", "good")


def test_no_limit() -> None:
    """0 counts nothing."""
    strangers = Strangers(0, Clock())
    for _ in range(1000):
        strangers.check("10.0.0.1", "x")
        strangers.note_unknown("10.0.0.1", "x")


def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """However many addresses send however many keys, few are remembered."""
    monkeypatch.setattr(module, "MAX_REMEMBERED", 10)
    strangers = Strangers(3, Clock())
    for number in range(1000):
        strangers.note_unknown(f"10.0.{number // 100}.{number % 100}", "x")
        strangers.note_good(str(number))
    for _ in range(100):
        strangers.note_unknown("10.0.9.99", "x")
    assert (len(strangers._failures), len(strangers._good)) == (10, 10)
    assert max(map(len, strangers._failures.values())) == 3


@pytest.mark.parametrize(
    ("one", "other", "is_same"),
    [
        ("2001:db8::1", "2001:db8::ffff:1", True),
        ("2001:db8::1", "2001:db8:0:1::1", False),
        ("::ffff:10.0.0.1", "10.0.0.1", True),
        ("::ffff:10.0.0.1", "::ffff:10.0.0.2", False),
        ("fe80::1%eth0", "fe80::2%eth0", True),
        ("", "", True),
    ],
)
def test_what_counts_as_one_address(one: str, other: str, is_same: bool) -> None:
    """A network that one customer gets is one address, and an address has one name."""
    assert (network(one) == network(other)) == is_same


def test_over_http(tmp_path: Path) -> None:
    """Past the limit unknown keys are 429 with Retry-After, on every path, and known ones work."""
    with running(tmp_path, max_auth_failures=3) as server:
        assert server.generate().status_code == 200
        for number in range(3):
            assert error_of(server.post(b"{", key=f"inf-{number}"))["code"] == 401
        new = server.limited(100)
        for key in ("inf-0", new):
            refused = server.post(b"{", key=key)
            assert (error_of(refused)["code"], error_of(refused)["type"]) == (
                429,
                "rate_limit_error",
            )
            assert 1 <= int(refused.headers["retry-after"]) <= 59
        head = {"authorization": "Bearer inf-0"}
        assert server.client.get("/v1/models", headers=head).status_code == 429
        assert server.client.get("/v1/models").status_code == 401  # no key is no guess
        assert server.generate().status_code == 200
