// Redis or the file of SQLite, and the audit.
import { html, useEffect, useMemo, useSignal } from "../lib.js";
import { get, me, sample, useResource } from "../api.js";
import { Time, bytes, duration, hasText, number, t } from "../i18n.js";
import { useKeys } from "../route.js";
import { Table, names, numbers, useListKeys } from "../table.js";
import { Button, Copy, Empty, Foreign, Meter, Pending, State } from "../ui.js";

// -- the broker: what it says about itself, and what is wrong with it --

const STATUSES = {
  ok: ["completed", "completed"],
  warning: ["retry", "alert"],
  problem: ["archived", "cross"],
  unknown: ["waiting", "info"],
};
const ORDER = ["problem", "warning", "unknown", "ok"];
const EVERY_MS = 10_000;

const number_of = (text) => number(Number(text));
const bytes_of = (text) => bytes(Number(text));

// What to show of INFO, in this order, and how.
const FACTS = [
  ["redis_version"],
  ["valkey_version"],
  ["version"],
  ["redis_mode"],
  ["role"],
  ["path"],
  ["uptime_in_seconds", (text) => duration(Number(text))],
  ["connected_clients", number_of],
  ["blocked_clients", number_of],
  ["used_memory", bytes_of],
  ["used_memory_peak", bytes_of],
  ["maxmemory", bytes_of],
  ["maxmemory_policy"],
  ["mem_fragmentation_ratio"],
  ["instantaneous_ops_per_sec", number_of],
  ["total_commands_processed", number_of],
  ["evicted_keys", number_of],
  ["expired_keys", number_of],
  ["rejected_connections", number_of],
  ["aof_enabled"],
  ["rdb_last_bgsave_status"],
  ["rdb_changes_since_last_save", number_of],
  ["connected_slaves", number_of],
  ["size", bytes_of],
  ["file_bytes", bytes_of],
  ["wal_bytes", bytes_of],
  ["free_bytes", bytes_of],
  ["cluster_state"],
  ["cluster_size"],
];

const Check = ({ check }) => {
  const [state, glyph] = STATUSES[check.status] ?? STATUSES.unknown;
  return html`<tr>
    <td class="nw"><${State} name=${state} glyph=${glyph}>${t(`check_${check.status}`)}<//></td>
    <td class="b two3">${check.check}</td>
    <td class="full grow"><${Foreign} text=${check.message} />${check.advice && html` <span class="dim"><${Foreign} text=${check.advice} /></span>`}</td>
  </tr>`;
};

function Memory({ info }) {
  const [used, most] = [Number(info.used_memory), Number(info.maxmemory)];
  if (!used || !most) return null;
  const part = used / most;
  return html`<dt>${t("memory")}</dt><dd><${Meter} part=${part} state=${part > 0.8 ? "archived" : "active"} /> ${t("of_bytes", { used: bytes(used), most: bytes(most) })}</dd>`;
}

function Node({ node }) {
  const info = node.info ?? {};
  const known = FACTS.filter(([name]) => info[name] !== undefined);
  const named = new Set(known.map(([name]) => name));
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
      ${known.map(([name, form]) => html`<dt>${hasText(`info_${name}`) ? t(`info_${name}`) : name}</dt><dd>${form ? form(info[name]) : html`<${Foreign} text=${info[name]} />`}</dd>`)}
      ${!known.length && !others.length && html`<dt>${t("node")}</dt><dd>${t("no_answer")}</dd>`}
    </dl></div>
    ${others.length > 0 && html`<details class="all"><summary class="tw">${t("all_values", { n: others.length })}</summary><dl class="kv wide mono">${others.map(([name, value]) => html`<dt>${name}</dt><dd><${Foreign} text=${value} /></dd>`)}</dl></details>`}
  </section>`;
}

export function Broker() {
  const { data, problem, reload } = useResource("broker", {}, { every_ms: EVERY_MS });
  if (!data) return html`<${Pending} problem=${problem} reload=${reload} />`;
  const checks = [...data.checks].sort((a, b) => ORDER.indexOf(a.status) - ORDER.indexOf(b.status));
  return html`    <section class="panel" aria-label=${t("checks")}>
      <header><h2>${t("checks")}</h2><span class="dim">${t("checks_note")}</span></header>
      <table class="tbl stack" aria-label=${t("checks")}><tbody>${checks.map((check) => html`<${Check} check=${check} />`)}</tbody></table>
    </section>
    <div class=${data.nodes.length > 1 ? "two" : "one"}>${data.nodes.map((node) => html`<${Node} key=${node.address} node=${node} />`)}</div>`;
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
  return html`<section class="panel scroll" aria-label=${t("page_audit")}>
    <header><h2>${t("page_audit")}</h2><span class="dim">${t("audit_note")}</span></header>
    ${
      items.length
        ? html`<${Table} label=${t("page_audit")} columns=${columns} rows=${items} keyOf=${(entry) => entry.id} />`
        : html`<${Empty} icon="audit" title=${t("nobody_did")}>${t("nobody_did_text")}<//>`
    }
    ${cursor && html`<footer><${Button} kind="sm" shortcut="m" onClick=${more}>${t("look_further")}<//></footer>`}
  </section>`;
}
