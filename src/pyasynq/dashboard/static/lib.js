// What all modules use of the vendored packages; `html` is a template that makes elements.
import htm from "./vendor/htm.js";
import { h } from "./vendor/preact.js";

export { render } from "./vendor/preact.js";
export { useEffect, useId, useLayoutEffect, useMemo, useRef } from "./vendor/preact-hooks.js";
export { computed, signal, useSignal } from "./vendor/signals.js";
export const html = htm.bind(h);

// Join the class names that are not false.
export const cls = (...names) => names.filter(Boolean).join(" ");
