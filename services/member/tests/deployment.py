"""What a deployment is told: the example of settings, as somebody fills it in."""

import re
from datetime import timedelta
from pathlib import Path
from secrets import token_hex

DEPLOY = Path(__file__).parents[1] / "deploy"
EXAMPLE = DEPLOY / "member.env.example"

LEAVING = timedelta(seconds=8)
"""What the program takes after SHUTDOWN_TIMEOUT to interrupt, write and close."""


def example(*, elsewhere: bool = False) -> dict[str, str]:
    """Return the example as somebody fills it in; *elsewhere* with servers of their own."""
    text = EXAMPLE.read_text()
    if elsewhere:
        text = re.sub(r"^# ([A-Z_]+=)", r"\1", text, flags=re.MULTILINE)
        text = text.replace(":password@", f":{token_hex(8)}@")
    with_secrets = re.sub(
        r"^([A-Z_]+)=$", lambda m: f"{m[1]}={token_hex(32)}", text, flags=re.MULTILINE
    )
    return values_of(with_secrets)


def values_of(text: str) -> dict[str, str]:
    """Return what stands in a file of settings."""
    lines = (line.partition("=") for line in text.splitlines() if re.match(r"[A-Z]", line))
    return {name: value for name, _, value in lines}
