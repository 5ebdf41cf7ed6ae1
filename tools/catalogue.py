"""Write the pages of docs/internals that list what is in the code: keys, scripts, states, settings.

    python tools/catalogue.py            # write the pages
    python tools/catalogue.py --check    # list pages that differ from the code

To change a fact on such a page, change the code that it comes from.
"""

import argparse
import ast
import inspect
import itertools
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import timedelta, tzinfo
from importlib import import_module
from itertools import pairwise, product
from pathlib import Path
from pkgutil import iter_modules
from textwrap import dedent, fill
from types import ModuleType
from typing import Final, NamedTuple, get_args

import msgspec

from pyasynq import (
    App,
    Client,
    Inspector,
    PeriodicTaskManager,
    Scheduler,
    Semaphore,
    Server,
    SyncClient,
)
from pyasynq.broker.redis import key_kinds, keys, lua, shared_keys
from pyasynq.broker.redis.scripts import Script
from pyasynq.client.writer import OutboxOptions
from pyasynq.core import message, verdict
from pyasynq.core.options import EnqueueOptions, TaskOptions
from pyasynq.core.states import ALLOWED_STATES, MOVES, TaskState
from pyasynq.outbox import Outbox, Relay
from pyasynq.scheduler.config import Config as SchedulerConfig
from pyasynq.scheduler.config import SchedulerOptions
from pyasynq.server.config import Config as ServerConfig
from pyasynq.server.config import ServerOptions

FOLDER: Final = Path(__file__).parents[1] / "docs/internals"
LUA: Final = Path(lua.__path__[0])
NOTE: Final = "<!-- Written by tools/catalogue.py from the code: change it there. -->"

WIDTH: Final = 118

MOST_NAMED: Final = 10
"""Largest number of users of a shared file that the page names; above it the page only counts."""

KEYS_INTRO: Final = """
Every key, from `broker/redis/keys.py` and `broker/redis/shared_keys.py`. Words in capitals are
placeholders. A zset is a sorted set. [protocol.md](protocol.md#1-redis-key-layout) describes the
keys of asynq in detail, and [redis.md](redis.md#own-keys) those of pyasynq. After each test a
fixture checks that every key in Redis has one of these forms.
"""

SCRIPTS_INTRO: Final = """
Every script of `broker/redis/lua`, by folder, from the headers of the files, which also contain
units and meanings. [redis.md](redis.md#scripts) says how a script is called. A script with † may be
sent again when a connection breaks: run twice, it makes the same changes and gives the same answer.
The last column names the sections of [protocol.md](protocol.md) that describe asynq's behaviour.
"""

STATES_INTRO: Final = """
The states of a task and the moves between them, from `core/states.py`, `core/verdict.py` and the
scripts. The diagram shows what clients and servers do; the last table shows what an operator may
do.
"""

SETTINGS_INTRO: Final = """
Every setting of the public classes, from signatures, option types and docstrings. A `timedelta`
contains its unit; a whole number is a count, unless the meaning names a unit. A – means
that there is no default, or that the meaning names it. Flags and `PYASYNQ_` variables of the
command line are in [command-line.md](../guides/command-line.md).
"""

Rows = Iterable[Sequence[str]]


# -- Markdown --------------------------------------------------------------------------------------


def format_page(title: str, *parts: str) -> str:
    return "\n\n".join([f"# {title}", NOTE, *map(wrap_prose, parts)]) + "\n"


def wrap_prose(part: str) -> str:
    if part[0] in "#|`":
        return part
    text = " ".join(part.split())
    return fill(text, WIDTH, break_on_hyphens=False, break_long_words=False)


def format_table(head: Sequence[str], rows: Rows) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(map(format_cell, line))} |" for line in lines)


def format_cell(text: str) -> str:
    return " ".join(text.split()).replace("|", r"\|").replace("``", "`") or "–"


def quote(*words: str) -> str:
    return ", ".join(f"`{word}`" for word in words)


# -- docstrings ------------------------------------------------------------------------------------


def read_summary(thing: object) -> str:
    """Return the first paragraph of a docstring, in one line."""
    return " ".join((inspect.getdoc(thing) or "").partition("\n\n")[0].split())


