// A table that can be sorted, walked through by keys, and selected from; on a phone, cards.
import { cls, html, useMemo, useRef, useSignal } from "./lib.js";
import { change, route, useKeys } from "./route.js";
import { Time, t } from "./i18n.js";
import { Foreign, Menu } from "./ui.js";

const rowsOf = () => [...document.querySelectorAll("main tr[data-key]")];
const currentRow = () => document.activeElement?.closest("tr[data-key]");
export const currentKey = () => currentRow()?.dataset.key;

function step(by) {
  const rows = rowsOf();
  if (!rows.length) return;
  const at = rows.indexOf(currentRow());
  const next = rows[at < 0 ? 0 : Math.max(0, Math.min(rows.length - 1, at + by))];
  (next.querySelector("a, button") ?? next).focus();
  next.scrollIntoView({ block: "nearest" });
}

// An arrow moves from a row to the next; elsewhere it scrolls the page.
const arrow = (by) => ({
  act: () => step(by),
  get off() {
    return !currentRow();
  },
});

export function useListKeys() {
  const group = t("keys_list");
  useKeys({
    j: { group, text: t("key_down"), act: () => step(1) },
    k: { group, text: t("key_up"), act: () => step(-1) },
    ArrowDown: arrow(1),
    ArrowUp: arrow(-1),
    Enter: {
      group,
      text: t("key_open"),
      act: (event) => event.target.closest("a, button, summary")?.click(),
    },
  });
}

function compare(a, b) {
  if (a == null || b == null) return (a == null) - (b == null);
  return typeof a === "string" ? a.localeCompare(b) : a - b;
}

// The sort is part of the address: `name`, or `-name` for the largest first.
function useSort(columns, name, initial) {
  const wanted = route.value.query[name] ?? initial ?? "";
  const isDown = wanted.startsWith("-");
  const id = wanted.replace(/^-/, "");
  const column = columns.find((one) => one.id === id && one.value);
  const sortBy = (next) => {
    const first = next.num ? `-${next.id}` : next.id;
    const other = next.num ? next.id : `-${next.id}`;
    change({ [name]: wanted === first ? other : first });
  };
  const cycle = () => {
    const sortable = columns.filter((one) => one.value);
    sortBy(sortable[(sortable.indexOf(column) + 1) % sortable.length]);
  };
  const sorted = (rows) => {
    if (!column) return rows;
    const sign = isDown ? -1 : 1;
    const known = rows.filter((row) => column.value(row) != null);
    const unknown = rows.filter((row) => column.value(row) == null);
    return [...known.sort((a, b) => sign * compare(column.value(a), column.value(b))), ...unknown];
  };
  return { column, isDown, sortBy, cycle, sorted, wanted };
}

// Rows keep their places while the pointer or the focus is in the table.
function useSteadyOrder(rows, keyOf, order) {
  const isHeld = useSignal(false);
  const last = useRef({ order: null, keys: [] });
  const known = last.current;
  if (!isHeld.value || known.order !== order || !known.keys.length) {
    last.current = { order, keys: rows.map(keyOf) };
    return { rows, added: 0, isHeld };
  }
  const byKey = new Map(rows.map((row) => [keyOf(row), row]));
  const kept = known.keys.filter((key) => byKey.has(key)).map((key) => byKey.get(key));
  return { rows: kept, added: rows.length - kept.length, isHeld };
}

function Head({ column, sort }) {
  const isSorted = sort.column === column;
  const direction = isSorted ? (sort.isDown ? "descending" : "ascending") : undefined;
  const text = column.isQuiet ? html`<span class="vh">${column.head}</span>` : column.head;
  return html`<th scope="col" class=${cls(column.num && "num", column.hide && `${column.hide}-hide`, column.kind)} title=${column.title} aria-sort=${direction}>
    ${column.value ? html`<button type="button" onClick=${() => sort.sortBy(column)}>${text}</button>` : text}
  </th>`;
}

const Cell = ({ column, row }) =>
  html`<td
    class=${cls(column.num && "num", column.hide && `${column.hide}-hide`, column.kind, column.tone?.(row))}
    data-l=${column.isLabelled ? column.head : undefined}
  >
    ${column.cell(row)}
  </td>`;

// A column of numbers; `id` is the name of the value.
export const numbers = (id, head, form, more) => ({
  id,
  head,
  num: true,
  value: (row) => row[id],
  cell: (row) => form(row[id]),
  ...more,
});

// A column of texts that somebody else wrote.
export const names = (id, head, more) => ({
  id,
  head,
  value: (row) => row[id],
  cell: (row) => html`<${Foreign} text=${row[id]} />`,
  ...more,
});

