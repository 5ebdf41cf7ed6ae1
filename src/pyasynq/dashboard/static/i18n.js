// Texts in the reader's language. `{name}` in a text is replaced by a value, and `{n|task|tasks}`
// by the word for one or for several.
import { signal } from "./lib.js";
import { number } from "./numbers.js";

// -- what a reader has chosen, kept by the browser: language, theme, whether single keys act --------

const STORE = "pyasynq.dashboard";

function read() {
  try {
    return JSON.parse(localStorage.getItem(STORE)) || {};
  } catch {
    return {}; // the browser keeps nothing, or something else
  }
}

const settings = read();

export const setting = (name) => settings[name];

export function keep(name, value) {
  settings[name] = value;
  try {
    localStorage.setItem(STORE, JSON.stringify(settings));
  } catch {
    // The browser keeps nothing: it holds until the page is closed.
  }
}

export function showTheme() {
  if (settings.theme) document.documentElement.dataset.theme = settings.theme;
}

export function switchTheme() {
  const system = matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light";
  keep("theme", (settings.theme || system) === "dark" ? "light" : "dark");
  showTheme();
}

// -- texts ----------------------------------------------------------------------------------------

const NAMES = { en: "English", "zh-Hant": "繁體中文" };
const HOLE = /\{(\w+)(?:\|([^|}]*)\|([^}]*))?\}/g;

export const languages = Object.entries(NAMES);
export const language = signal("");
let texts = {};

function preferred() {
  const [first = "en"] = navigator.languages;
  return setting("language") || (first.startsWith("zh") ? "zh-Hant" : "en");
}

export async function loadTexts(name = preferred()) {
  const chosen = name in NAMES ? name : "en";
  texts = await (await fetch(new URL(`texts/${chosen}.json`, import.meta.url))).json();
  document.documentElement.lang = chosen;
  language.value = chosen;
}

export async function chooseLanguage(name) {
  keep("language", name);
  await loadTexts(name);
}

export const hasText = (key) => key in texts;

// Return a text with its values, for attributes.
export const t = (key, values) => parts(key, values).join("");

// Return a text with its values, which may be elements, as a list for html``.
export function parts(key, values = {}) {
  language.value; // who shows a text is drawn again when the language changes
  const text = texts[key] ?? key;
  const found = [];
  let end = 0;
  for (const match of text.matchAll(HOLE)) {
    const [hole, name, one, several] = match;
    found.push(text.slice(end, match.index), fill(values[name], one, several));
    end = match.index + hole.length;
  }
  return [...found, text.slice(end)];
}

function fill(value, one, several) {
  if (one !== undefined) return value === 1 ? one : several;
  return typeof value === "number" ? number(value) : (value ?? "");
}