def read_section(thing: object, name: str) -> str:
    """Return a section of a docstring without its indentation; an empty text if it is missing."""
    found = re.search(rf"^{name}:\n((?:    .*\n?|\n)+)", inspect.getdoc(thing) or "", re.MULTILINE)
    return dedent(found[1]).strip() if found else ""


def read_entries(thing: object, name: str) -> dict[str, str]:
    """Return the entries of a section, ``name: text``, in their order."""
    parts = re.split(r"^(\**\w+): ", read_section(thing, name), flags=re.MULTILINE)[1:]
    pairs = zip(parts[::2], parts[1::2], strict=True)
    return {n.strip("*"): " ".join(text.split()) for n, text in pairs}


def parse_source(thing: ModuleType | type | Callable[..., object]) -> ast.Module:
    return ast.parse(dedent(inspect.getsource(thing)))


# -- keys ------------------------------------------------------------------------------------------

SAMPLES: Final = {"day": "2000-01-01"}
"""Arguments that need a realistic value, so that the key matches one of the known forms."""


class Key(NamedTuple):
    """A form of key, with the facts of its docstring."""

    form: str
    kind: str
    doc: str
    writers: str
    own: bool


def describe_keys() -> str:
    found = [
        *read_constant_keys(),
        *read_function_keys(shared_keys),
        *read_function_keys(keys),
        *read_function_keys(message),
    ]
    unknown = [pattern.pattern for pattern, _ in key_kinds.KINDS if not is_spelled(pattern, found)]
    if unknown:
        msg = f"no function returns keys such as {unknown}"
        raise ValueError(msg)
    of_queues = [key for key in found if key.form.startswith("asynq:{")]
    others = [key for key in found if key not in of_queues]
    return format_page(
        "Keys in Redis",
        KEYS_INTRO,
        "## Of a queue",
        "All contain the hash tag `{QUEUE}`, so on a cluster they are in one slot.",
        format_keys(of_queues),
        "## Of all queues, servers and schedulers",
        format_keys(others),
    )


def format_keys(found: Iterable[Key]) -> str:
    head = ["key", "type", "what it holds", "written by", "belongs to"]
    rows = [
        [
            quote(key.form),
            key.kind,
            remove_type(key.doc),
            key.writers,
            "pyasynq" if key.own else "asynq",
        ]
        for key in found
    ]
    return format_table(head, rows)


def remove_type(doc: str) -> str:
    """Return *doc* without the type of the key, which has a column of its own."""
    doc = re.sub(r" \((?:string|hash|list|set|sorted set|stream|list or sorted set)\)", "", doc)
    return re.sub(r"\((?:string|hash|list|set|sorted set)(?: of|,)? ", "(", doc)


def is_spelled(pattern: re.Pattern[str], found: Iterable[Key]) -> bool:
    return any(pattern.fullmatch(fill_in_samples(key.form)) for key in found)


def fill_in_samples(form: str) -> str:
    return form.replace("DAY", SAMPLES["day"])


def find_kind(form: str) -> str | None:
    kinds = (kind for pattern, kind in key_kinds.KINDS if pattern.fullmatch(fill_in_samples(form)))
    return next(kinds, None)


def read_constant_keys() -> Iterator[Key]:
    """Yield the keys that are constants, each with the text below it."""
    for line, below in pairwise(parse_source(shared_keys).body):
        match line, below:
            case (
                ast.AnnAssign(value=ast.Constant(value=str(form))),
                ast.Expr(value=ast.Constant(value=str(text))),
            ):
                doc, _, rest = text.partition("\n\nWritten by:\n")
                doc = doc.partition("\n\n")[0]
                writers, _, differs = rest.partition("\n\nDiffers:\n")
                kind = find_kind(form) or "channel"
                doc = doc.removeprefix("The ").rstrip(".")
                yield Key(form, kind, doc, writers.rstrip(), own=bool(differs))
            case _:
                pass


def read_function_keys(module: ModuleType) -> Iterator[Key]:
    """Yield the keys that functions of *module* return."""
    for function in vars(module).values():
        if inspect.isfunction(function) and function.__module__ == module.__name__:
            doc = read_summary(function).removeprefix("Return the key of ").rstrip(".")
            writers = read_section(function, "Written by")
            for form in spell_forms(function):
                if kind := find_kind(form):
                    own = bool(read_section(function, "Differs"))
                    yield Key(form, kind, doc, writers, own=own)


