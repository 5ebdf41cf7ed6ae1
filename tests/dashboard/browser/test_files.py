"""The files that a browser loads: their origin, their size, and what they may do."""

import hashlib
import json
import re
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import expect

import pyasynq.dashboard
from pyasynq.dashboard.static_files import ENTRY, SHARED, load, without_waste
from tests.support.chromium import Visitor

STATIC = Path(pyasynq.dashboard.__file__).parent / "static"
VENDOR = STATIC / "vendor"
MANIFEST = json.loads((VENDOR / "manifest.json").read_text())
LANGUAGES = {path.stem: json.loads(path.read_text()) for path in (STATIC / "texts").glob("*.json")}

MOST_BYTES = 80_000
LICENCES = {"MIT", "Apache-2.0"}

SCRIPTS = sorted([*STATIC.glob("*.js"), *(STATIC / "pages").glob("*.js")])
SOURCES = {path.relative_to(STATIC).as_posix(): path.read_text() for path in SCRIPTS}
CODE = "\n".join(SOURCES.values())
CSS = (STATIC / "app.css").read_text()
PAGE = (STATIC / "index.html").read_text()


# -- what comes from elsewhere ---------------------------------------------------------------------


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def vendored() -> list[dict[str, Any]]:
    return [file for package in MANIFEST["packages"] for file in package["files"]]


def with_packages(text: str) -> str:
    """Return *text* with the imports that its package had."""
    for package, file in MANIFEST["imports"].items():
        text = text.replace(f'from"{file}"', f'from"{package}"')
    return text


def test_every_vendored_file_is_in_the_manifest() -> None:
    files = {path.name for path in VENDOR.iterdir()} - {"manifest.json"}
    assert files == {file["file"] for file in vendored()}


@pytest.mark.parametrize("file", vendored(), ids=lambda file: file["file"])
def test_a_vendored_file_differs_from_its_package_only_in_imports(file: dict[str, Any]) -> None:
    data = (VENDOR / file["file"]).read_bytes()
    assert sha256(data) == file["sha256"]
    assert sha256(with_packages(data.decode()).encode()) == file["source_sha256"]


def test_every_package_has_a_version_and_a_licence_with_its_text() -> None:
    for_names = {package["name"]: package for package in MANIFEST["packages"]}
    assert {package["licence"] for package in for_names.values()} <= LICENCES
    assert all(re.fullmatch(r"\d+\.\d+\.\d+", one["version"]) for one in for_names.values())
    texts = [file["file"] for file in vendored() if file["source"] == "LICENSE"]
    assert len(texts) == len(for_names)


# -- how large it is -------------------------------------------------------------------------------


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_browser_loads_no_more_than_80_kb(language: str) -> None:
    names = ("index.html", "app.css", "icon.svg", ENTRY, SHARED)
    files = [*(STATIC / name for name in names), *VENDOR.glob("*.js")]
    files.append(STATIC / "texts" / f"{language}.json")
    assert sum(len(load(path, 0).compressed) for path in files) <= MOST_BYTES


async def test_a_browser_asks_for_no_other_script(site: str, visitor: Visitor) -> None:
    page = await visitor.open(site)
    await expect(page.get_by_role("heading", name="Overview", level=1)).to_be_visible()
    names = "performance.getEntriesByType('resource').map((it) => it.name)"
    asked: list[str] = await page.evaluate(names)
    scripts = {name.partition("/static/")[2] for name in asked if name.endswith(".js")}
    assert scripts == {ENTRY, SHARED, *(f"vendor/{path.name}" for path in VENDOR.glob("*.js"))}


def test_our_files_are_sent_without_comments_and_indentation() -> None:
    script = b"const a = 1; // one\n  // two\n    f(`\n  https://x`);\n"
    assert without_waste(script, ".js") == b"const a = 1; // one\nf(`\nhttps://x`);\n"
    style = b"/* a */\na { b:c }  /* d */\n  e { f:g }\n"
    assert without_waste(style, ".css") == b"a {b:c }e {f:g }"


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.name)
def test_no_text_of_a_script_looks_like_a_comment(path: Path) -> None:
    # Comments are found by their lines alone: a template may have none that looks like one.
    templates = re.findall(r"`(?:[^`\\]|\\.)*`", path.read_text())
    assert [text for text in templates if re.search(r"^\s*//", text, re.MULTILINE)] == []


