"""Many modules become one that does the same."""

import pytest

from pyasynq.dashboard.bundle import BundleError, bundle

SOURCES = {
    "app.js": 'import { text } from "./pages/one.js";\n'
    'import { put } from "./shared.js";\nput(text);\n',
    "pages/one.js": 'import { twice } from "../two.js";\nconst secret = 2;\n'
    "export const text = twice(secret);\n",
    "two.js": "const secret = 10;\nexport function twice(n) {\n  return 2 * n + secret;\n}\n"
    "export async function unused() {}\n",
}


def test_modules_follow_those_that_they_import() -> None:
    made = bundle("app.js", SOURCES, "shared.js")
    assert made == (
        'import { put } from "./shared.js";\n'
        "const $two = (() => {\n"
        "const secret = 10;\nfunction twice(n) {\n  return 2 * n + secret;\n}\n"
        "async function unused() {}\n"
        "return { twice, unused };\n})();\n"
        "const $pages_one = (() => {\n"
        "const { twice } = $two;\n"
        "const secret = 2;\nconst text = twice(secret);\n"
        "return { text };\n})();\n"
        "const { text } = $pages_one;\n"
        "put(text);\n"
    )


@pytest.mark.parametrize(
    ("source", "why"),
    [
        ('import * as all from "./two.js";\n', "in another way"),
        ('import two from "./two.js";\n', "in another way"),
        ("export default 1;\n", "in another way"),
        ("export let count = 0;\n", "in another way"),
        ('import { a } from "./two.js";\nimport { b } from "./one.js";\n', "imports itself"),
    ],
)
def test_what_cannot_be_part_of_it_is_refused(source: str, why: str) -> None:
    sources = {"one.js": source, "two.js": "export const a = 1;\n"}
    with pytest.raises(BundleError, match=why):
        bundle("one.js", sources, "shared.js")
