"""Ask the program of this container whether it is alive: exit code 0 if it is, 1 if not."""

import os
import ssl
import sys
from urllib.request import urlopen

TIMEOUT_S = 3


def main() -> int:
    """Ask the program, and return the exit code."""
    port = os.environ["HTTP_SERVER_ADDRESS"].rpartition(":")[2]
    scheme = "https" if os.environ.get("TLS_CERT_FILE") else "http"
    # The certificate names the public host, and this check asks 127.0.0.1.
    unverified = ssl._create_unverified_context()  # noqa: S323, SLF001
    try:
        with urlopen(  # noqa: S310 - one of the two schemes above
            f"{scheme}://127.0.0.1:{port}/healthz", timeout=TIMEOUT_S, context=unverified
        ):
            return 0
    except OSError as error:
        print(f"not healthy: {error}", file=sys.stderr)  # noqa: T201 - Docker stores it
        return 1


if __name__ == "__main__":
    sys.exit(main())