def spell_forms(function: Callable[..., object]) -> Iterator[str]:
    """Yield the keys of *function* for names in capitals, with and without optional parts."""
    choices: list[Sequence[object]] = []
    for name, parameter in inspect.signature(function).parameters.items():
        if parameter.annotation is TaskState:
            choices.append(list(TaskState))
        elif parameter.annotation in {str, int}:
            choices.append([name.upper()] if parameter.default else ["", name.upper()])
        else:
            return
    for values in product(*choices):
        form = function(*values)
        if isinstance(form, str):
            yield form


# -- scripts ---------------------------------------------------------------------------------------


class Header(NamedTuple):
    """The header of a Lua file: its first sentence and its sections."""

    doc: str
    sections: Mapping[str, str]

    def names(self, section: str) -> list[str]:
        """Return the names that a section declares, with their types."""
        lines = self.sections.get(section, "")
        declared = re.findall(r"^  (\w+) +(\w+(?: or \w+)?)", lines, re.MULTILINE)
        return [f"`{name}` {kind}" for name, kind in declared]


def read_header(file: Path) -> Header:
    comment = file.read_text("utf-8").partition("\n\n")[0]
    text = re.sub(r"^-- ?", "", comment, flags=re.MULTILINE)
    doc, *parts = re.split(r"^([A-Z]{4,})\b", text, flags=re.MULTILINE)
    first_sentence = re.split(r"(?<=\.)\s", doc, maxsplit=1)[0]
    return Header(first_sentence, dict(zip(parts[::2], parts[1::2], strict=True)))


def describe_scripts() -> str:
    folders = [import_module(f"{lua.__name__}.{port.name}") for port in iter_modules(lua.__path__)]
    return format_page(
        "Lua scripts",
        SCRIPTS_INTRO,
        *(part for folder in folders for part in describe_folder(folder)),
        "## shared",
        "Code that scripts share. It uses names of the script, or of a shared file before it.",
        format_shared(folders),
    )


def list_scripts(folder: ModuleType) -> list[Script]:
    return [it for it in vars(folder).values() if isinstance(it, Script)]


def describe_folder(folder: ModuleType) -> Iterator[str]:
    yield f"## {folder.__name__.rpartition('.')[2]}"
    yield read_summary(folder)
    head = ["script", "what it does", "KEYS", "ARGV", "EACH", "RETURNS", "protocol"]
    yield format_table(head, itertools.starmap(format_file, list_files(folder).items()))


def list_files(folder: ModuleType) -> dict[str, bool]:
    """Return the files of the scripts of *folder*, and whether their scripts are repeatable."""
    return {file: it.repeatable for it in list_scripts(folder) for file in it.files}


def format_file(file: str, repeatable: bool) -> list[str]:  # noqa: FBT001 - of a pair
    header = read_header(LUA / f"{file}.lua")
    name = quote(file.rpartition("/")[2]) + ("†" if repeatable else "")
    arguments = ", ".join(header.names("ARGV"))
    if more := header.names("MORE"):
        arguments += f"; may be left out: {', '.join(more)}"
    key_names, each = ", ".join(header.names("KEYS")), ", ".join(header.names("EACH"))
    cited = re.search(r"protocol ([\d. andto]*\d)", header.sections.get("SOURCE", ""))
    returns, source = header.sections["RETURNS"], cited[1] if cited else ""
    return [name, header.doc, key_names, arguments, each, returns, source]


def format_shared(folders: Iterable[ModuleType]) -> str:
    used = [
        (file, read_header(LUA / f"{file}.lua").sections.get("USES", "").split())
        for folder in folders
        for file in list_files(folder)
    ]
    rows: list[list[str]] = []
    for file in sorted((LUA / "shared").glob("*.lua")):
        header = read_header(file)
        needs, gives = (header.sections.get(word, "").split() for word in ("NEEDS", "GIVES"))
        users = [name.rpartition("/")[2] for name, uses in used if file.stem in uses]
        users_cell = quote(*users) if len(users) <= MOST_NAMED else f"{len(users)} scripts"
        rows.append([quote(file.stem), header.doc, quote(*needs), quote(*gives), users_cell])
    return format_table(["file", "what it is", "needs", "gives", "used by"], rows)


