// What runs when?
import { cls, html, useMemo } from "../lib.js";
import { isOld, may, useResource } from "../api.js";
import { Time, duration, full, moment, now, number, t, zone } from "../i18n.js";
import { actOnEach, secondsOf } from "../jobs.js";
import { taskAt, tasksAt, useKeys } from "../route.js";
import { Named, Table, currentKey, menus, numbers, useListKeys } from "../table.js";
import { Empty, Foreign, Paused, Pending, State, ask } from "../ui.js";

// -- cron texts in words, for the common ones; others are shown as they are --

const NAMED = {
  "@hourly": "0 * * * *",
  "@daily": "0 0 * * *",
  "@midnight": "0 0 * * *",
  "@weekly": "0 0 * * 0",
  "@monthly": "0 0 1 * *",
  "@yearly": "0 0 1 1 *",
  "@annually": "0 0 1 1 *",
};
const isNumber = (field) => /^\d+$/.test(field);
const two = (field) => field.padStart(2, "0");

// Return the words, or "" if there are none.
function inWords(spec, duration) {
  const text = spec.replace(/^(CRON_)?TZ=\S+\s+/, "").trim();
  const every = text.match(/^@every\s+((?:[\d.]+(?:ms|s|m|h))+)$/);
  if (every) return t("cron_every", { span: duration(secondsOf(every[1])) });
  const fields = (NAMED[text] ?? text).split(/\s+/);
  return fields.length === 5 ? ofFields(fields) : "";
}

function ofFields([minute, hour, day, month, weekday]) {
  const isAnyDay = day === "*" && month === "*" && weekday === "*";
  if (isAnyDay && hour === "*") return ofMinutes(minute);
  if (isAnyDay && /^\*\/\d+$/.test(hour) && isNumber(minute))
    return t("cron_hours", { n: Number(hour.slice(2)), minute: two(minute) });
  if (!isNumber(minute) || !isNumber(hour)) return "";
  const time = `${two(hour)}:${two(minute)}`;
  if (isAnyDay) return t("cron_day", { time });
  if (day === "*" && month === "*") return ofWeekdays(weekday, time);
  if (weekday === "*" && month === "*" && isNumber(day)) return t("cron_month", { time, day });
  return "";
}

function ofMinutes(minute) {
  if (minute === "*") return t("cron_minute");
  if (/^\*\/\d+$/.test(minute)) return t("cron_minutes", { n: Number(minute.slice(2)) });
  return isNumber(minute) ? t("cron_hour", { minute: two(minute) }) : "";
}

function ofWeekdays(weekday, time) {
  if (weekday === "1-5" || weekday.toUpperCase() === "MON-FRI") return t("cron_weekdays", { time });
  return /^[0-7]$/.test(weekday)
    ? t("cron_week", { time, weekday: t(`weekday_${Number(weekday) % 7}`) })
    : "";
}

// -- entries --

const DAY_MS = 86_400_000;
const EVERY_MS = 10_000; // looks up what happened to the last tasks of each entry
const optionsOf = (options) =>
  Object.entries(options)
    .filter(([, value]) => value != null && value !== "")
    .map(([name, value]) => `${name}=${typeof value === "object" ? JSON.stringify(value) : value}`)
    .join(" ");

// Runs of the last day, the newest right.
function Past({ entry }) {
  const end = now.value;
  const x = (at) => 142 * Math.max(0, 1 - (end - Date.parse(at)) / DAY_MS) + 1;
  return html`<svg class="ticks" viewBox="0 0 144 14" preserveAspectRatio="none" role="img" aria-label=${t("runs_known", { n: entry.last.length })}>
    <path d="M0,13.5H144M0,10v4M36,11v3M72,11v3M108,11v3M144,10v4" class="ax" />
    ${entry.last.map(({ enqueued_at: at }) => html`<path class="tk" d="M${x(at).toFixed(1)},1v9"><title>${full(at)}</title></path>`)}
  </svg>`;
}

// What happened to a run: state and glyph.
const OUTCOMES = {
  succeeded: ["completed", "dot"],
  failed: ["archived", "cross"],
  running: ["active", "active"],
  waiting: ["pending", "pending"],
  not_kept: ["waiting", "waiting"],
};

const Outcome = ({ name, children }) => {
  const [state, glyph] = OUTCOMES[name];
  return html`<${State} name=${state} glyph=${glyph}>${children}<//>`;
};

// One run: a link to its task, unless that is not there any more.
function Dot({ queue, run: { task_id: id, enqueued_at: at, outcome } }) {
  const text = `${t(`outcome_${outcome}`)}, ${full(at)}`;
  const dot = html`<${Outcome} name=${outcome}><span class="vh">${text}</span><//>`;
  return outcome === "not_kept"
    ? html`<span title=${text}>${dot}</span>`
    : html`<a href=${taskAt({ queue, id })} title=${text}>${dot}</a>`;
}

// The newest run is the right one, and beside it stands when it was.
function LastRuns({ entry }) {
  if (!entry.last.length) return html`<span class="dim">${t("never")}</span>`;
  const known = entry.last.filter(({ outcome }) => outcome).reverse();
  const { task_id: id, enqueued_at: at, outcome } = entry.last[0];
  const last =
    outcome === "not_kept"
      ? html`<span title=${id}>${moment(at)}</span>`
      : html`<a class="link" href=${taskAt({ queue: entry.queue, id })} title=${id}>${moment(at)}</a>`;
  return html`<span class="dots">${known.map((run) => html`<${Dot} key=${run.task_id} queue=${entry.queue} run=${run} />`)}</span> ${last}`;
}

