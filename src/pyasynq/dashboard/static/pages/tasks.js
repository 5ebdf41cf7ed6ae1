// Which tasks? One search line; what is found can be acted on, one by one or all that match.
import { cls, html, signal, useEffect, useId, useLayoutEffect, useMemo, useRef, useSignal } from "../lib.js";
import { get, isOld, may } from "../api.js";
import { number, parts, t } from "../i18n.js";
import { actOn, actOnAll, actionText, prepare } from "../jobs.js";
import { EVERYTHING, change, route, taskAt, useKeys } from "../route.js";
import { Named, Table, currentKey, names, times, useListKeys } from "../table.js";
import { Button, Copy, Empty, Foreign, Icon, Pending, STATES, State } from "../ui.js";

const REFRESH_MS = 3000;
const TYPING_MS = 150;
const PAGE = 50;

const keyOf = (task) => `${task.queue}\n${task.id}`;
const placeOf = (key) => {
  const [queue, id] = key.split("\n");
  return { queue, id };
};

// The tasks that were listed last, for "previous" and "next" on the page of one.
export const listed = signal([]);

// -- the search line --

function useSuggestions(field) {
  const found = useSignal(null);
  const timer = useRef(0);
  const latest = useRef(0); // an answer to an earlier text is of no use
  const forget = () => {
    clearTimeout(timer.current);
    return (latest.current += 1);
  };
  const show = (suggestions) => {
    forget(); // what comes later would take the choice away
    found.value = suggestions;
  };
  const close = () => show(null);
  const ask = () => {
    const mine = forget();
    timer.current = setTimeout(async () => {
      const { value, selectionStart } = field.current;
      let answer = { items: [] };
      try {
        answer = await get("tasks/suggest", { q: value || " ", at: selectionStart });
      } catch {
        // The line works without suggestions.
      }
      if (mine === latest.current) found.value = answer.items.length ? { ...answer, at: -1 } : null;
    }, TYPING_MS);
  };
  return { found, ask, show, close };
}