# -- states ----------------------------------------------------------------------------------------

VERDICTS: Final[Sequence[type]] = get_args(verdict.Verdict)


def describe_states() -> str:
    return format_page(
        "States and moves",
        STATES_INTRO,
        draw_moves(),
        "## States",
        format_table(
            ["state", "container", "moves to", "written by the scripts"],
            map(format_state, TaskState),
        ),
        "## Verdicts",
        "The verdicts that `decide` returns, and the scripts that write them.",
        format_table(
            ["verdict", "meaning", "script", "state afterwards"],
            map(format_verdict, VERDICTS),
        ),
        "## Actions of operators",
        format_table(
            ["action", "allowed in"],
            [
                [f"{action.value} the task", quote(*sort_states(states))]
                for action, states in ALLOWED_STATES.items()
            ],
        ),
    )


def draw_moves() -> str:
    moves = [
        draw_move(source, target)
        for source, targets in MOVES.items()
        for target in [None, *TaskState]
        if target in targets
    ]
    return "\n".join(["```mermaid", "stateDiagram-v2", *moves, "```"])


def draw_move(source: TaskState | None, target: TaskState | None) -> str:
    names = [state.value if state else "[*]" for state in (source, target)]
    wrote = [
        it.__name__
        for it in VERDICTS
        if source is TaskState.ACTIVE and find_state_after(it) == target
    ]
    return f"    {' --> '.join(names)}{''.join(f': {name}' for name in wrote)}"


def find_state_after(kind: type) -> str | None:
    """Return the state of a task after a verdict of this kind; None if it is deleted."""
    text = (LUA / f"work/{kind.__name__.lower()}.lua").read_text("utf-8")
    return next(iter(find_states(text) & {*TaskState}), None)


def sort_states(states: Iterable[TaskState | None]) -> list[str]:
    wanted = set(states)
    return [state.value for state in TaskState if state in wanted]


def format_state(state: TaskState) -> list[str]:
    targets = MOVES[state]
    moves = quote(*sort_states(targets)) + (", deleted" if None in targets else "")
    form = keys.container("QUEUE", state)
    container = quote(form) if find_kind(form) else quote(keys.group("QUEUE", "GROUP"))
    return [
        quote(state.value),
        container,
        moves.removeprefix(", "),
        quote(*find_writers(state.value)),
    ]


def find_writers(state: str) -> list[str]:
    """Return the scripts that write the word *state* into the hash of a task."""
    files = [file for file in sorted(LUA.glob("*/*.lua")) if file.parent.name != "shared"]
    return [file.stem for file in files if state in find_states(read_with_shared(file))]


def read_with_shared(file: Path) -> str:
    """Return the text of a script and of the shared files that it uses."""
    used = read_header(file).sections.get("USES", "").split()
    return "\n".join(
        it.read_text("utf-8") for it in (file, *(LUA / f"shared/{it}.lua" for it in used))
    )


def find_states(text: str) -> set[str]:
    lines = [line for line in text.splitlines() if re.search(r'"state", "|local state =', line)]
    return {word for line in lines for word in re.findall(r'"(\w+)"', line)}


def format_verdict(kind: type) -> list[str]:
    state, script = find_state_after(kind), kind.__name__.lower()
    after = quote(state) if state else "deleted"
    return [quote(kind.__name__), read_summary(kind), quote(script), after]


# -- settings --------------------------------------------------------------------------------------


class Setting(NamedTuple):
    """A setting as users pass it."""

    name: str
    type: str
    default: str
    meaning: str


