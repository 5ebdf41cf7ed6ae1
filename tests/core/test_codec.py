"""The headers of a sealed task name its codecs, and only these open it."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyasynq import Codec, CodecContext, CodecError, OptionError, Task, TaskInfo, TaskState
from pyasynq.core.codec import HEADER, NO_CODECS, Codecs
from pyasynq.core.compose import compose, with_options
from pyasynq.core.info import info_of_message
from pyasynq.core.message import TaskMessage
from pyasynq.core.options import NO_OPTIONS, Options
from tests.support.codecs import Envelope, Zlib

NOW = datetime(2026, 1, 2, tzinfo=UTC)
SECRET = b"card 1234"


def a_message(payload: bytes = SECRET, **headers: str) -> TaskMessage:
    task = Task("pay", payload, headers=headers)
    return compose(task, NO_OPTIONS, now=NOW, task_id="1").message


def seal_message(*codecs: Codec, payload: bytes = SECRET) -> TaskMessage:
    message = a_message(payload)
    Codecs(codecs).seal(message)
    return message


def info_of(message: TaskMessage, result: bytes | None = None) -> TaskInfo:
    return info_of_message(message, state=TaskState.COMPLETED, result=result)


ANY_CODECS = st.lists(
    st.sampled_from([Zlib(), Envelope("a"), Envelope("b"), Envelope("c")]),
    unique_by=lambda codec: codec.name,
)


@given(codecs=ANY_CODECS, more=ANY_CODECS, payload=st.binary(max_size=100))
def test_codecs_in_any_order_open_what_they_sealed(
    codecs: Sequence[Codec], more: Sequence[Codec], payload: bytes
) -> None:
    message, names = a_message(payload, k="v"), {codec.name for codec in codecs}
    if codecs:
        Codecs(codecs).seal(message)
    reader = [*[codec for codec in more if codec.name not in names], *reversed(codecs)]
    opened = Codecs(reader).open_message(message)
    assert (opened.payload, dict(opened.headers)) == (payload, {"k": "v"})


def test_the_header_names_the_codecs_in_the_order_in_which_they_were_applied() -> None:
    message = seal_message(Zlib(), Envelope())
    assert dict(message.headers) == {HEADER: "zlib,envelope"}
    assert Codecs([Envelope()]).open_message(seal_message(Envelope())).payload == SECRET
    assert b"4321" not in message.payload  # because it was compressed first


def test_a_sealed_payload_is_not_sealed_again() -> None:
    message = seal_message(Envelope())
    before = message.SerializeToString(deterministic=True)
    Codecs([Zlib(), Envelope()]).seal(message)
    assert message.SerializeToString(deterministic=True) == before


def test_sealing_returns_the_bytes_that_travel() -> None:
    message = a_message(bytes(1000), é="1")
    size = Codecs([Zlib()]).seal(message)
    assert size == len(message.payload) + len("é1".encode()) + len(HEADER + "zlib")


def test_a_plain_task_is_opened_by_nobody() -> None:
    message = a_message()
    assert NO_CODECS.open_message(message) is message
    assert Codecs([Zlib()]).open_message(message) is message


def test_a_codec_gets_the_task_and_the_part_that_it_seals() -> None:
    told: list[CodecContext] = []

    class Telling(Zlib):
        def seal(self, payload: bytes, context: CodecContext) -> bytes:
            told.append(context)
            return super().seal(payload, context)

    message = seal_message(Telling())
    Codecs([Telling()]).seal_result(message, b"paid")
    payload = CodecContext(type="pay", queue="default", id="1", part="payload")
    result = CodecContext(type="pay", queue="default", id="1", part="result")
    assert told == [payload, result]


def test_a_codec_that_is_missing_is_named() -> None:
    with pytest.raises(
        CodecError, match=r"codec 'envelope' cannot open the payload .*codecs="
    ) as e:
        Codecs([Zlib()]).open_message(seal_message(Zlib(), Envelope()))
    assert (e.value.codec, e.value.action, e.value.part) == ("envelope", "open", "payload")
    assert (e.value.queue, e.value.task_id) == ("default", "1")


def test_a_codec_that_fails_is_named_with_what_it_says() -> None:
    wrong = Codecs([Envelope(key=b"another")])
    with pytest.raises(CodecError, match=r"codec 'envelope' cannot open .*: ValueError: wrong key"):
        wrong.open_message(seal_message(Envelope()))


def test_a_codec_may_fail_with_what_cannot_be_shown() -> None:
    class Mute(Exception):
        def __str__(self) -> str:
            raise ZeroDivisionError

    class Failing(Zlib):
        def seal(self, payload: bytes, context: CodecContext) -> bytes:
            raise Mute

    with pytest.raises(CodecError, match=r"cannot seal .*: Mute$"):
        seal_message(Failing())


def test_a_codec_must_return_bytes() -> None:
    class Texts(Zlib):
        def seal(self, payload: bytes, context: CodecContext) -> bytes:
            return "text"  # type: ignore[return-value]

    with pytest.raises(CodecError, match=r"cannot seal .*: it must return bytes, got str"):
        seal_message(Texts())


def test_a_result_is_sealed_as_its_task_is_and_opened_by_that() -> None:
    codecs, message = Codecs([Zlib(), Envelope()]), seal_message(Envelope())
    result = codecs.seal_result(message, b"paid")
    assert result != b"paid"
    assert codecs.open_result(info_of(message, result)) == b"paid"
    assert codecs.open_result(info_of(message)) == b""
    assert codecs.open_result(info_of(a_message(), b"plain")) == b"plain"


# -- what is shown ---------------------------------------------------------------------------------


def test_an_inspector_with_the_codecs_shows_a_task_as_it_was() -> None:
    codecs, message = Codecs([Envelope()]), seal_message(Envelope())
    shown = codecs.open_info(info_of(message, codecs.seal_result(message, b"paid")))
    assert (shown.payload, shown.result, shown.headers) == (SECRET, b"paid", {})
    assert shown.sealed == ""


def test_an_inspector_without_the_codecs_shows_a_task_sealed_and_names_them() -> None:
    message = seal_message(Zlib(), Envelope())
    shown = Codecs([Envelope()]).open_info(info_of(message))
    assert (shown.payload, shown.sealed) == (message.payload, "zlib,envelope")
    assert shown.headers == {HEADER: "zlib,envelope"}


def test_a_result_that_does_not_fit_leaves_the_payload_sealed() -> None:
    message = seal_message(Envelope())
    shown = Codecs([Envelope()]).open_info(info_of(message, b"plain"))
    assert (shown.payload, shown.result) == (message.payload, b"plain")
    assert shown.sealed == "envelope"


# -- changes ---------------------------------------------------------------------------------------


def test_a_new_payload_is_sealed_as_the_old_one_was() -> None:
    codecs = Codecs([Zlib(), Envelope()])
    revised = with_options(seal_message(Envelope()), NO_OPTIONS, payload=b"new")
    codecs.seal_again(revised)
    assert revised.headers[HEADER] == "envelope"
    assert codecs.open_message(revised).payload == b"new"


def test_a_new_payload_of_a_plain_task_stays_plain() -> None:
    revised = with_options(a_message(), NO_OPTIONS, payload=b"new")
    Codecs([Zlib()]).seal_again(revised)
    assert (revised.payload, dict(revised.headers)) == (b"new", {})


def test_new_headers_leave_the_one_that_says_how_to_open() -> None:
    options = Options(headers={"k": "v", HEADER: "other"})
    assert with_options(seal_message(Zlib()), options).headers == {"k": "v", HEADER: "zlib"}
    assert with_options(a_message(), options).headers == {"k": "v"}


# -- what is no codec ------------------------------------------------------------------------------


class Nameless(Zlib):
    name = ""


class Comma(Zlib):
    name = "a,b"


@pytest.mark.parametrize("given", [Zlib(), [Zlib], ["zlib"], [Nameless()], [Comma()], 1])
def test_something_else_than_a_codec_is_refused(given: object) -> None:
    with pytest.raises(OptionError, match="codecs must be"):
        Codecs(given)  # type: ignore[arg-type]


def test_two_codecs_of_one_name_are_refused() -> None:
    with pytest.raises(OptionError, match="codecs with different names"):
        Codecs([Envelope(key=b"1"), Envelope(key=b"2")])


def test_codecs_that_can_be_gone_through_only_once_are_refused() -> None:
    with pytest.raises(OptionError, match="codecs must be a list of codecs"):
        Codecs(codec for codec in [Zlib()])  # type: ignore[arg-type]


@pytest.mark.parametrize("names", ["zlib", "another"])
def test_a_forged_header_does_not_keep_a_payload_from_being_sealed(names: str) -> None:
    message = a_message()
    message.headers[HEADER] = names
    with pytest.raises(CodecError):
        Codecs([Zlib()]).seal(message)


def test_without_codecs_nothing_is_marked() -> None:
    message = a_message()
    assert Codecs().seal(message) == len(SECRET)
    assert dict(message.headers) == {}


@pytest.mark.parametrize("kind", [SystemExit, GeneratorExit, asyncio.CancelledError])
def test_any_error_of_a_codec_names_the_codec(kind: type[BaseException]) -> None:
    class Ending(Zlib):
        def open(self, payload: bytes, context: CodecContext) -> bytes:
            raise kind

    with pytest.raises(CodecError, match="codec 'zlib' cannot open the payload"):
        Codecs([Ending()]).open_message(seal_message(Zlib()))


def test_a_long_name_from_a_peer_is_cut_in_the_error() -> None:
    message = a_message()
    message.headers[HEADER] = "x" * 1_000_000
    with pytest.raises(CodecError) as caught:
        Codecs([Zlib()]).open_message(message)
    assert len(str(caught.value)) < 500
