// Redis or the file of SQLite, and the audit.
import { html, useEffect, useMemo, useSignal } from "../lib.js";
import { get, me, sample, useResource } from "../api.js";
import {
  Time,
  adviceOf,
  bytes,
  checkName,
  duration,
  finding,
  hasText,
  number,
  percent,
  t,
} from "../i18n.js";
import { address, useKeys } from "../route.js";
import { Table, names, numbers, times, useListKeys } from "../table.js";
import { Button, Copy, Empty, Foreign, Meter, Panel, Pending, State } from "../ui.js";

// -- the broker: what it says about itself, and what is wrong with it --

const STATUSES = {
  ok: ["completed", "completed"],
  warning: ["retry", "alert"],
  problem: ["archived", "cross"],
  unknown: ["waiting", "info"],
};
const ORDER = ["problem", "warning", "unknown", "ok"];
const EVERY_MS = 10_000;

// How the value of a fact is shown; other kinds are texts.
const FORMS = {
  number: (text) => number(Number(text)),
  bytes: (text) => bytes(Number(text)),
  limit: (text) => (Number(text) ? bytes(Number(text)) : t("none")),
  seconds: (text) => duration(Number(text)),
  switch: (text) => t(Number(text) ? "on" : "off"),
};

const Check = ({ check }) => {
  const [state, glyph] = STATUSES[check.status] ?? STATUSES.unknown;
  return html`<tr>
    <td class="nw"><${State} name=${state} glyph=${glyph}>${t(`check_${check.status}`)}<//></td>
    <td class="b two3">${checkName(check.check)}</td>
    <td class="full grow"><${Foreign} text=${finding(check)} />${check.advice && html` <span class="dim"><${Foreign} text=${adviceOf(check.check, check)} /></span>`}</td>
  </tr>`;
};

function Memory({ info }) {
  const [used, most] = [Number(info.used_memory), Number(info.maxmemory)];
  if (!used || !most) return null;
  const part = used / most;
  return html`<dt>${t("memory")}</dt><dd><${Meter} part=${part} state=${part > 0.8 ? "archived" : "active"} /> ${percent(part)}</dd>`;
}

function Node({ node }) {
  const info = node.info ?? {};
  const named = new Set(node.facts.map(({ name }) => name));
  const others = Object.entries(info)
    .filter(([name]) => !named.has(name))
    .sort();
  const text = Object.entries(info)
    .map(([name, value]) => `${name}: ${value}`)
    .join("\n");
  return html`<section class="panel" aria-label=${node.address || me.value.broker.url}>
    <header><h2 class="mono cut"><${Foreign} text=${node.address || me.value.broker.url} /></h2><span class="sp"></span>
      ${node.round_trip_s != null && html`<span class="dim nw">${t("round_trip", { span: duration(node.round_trip_s) })}</span>`}
      <${Copy} kind="ic ghost sm" text=${text} label=${t("copy")} />
    </header>
    <div class="in"><dl class="kv wide"><${Memory} info=${info} />
      ${node.facts.map(({ name, value, kind }) => html`<dt>${hasText(`info_${name}`) ? t(`info_${name}`) : name}</dt><dd>${FORMS[kind]?.(value) ?? html`<${Foreign} text=${value} />`}</dd>`)}
      ${!node.info && html`<dt>${t("node")}</dt><dd>${t("not_permitted")}</dd>`}
    </dl></div>
    ${others.length > 0 && html`<details class="all"><summary class="tw">${t("all_values", { n: others.length })}</summary><dl class="kv wide mono">${others.map(([name, value]) => html`<dt>${name}</dt><dd><${Foreign} text=${value} /></dd>`)}</dl></details>`}
  </section>`;
}

// -- commands that took long, and where a cluster keeps queues --

const slowColumns = (isCluster) =>
  [
    times("at", t("at"), {
      num: false,
      kind: "dim nw",
      cell: ({ at }) => html`<${Time} at=${at} absolute />`,
    }),
    numbers("duration", t("took"), duration, { isLabelled: true }),
    names("command", t("command"), { kind: "mono b two3" }),
    names("key", t("key"), { kind: "mono grow cut full" }),
    names("client", t("client"), { kind: "mono dim nw", hide: "m" }),
    isCluster && names("address", t("node"), { kind: "mono dim nw", isLabelled: true }),
  ].filter(Boolean);

// What a server says about its slow log, if it says anything but commands.
function noteOf({ address, limit, commands }, most) {
  const where = address ? `${address}: ` : "";
  if (!commands) return where + t("not_permitted");
  if (limit < 0) return where + t("slow_off");
  return limit == null ? "" : where + t("slow_limit", { span: duration(limit), n: most });
}

function SlowLogs({ logs, most }) {
  const isCluster = logs.length > 1;
  const columns = useMemo(() => slowColumns(isCluster), [isCluster, t("at")]);
  const rows = logs.flatMap(({ address, commands }) =>
    (commands ?? []).map((command, at) => ({ ...command, address, id: `${address} ${command.at} ${at}` })),
  );
  const notes = logs.map((log) => noteOf(log, most)).filter(Boolean);
  return html`<${Panel} name=${t("slow_log")} note=${notes.join(" · ")} kind="scroll">
    ${rows.length ? html`<${Table} label=${t("slow_log")} columns=${columns} rows=${rows} keyOf=${(row) => row.id} sortName="slow" initial="-at" />` : html`<p class="in dim">${logs.length ? t("slow_none") : t("slow_never", { broker: me.value.broker.name })}</p>`}
  <//>`;
}