// Ticks at which nothing was enqueued; the server counts no further than this.
const MOST_TICKS = 30;

const WithoutTask = ({ n }) =>
  html`<span class="tag warn" title=${t("without_task_title")}>${t("without_task", { n, count: n < MOST_TICKS ? number(n) : `${n}+` })}</span>`;

const hasPayload = ({ payload_preview: text }) => text && text !== "{}";

function When({ spec }) {
  const words = inWords(spec, duration);
  return html`${words} <span class=${cls("mono", words && "dim cr")}><${Foreign} text=${spec} /></span>`;
}

async function act(action, entry, reload, queue) {
  const asked = { ids: [entry.id], ...(queue && { queue }) };
  const text = (n) => t(`done_${action}`, { name: entry.type, n });
  const outcome = await actOnEach(`schedules/${action}`, asked, text);
  reload();
  // A scheduler of Go does not say in which queue its entry belongs.
  if (outcome?.refused[0]?.code !== "invalid" || queue) return;
  const fields = [{ name: "queue", label: t("queue"), required: true }];
  const values = await ask({ title: t("act_run"), fields, confirm: t("act_run") });
  if (values) await act(action, entry, reload, values.queue);
}

const actionsOf = (entry, reload) =>
  [
    ["run", "r"],
    [entry.paused ? "resume" : "pause", "p"],
  ]
    .filter(([action]) => may(`entry.${action}`))
    .map(([action, key]) => ({ key, text: t(`act_${action}`), act: () => act(action, entry, reload) }));

const columns = (reload) => [
  {
    id: "entry",
    head: t("entry"),
    kind: "full type",
    value: (one) => one.type,
    cell: (one) =>
      html`<${Named} text=${one.type} href=${tasksAt({ type: one.type })} /> ${hasPayload(one) && html`<span class="dim mono cut payload"><${Foreign} text=${one.payload_preview} /></span>`}${one.without_task > 0 && html` <${WithoutTask} n=${one.without_task} />`}`,
  },
  {
    id: "when",
    head: t("when_runs"),
    kind: "full nw",
    value: (one) => one.spec,
    cell: (one) => html`<${When} spec=${one.spec} />`,
  },
  {
    id: "next",
    head: t("next"),
    kind: "two3 nw",
    isLabelled: true,
    value: (one) => Date.parse(one.next) || null,
    cell: (one) =>
      one.paused
        ? html`<${Paused} />`
        : one.next
        ? html`<b><${Time} at=${one.next} /></b> <span class="dim">${moment(one.next)}</span>`
        : "–",
  },
  {
    id: "past",
    head: t("last_day"),
    kind: "m-hide",
    hide: "w",
    cell: (one) => html`<${Past} entry=${one} />`,
  },
  {
    id: "last",
    head: t("last_tasks"),
    kind: "full o2 nw",
    isLabelled: true,
    value: (one) => Date.parse(one.prev) || null,
    cell: (one) => html`<${LastRuns} entry=${one} />`,
  },
  {
    id: "options",
    head: t("options"),
    kind: "mono dim grow cut",
    hide: "m",
    cell: (one) =>
      html`<span title=${optionsOf(one.options)}><${Foreign} text=${optionsOf(one.options)} /></span>`,
  },
  numbers("schedulers", t("schedulers"), number, { hide: "m" }),
  menus(
    (one) => one.type,
    (one) => actionsOf(one, reload),
  ),
];

export function Schedules() {
  useListKeys();
  const { data, problem, reload } = useResource("schedules", {}, { every_ms: EVERY_MS });
  const made = useMemo(() => columns(reload), [t("entry")]);
  const press = (key) => {
    const entry = data.items.find((one) => one.id === currentKey());
    if (entry) actionsOf(entry, reload).find((one) => one.key === key)?.act();
  };
  const group = t("keys_list");
  const off = isOld.value || !data;
  useKeys({
    r: { group, text: t("act_run"), off: off || !may("entry.run"), act: () => press("r") },
    p: { group, text: t("key_pause_entry"), off: off || !may("entry.pause"), act: () => press("p") },
  });
  if (!data) return html`<${Pending} problem=${problem} reload=${reload} />`;
  const entries = data.items;
  if (!entries.length)
    return html`<div class="panel"><${Empty} icon="schedules" title=${t("no_entries")} command="pyasynq scheduler module:app">${t("no_entries_text")}<//></div>`;
  const schedulers = Math.max(...entries.map((entry) => entry.schedulers ?? 1));
  return html`<div class="row"><span>${t("n_entries", { n: entries.length })}</span><span class="dim">${t("n_schedulers", { n: schedulers })} · ${t("times_in", { zone: zone() })}</span></div>
    <section class=${cls("panel scroll", isOld.value && "old")} aria-label=${t("page_schedules")}>
      <${Table} label=${t("page_schedules")} columns=${made} rows=${entries} keyOf=${(entry) => entry.id} initial="next" />
      <footer><div class="legend">${Object.keys(OUTCOMES).map((name) => html`<${Outcome} name=${name}>${t(`outcome_${name}`)}<//>`)}</div><span class="m-hide">${t("about_not_kept")}</span></footer>
    </section>`;
}
