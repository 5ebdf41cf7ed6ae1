"""Find heads of requests that a proxy and this server could read in two ways. Pure.

What one of them takes for the body of a request, the other would take for the next request.

Source:
    RFC 9112, 2.2, 5.2, 6.1, 6.3 and 11.2.
"""

import re

_END = re.compile(rb"\n\r?\n")
_AMBIGUOUS = re.compile(
    rb"""
    (?<!\r)\n                                    # a line that ends without CR
    | \r(?!\n)                                   # a CR that ends no line
    | \r\n[ \t]                                  # a line that goes on in the next
    | \r\ncontent-length[ \t]*:[^\r]*,           # a list of lengths
    | \A[^\r]*HTTP/1\.0(?=\r\n)(?s:.*)\r\ntransfer-encoding[ \t]*:
    """,
    re.IGNORECASE | re.VERBOSE,
)
_FRAMING = re.compile(rb"\r\n(?:content-length|transfer-encoding)[ \t]*:", re.IGNORECASE)


def is_ambiguous(received: bytes) -> bool:
    """Tell whether the request that *received* begins with has such a head.

    Of a head that is not whole, and of what is after it, nothing is told.
    """
    if not (end := _END.search(received)):
        return False
    head = received[: end.end()]
    return bool(_AMBIGUOUS.search(head)) or len(_FRAMING.findall(head)) > 1
