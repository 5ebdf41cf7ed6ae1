// Glyphs of states (12 × 12) and icons (16 × 16), drawn with lines in the colour of the text.
import { cls, html } from "./lib.js";

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
    link:
        "M6.5 9.5l3-3M7 4.5l1.5-1.5a3 3 0 0 1 4.3 4.3L11.3 9" +
        "M9 11.5L7.5 13a3 3 0 0 1-4.3-4.3L4.7 7",
};

export const Glyph = ({ name }) =>
    html`<svg class=${cls("g", name in FULL && "full")} viewBox="0 0 12 12" aria-hidden="true">
    <path d=${FULL[name] ?? GLYPHS[name]} />
  </svg>`;

export const Icon = ({ name }) =>
    html`<svg class="i" viewBox="0 0 16 16" aria-hidden="true"><path d=${ICONS[name]} /></svg>`;

export const Logo = () =>
    html`<svg class="logo" viewBox="0 0 18 18" aria-hidden="true">
    <path class="lines" d="M2 4.2h9.5M2 9h6M2 13.8h9.5" />
    <path d="M11.5 5.4v7.2L17 9z" />
  </svg>`;
