// Small parts of all pages.
import { cls, html, signal, useEffect, useId, useLayoutEffect, useRef, useSignal } from "./lib.js";
import { number, parts, short, t } from "./i18n.js";
import { Key, areOn } from "./route.js";
import { isOld } from "./api.js";

// -- glyphs of states (12 × 12) and icons (16 × 16): lines in the colour of the text --

const circle = (x, y, r) => `M${x - r} ${y}a${r} ${r} 0 1 0 ${2 * r} 0a${r} ${r} 0 1 0 ${-2 * r} 0`;

const GLYPHS = {
  pending: circle(6, 6, 4.2),
  scheduled: `${circle(6, 6, 4.7)}M6 3.4V6l1.8 1.2`,
  retry: "M10 6a4 4 0 1 1-1.3-3M10 1v2.4H7.6",
  archived: "M1.6 1.6h8.8v8.8H1.6zM4.2 4.2l3.6 3.6M7.8 4.2L4.2 7.8",
  completed: "M1.8 6.4l2.8 2.8 5.6-6.2",
  alert: "M6 1.5l4.9 8.8H1.1zM6 4.8v2.4M6 8.8v.1",
  info: `${circle(6, 6, 4.8)}M6 5.6v2.8M6 3.6v.1`,
  cross: "M2.5 2.5l7 7M9.5 2.5l-7 7",
  waiting: circle(6, 6, 4.2),
  skipped: "M2 3l3 3-3 3M6.5 3l3 3-3 3",
};
const FULL = {
  active: "M3 1.6v8.8L10.6 6z",
  aggregating: [3, 9].flatMap((x) => [3, 9].map((y) => circle(x, y, 1.8))).join(""),
  pause: "M3 2h2v8H3zM7 2h2v8H7z",
  dot: circle(6, 6, 4),
};
const ICONS = {
  overview: "M2 2.5h5v5H2zM9 2.5h5v3H9zM9 7.5h5v6H9zM2 9.5h5v4H2z",
  types: "M2 13.5V8M6 13.5v-9M10 13.5V6M14 13.5V2.5",
  tasks: "M5.5 4H14M5.5 8H14M5.5 12H14M2 4h.5M2 8h.5M2 12h.5",
  workers:
    "M4 4h8v8H4zM6 1.5v2.5M10 1.5v2.5M6 12v2.5M10 12v2.5M1.5 6H4M1.5 10H4M12 6h2.5M12 10h2.5",
  schedules: "M2 3h12v11H2zM2 6.5h12M5.5 1.5V4M10.5 1.5V4",
  flows: "M2 6h3.5v4H2zM10.5 2H14v4h-3.5zM10.5 10H14v4h-3.5zM5.5 8H8V4h2.5M8 8v4h2.5",
  groups: `${circle(4.5, 4.5, 2)}${circle(11.5, 4.5, 2)}${circle(4.5, 11.5, 2)}${circle(11.5, 11.5, 2)}`,
  broker:
    "M2.5 4a5.5 2.2 0 1 0 11 0a5.5 2.2 0 1 0-11 0v8c0 1.2 2.5 2.2 5.5 2.2s5.5-1 5.5-2.2V4" +
    "M2.5 8c0 1.2 2.5 2.2 5.5 2.2s5.5-1 5.5-2.2",
  audit: "M4 1.8h6l3 3v9.4H4zM6.5 7h4M6.5 10h4",
  search: `${circle(7, 7, 4.5)}M10.5 10.5L14 14`,
  more: "M3 8h.01M8 8h.01M13 8h.01",
  theme: `${circle(8, 8, 5.5)}M8 2.5v11M10 4v8M12 5.5v5`,
  lock: "M3 7h10v7H3zM5 7V5a3 3 0 0 1 6 0v2",
  copy: "M5.5 5.5h8v8h-8zM10.5 3.5v-1h-8v8h1",
};

export const Glyph = ({ name, ...rest }) =>
  html`<svg class=${cls("g", name in FULL && "full", name === "waiting" && "dash")} viewBox="0 0 12 12" aria-hidden="true" ...${rest}>
    <path d=${FULL[name] ?? GLYPHS[name]} />
  </svg>`;

export const Icon = ({ name }) =>
  html`<svg class="i" viewBox="0 0 16 16" aria-hidden="true"><path d=${ICONS[name]} /></svg>`;

// -- states, buttons, texts --

// Always in this order.
export const STATES = [
  "active",
  "pending",
  "aggregating",
  "scheduled",
  "retry",
  "archived",
  "completed",
];
const SKELETON_MS = 150;

