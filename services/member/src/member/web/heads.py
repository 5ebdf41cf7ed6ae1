"""Find request heads that a proxy and this server could parse differently. Pure.

One of the two would read bytes as the body of a request, and the other as the next request.

Source:
    RFC 9112, 2.2, 5.2, 6.1, 6.3 and 11.2.
"""

import re

_END = re.compile(rb"\n\r?\n")
_LENGTH, _CODING = b"\r\ncontent-length:", b"\r\ntransfer-encoding:"
_OLD = b" http/1.0"


def is_ambiguous(received: bytes) -> bool:
    """Tell whether the first request in *received* has such a head.

    False for an incomplete head; later requests are not checked.
    """
    if not (end := _END.search(received)):
        return False
    head = received[: end.end()].lower()
    return _has_odd_lines(head) or _has_odd_framing(head)


def _has_odd_lines(head: bytes) -> bool:
    """Tell whether a line ends in a lone CR or LF, or continues in the next line."""
    lines = head.count(b"\r\n")
    odd = head.count(b"\n") != lines or head.count(b"\r") != lines
    return odd or b"\r\n " in head or b"\r\n\t" in head


def _has_odd_framing(head: bytes) -> bool:
    """Tell whether the length of the body is given twice, or by chunks, unknown in HTTP/1.0."""
    lengths, codings = head.count(_LENGTH), head.count(_CODING)
    if lengths + codings > 1:
        return True
    if codings:
        return head.partition(b"\r\n")[0].endswith(_OLD)
    return b"," in head.partition(_LENGTH)[2].partition(b"\r\n")[0]
