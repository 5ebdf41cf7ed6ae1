"""The settings of a deployment: the example file, filled in."""

import re
from datetime import timedelta
from pathlib import Path
from secrets import token_hex

DEPLOY = Path(__file__).parents[1] / "deploy"
EXAMPLE = DEPLOY / "member.env.example"

LEAVING = timedelta(seconds=8)
"""Time that the program needs after SHUTDOWN_TIMEOUT to interrupt, write and close."""


def example(*, elsewhere: bool = False) -> dict[str, str]:
    """Return the example, filled in; with *elsewhere*, for servers on other machines."""
    text = EXAMPLE.read_text()
    if elsewhere:
        text = re.sub(r"^# ([A-Z_]+=)", r"\1", text, flags=re.MULTILINE)
        text = text.replace(":password@", f":{token_hex(8)}@")
    with_secrets = re.sub(
        r"^([A-Z_]+)=$", lambda m: f"{m[1]}={token_hex(32)}", text, flags=re.MULTILINE
    )
    return values_of(with_secrets)


def values_of(text: str) -> dict[str, str]:
    """Return the settings in the *text* of a file."""
    lines = (line.partition("=") for line in text.splitlines() if re.match(r"[A-Z]", line))
    return {name: value for name, _, value in lines}
