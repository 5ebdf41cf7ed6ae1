// Addresses, `#/page/part?key=value`, and single keys. All that a page shows is in its address, which is
// relative, so that any prefix works. Of keys, what is drawn last comes first.
import { keep, setting } from "./i18n.js";
import { html, signal, useLayoutEffect, useRef } from "./lib.js";

const read = () => {
  const [path, query = ""] = location.hash.replace(/^#\/?/, "").split(/\?(.*)/s);
  return {
    path: path.split("/").map(decode).filter(Boolean),
    query: Object.fromEntries(new URLSearchParams(query)),
  };
};

function decode(part) {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}

export const route = signal(read());
addEventListener("hashchange", () => (route.value = read()));

export function written(query) {
  const given = Object.entries(query).filter(([, value]) => value !== "" && value != null);
  return given.length ? `?${new URLSearchParams(given)}` : "";
}

// The address of a page; empty parts of the query are left out.
export function address(path, query = {}) {
  return `#/${path.map(encodeURIComponent).join("/")}${written(query)}`;
}

// Go to an address at once: the event of the browser comes after keys that were pressed meanwhile.
export function go(hash) {
  location.hash = hash;
  route.value = read();
}

export const open = (path, query) => go(address(path, query));

// Change parts of the query of this page, without a new entry in the history of the browser.
export function change(parts) {
  const { path, query } = route.value;
  history.replaceState(null, "", address(path, { ...query, ...parts }));
  route.value = read();
}

// -- the search line --

const PLAIN = /^[\w@./+-]+$/;

// A name in quotes is exact; a quotation mark in it is matched by a star outside.
const quoted = (name) =>
  PLAIN.test(name)
    ? name
    : name
        .split('"')
        .map((part) => `"${part}"`)
        .join("*");

// A text can have no quotation mark: its longest part without one has to do.
const longest = (text) =>
  text.split('"').reduce((best, part) => (part.length > best.length ? part : best), "");

const values = {
  state: (state) => state, // one, or several with commas between them
  error: (text) => `"${longest(text)}"`,
};

export const queryOf = (terms) =>
  Object.entries(terms)
    .filter(([, value]) => value)
    .map(([key, value]) => `${key}:${(values[key] ?? quoted)(value)}`)
    .join(" ");

export const EVERYTHING = "state:*";

// The address of the tasks that meet all terms, and that of one task.
export const tasksAt = (terms) => address(["tasks"], { q: queryOf(terms) });
export const taskAt = ({ queue, id }) => address(["task", queue, id]);

// -- single keys --

const PREFIX = "g";
const PATIENCE_MS = 1500;
const NAMES = { Enter: "↵", Escape: "esc" };

export const areOn = signal(setting("keys") !== false);
const layers = signal([]);
let prefixed_ms = 0;

// While a component is drawn: `keys` is { key: { text, act, group } }; `act` gets the event.
export function useKeys(keys) {
  const latest = useRef();
  latest.current = keys;
  useLayoutEffect(() => {
    const layer = () => latest.current;
    layers.value = [...layers.peek(), layer];
    return () => (layers.value = layers.peek().filter((one) => one !== layer));
  }, []);
}

export function switchKeys() {
  areOn.value = !areOn.value;
  keep("keys", areOn.value);
}

// Return [key, what it does] of all groups.
export function listed() {
  const groups = new Map();
  for (const layer of layers.value) {
    for (const [key, { text, group, off }] of Object.entries(layer())) {
      if (!text) continue;
      if (!groups.has(group)) groups.set(group, new Map());
      groups.get(group).set(key, { text, off });
    }
  }
  return [...groups].map(([group, keys]) => [group, [...keys]]);
}

const isField = (element) =>
  element.matches("input:not([type=checkbox]), textarea, select") || element.isContentEditable;

function press(event) {
  if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
  if (isField(event.target) || document.querySelector("dialog[open]")) return;
  if (!areOn.value && event.key !== "?") return;
  const isSecond = Date.now() - prefixed_ms < PATIENCE_MS;
  prefixed_ms = 0;
  const name = isSecond ? `${PREFIX} ${event.key}` : event.key;
  const binding = layers.value.reduceRight((found, layer) => found ?? layer()[name], undefined);
  if (binding && !binding.off) {
    event.preventDefault();
    binding.act(event);
  } else if (event.key === PREFIX && !isSecond) {
    prefixed_ms = Date.now();
  }
}

addEventListener("keydown", press);

export const Key = ({ name }) =>
  name.split(" ").map((part) => html`<kbd aria-hidden="true">${NAMES[part] ?? part}</kbd> `);
