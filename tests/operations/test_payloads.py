"""Payloads are decoded if that is possible, and cut to a size."""

import json
from typing import Any

import msgspec
import pytest

from pyasynq.core.json_form import to_json_types
from pyasynq.operations.payloads import MAX_SHOWN, Payloads, decode, preview


@pytest.mark.parametrize(
    ("content", "form", "value"),
    [
        (b"", "empty", None),
        (b'{"a": [1, null, "x"]}', "json", {"a": [1, None, "x"]}),
        (b"17", "json", 17),
        (b"plain text", "text", "plain text"),
        (b'{"a": ', "text", '{"a": '),
        (msgspec.msgpack.encode({"a": b"\xff", "n": 2**63}), "msgpack", {"a": "/w==", "n": 2**63}),
        (b"\xff\xfe", "binary", None),
        (b"\x81\xa1\xff", "binary", None),
        (msgspec.msgpack.encode(msgspec.msgpack.Ext(1, b"\xff")), "binary", None),
        (b"[" * 50_000, "text", "[" * 50_000),
        (b"\xc7\x0c\xff" + b"\xff" * 12, "binary", None),
    ],
)
def test_a_payload_is_decoded_by_its_form(content: bytes, form: str, value: object) -> None:
    assert decode(content) == (form, value)


@pytest.mark.parametrize(
    "content",
    [
        b"123456789012345678901234567890",
        b"-99999999999999999999",
        b"[" * 500 + b"]" * 500,
        b'{"\xed\xa0\x80": 1}',
        b'{"a": 1, "a": 2}',
        b'"\\u0000\\u202e"',
        b"1e400",
        b"NaN",
    ],
)
def test_whatever_a_payload_holds_the_answer_is_json(content: bytes) -> None:
    view: Any = Payloads(None).view("t", content)
    answer = json.loads(msgspec.json.encode(to_json_types(view)))
    assert (answer["size"], answer["redacted"]) == (len(content), False)


@pytest.mark.parametrize(
    ("content", "shown"),
    [
        (b"", ""),
        (b"abc", "abc"),
        (b"\xff", None),
        (b"\x00", "\x00"),
        ("é".encode() * 1000, "é" * 200),
        ("x" + "😀" * 1000, "x" + "😀" * 199),
    ],
)
def test_the_beginning_of_a_text_is_shown(content: bytes | str, shown: str | None) -> None:
    assert preview(content if isinstance(content, bytes) else content.encode()) == shown


def test_a_long_payload_is_cut() -> None:
    view: Any = Payloads(None).view("t", b"x" * (MAX_SHOWN + 1))
    assert (len(view["value"]), view["truncated"], view["size"]) == (
        MAX_SHOWN,
        True,
        MAX_SHOWN + 1,
    )
    assert len(view["hex"]) < 13_000