export const State = ({ name, kind = "", glyph = name, children }) =>
  html`<span class="st s-${name} ${kind}"><${Glyph} name=${glyph} />${children ?? t(`state_${name}`)}</span>`;

export const Paused = () =>
  html`<span class="tag warn"><${Glyph} name="pause" />${t("paused")}</span>`;

export const Button = ({ onClick, kind = "", icon, shortcut, children, label, ...rest }) =>
  html`<button type="button" class="btn ${kind}" onClick=${onClick} aria-label=${label} title=${label} ...${rest}>
    ${icon && html`<${Icon} name=${icon} />`}${children}${shortcut && areOn.value && html`<${Key} name=${shortcut} />`}
  </button>`;

// Choices of which one is pressed.
export const Choice = ({ label, options, value, onChoose, kind = "" }) =>
  html`<div class="seg ${kind}" role="group" aria-label=${label}>
    ${options.map(
      ([name, text]) =>
        html`<button type="button" aria-pressed=${value === name} onClick=${() => onChoose(name)}>${text}</button>`,
    )}
  </div>`;

// A text that somebody else wrote: isolated, with control and bidirectional characters as tags.
const STRANGE = /[\u0000-\u001f\u007f-\u009f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]/;
const ESCAPES = { "\n": "\\n", "\t": "\\t", "\r": "\\r" };

const escape = (character) => {
  const code = character.codePointAt(0).toString(16).toUpperCase();
  return (
    ESCAPES[character] ??
    (code.length <= 2 ? `\\x${code.padStart(2, "0")}` : `U+${code.padStart(4, "0")}`)
  );
};

// The same where there can be no tags.
export const escaped = (text) => text.replace(new RegExp(STRANGE.source, "g"), escape);

export function Foreign({ text, mark = "" }) {
  const pieces = `${text ?? ""}`.split(new RegExp(`(${STRANGE.source})`)).filter(Boolean);
  return html`<bdi>${pieces.map((piece) =>
    STRANGE.test(piece) ? html`<span class="tag">${escape(piece)}</span>` : marked(piece, mark),
  )}</bdi>`;
}

function marked(text, mark) {
  const at = mark ? text.toLowerCase().indexOf(mark.toLowerCase()) : -1;
  if (at < 0) return text;
  const end = at + mark.length;
  return [text.slice(0, at), html`<mark>${text.slice(at, end)}</mark>`, text.slice(end)];
}

// How the tasks of a queue are divided. Completed ones are kept, which is no work: half as high.
const LEAST = 1;
const KEPT_AT_MOST = 22;

export function StateBar({ counts }) {
  const work = STATES.slice(0, -1).filter((name) => counts[name]);
  const total = work.reduce((sum, name) => sum + counts[name], 0);
  const { completed } = counts;
  const kept = completed
    ? Math.max(LEAST, Math.min(KEPT_AT_MOST, (100 * completed) / (total + completed)))
    : 0;
  const room = 100 - (kept ? kept + 0.6 : 0) - work.length * (LEAST + 0.3);
  let x = 0;
  const bars = work.map((name) => {
    const width = LEAST + (room * counts[name]) / total;
    const bar = html`<rect class="s-${name}" x="${x}%" width="${width}%" />`;
    x += width + 0.3;
    return bar;
  });
  if (kept) bars.push(html`<rect class="s-completed" x="${100 - kept}%" width="${kept}%" />`);
  return html`<svg class="sbar" aria-hidden="true">${bars}</svg>`;
}

export const Counts = ({ counts }) =>
  html`<div class="cnt">
    ${STATES.filter((name) => counts[name]).map((name) => {
      const title = `${number(counts[name])} ${t(`state_${name}`)}`;
      return html`<span class="st s-${name}" title=${title}>
        <${Glyph} name=${name} /><span aria-hidden="true">${short(counts[name])}</span><span class="vh">${title}</span>
      </span>`;
    })}
  </div>`;

export const Legend = () =>
  html`<div class="legend">${STATES.map((name) => html`<${State} name=${name} />`)}</div>`;

// Lines of one scale, without axes.
export function Spark({ lines, label }) {
  const [width, height] = [100, 24];
  const top = Math.max(1e-9, ...lines.flatMap(([points]) => points));
  return html`<svg class="spark" viewBox="0 0 ${width} ${height}" preserveAspectRatio="none" role="img" aria-label=${label}>
    ${lines.map(
      ([points, kind]) =>
        html`<polyline
          class=${kind}
          points=${points
            .map(
              (value, at) =>
                `${((at * width) / (points.length - 1)).toFixed(1)},${(height - 1 - (value / top) * (height - 2)).toFixed(1)}`,
            )
            .join(" ")}
        />`,
    )}
  </svg>`;
}