# -- what it may do --------------------------------------------------------------------------------


def test_the_page_has_no_script_or_style_of_its_own() -> None:
    assert re.findall(r"<script(?![^>]*\ssrc=)", PAGE) == []
    assert re.findall(r"<style|\sstyle=|\son\w+=", PAGE) == []


def test_everything_is_loaded_from_beside_the_page() -> None:
    addresses = re.findall(r'(?:src|href)="([^"]+)"', PAGE)
    assert [one for one in addresses if not one.startswith("static/")] == []
    assert re.findall(r"url\(|@import", CSS) == []
    assert re.findall(r"https?://|//\w+\.", re.sub(r"^ *//.*$", "", CODE, flags=re.MULTILINE)) == []


@pytest.mark.parametrize("forbidden", ["innerHTML", "style=", "eval(", "document.write", "alert("])
def test_no_script_makes_markup_of_text(forbidden: str) -> None:
    assert [name for name, source in SOURCES.items() if forbidden in source] == []


# -- texts -----------------------------------------------------------------------------------------


def holes(text: str) -> set[str]:
    return set(re.findall(r"\{(\w+)\}", text))


def counted(text: str) -> set[str]:
    """Return what *text* may use only to choose the word for one or for several."""
    return holes(text) | set(re.findall(r"\{(\w+)\|", text))


def test_all_languages_have_the_same_texts() -> None:
    english, *others = (set(texts) for texts in LANGUAGES.values())
    assert others
    assert [other ^ english for other in others] == [set()] * len(others)


def test_all_languages_name_the_same_values() -> None:
    english = LANGUAGES["en"]
    assert {
        key: text
        for texts in LANGUAGES.values()
        for key, text in texts.items()
        if not holes(text) <= counted(english[key]) or not holes(english[key]) <= holes(text)
    } == {}


def test_every_text_that_a_script_names_exists() -> None:
    named = set(re.findall(r'\b(?:t|parts|hasText)\(\s*"([\w-]+)"', CODE))
    assert len(named) > 200
    assert named - set(LANGUAGES["en"]) == set()


def test_every_text_is_used() -> None:
    prefixes = set(re.findall(r"`(\w+_)\$\{", CODE))
    words = set(re.findall(r'"([\w-]+)"', CODE))
    unused = [
        key
        for key in LANGUAGES["en"]
        if key not in words and not any(key.startswith(prefix) for prefix in prefixes)
    ]
    assert unused == []


# -- colours ---------------------------------------------------------------------------------------

TOKENS = dict(re.findall(r"--([\w-]+):\s*light-dark\((#\w{6}, #\w{6})\)", CSS))
STATES = ("pending", "active", "scheduled", "retry", "archived", "completed", "aggregating")
SURFACES = ("bg", "panel", "side", "raise", "sunk", "hover", "accent-wash")
INKS = ("ink", "ink-2", "ink-3", "accent", *STATES)


def luminance(colour: str) -> float:
    channels = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [((c + 0.055) / 1.055) ** 2.4 if c > 0.04045 else c / 12.92 for c in channels]
    return sum(part * c for part, c in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def contrast(one: str, other: str, scheme: int) -> float:
    """Return the contrast of two tokens as WCAG defines it; *scheme* 0 is light, 1 is dark."""
    pair = [luminance(TOKENS[name].split(", ")[scheme]) for name in (one, other)]
    darker, lighter = sorted(pair)
    return (lighter + 0.05) / (darker + 0.05)


@pytest.mark.parametrize("scheme", [0, 1], ids=["light", "dark"])
def test_colours_stand_out_from_their_ground(scheme: int) -> None:
    texts = [*product(INKS, SURFACES), *((state, f"{state}-wash") for state in STATES)]
    graphics = [*product([f"{state}-fill" for state in STATES], ["panel", "bg"])]
    graphics += product(["field"], ["panel", "bg"])
    assert [pair for pair in texts if contrast(*pair, scheme) < 4.5] == []
    assert [pair for pair in graphics if contrast(*pair, scheme) < 3] == []


def test_all_colours_are_in_the_first_block() -> None:
    _, rules = CSS.split("\n}\n", 1)
    assert re.findall(r"#[0-9a-fA-F]{3,8}\b", rules) == []
