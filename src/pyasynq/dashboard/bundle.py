"""Make one script of many modules, so that browsers ask once. Pure.

What the modules have in common is compressed once: they take a fifth less than one by one. They
stay modules: each becomes a function with its own names, which returns what it exports. A module
may import only by name, and may not import what imports it.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from posixpath import dirname, join, normpath
from typing import Final

_IMPORT: Final = re.compile(r'^import \{([\w,\s]+)\} from "(\.{1,2}/[\w./-]+)";\n', re.MULTILINE)
_EXPORT: Final = re.compile(r"^export ((?:async )?function |const )(\w+)", re.MULTILINE)
_OTHER: Final = re.compile(r"^(?:import|export)\b.*", re.MULTILINE)


class BundleError(ValueError):
    """A module that cannot be part of a bundle."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Module:
    """A module: what it imports, by the names of modules; its code without that; its exports."""

    imports: Sequence[tuple[str, Sequence[str]]]
    code: str
    exports: Sequence[str]


def bundle(entry: str, sources: Mapping[str, str], shared: str) -> str:
    """Return a module that does what the module *entry* does.

    Args:
        entry: Name of the module, which exports nothing.
        sources: The source of each module by its name: its path, relative to the bundle.
        shared: Name of a module that stays apart, and from which the bundle imports.

    Raises:
        BundleError: If a module imports or exports in another way, or imports itself.
    """
    modules: dict[str, _Module] = {}
    _add(entry, sources, shared, modules, ())
    wanted = {
        name
        for module in modules.values()
        for path, names in module.imports
        if path == shared
        for name in names
    }
    last = modules.pop(entry)
    return "".join(
        [
            f'import {{ {", ".join(sorted(wanted))} }} from "./{shared}";\n',
            *(_wrap(name, module, shared) for name, module in modules.items()),
            *_constants(last, shared),
            last.code,
        ]
    )


def _add(
    name: str,
    sources: Mapping[str, str],
    shared: str,
    modules: dict[str, _Module],
    above: Sequence[str],
) -> None:
    """Add the module *name* to *modules* behind those that it imports."""
    if name in above:
        msg = f"{name} imports itself: {' > '.join([*above, name])}"
        raise BundleError(msg)
    if name in modules:
        return
    module = _parse(name, sources[name])
    for path, _ in module.imports:
        if path != shared:
            _add(path, sources, shared, modules, (*above, name))
    modules[name] = module


def _parse(name: str, source: str) -> _Module:
    imports = [
        (normpath(join(dirname(name), path)), [it.strip() for it in names.split(",") if it.strip()])
        for names, path in _IMPORT.findall(source)
    ]
    code = _EXPORT.sub(r"\1\2", _IMPORT.sub("", source))
    if other := _OTHER.search(code):
        msg = f"{name} imports or exports in another way than by name: {other[0]}"
        raise BundleError(msg)
    return _Module(imports=imports, code=code, exports=[it for _, it in _EXPORT.findall(source)])


def _wrap(name: str, module: _Module, shared: str) -> str:
    """Return a constant that holds what *module* exports."""
    constants = "".join(_constants(module, shared))
    code = f"{constants}{module.code}return {{ {', '.join(module.exports)} }};\n"
    return f"const {_constant(name)} = (() => {{\n{code}}})();\n"


def _constants(module: _Module, shared: str) -> Iterator[str]:
    """Yield the statements in place of imports."""
    for path, names in module.imports:
        if path != shared:
            yield f"const {{ {', '.join(names)} }} = {_constant(path)};\n"


def _constant(name: str) -> str:
    return "$" + re.sub(r"\W", "_", name.removesuffix(".js"))
