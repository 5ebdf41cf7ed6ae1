// Is everything all right?
import { cls, html, useMemo } from "../lib.js";
import { hasFeature, isOld, me, sample, trail, useResource } from "../api.js";
import {
  Time,
  adviceOf,
  checkName,
  duration,
  finding,
  hasText,
  number,
  parts,
  rate,
  t,
} from "../i18n.js";
import { Key, address, areOn, change, open, route, taskAt, tasksAt, useKeys } from "../route.js";
import { Table, currentKey, menus, names, numbers, times, useListKeys } from "../table.js";
import {
  Choice,
  Counts,
  Empty,
  Foreign,
  Icon,
  Legend,
  Panel,
  Paused,
  Skeleton,
  Spark,
  State,
  StateBar,
} from "../ui.js";
import { auditColumns } from "./system.js";
import { queueActions } from "./queues.js";

const DENSE_FROM = 40;

// -- alerts --

// The server's text is English: it is replaced where its numbers are in the sample.
function alertText(alert, queue) {
  const key = `alert_${alert.id.split(":")[0]}`;
  if (!queue || !hasText(key))
    return html`<b><${Foreign} text=${alert.code ? checkName(alert.subject) : alert.subject} /></b>: <${Foreign} text=${finding(alert)} />`;
  const values = { n: queue.pending, wait: duration(queue.latency), archived: queue.archived };
  return parts(key, { ...values, queue: html`<b><${Foreign} text=${queue.queue} /></b>` });
}

function alertAdvice(alert) {
  const key = `alert_${alert.id.split(":")[0]}_advice`;
  return hasText(key) ? t(key) : adviceOf(alert.subject, alert);
}

const worstFirst = (alerts) =>
  [...alerts].sort((a, b) => (a.level !== "problem") - (b.level !== "problem"));

function Alerts({ alerts, queues }) {
  if (!alerts.length) return null;
  return html`<section aria-label=${t("alerts")}>
    <ul class="alerts">
      ${worstFirst(alerts).map((alert) => {
        const state = alert.level === "problem" ? "archived" : "retry";
        const queue = queues.find((one) => one.queue === alert.queue);
        return html`<li key=${alert.id}>
          <${State} name=${state} glyph="alert">${t(`level_${alert.level}`)}<//>
          <span class="t">${alertText(alert, queue)}${alert.advice && html` <span class="dim advice"><${Foreign} text=${alertAdvice(alert)} /></span>`}</span>
          ${alert.queue && html`<a class="btn sm" href=${address(["queue", alert.queue])}>${t("show_queue")}</a>`}
        </li>`;
      })}
    </ul>
  </section>`;
}

// -- figures --

// The present minute is not over: at the end of a line it would look like a fall.
const whole = (hour) => hour.slice(0, -1);

const sums = (queues) =>
  queues.reduce(
    (sum, { hour }) => (hour ? sum.map((value, at) => value + hour[at]) : sum),
    Array(60).fill(0),
  );

function Fig({ name, value, unit = "", note, points, tone, line }) {
  return html`<div class="fig">
    <p class="label">${name}</p>
    <b class=${tone}>${value}<small>${unit}</small></b>
    <p title=${note}>${note}</p>
    <${Spark} lines=${[[points.length > 1 ? points : [0, 0], line]]} label=${name} />
  </div>`;
}

function Figures({ queues, totals }) {
  const oldest = queues.reduce(
    (worst, one) => (one.latency > (worst?.latency ?? 0) ? one : worst),
    null,
  );
  const past = (name) => trail.value.map((one) => one[name] ?? 0);
  return html`<section class="figs" aria-label=${t("figures")}>
    <${Fig} name=${t("fig_done")} value=${rate(totals.out_per_s)} unit=${t("per_s")} points=${whole(sums(queues))} line="o"
      note=${t("fig_done_note", { rate: rate(totals.in_per_s), n: totals.queues })} />
    <${Fig} name=${t("fig_waiting")} value=${number(totals.pending)} points=${past("pending")} line="o"
      note=${t("fig_waiting_note", { n: totals.scheduled + totals.retry })} />
    <${Fig} name=${t("fig_oldest")} value=${oldest ? duration(oldest.latency) : "–"} points=${past("latency")} line="o"
      tone=${cls(oldest?.latency > 300 && "warn")} note=${oldest?.queue ?? t("nothing_waits")} />
    <${Fig} name=${t("fig_failed")} value=${rate(totals.failed_per_min)} unit=${t("per_min")} points=${past("failed_per_min")} line="x"
      tone=${cls(totals.failed_per_min > 0 && "warn")} note=${t("fig_failed_note", { n: totals.retry })} />
    <${Fig} name=${t("fig_archived")} value=${number(totals.archived)} points=${past("archived")} line="x"
      tone=${cls(totals.archived > 0 && "bad")} note=${t("fig_archived_note")} />
    <${Fig} name=${t("fig_slots")} value=${number(totals.busy)} unit="/ ${number(totals.slots)}" points=${past("busy")} line="o"
      note=${t(totals.quiet ? "fig_slots_quiet" : "fig_slots_note", { n: totals.servers, quiet: totals.quiet })} />
  </section>`;
}

