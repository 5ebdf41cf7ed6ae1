"""Run the whole program as a process, and call it."""

import asyncio
import os
import sys
from asyncio.subprocess import PIPE, STDOUT, Process
from collections.abc import AsyncGenerator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import TypeAlias

import pytest
from grpc import aio

from member.demo.service import ServiceLog
from member.v1 import member_pb2 as pb
from member.v1.member_pb2_grpc import MemberServiceStub
from tests.support.fork_server import ForkedProcess, run_forked

Program: TypeAlias = Process | ForkedProcess

IMPORTS = (
    "aiosqlite",
    "member.administration",
    "member.demo.__main__",
    "member.program",
    "pyasynq.broker.redis",
    "pydantic.v1",
)
"""The modules that take most of the program's start."""

ALICE = pb.CreateMemberRequest(
    membername="alice",
    full_name="Alice Liddell",
    email="alice@example.com",
    password="curiouser and curiouser",
)


@asynccontextmanager
async def stub_of(address: str) -> AsyncGenerator[MemberServiceStub]:
    async with aio.insecure_channel(address) as channel:
        yield MemberServiceStub(channel)


async def create_alice(address: str) -> None:
    async with stub_of(address) as stub:
        await stub.CreateMember(ALICE)


def program(
    variables: Mapping[str, str], folder: Path, *arguments: str
) -> AbstractAsyncContextManager[ForkedProcess]:
    """Run the program until the end of the block."""
    command = ("member", *arguments)
    return run_forked(command, imports=IMPORTS, variables=variables, folder=folder)


@asynccontextmanager
async def logged_program(
    variables: Mapping[str, str], folder: Path, log: ServiceLog
) -> AsyncGenerator[ForkedProcess]:
    """Run the program until the end of the block; *log* gets its output."""
    async with asyncio.TaskGroup() as group, program(variables, folder) as process:
        group.create_task(log.read(process.stdout))
        yield process


@asynccontextmanager
async def executed_program(
    variables: Mapping[str, str], folder: Path, *arguments: str
) -> AsyncGenerator[Process]:
    """Run the program until the end of the block, started by its command."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "member",
        *arguments,
        env={**os.environ, **variables},
        cwd=folder,
        stdout=PIPE,
        stderr=STDOUT,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def output_until(process: Program, text: bytes) -> bytes:
    """Return the first line with *text*."""
    assert process.stdout is not None
    async for line in process.stdout:
        if text in line:
            return line
    pytest.fail(f"the program ended before it printed {text!r}")


async def output_of(process: Program) -> bytes:
    """Return the output of the program until its end."""
    assert process.stdout is not None
    return await process.stdout.read()
