// What is slow, and what fails?
import { cls, html, useMemo } from "../lib.js";
import { sample, useResource } from "../api.js";
import { Chart, histogram, timeAxis } from "../charts.js";
import { duration, number, percent, rate, t, zone } from "../i18n.js";
import { change, go, route, tasksAt, useKeys } from "../route.js";
import { QueueChoice, Table, currentKey, numbers, useListKeys } from "../table.js";
import { Choice, Empty, Failed, Foreign, Skeleton } from "../ui.js";

const HOUR_S = 3600;
const RANGES = [
  ["3600", 1, "range_h"],
  ["28800", 8, "range_h"],
  ["259200", 3, "range_d"],
];
const EVERY_MS = 10_000;
const ARCHIVE_MS = 30_000; // counting the archive looks at up to 10,000 tasks

// From 1 ms to 10 min, logarithmic: a dot at the median, a bar to p95, a tick at p99.
function Whisker({ stats }) {
  if (stats.run_p50 == null) return null;
  const x = (seconds) =>
    Math.max(
      4,
      Math.min(
        96,
        4 + (92 * Math.log10(Math.max(seconds, 0.001) / 0.001)) / Math.log10(600 / 0.001),
      ),
    );
  const [a, b, c] = [x(stats.run_p50), x(stats.run_p95), x(stats.run_p99)];
  return html`<svg class="wh" viewBox="0 0 100 14" aria-hidden="true">
    <path class="rg" d="M${a},7H${b}" /><path class="p9" d="M${c},2v10" /><circle cx=${a} cy="7" r="3.5" />
  </svg>`;
}

const failureTone = ({ failure_rate: part }) =>
  part > 0.2 ? "bad b" : part > 0.02 ? "warn" : !part && "dim";

// How many tasks of each type are archived, as far as they were looked at; null if not known yet.
function countsOf(archive) {
  if (!archive) return null;
  const counts = new Map();
  for (const { type, count } of archive.items) counts.set(type, (counts.get(type) ?? 0) + count);
  return counts;
}

const archiveTone = (name) => (one) => (one[name] ? "bad b" : "dim");

// The charts are at the top, also where there is no room beside the list.
function choose(type) {
  change({ type });
  scrollTo(0, 0);
}

const columns = () => [
  {
    id: "type",
    head: t("type"),
    kind: "full nw",
    value: (one) => one.type,
    cell: (one) =>
      html`<button type="button" class="link-like mono b cut" title=${one.type} aria-pressed=${route.value.query.type === one.type} onClick=${() => choose(one.type)}><${Foreign} text=${one.type} /></button>`,
  },
  numbers("per_s", t("runs_per_s"), rate, { isLabelled: true }),
  numbers("failure_rate", t("failed"), percent, { isLabelled: true, tone: failureTone }),
  numbers("retried", t("retried"), number, {
    hide: "m",
    title: t("retried_title"),
    tone: (one) => !one.retried && "dim",
  }),
  numbers("archived", t("archived_in_range"), number, {
    hide: "m",
    title: t("archived_in_range_title"),
    tone: archiveTone("archived"),
  }),
  numbers("archived_now", t("archived_now"), number, {
    isLabelled: true,
    tone: archiveTone("archived_now"),
  }),
  {
    id: "run",
    head: t("run_time_log"),
    title: t("run_time_log_title"),
    kind: "full o2",
    hide: "w",
    cell: (one) => html`<${Whisker} stats=${one} />`,
  },
  ...["run_p50", "run_p95", "run_p99"].map((name) =>
    numbers(name, name.slice(4), duration, { kind: "o2", isLabelled: true }),
  ),
  ...["p50", "p95", "p99"].map((name) =>
    numbers(`wait_${name}`, t("wait_at", { name }), duration, { kind: "o2", isLabelled: true }),
  ),
];

// Times of all spans, with gaps where nothing ran.
function spread(items, last) {
  const length = items[0]?.length ?? (last <= 8 * HOUR_S ? 60 : 600);
  const end = Math.floor(Date.now() / 1000 / length) * length;
  const start = end - Math.floor(last / length) * length + length;
  const known = new Map(items.map((item) => [Date.parse(item.start) / 1000, item]));
  const times = Array.from(
    { length: Math.round((end - start) / length) + 1 },
    (_, at) => start + at * length,
  );
  return { times, spans: times.map((at) => known.get(at)) };
}

// How many runs took how long.
function RunTimes({ counts, limits }) {
  const { axis, values } = histogram(counts, limits);
  const line = { name: t("runs"), kind: "l1", values, isBar: true };
  return html`<${Chart} label=${t("run_times")} axis=${axis} format=${number} lines=${[line]} />`;
}