// -- queues --

const isInTrouble = (queue, alerts) =>
  alerts.some((alert) => alert.queue === queue.queue && alert.level === "problem");

const Name = ({ queue }) =>
  html`<div class="q-name">
    <a class="cut" href=${address(["queue", queue.queue])} title=${queue.queue}><${Foreign} text=${queue.queue} /></a>
    ${queue.paused && html`<${Paused} />`}
  </div>`;

const Servers = ({ queue }) =>
  queue.servers || !queue.size
    ? number(queue.servers)
    : html`<b class=${queue.pending ? "bad nw" : "dim nw"}>${t(queue.quiet ? "server_stopped" : "no_worker")}</b>`;

const columns = () => [
  {
    id: "queue",
    head: t("queue"),
    kind: "full",
    value: (one) => one.queue,
    cell: (queue) => html`<${Name} queue=${queue} />`,
  },
  {
    id: "state",
    head: t("state"),
    kind: "q-bar full",
    value: (one) => one.size,
    cell: (queue) => html`<${StateBar} counts=${queue} /><${Counts} counts=${queue} />`,
  },
  numbers("pending", t("waiting"), number, {
    isLabelled: true,
    tone: (one) => !one.pending && "dim",
  }),
  {
    id: "oldest",
    head: t("oldest_wait"),
    num: true,
    isLabelled: true,
    value: (one) => one.latency,
    cell: (one) => (one.pending ? duration(one.latency) : "–"),
    tone: (one) =>
      one.paused || !one.pending
        ? "dim"
        : one.latency > 600
          ? "bad b"
          : one.latency > 60
            ? "warn b"
            : "",
  },
  numbers("in_per_s", t("in_per_s"), rate, { hide: "m", tone: (one) => !one.in_per_s && "dim" }),
  numbers("out_per_s", t("out_per_s"), rate, { hide: "m", tone: (one) => !one.out_per_s && "dim" }),
  {
    id: "hour",
    head: t("last_hour"),
    hide: "w",
    kind: "m-hide",
    cell: (one) =>
      one.hour &&
      html`<${Spark} lines=${[[whole(one.hour), "o"]]} label=${t("runs_last_hour", { n: one.hour.reduce((a, b) => a + b, 0) })} />`,
  },
  numbers("failed_per_min", t("failed_per_min"), rate, {
    isLabelled: true,
    tone: (one) =>
      one.failed_per_min > 30
        ? "bad b"
        : one.failed_per_min > 1
          ? "warn"
          : !one.failed_per_min && "dim",
  }),
  {
    id: "servers",
    head: t("workers"),
    num: true,
    hide: "m",
    value: (one) => one.servers,
    cell: (one) => html`<${Servers} queue=${one} />`,
  },
  menus((one) => one.queue, queueActions),
];

// Many queues: one line each, those in trouble first.
function Dense({ queues, alerts }) {
  const order = [...queues].sort(
    (a, b) =>
      isInTrouble(b, alerts) - isInTrouble(a, alerts) ||
      b.paused - a.paused ||
      a.queue.localeCompare(b.queue),
  );
  return html`<div class="in"><ul class="grid100">
    ${order.map((queue) => {
      const isBad = isInTrouble(queue, alerts);
      return html`<li key=${queue.queue}>
        ${(isBad || queue.paused) && html`<${State} name=${isBad ? "archived" : "retry"} glyph=${isBad ? "alert" : "pause"}><span class="vh">${t(isBad ? "in_trouble" : "paused")}</span><//>`}
        <a class=${cls("cut", isBad && "b")} href=${address(["queue", queue.queue])}><${Foreign} text=${queue.queue} /></a>
        <b class=${isBad ? "bad" : ""}>${number(queue.pending)}</b><i>${queue.pending ? duration(queue.latency) : "–"}</i>
      </li>`;
    })}
  </ul></div>`;
}