function Search({ q, problem, terms }) {
  const field = useRef();
  const id = useId();
  const { found, ask, show, close } = useSuggestions(field);
  const search = (text) => {
    close();
    change({ q: text.trim() });
  };
  useLayoutEffect(() => {
    if (field.current.value.trim() !== q) field.current.value = q;
  }, [q]);
  const choose = (item) => {
    const { from, to } = found.value;
    const { value, selectionStart } = field.current; // more may have been typed meanwhile
    const text = value.slice(0, from) + item.text + value.slice(Math.max(to, selectionStart));
    field.current.value = text;
    const caret = from + item.text.length;
    field.current.setSelectionRange(caret, caret);
    field.current.focus();
    if (/[:"]$/.test(item.text)) ask();
    else search(text);
  };
  const press = (event) => {
    const items = found.value?.items ?? [];
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (step && items.length) {
      event.preventDefault();
      const at = (found.value.at + step + items.length) % items.length;
      show({ ...found.value, at });
    } else if (event.key === "Enter") {
      event.preventDefault();
      const item = items[found.value?.at];
      if (item) choose(item);
      else search(event.target.value);
    } else if (event.key === "Escape") {
      if (found.value) close();
      else event.target.blur();
    }
  };
  const shown = found.value;
  return html`<form class="search" role="search" onSubmit=${(event) => event.preventDefault()}>
    <div class=${cls("line", problem && "wrong")}>
      <${Icon} name="search" />
      <input ref=${field} data-search type="text" class="mono" defaultValue=${q} spellcheck=${false} autocomplete="off" autocapitalize="off"
        role="combobox" aria-label=${t("search_line")} aria-expanded=${Boolean(shown)} aria-controls=${`${id}-list`} aria-autocomplete="list"
        aria-activedescendant=${shown?.at >= 0 ? `${id}-${shown.at}` : undefined} aria-describedby=${problem ? `${id}-wrong` : undefined} aria-invalid=${problem ? "true" : undefined}
        placeholder=${t("search_example")} onInput=${ask} onFocus=${ask} onClick=${ask} onBlur=${close} onKeyDown=${press} />
      ${q && html`<${Button} kind="sm ghost" onClick=${() => search("")}>${t("clear")}<//>`}
      <${Button} kind="sm" onClick=${() => search(field.current.value)}>${t("search")}<//>
    </div>
    <ul class=${cls("pop", "suggestions", !shown && "gone")} id=${`${id}-list`} role="listbox" aria-label=${t("suggestions")}>
      ${shown?.items.map(
        (item, at) =>
          html`<li id=${`${id}-${at}`} role="option" aria-selected=${at === shown.at} onMouseDown=${(event) => event.preventDefault()} onClick=${() => choose(item)}>
            ${STATES.includes(item.label) ? html`<${State} name=${item.label} />` : html`<span class="mono cut"><${Foreign} text=${item.label} /></span>`}
            <span class="dim cut">${item.hint}</span><span class="num">${item.count == null ? "" : number(item.count)}</span>
          </li>`,
      )}
    </ul>
    ${problem && html`<p class="bad" id=${`${id}-wrong`} role="alert"><${Foreign} text=${problem.message} /></p>`}
    ${terms.filter(({ no_key: key }) => key).map(({ no_key: key, value }) => html`<p class="dim" role="status">${parts("no_such_key", { key: html`<code>${key}:</code>`, text: html`<code><${Foreign} text=${value} /></code>`, better: html`<code><${Foreign} text=${`type:${value}`} /></code>` })}</p>`)}
  </form>`;
}

// -- what was found --

const NOTHING = {
  items: [],
  cursor: null,
  looked_at: 0,
  total: 0,
  stopped: false,
  terms: [],
  pages: 0,
};

// Results come page by page; the first page is read again while it is the only one.
function useFound(q) {
  const state = useSignal({ q, found: null, problem: null, isBusy: true });
  const load = useRef(() => {});
  useEffect(() => {
    let isOver = false;
    let timer = 0;
    const keep = (change) => !isOver && (state.value = { ...state.peek(), q, ...change });
    const read = async (more) => {
      clearTimeout(timer);
      const known = more && state.peek().q === q ? (state.peek().found ?? NOTHING) : NOTHING;
      keep({ isBusy: true, ...(state.peek().q !== q && { found: null }) });
      try {
        const page = await get("tasks", { q, limit: PAGE, cursor: known.cursor });
        const keys = new Set(known.items.map(keyOf));
        const items = [...known.items, ...page.items.filter((task) => !keys.has(keyOf(task)))];
        keep({
          found: {
            ...page,
            items,
            looked_at: known.looked_at + page.looked_at,
            pages: known.pages + 1,
          },
          problem: null,
          isBusy: false,
        });
      } catch (problem) {
        keep({ problem, isBusy: false });
      }
      again();
    };
    const again = () => {
      clearTimeout(timer);
      if (isOver) return;
      timer = setTimeout(
        () => (document.hidden || state.peek().found?.pages > 1 ? again() : read(false)),
        REFRESH_MS,
      );
    };
    load.current = read;
    read(false);
    return () => {
      isOver = true;
      clearTimeout(timer);
    };
  }, [q]);
  const { found, problem, isBusy } =
    state.value.q === q ? state.value : { found: null, problem: null, isBusy: true };
  return {
    found,
    problem,
    isBusy,
    more: () => load.current(true),
    reload: () => load.current(false),
  };
}

const columns = (mark) => [
  {
    id: "state",
    head: t("state"),
    value: (task) => STATES.indexOf(task.state),
    cell: (task) => html`<${State} name=${task.state} />`,
  },
  {
    id: "type",
    head: t("type"),
    kind: "two3 type",
    value: (task) => task.type,
    cell: (task) => html`<${Named} text=${task.type} href=${taskAt(task)} />`,
  },
  {
    id: "id",
    head: t("id"),
    hide: "m",
    kind: "mono dim",
    cell: (task) =>
      html`<span title=${task.id}><${Foreign} text=${task.id.length > 12 ? `${task.id.slice(0, 8)}…` : task.id} /></span>`,
  },
  names("queue", t("queue"), { hide: "m", kind: "soft" }),
  {
    id: "retries",
    head: t("retries"),
    num: true,
    isLabelled: true,
    value: (task) => task.retried,
    cell: (task) => t("tries_of", { n: task.retried, most: task.max_retry }),
    tone: (task) =>
      !task.retried ? "dim" : task.state === "retry" && task.retried >= task.max_retry && "warn b",
  },
  {
    id: "about",
    head: t("error_or_payload"),
    kind: "grow cut full",
    value: (task) => task.last_error ?? "",
    cell: (task) => html`<${About} task=${task} mark=${mark} />`,
  },
  times("when", t("when"), { at: whenOf }),
];

const About = ({ task, mark }) =>
  task.last_error && task.state !== "completed"
    ? html`<span title=${task.last_error}><${Foreign} text=${task.last_error} mark=${mark} /></span>`
    : html`<span class="dim mono"><${Foreign} text=${task.payload_preview} mark=${mark} /></span>`;

function whenOf(task) {
  if (task.state === "scheduled" || task.state === "retry") return task.next_process_at;
  return task.state === "completed" ? task.completed_at : task.last_failed_at;
}

// -- actions --

const ACTIONS = [
  ["run", "r"],
  ["archive", "a"],
  ["reschedule", "t"],
  ["cancel", "c"],
  ["delete", "d"],
];
const allowed = () => ACTIONS.filter(([name]) => may(`task.${name}`));

function Bulk({ selected, onAct, onClear }) {
  const n = selected.length;
  if (!n) return null;
  return html`<div class="bulk" role="region" aria-label=${t("selection")}>
    <b>${t("n_selected", { n })}</b>
    <button type="button" class="link" onClick=${onClear}>${t("clear")}</button>
    <span class="sp"></span>
    ${allowed().map(([name, key]) => html`<${Button} kind=${cls("sm", name === "delete" && "dng")} shortcut=${key} disabled=${isOld.value} onClick=${() => onAct(name)}>${actionText(name)}<//>`)}
  </div>`;
}

function AllThatMatch({ q }) {
  const choose = (event) => {
    const action = event.target.value;
    event.target.value = "";
    if (action) actOnAll(action, q || EVERYTHING);
  };
  if (!allowed().length) return null;
  return html`<select class="btn sm" aria-label=${t("all_that_match")} disabled=${isOld.value} onChange=${choose}>
    <option value="">${t("all_that_match")}</option>
    ${allowed().map(([name]) => html`<option value=${name}>${actionText(name)}</option>`)}
  </select>`;
}

function Summary({ q, found, isBusy, more }) {
  const { items, cursor, looked_at: looked, total } = found;
  const n = items.length;
  const isAll = !cursor;
  return html`<div class="row" role="status" aria-live="polite">
    <span>${parts(isAll ? "n_match" : "n_match_so_far", { n: html`<b>${number(n)}</b>`, count: n })}</span>
    <span class="dim">${t(isAll ? "looked_at_all" : "looked_at", { n: looked, total })}</span>
    ${!isAll && html`<${Button} kind="sm" shortcut="m" disabled=${isBusy} onClick=${more}>${t("look_further")}<//>`}
    <span class="sp"></span>
    <${AllThatMatch} q=${q} />
    <${Copy} kind="sm ghost m-hide" text=${location.href}>${t("copy_link")}<//>
  </div>`;
}

const markOf = (terms) =>
  terms.find(
    ({ key, negated }) => !negated && (key === "error" || key === "payload" || key === "text"),
  )?.value ?? "";

function Results({ q, found, select, isBusy, more }) {
  const mark = markOf(found.terms);
  const made = useMemo(() => columns(mark), [mark, t("state")]);
  if (!found.items.length && !found.cursor)
    return html`<div class="panel"><${Empty} icon="search" title=${t(q ? "no_task_matches" : "no_tasks")}>${q && t("looked_at_all_text", { n: found.looked_at })}<//></div>`;
  return html`<${Summary} q=${q} found=${found} isBusy=${isBusy} more=${more} />
    <section class=${cls("panel", isOld.value && "old")} aria-label=${t("page_tasks")}>
      <${Table} label=${t("page_tasks")} columns=${made} rows=${found.items} keyOf=${keyOf} select=${select} />
      ${!found.items.length && html`<p class="in dim">${t("nothing_yet")}</p>`}
    </section>`;
}

export function Tasks() {
  useListKeys();
  const q = route.value.query.q ?? "";
  const { found, problem, isBusy, more, reload } = useFound(q);
  const keys = useSignal(new Set());
  const select = useMemo(
    () => ({ keys, last: "", nameOf: (task) => `${task.type} ${task.id}` }),
    [],
  );
  const shown = new Set((found?.items ?? []).map(keyOf));
  const selected = [...keys.value].filter((key) => shown.has(key));
  useLayoutEffect(() => {
    listed.value = (found?.items ?? []).map(({ queue, id }) => ({ queue, id }));
  }, [found]);
  const act = async (name) => {
    const chosen = selected.length ? selected : [currentKey()].filter(Boolean);
    if (!chosen.length || isOld.value) return;
    const values = await prepare(name, { n: chosen.length });
    if (!values || !(await actOn(name, chosen.map(placeOf), values))) return;
    keys.value = new Set();
    reload();
  };
  const group = t("keys_list");
  useKeys({
    m: { group, text: t("look_further"), off: !found?.cursor, act: more },
    ...Object.fromEntries(
      allowed().map(([name, key]) => [
        key,
        { group, text: t(`act_${name}`), act: () => act(name) },
      ]),
    ),
  });
  const isWrong = problem?.field === "q";
  return html`<${Search} q=${q} problem=${isWrong ? problem : null} terms=${(!isWrong && found?.terms) || []} />
    ${!found && !isWrong && html`<${Pending} problem=${problem} reload=${reload} />`}
    ${found && !isWrong && html`<${Results} q=${q} found=${found} select=${select} isBusy=${isBusy} more=${more} />`}
    <${Bulk} selected=${selected} onAct=${act} onClear=${() => (keys.value = new Set())} />`;
}