export const Meter = ({ part, state }) =>
  html`<svg class="meter ${state ? `s-${state}` : ""}" aria-hidden="true"><rect width="${Math.min(100, part * 100)}%" /></svg>`;

export const Progress = ({ part, label }) =>
  html`<svg class="prog" role="progressbar" aria-label=${label} aria-valuemin="0" aria-valuemax="100" aria-valuenow=${Math.round(part * 100)}>
    <rect width="${part * 100}%" />
  </svg>`;

export const Banner = ({ state, glyph, children, action }) =>
  html`<div class="banner s-${state}" role="status"><${Glyph} name=${glyph} /><span>${children}</span>${action}</div>`;

export const Empty = ({ icon, title, children, command, action }) =>
  html`<div class="empty">
    <${Icon} name=${icon} />
    <h2>${title}</h2>
    <p>${children}</p>
    ${command && html`<pre tabindex="0" aria-label=${t("command")}>${command}</pre>`}
    ${command ? html`<${Copy} text=${command}>${t("copy")}<//>` : action}
  </div>`;

// A part of a page. A note stands beside its heading, `more` at the end of that line.
export const Panel = ({ name, kind, note, more, children }) =>
  html`<section class=${cls("panel", kind)} aria-label=${name}>
    <header><h2>${name}</h2><span class="dim">${note}</span><span class="sp"></span>${more}</header>
    ${children}
  </section>`;

// Facts: [name, value]; those without a value are left out.
export const Facts = ({ facts, children }) =>
  html`<${Panel} name=${t("facts")}><div class="in"><dl class="kv">
    ${facts.filter((fact) => fact?.[1]).map(([name, value]) => html`<dt>${name}</dt><dd>${value}</dd>`)}${children}
  </dl></div><//>`;

// After a moment, the shape of what comes.
export function Skeleton({ rows = 4 }) {
  const isShown = useSignal(false);
  useEffect(() => {
    const timer = setTimeout(() => (isShown.value = true), SKELETON_MS);
    return () => clearTimeout(timer);
  }, []);
  if (!isShown.value) return null;
  const widths = ["w7", "w9", "w5", "w3"];
  return html`<div class="in skeleton" role="status"><span class="vh">${t("loading")}</span>
    ${Array.from({ length: rows }, (_, row) => html`<span class="sk ${widths[row % 4]}"></span>`)}
  </div>`;
}

// What went wrong while a part of a page was read.
export function Failed({ problem, onRetry }) {
  if (problem.status === 403)
    return html`<${Empty} icon="lock" title=${t("forbidden_title")} action=${html`<a class="btn" href="#/">${t("back_to_overview")}</a>`}>
      ${parts("forbidden_text", { right: html`<span class="mono">${problem.action ?? "?"}</span>` })}
    <//>`;
  const retry = html`<${Button} onClick=${onRetry}>${t("try_now")}<//>`;
  return html`<${Empty} icon="broker" title=${t("failed_title")} action=${onRetry && retry}><${Foreign} text=${problem.message} /><//>`;
}

// What a page shows while it has nothing else.
export const Pending = ({ problem, reload }) =>
  html`<div class="panel">${problem ? html`<${Failed} problem=${problem} onRetry=${reload} />` : html`<${Skeleton} rows=${8} />`}</div>`;

// -- messages that go away --

const SHOWN_MS = 6000;
const messages = signal([]);

export function say(text, state = "completed") {
  const message = { text, state };
  messages.value = [...messages.value, message];
  setTimeout(() => (messages.value = messages.value.filter((one) => one !== message)), SHOWN_MS);
}

export const Messages = () =>
  html`<div class="messages" role="status" aria-live="polite">
    ${messages.value.map(
      ({ text, state }) =>
        html`<div class="message"><span class="st s-${state}"><${Glyph} name=${state} /></span><span>${text}</span></div>`,
    )}
  </div>`;

export async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
    say(t("copied"));
  } catch {
    say(t("copy_failed"), "retry");
  }
}

export const Copy = ({ text, children, kind = "", label, ...rest }) =>
  html`<${Button} kind=${kind} label=${label} icon=${children ? "" : "copy"} onClick=${() => copy(text)} ...${rest}>${children}<//>`;

// -- menus --