// A column of instants: those of the value `id`, unless `at` takes a row and returns another one.
export const times = (id, head, { at = (row) => row[id], ...more } = {}) => ({
  id,
  head,
  num: true,
  isLabelled: true,
  value: (row) => Date.parse(at(row)) || null,
  cell: (row) => html`<${Time} at=${at(row)} />`,
  ...more,
});

// What a row is about, with a link to where more is known.
export const Named = ({ text, href }) =>
  html`<a class="mono b cut" title=${text} href=${href}><${Foreign} text=${text} /></a>`;

// The column of what can be done, and one with a menu of it.
export const acts = (cell) => ({ id: "act", head: t("actions"), isQuiet: true, kind: "act", cell });

export const menus = (nameOf, actionsOf) =>
  acts(
    (row) =>
      html`<${Menu} label=${t("actions_of", { name: nameOf(row) })} actions=${actionsOf(row)} />`,
  );

// Columns: { id, head, cell(row), value(row) to sort by, num, kind: classes, hide: "m" or "w",
// isLabelled: with its heading on a phone, tone(row): a class }.
export function Table({
  label,
  columns,
  rows,
  keyOf,
  sortName = "sort",
  initial,
  select,
  kind = "",
}) {
  const sort = useSort(columns, sortName, initial);
  const steady = useSteadyOrder(
    useMemo(() => sort.sorted([...rows]), [rows, sort.wanted]),
    keyOf,
    sort.wanted,
  );
  useKeys({
    s: { group: t("keys_list"), text: t("key_sort"), act: sort.cycle },
    ...(select && selectKeys(select, steady.rows.map(keyOf))),
  });
  const hold = (event) => {
    const isInside = event.currentTarget.contains(event.relatedTarget);
    steady.isHeld.value =
      event.type === "mouseenter" ||
      event.type === "focusin" ||
      isInside ||
      event.currentTarget.matches(":hover");
  };
  return html`<table class="tbl stack ${kind}" aria-label=${label} onMouseEnter=${hold} onMouseLeave=${hold} onFocusIn=${hold} onFocusOut=${hold}>
      <thead><tr>
        ${select && html`<th class="chk" scope="col">${CheckAll({ select, keys: steady.rows.map(keyOf) })}</th>`}
        ${columns.map((column) => html`<${Head} column=${column} sort=${sort} />`)}
      </tr></thead>
      <tbody>
        ${steady.rows.map((row) => {
          const key = keyOf(row);
          return html`<tr key=${key} data-key=${key} aria-selected=${select ? select.keys.value.has(key) : undefined}>
            ${select && html`<td class="chk"><${Check} select=${select} id=${key} name=${select.nameOf(row)} /></td>`}
            ${columns.map((column) => html`<${Cell} column=${column} row=${row} />`)}
          </tr>`;
        })}
      </tbody>
    </table>
    ${steady.added > 0 && html`<p class="added dim" role="status">${t("rows_added", { n: steady.added })}</p>`}`;
}

// Which queue the page is about; `all`: or all of them.
export const QueueChoice = ({ queues = [], value, all }) =>
  html`<select aria-label=${t("queue")} onChange=${(event) => change({ queue: event.target.value })}>
    ${all && html`<option value="">${t("all_queues")}</option>`}
    ${queues.map(({ queue }) => html`<option value=${queue} selected=${queue === value}>${queue}</option>`)}
  </select>`;

// -- selection --

function toggle(select, key, isOn) {
  const keys = new Set(select.keys.value);
  if (isOn ?? !keys.has(key)) keys.add(key);
  else keys.delete(key);
  select.keys.value = keys;
  select.last = key;
}

const selectKeys = (select, keys) => ({
  x: {
    group: t("keys_list"),
    text: t("key_select"),
    act: () => currentKey() && toggle(select, currentKey()),
  },
  X: {
    group: t("keys_list"),
    text: t("key_range"),
    act: () => {
      const [from, to] = [keys.indexOf(select.last), keys.indexOf(currentKey())].sort(
        (a, b) => a - b,
      );
      if (from >= 0)
        select.keys.value = new Set([...select.keys.value, ...keys.slice(from, to + 1)]);
    },
  },
  Escape: {
    group: t("keys_list"),
    text: t("key_clear"),
    act: () => (select.keys.value = new Set()),
  },
});

const Check = ({ select, id, name }) =>
  html`<input type="checkbox" aria-label=${t("select_one", { name })} checked=${select.keys.value.has(id)} onChange=${(event) => toggle(select, id, event.target.checked)} />`;

const CheckAll = ({ select, keys }) =>
  html`<input
    type="checkbox"
    aria-label=${t("select_shown")}
    checked=${keys.length > 0 && keys.every((key) => select.keys.value.has(key))}
    onChange=${(event) => (select.keys.value = new Set(event.target.checked ? keys : []))}
  />`;
