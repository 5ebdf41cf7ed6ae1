"""Request heads that two servers could parse differently."""

import pytest

from member.web.heads import is_ambiguous

POST = b"POST / HTTP/1.1\r\nHost: x\r\n"
END = b"\r\n\r\n"


@pytest.mark.parametrize(
    "head",
    [
        POST + b"Content-Length: 4\r\nTransfer-Encoding: chunked" + END,
        POST + b"transfer-encoding: chunked\r\ncontent-length: 4" + END,
        POST + b"Content-Length: 4\r\nContent-Length: 5" + END,
        POST + b"Content-Length: 4\r\nContent-Length: 4" + END,
        POST + b"Content-Length: 4, 4" + END,
        POST + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity" + END,
        POST + b"X: a\r\n Content-Length: 4" + END,
        POST + b"X: a\r\n\tb" + END,
        POST + b"X: a\nContent-Length: 4" + END,
        POST + b"X: a\rContent-Length: 4" + END,
        POST + b"X: a\n\n",
        POST + b"X: a\r\n\n",
        POST.replace(b"1.1", b"1.0") + b"Transfer-Encoding: chunked" + END,
        b"POST / HTTP/1.0\r\nTransfer-Encoding: chunked" + END,
    ],
)
def test_a_head_that_a_proxy_could_parse_differently_is_ambiguous(head: bytes) -> None:
    assert is_ambiguous(head)


@pytest.mark.parametrize(
    "head",
    [
        POST + b"Content-Length: 4" + END,
        POST + b"Transfer-Encoding: chunked" + END,
        POST + b"Accept: a, b\r\nX-Content-Length: 4\r\nContent-Length: 4" + END,
        POST + b"Content-Length: 4" + END + b"x\ny\r\nContent-Length: 5\r\n\r\n",
        POST + b"X: a\nb",
        b"",
    ],
    ids=["length", "chunks", "others", "body", "not whole", "nothing"],
)
def test_a_head_that_all_parse_alike_is_not_ambiguous(head: bytes) -> None:
    assert not is_ambiguous(head)