def describe_settings() -> str:
    server, scheduler = read_defaults(ServerConfig), read_defaults(SchedulerConfig)
    return format_page(
        "Settings",
        SETTINGS_INTRO,
        *describe_class("Enqueueing", "For a task or a call.", read_option_type(TaskOptions, {})),
        *describe_class("", "For a call only.", read_option_type(EnqueueOptions, {})),
        *describe_class("Client", "", read_arguments(Client)),
        *describe_class("SyncClient", "", read_arguments(SyncClient)),
        *describe_class(
            "Server", "", [*read_arguments(Server), *read_option_type(ServerOptions, server)]
        ),
        *describe_class(
            "App",
            "It also has all settings of a server, as defaults for its servers.",
            read_arguments(App),
        ),
        *describe_class(
            "Scheduler",
            "",
            [*read_arguments(Scheduler), *read_option_type(SchedulerOptions, scheduler)],
        ),
        *describe_class(
            "PeriodicTaskManager",
            "It also has all settings of a scheduler.",
            read_arguments(PeriodicTaskManager),
        ),
        *describe_class(
            "Outbox",
            "`pyasynq.sqlite.Outbox` has those from `max_payload` on.",
            [*read_arguments(Outbox), *read_option_type(OutboxOptions, {})],
        ),
        *describe_class("Relay", "", read_arguments(Relay)),
        *describe_class("Inspector", "", read_arguments(Inspector)),
        *describe_class("Semaphore", "", read_arguments(Semaphore)),
    )


def describe_class(title: str, note: str, settings: Iterable[Setting]) -> Iterator[str]:
    if title:
        yield f"## {title}"
    if note:
        yield note
    rows = [[quote(it.name), quote(it.type), it.default, it.meaning] for it in settings]
    yield format_table(["setting", "type", "default", "meaning"], rows)


def read_option_type(options: type, defaults: Mapping[str, str]) -> Iterator[Setting]:
    """Yield the keys that a typed dictionary declares, without inherited ones."""
    meanings = read_entries(options, "Keys")
    for node in ast.walk(parse_source(options)):
        match node:
            case ast.AnnAssign(target=ast.Name(id=name), annotation=annotation):
                default = defaults.get(name, "")
                meaning = remove_default(meanings[name]) if default else meanings[name]
                yield Setting(name, ast.unparse(annotation), default, meaning)
            case _:
                pass


def remove_default(meaning: str) -> str:
    """Return *meaning* without the default, which has a column of its own."""
    return re.sub(r"[;.] [^;,.]+ when not given(?=[.,])", "", meaning)


def read_defaults(config: type) -> dict[str, str]:
    return {field.name: format_default(field.default) for field in msgspec.structs.fields(config)}


def read_arguments(kind: type) -> Iterator[Setting]:
    """Yield the arguments of the constructor of *kind*, except those that an option type lists."""
    meanings = read_entries(kind.__init__, "Args")
    types = {
        node.arg: ast.unparse(node.annotation)
        for node in ast.walk(parse_source(kind.__init__))
        if isinstance(node, ast.arg) and node.annotation
    }
    for name, parameter in inspect.signature(kind.__init__).parameters.items():
        if name != "self" and parameter.kind is not parameter.VAR_KEYWORD:
            default = (
                "required"
                if parameter.default is parameter.empty
                else format_default(parameter.default)
            )
            yield Setting(name, types[name].strip("'"), default, meanings[name])


def format_default(value: object) -> str:
    """Return a default as text; an empty text if the meaning names the default."""
    match value:
        case bool() | str():
            return quote(repr(value))
        case int():
            return f"{value:,}"
        case timedelta():
            return f"{value.total_seconds():g} s"
        case tzinfo():
            return f"{value}"
        case _:
            return ""


# -- the pages -------------------------------------------------------------------------------------

PAGES: Final[Mapping[str, Callable[[], str]]] = {
    "keys.md": describe_keys,
    "scripts.md": describe_scripts,
    "settings.md": describe_settings,
    "states.md": describe_states,
}


def find_stale(folder: Path = FOLDER) -> list[str]:
    """Return the names of the pages in *folder* that differ from the code."""
    return [
        name
        for name, write in PAGES.items()
        if not (file := folder / name).exists() or file.read_text("utf-8") != write()
    ]


def main() -> int:
    parser = argparse.ArgumentParser(description="Write the catalogues in docs/internals.")
    parser.add_argument("--check", action="store_true", help="write nothing; fail if one is stale")
    if parser.parse_args().check:
        for name in (names := find_stale()):
            print(f"{FOLDER / name} is stale: run python tools/catalogue.py", file=sys.stderr)
        return 1 if names else 0
    for name, write in PAGES.items():
        (FOLDER / name).write_text(write(), "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
