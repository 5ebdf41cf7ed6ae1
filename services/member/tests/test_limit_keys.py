"""Keys of buckets."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from member.limits.keys import address_key, typed_key


@pytest.mark.parametrize(
    ("address", "key"),
    [
        ("203.0.113.7", "203.0.113.7"),
        ("::ffff:203.0.113.7", "203.0.113.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:DB8:1:2::1", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("::1", "::/64"),
    ],
)
def test_an_address_counts_as_what_one_caller_has(address: str, key: str) -> None:
    assert address_key(address) == key


@pytest.mark.parametrize("address", ["", "unix:", "unix:/run/s", "host", "1.2.3", "1.2.3.4:80"])
def test_texts_that_are_no_ip_addresses_share_a_bucket(address: str) -> None:
    assert address_key(address) == "other"


@given(st.text())
def test_any_address_has_a_key(address: str) -> None:
    assert address_key(address)


def test_a_key_does_not_contain_what_was_typed() -> None:
    assert typed_key("alice@example.com") == "ff8d9819fc0e12bf0d24892e45987e24"


@pytest.mark.parametrize("text", ["Alice", " alice\n", "\uff21lice"])
def test_spellings_of_one_account_count_as_one(text: str) -> None:
    assert typed_key(text) == typed_key("alice")


@given(st.text(st.characters(codec=None)))
def test_any_typed_text_has_a_key_of_the_same_length(text: str) -> None:
    assert len(typed_key(text)) == 32


def test_half_a_surrogate_pair_has_a_key() -> None:
    assert len(typed_key("\ud800")) == 32