function Charts({ type, queue, last, stats, limits }) {
  const { data, problem, reload } = useResource(
    "types/history",
    { type, queue, last },
    { every_ms: EVERY_MS },
  );
  if (problem && !data) return html`<${Failed} problem=${problem} onRetry=${reload} />`;
  if (!data) return html`<${Skeleton} rows=${6} />`;
  const { times, spans } = spread(data.items, last);
  const axis = timeAxis(times);
  const values = (name) => spans.map((span) => span?.[name] ?? null);
  const counts = (name) => spans.map((span) => span?.[name] ?? 0);
  return html`<div class="in col">
    ${
      type &&
      html`<${Chart} label=${t("run_time")} axis=${axis} format=${duration} isLog lines=${[
        { name: "p50", kind: "l1", values: values("run_p50") },
        { name: "p95", kind: "l2", values: values("run_p95") },
        { name: "p99", kind: "l3", values: values("run_p99") },
      ]} />`
    }
    ${stats && html`<${RunTimes} counts=${stats.run_histogram} limits=${limits} />`}
    <${Chart} label=${t("runs")} axis=${axis} format=${number} lines=${[
      { name: t("runs"), kind: "l1", values: counts("runs"), isBar: true },
      { name: t("failed"), kind: "fail", values: counts("failed"), isBar: true },
    ]} />
    ${
      type &&
      html`<${Chart} label=${t("wait")} axis=${axis} format=${duration} isLog lines=${[
        { name: "p50", kind: "l1", values: values("wait_p50") },
        { name: "p95", kind: "l2", values: values("wait_p95") },
        { name: "p99", kind: "l3", values: values("wait_p99") },
      ]} />`
    }
  </div>`;
}

export function Types() {
  useListKeys();
  const { last = RANGES[0][0], queue = "", type = "" } = route.value.query;
  const { data, problem, reload } = useResource("types", { last, queue }, { every_ms: EVERY_MS });
  const { data: archive } = useResource(
    "errors",
    { queue, state: "archived" },
    { every_ms: ARCHIVE_MS },
  );
  const made = useMemo(columns, [t("type")]);
  const rows = useMemo(() => {
    const counts = countsOf(archive);
    return data?.items.map((one) => ({ ...one, archived_now: counts && (counts.get(one.type) ?? 0) }));
  }, [data, archive]);
  useKeys({
    f: {
      group: t("keys_list"),
      text: t("key_failed"),
      act: () =>
        currentKey() && go(tasksAt({ type: currentKey(), queue, state: "retry,archived" })),
    },
  });
  const ranges = RANGES.map(([seconds, n, key]) => [seconds, t(key, { n })]);
  return html`<div class="row">
      <${Choice} label=${t("range")} options=${ranges} value=${last} onChoose=${(value) => change({ last: value })} />
      <${QueueChoice} queues=${sample.value?.queues} value=${queue} all />
      <span class="sp"></span>
      <span class="dim m-hide">${t("types_note", { zone: zone() })}</span>
    </div>
    <div class=${cls("split types", type && "one-type")}>
      <section class="panel scroll" aria-label=${t("page_types")} tabindex="-1">
        ${problem && !data ? html`<${Failed} problem=${problem} onRetry=${reload} />` : !data ? html`<${Skeleton} rows=${8} />` : data.items.length ? html`<${Table} kind="tight" label=${t("page_types")} columns=${made} rows=${rows} keyOf=${(one) => one.type} initial="-failure_rate" />` : html`<${Empty} icon="types" title=${t("no_runs")}>${t("no_runs_text")}<//>`}
        ${archive && !archive.complete && html`<footer>${t("archived_now_looked_at", { n: archive.looked_at, total: archive.total })}</footer>`}
      </section>
      <section class="panel" aria-label=${t("charts")}>
        <header>
          <h2 class=${cls("cut", type && "mono")}>${type ? html`<${Foreign} text=${type} />` : t("all_types")}</h2>
          <span class="sp"></span>
          ${type && html`<button type="button" class="btn sm ghost" onClick=${() => change({ type: "" })}>${t("all_types")}</button><a class="btn sm" href=${tasksAt({ type, queue, state: "retry,archived" })}>${t("show_failed")}</a>`}
        </header>
        <${Charts} key=${`${type} ${queue} ${last}`} type=${type} queue=${queue} last=${Number(last)}
          stats=${data?.items.find((one) => one.type === type)} limits=${data?.run_limits} />
      </section>
    </div>`;
}