function Queues({ queues, alerts }) {
  const { query } = route.value;
  const kind = query.show ?? "all";
  const form = query.form ?? (queues.length > DENSE_FROM ? "dense" : "bars");
  const trouble = queues.filter((queue) => isInTrouble(queue, alerts));
  const paused = queues.filter((queue) => queue.paused);
  const chosen = { all: queues, trouble, paused }[kind] ?? queues;
  const text = (query.find ?? "").toLowerCase();
  const shown = chosen.filter((queue) => queue.queue.toLowerCase().includes(text));
  const made = useMemo(columns, [t("queue")]);
  const act = (id) => {
    const queue = queues.find((one) => one.queue === currentKey());
    const action = queue && queueActions(queue).find((one) => one.id === id);
    if (action && !isOld.value) action.act();
  };
  useKeys({ p: { group: t("keys_list"), text: t("key_pause"), act: () => act("pause") } });
  const kinds = [
    ["all", t("all")],
    ["trouble", t("in_trouble_n", { n: trouble.length })],
    ["paused", t("paused_n", { n: paused.length })],
  ];
  const openFirst = (event) => {
    if (event.key === "Enter" && shown.length) open(["queue", shown[0].queue]);
  };
  return html`<section class=${cls("panel", isOld.value && "old")} aria-label=${t("queues")}>
    <header>
      <h2>${t("queues")}</h2><span class="dim">${number(queues.length)}</span>
      <${Choice} label=${t("queues_shown")} kind="m-hide" options=${kinds} value=${kind} onChoose=${(name) => change({ show: name === "all" ? "" : name })} />
      ${
        queues.length > DENSE_FROM / 2 &&
        html`<${Choice} label=${t("form")} kind="m-hide" options=${[
          ["bars", t("bars")],
          ["dense", t("dense")],
        ]} value=${form} onChoose=${(name) => change({ form: name })} />`
      }
      <span class="sp"></span>
      <label class="find"><${Icon} name="search" /><span class="vh">${t("filter_queues")}</span>
        <input type="search" data-queue-filter placeholder=${t("filter_queues")} value=${query.find ?? ""} onInput=${(event) => change({ find: event.target.value })} onKeyDown=${openFirst} />
        ${areOn.value && html`<${Key} name="g q" />`}
      </label>
    </header>
    ${form === "dense" ? html`<${Dense} queues=${shown} alerts=${alerts} />` : html`<${Table} label=${t("queues")} columns=${made} rows=${shown} keyOf=${(queue) => queue.queue} initial="queue" />`}
    ${!shown.length && html`<${Empty} icon="search" title=${t("no_queue_matches")} />`}
    <footer><${Legend} /><span class="m-hide">${t("about_completed")}</span></footer>
  </section>`;
}

// -- below --

const failingColumns = () => [
  {
    id: "error",
    head: t("error"),
    kind: "full grow cut",
    value: (group) => group.error,
    cell: (group) => html`<${ErrorLink} group=${group} />`,
  },
  names("type", t("type"), { kind: "mono two3" }),
  numbers("count", t("count"), number),
  times("last_failed_at", t("fact_last_failure"), {
    kind: "dim",
    hide: "m",
    cell: ({ queue, task_id: id, last_failed_at: at }) =>
      html`<a href=${taskAt({ queue, id })}><${Time} at=${at} /></a>`,
  }),
];

const ErrorLink = ({ group }) =>
  html`<a class="b" title=${group.error} href=${tasksAt({ queue: group.queue, type: group.type, state: "retry,archived", error: group.error })}><${Foreign} text=${group.error || t("no_error_text")} /></a>`;

const SHOWN = 6;

function Failing() {
  const { data, problem } = useResource("errors", {}, { every_ms: 15_000 });
  const columns = useMemo(failingColumns, [t("error")]);
  if (problem && !data) return null;
  const groups = data?.items.slice(0, SHOWN) ?? [];
  return html`<${Panel} name=${t("failing")} note=${t("failing_note")}>
    ${!data ? html`<${Skeleton} />` : groups.length ? html`<${Table} label=${t("failing")} columns=${columns} rows=${groups} keyOf=${(group) => `${group.queue} ${group.type} ${group.error}`} sortName="failing" initial="-count" />` : html`<p class="in dim">${t("nothing_fails")}</p>`}
    ${data && !data.complete && html`<footer>${t("looked_at", { n: data.looked_at, total: data.total })}</footer>`}
  <//>`;
}

function LastActions() {
  const { data, problem } = useResource("audit", { limit: 2 * SHOWN }, { every_ms: 10_000 });
  const columns = useMemo(auditColumns, [t("at")]);
  if (problem && !data) return null;
  const entries = data?.items.filter(({ outcome }) => outcome !== "begun").slice(0, SHOWN) ?? [];
  const more = html`<a class="link" href="#/audit">${t("page_audit")}</a>`;
  return html`<${Panel} name=${t("who_did")} note=${t("who_did_note")} more=${more}>
    ${!data ? html`<${Skeleton} />` : entries.length ? html`<${Table} label=${t("who_did")} columns=${columns} rows=${entries} keyOf=${(entry) => entry.id} sortName="did" />` : html`<p class="in dim">${t("nobody_did")}</p>`}
  <//>`;
}

export function Overview() {
  useListKeys();
  if (!sample.value) return html`<div class="panel"><${Skeleton} rows=${6} /></div>`;
  const { queues, totals, alerts } = sample.value;
  if (!queues.length)
    return html`<${Alerts} alerts=${alerts} queues=${queues} /><div class="panel"><${Empty} icon="tasks" title=${t("no_queues")} command=${`pyasynq task enqueue -t email:welcome -l '{"user": 42}' -u '${me.value.broker.url}'`}>${t("no_queues_text")}<//></div>`;
  return html`<${Alerts} alerts=${alerts} queues=${queues} />
    <${Figures} queues=${queues} totals=${totals} />
    <${Queues} queues=${queues} alerts=${alerts} />
    <div class="two"><${Failing} />${hasFeature("audit") && html`<${LastActions} />`}</div>`;
}
