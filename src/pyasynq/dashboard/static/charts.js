// Charts over time: lines or bars, on a linear or a logarithmic scale. The pointer, or the arrow keys
// while the chart has the focus, choose the time whose values are named below.
import { html, useEffect, useRef, useSignal } from "./lib.js";
import { t } from "./i18n.js";
import { minute, moment } from "./time.js";

const HEIGHT = 132;
const RIGHT = 52; // of the labels
const BOTTOM = 18;
const TOP = 8;
const DAY_S = 86_400;

const known = (lines) => lines.flatMap(({ values }) => values.filter((value) => value != null));

function decades(lines) {
  const values = known(lines).filter((value) => value > 0);
  const [low, high] = [Math.min(...values, 0.01), Math.max(...values, 0.1)];
  const [from, to] = [Math.floor(Math.log10(low)), Math.ceil(Math.log10(high))];
  const marks = Array.from({ length: to - from + 1 }, (_, at) => 10 ** (from + at));
  const part = (value) => (Math.log10(Math.max(value, 10 ** from)) - from) / (to - from);
  return { marks, part };
}

function steps(lines) {
  const high = Math.max(...known(lines), 1);
  const rough = high / 3;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = Math.max(1, power * [1, 2, 5, 10].find((one) => one * power >= rough));
  const top = Math.ceil(high / step) * step;
  const marks = Array.from({ length: Math.round(top / step) + 1 }, (_, at) => at * step);
  return { marks, part: (value) => value / top };
}

function timeMarks(times, room) {
  const span = times.at(-1) - times[0];
  const most = Math.max(2, Math.floor(room / 80));
  const every = [600, 900, 1800, 3600, 2 * 3600, 6 * 3600, DAY_S / 2, DAY_S];
  const step = every.find((one) => span / one <= most) ?? DAY_S;
  const margin = (20 / room) * span; // room for half of a label
  return times.filter((at) => at % step === 0 && at - times[0] > margin);
}

// A line with gaps where nothing is known; a value between two gaps is a dot.
function lineOf(values, x, y) {
  let isGap = true;
  return values
    .map((value, at) => {
      if (value == null) return ((isGap = true), "");
      const point = `${x(at).toFixed(1)},${y(value).toFixed(1)}`;
      const start = isGap;
      isGap = false;
      return start ? `M${point}h.01` : `L${point}`;
    })
    .join("");
}

const barsOf = (values, x, y, width) =>
  values
    .map((value, at) =>
      value ? `M${x(at).toFixed(1)},${y(0)}V${y(value).toFixed(1)}h${width}V${y(0)}z` : "",
    )
    .join("");

function Plot({ times, lines, format, isLog, width, at }) {
  const room = width - RIGHT;
  const { marks, part } = isLog ? decades(lines) : steps(lines);
  const y = (value) => TOP + (HEIGHT - TOP - BOTTOM) * (1 - part(value));
  const step = room / times.length;
  const x = (index) => (index + 0.5) * step;
  const bar = Math.max(1, Math.min(24, step * 0.8)).toFixed(1);
  return html`<g>
    ${marks.map((mark) => html`<line class="grid" x2=${room} y1=${y(mark)} y2=${y(mark)} /><text x=${room + 6} y=${y(mark) + 3}>${format(mark)}</text>`)}
    ${timeMarks(times, room).map((s) => html`<text x=${x(times.indexOf(s))} y=${HEIGHT - 4} text-anchor="middle">${minute(s * 1000)}</text>`)}
    ${lines.map(({ kind, values, isBar }) =>
      isBar
        ? html`<path class="bar ${kind}" d=${barsOf(values, (index) => x(index) - bar / 2, y, bar)} />`
        : html`<path class=${kind} d=${lineOf(values, x, y)} />`,
    )}
    ${at !== null && html`<line class="at" x1=${x(at)} x2=${x(at)} y1=${TOP} y2=${HEIGHT - BOTTOM} />`}
  </g>`;
}

// Lines: { name, kind: a class, values, isBar }; times are in seconds.
export function Chart({ label, times, lines, format, isLog = false }) {
  const place = useRef();
  const width = useSignal(0);
  const at = useSignal(null);
  useEffect(() => {
    const observer = new ResizeObserver(([{ contentRect }]) => (width.value = contentRect.width));
    observer.observe(place.current);
    return () => observer.disconnect();
  }, []);
  const move = (event) => {
    const { left } = place.current.getBoundingClientRect();
    const index = Math.floor(((event.clientX - left) / (width.value - RIGHT)) * times.length);
    at.value = index >= 0 && index < times.length ? index : null;
  };
  const press = (event) => {
    const by = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (!by) return;
    event.preventDefault();
    at.value = Math.max(0, Math.min(times.length - 1, (at.value ?? times.length - 1) + by));
  };
  const index = at.value ?? times.length - 1;
  return html`<figure>
    <figcaption class="row"><h3>${label}</h3><span class="sp"></span><span class="dim nw">${moment(times[index] * 1000)}</span></figcaption>
    <div ref=${place} class="plot" tabindex="0" role="group" aria-label=${t("chart_of", { label, n: times.length })} onKeyDown=${press} onPointerMove=${move} onPointerLeave=${() => (at.value = null)}>
      <svg class="chart" width="100%" height=${HEIGHT} aria-hidden="true">
        ${width.value > 0 && html`<${Plot} ...${{ times, lines, format, isLog, width: width.value, at: at.value }} />`}
      </svg>
    </div>
    <p class="legend" aria-live="polite">
      ${lines.map(({ name, kind, values }) => html`<span class="nw"><svg class="chart key" viewBox="0 0 16 8" aria-hidden="true"><path class=${kind} d="M0,4H16" /></svg> ${name} <b>${values[index] == null ? "–" : format(values[index])}</b></span>`)}
    </p>
  </figure>`;
}