const addresses = (nodes) => nodes.map(({ address }) => address).join(", ");

const placeColumns = () => [
  {
    ...names("queue", t("queue"), { kind: "b two3" }),
    cell: ({ queue }) => html`<a href=${address(["queue", queue])}><${Foreign} text=${queue} /></a>`,
  },
  numbers("slot", t("slot"), number, { isLabelled: true }),
  names("primary", t("primary"), { kind: "mono", isLabelled: true }),
  names("replicas", t("replicas"), { kind: "mono dim grow cut", isLabelled: true }),
];

function Places({ places }) {
  const columns = useMemo(placeColumns, [t("queue")]);
  const rows = places.map(({ nodes: [primary, ...replicas], ...place }) => ({
    ...place,
    primary: primary?.address ?? t("no_answer"),
    replicas: addresses(replicas) || "–",
  }));
  return html`<${Panel} name=${t("places")} note=${number(rows.length)}>
    <${Table} label=${t("places")} columns=${columns} rows=${rows} keyOf=${(row) => row.queue} sortName="places" initial="queue" />
  <//>`;
}

export function Broker() {
  useListKeys();
  const { data, problem, reload } = useResource("broker", {}, { every_ms: EVERY_MS });
  if (!data) return html`<${Pending} problem=${problem} reload=${reload} />`;
  const checks = [...data.checks].sort((a, b) => ORDER.indexOf(a.status) - ORDER.indexOf(b.status));
  return html`<${Panel} name=${t("checks")} note=${t("checks_note")}>
      <table class="tbl stack" aria-label=${t("checks")}><tbody>${checks.map((check) => html`<${Check} check=${check} />`)}</tbody></table>
    <//>
    <div class=${data.nodes.length > 1 ? "two" : "one"}>${data.nodes.map((node) => html`<${Node} key=${node.address} node=${node} />`)}</div>
    ${data.places.length > 0 && html`<${Places} places=${data.places} />`}
    <${SlowLogs} logs=${data.slow_logs} most=${data.most_slow} />`;
}

// -- who did that? --

const PAGE = 50;
const OUTCOMES = {
  done: ["completed", "completed"],
  stopped: ["retry", "pause"],
  failed: ["archived", "cross"],
  refused: ["archived", "cross"],
};

const actionText = (action) => {
  const key = `audit_${action}`;
  return hasText(key) ? t(key) : action;
};

function Outcome({ outcome }) {
  const [state, glyph] = OUTCOMES[outcome] ?? ["waiting", "dot"];
  return html`<${State} name=${state} glyph=${glyph}>${t(`outcome_${outcome}`)}<//>`;
}

const Target = ({ entry }) =>
  html`<span class="mono"><${Foreign} text=${entry.target} /></span>${entry.detail && html` <span class="dim"><${Foreign} text=${entry.detail} /></span>`}`;

export const auditColumns = () => [
  {
    id: "at",
    head: t("at"),
    kind: "dim nw",
    value: (entry) => entry.at,
    cell: (entry) => html`<${Time} at=${entry.at} absolute />`,
  },
  names("principal", t("who"), { kind: "b" }),
  {
    id: "action",
    head: t("did"),
    kind: "nw",
    value: (entry) => entry.action,
    cell: (entry) => actionText(entry.action),
  },
  {
    id: "target",
    head: t("to_what"),
    kind: "grow cut full soft",
    value: (entry) => entry.target,
    cell: (entry) => html`<${Target} entry=${entry} />`,
  },
  numbers("count", t("count"), number, { isLabelled: true }),
  {
    id: "outcome",
    head: t("outcome"),
    kind: "nw",
    value: (entry) => entry.outcome,
    cell: (entry) => html`<${Outcome} outcome=${entry.outcome} />`,
  },
];

// The newest page is read again when the stream says that there is a newer entry.
function useAudit() {
  const state = useSignal({ items: null, cursor: null, problem: null });
  const newest = sample.value?.audit ?? null;
  const read = async (cursor) => {
    try {
      const page = await get("audit", { limit: PAGE, cursor });
      const known = cursor ? state.peek().items : [];
      state.value = { items: [...known, ...page.items], cursor: page.cursor, problem: null };
    } catch (problem) {
      state.value = { ...state.peek(), problem };
    }
  };
  useEffect(() => {
    read(null);
  }, [newest]);
  return { ...state.value, more: () => read(state.value.cursor), reload: () => read(null) };
}

export function Audit() {
  useListKeys();
  const { items, cursor, problem, more, reload } = useAudit();
  const columns = useMemo(auditColumns, [t("at")]);
  useKeys({ m: { group: t("keys_list"), text: t("look_further"), off: !cursor, act: more } });
  if (!items) return html`<${Pending} problem=${problem} reload=${reload} />`;
  return html`<${Panel} name=${t("page_audit")} note=${t("audit_note")} kind="scroll">
    ${
      items.length
        ? html`<${Table} label=${t("page_audit")} columns=${columns} rows=${items} keyOf=${(entry) => entry.id} />`
        : html`<${Empty} icon="audit" title=${t("nobody_did")}>${t("nobody_did_text")}<//>`
    }
    ${cursor && html`<footer><${Button} kind="sm" shortcut="m" onClick=${more}>${t("look_further")}<//></footer>`}
  <//>`;
}
