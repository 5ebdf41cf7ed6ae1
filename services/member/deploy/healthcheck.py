"""Ask the program of this container whether it is alive: exit code 0 if it is, 1 if not."""

import os
import ssl
import sys
from urllib.request import urlopen

PATIENCE_S = 3


def main() -> int:
    """Ask, and return the exit code."""
    port = os.environ["HTTP_SERVER_ADDRESS"].rpartition(":")[2]
    scheme = "https" if os.environ.get("TLS_CERT_FILE") else "http"
    # The certificate is for the name that others know; here the program's own host asks it.
    trusting = ssl._create_unverified_context()  # noqa: S323, SLF001
    try:
        with urlopen(  # noqa: S310 - one of the two schemes above
            f"{scheme}://127.0.0.1:{port}/healthz", timeout=PATIENCE_S, context=trusting
        ):
            return 0
    except OSError as error:
        print(f"not healthy: {error}", file=sys.stderr)  # noqa: T201 - kept by Docker
        return 1


if __name__ == "__main__":
    sys.exit(main())
