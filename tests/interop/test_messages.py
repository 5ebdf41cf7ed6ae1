"""Go and Python read each other's messages, whatever their content."""

import json
import subprocess
from pathlib import Path
from typing import Any

from google.protobuf import json_format
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from pyasynq.core.message import TaskMessage, decode, encode

TEXTS = st.text(st.characters(exclude_categories=["Cs"]))
COUNTS = st.integers(-(2**31), 2**31 - 1)
SECONDS = st.integers(-(2**63), 2**63 - 1)

TASKS = st.builds(
    TaskMessage,
    type=TEXTS,
    payload=st.binary(),
    id=TEXTS.filter(bool),
    queue=TEXTS,
    retry=COUNTS,
    retried=COUNTS,
    error_msg=TEXTS,
    timeout=SECONDS,
    deadline=SECONDS,
    unique_key=TEXTS,
    last_failed_at=SECONDS,
    retention=SECONDS,
    completed_at=SECONDS,
    group_key=TEXTS,
    headers=st.dictionaries(TEXTS, TEXTS),
)
MANY_TASKS = st.lists(TASKS, min_size=1)

# Go answers many messages in one start, but starts for each example: shrinking would take minutes.
BRIEF = settings(max_examples=25, phases=[Phase.generate])


@BRIEF
@given(messages=MANY_TASKS)
def test_go_reads_what_python_encodes(messages: list[TaskMessage], go_program: Path) -> None:
    encoded = [{"message": "TaskMessage", "hex": encode(m).hex()} for m in messages]
    read = [
        json_format.ParseDict(line["fields"], TaskMessage())
        for line in ask(go_program, "decode", encoded)
    ]
    assert read == messages


@BRIEF
@given(messages=MANY_TASKS)
def test_python_reads_what_go_encodes(messages: list[TaskMessage], go_program: Path) -> None:
    told = [{"message": "TaskMessage", "fields": json_format.MessageToDict(m)} for m in messages]
    assert [
        decode(bytes.fromhex(line["hex"])) for line in ask(go_program, "encode", told)
    ] == messages


def ask(go_program: Path, command: str, questions: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return Go's answers, one for each question."""
    lines = "\n".join(json.dumps(question) for question in questions)
    done = subprocess.run(
        [go_program, command], input=lines.encode(), capture_output=True, check=True
    )
    return [json.loads(line) for line in done.stdout.splitlines()]