// A button that shows actions: [{ text, act, key, danger, off }].
export function Menu({ label, actions }) {
  const id = useId();
  const list = useRef();
  const button = useRef();
  const isOpen = useSignal(false);
  const items = () => [...list.current.querySelectorAll("button:not([disabled])")];

  const prepare = ({ newState }) => {
    if (newState !== "open") return;
    isOpen.value = true;
    list.current.style.opacity = 0; // until it is in its place
  };
  const place = ({ newState }) => {
    isOpen.value = newState === "open";
    if (!isOpen.value) return;
    const { right, top, bottom } = button.current.getBoundingClientRect();
    const { offsetWidth: width, offsetHeight: height, style } = list.current;
    style.left = `${Math.max(8, right - width)}px`;
    style.top = `${bottom + height + 8 < innerHeight ? bottom + 4 : Math.max(8, top - height - 4)}px`;
    style.opacity = 1;
    if (!list.current.matches(":focus-within")) items()[0]?.focus();
  };

  const move = (event) => {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (!step || !isOpen.value) return;
    event.preventDefault();
    const all = items();
    const at = all.indexOf(document.activeElement); // -1: on the button, as it opens
    all.at((at < 0 ? Math.min(step, 0) : at + step) % all.length)?.focus();
  };
  const choose = (action) => {
    list.current.hidePopover();
    action.act();
  };
  if (!actions.length) return null;
  return html`<button type="button" class="btn ic ghost sm" ref=${button} popovertarget=${id} aria-haspopup="menu" aria-expanded=${isOpen.value} aria-label=${label} title=${label} onKeyDown=${move}>
      <${Icon} name="more" />
    </button>
    <div class="pop menu" id=${id} popover="auto" role="menu" aria-label=${label} ref=${list} onKeyDown=${move} onBeforeToggle=${prepare} onToggle=${place}>
      ${
        isOpen.value &&
        actions.map(
          (action) =>
            html`<button type="button" role="menuitem" class=${cls(action.danger && "bad")} disabled=${action.off || isOld.value} onClick=${() => choose(action)}>
            ${action.text}${action.key && areOn.value && html`<${Key} name=${action.key} />`}
          </button>`,
        )
      }
    </div>`;
}

// -- dialogs --

const question = signal(null);

// Ask, and return the values of the fields, or null: { title, text, fields, confirm, danger }.
export const ask = (what) =>
  new Promise((resolve) => {
    question.value = { fields: [], ...what, answer: resolve };
  });

// A question belongs to its page.
addEventListener("hashchange", () => {
  question.value?.answer(null);
  question.value = null;
});

function Field({ name, label, type = "text", value = "", hint, options, rows, ...rest }) {
  const id = useId();
  const shared = { id, name, "aria-describedby": hint && `${id}-hint`, ...rest };
  const field = options
    ? html`<select ...${shared}>${options.map(([key, text]) => html`<option value=${key} selected=${key === value}>${text}</option>`)}</select>`
    : type === "textarea"
      ? html`<textarea class="mono" rows=${rows} spellcheck=${false} defaultValue=${value} ...${shared}></textarea>`
      : html`<input type=${type} autocomplete="off" defaultValue=${value} ...${shared} />`;
  return html`<div class="field"><label for=${id}>${label}</label>${field}${hint && html`<p class="dim" id="${id}-hint">${hint}</p>`}</div>`;
}

export function Dialog() {
  const shown = question.value;
  const element = useRef();
  // In the same turn: the next key belongs to the dialog.
  useLayoutEffect(() => {
    if (shown && !element.current.open) element.current.showModal();
  }, [shown]);
  if (!shown) return null;
  const close = (values) => {
    element.current.close(); // gives the focus back
    question.value = null;
    shown.answer(values);
  };
  const submit = (event) => {
    event.preventDefault();
    const data = new FormData(event.target);
    close(Object.fromEntries(data));
  };
  return html`<dialog class="dlg ${shown.wide ? "wide" : ""}" ref=${element} aria-labelledby="dialog-title" onCancel=${() => close(null)}>
    <form onSubmit=${submit}>
      <h2 id="dialog-title">${shown.title}</h2>
      ${shown.text && html`<div class="soft">${shown.text}</div>`}
      ${shown.fields.map((field) => html`<${Field} key=${field.name} ...${field} />`)}
      <div class="row">
        <span class="sp"></span>
        <${Button} onClick=${() => close(null)}>${shown.confirm ? t("back") : t("close")}<//>
        ${shown.confirm && html`<button class="btn ${shown.danger ? "pri dng" : "pri"}" autofocus=${!shown.fields.length && !shown.danger}>${shown.confirm}</button>`}
      </div>
    </form>
  </dialog>`;
}

// Keep the title of the window with the page.
export const useTitle = (title) =>
  useEffect(() => {
    document.title = title ? `${title} · pyasynq` : "pyasynq";
  }, [title]);
