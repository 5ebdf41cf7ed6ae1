// Single keys. What is drawn last comes first; nothing acts while a field or a dialog has the focus.
import { html, signal, useLayoutEffect, useRef } from "./lib.js";
import { keep, setting } from "./i18n.js";

const PREFIX = "g";
const PATIENCE_MS = 1500;
const NAMES = { Enter: "↵", Escape: "esc" };

export const areOn = signal(setting("keys") !== false);
const layers = signal([]);
let prefixed_ms = 0;

// While a component is shown: `keys` is { key: { text, act, group } }, where `act` gets the event.
export function useKeys(keys) {
  const latest = useRef();
  latest.current = keys;
  // Before the next event, so that no key of a fast typist is lost.
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
  if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
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
