// The frame around every page, and which page is shown.
import { cls, html, render, useEffect, useRef } from "./lib.js";
import { age_s, connection, hasFeature, loadSession, me, poll, problem, refusal, sample, start } from "./api.js";
import { Time, chooseLanguage, language, languages, loadTexts, number, parts, showTheme, switchTheme, t } from "./i18n.js";
import { Jobs } from "./jobs.js";
import { Key, address, areOn, listed, open, route, switchKeys, useKeys } from "./route.js";
import {
  Banner,
  Button,
  Dialog,
  Empty,
  Failed,
  Icon,
  Messages,
  Skeleton,
  ask,
  useTitle,
} from "./ui.js";
import { Overview } from "./pages/overview.js";
import { Batch, Flow, Flows } from "./pages/flows.js";
import { Groups, Queue } from "./pages/queues.js";
import { Schedules } from "./pages/schedules.js";
import { Audit, Broker } from "./pages/system.js";
import { Task } from "./pages/task.js";
import { Tasks } from "./pages/tasks.js";
import { Types } from "./pages/types.js";
import { Workers } from "./pages/workers.js";

// `isTab`: also in the bar of a phone; `isNext`: after a gap.
const PAGES = [
  { name: "overview", key: "o", page: Overview, isTab: true },
  { name: "types", key: "y", page: Types, isTab: true, feature: "history" },
  {
    name: "tasks",
    key: "t",
    page: Tasks,
    isTab: true,
    count: (totals) => totals.archived,
    kind: "bad",
  },
  { name: "flows", key: "f", page: Flows, feature: "flows" },
  { name: "groups", key: "p", page: Groups, feature: "groups" },
  {
    name: "workers",
    key: "w",
    page: Workers,
    isTab: true,
    isNext: true,
    count: (totals) => totals.servers,
  },
  { name: "schedules", key: "s", page: Schedules, feature: "schedules" },
  { name: "broker", key: "r", page: Broker, isNext: true },
  { name: "audit", key: "a", page: Audit, feature: "audit" },
];
const DETAILS = {
  queue: { page: Queue, of: "overview" },
  task: { page: Task, of: "tasks" },
  flow: { page: Flow, of: "flows" },
  batch: { page: Batch, of: "flows" },
};

const shown = () => PAGES.filter(({ feature }) => !feature || hasFeature(feature));
const titleOf = ({ name }) =>
  name === "broker" ? (me.value?.broker.name ?? "") : t(`page_${name}`);

function Nav({ current, inDrawer }) {
  const totals = sample.value?.totals;
  return html`<nav class="nav" aria-label=${t("pages")}>
    ${shown().map((page) => {
      const count = totals && page.count?.(totals);
      return html`${page.isNext && html`<span class="gap"></span>`}<a
          class=${cls(page.isTab && "tab")}
          href=${address([page.name])}
          aria-current=${current === page.name ? "page" : undefined}
          ><${Icon} name=${page.name} /><span class="name">${titleOf(page)}</span>${count > 0 && html`<b class=${page.kind}>${number(count)}</b>`}${areOn.value && html`<${Key} name="g ${page.key}" />`}</a
        >`;
    })}
    ${!inDrawer && html`<${More} />`}
  </nav>`;
}

// What a phone has no room for.
function More() {
  const drawer = useRef();
  const close = () => drawer.current.hidePopover();
  return html`<button type="button" class="more" popovertarget="drawer"><${Icon} name="more" /><span class="name">${t("more")}</span></button>
    <div id="drawer" class="drawer" popover="auto" ref=${drawer} onClick=${(event) => event.target.closest("a") && close()}>
      ${shown()
        .filter((page) => !page.isTab)
        .map(
          (page) =>
            html`<a href=${address([page.name])}><${Icon} name=${page.name} />${titleOf(page)}</a>`,
        )}
      <${About} />
    </div>`;
}

function About() {
  const { name, role, version, broker } = me.value;
  return html`<div class="foot">
    <div><span class="cut" title=${broker.url}>${broker.url}</span></div>
    <div><span class="cut">${name}</span><span class="tag">${t(`role_${role}`)}</span></div>
    <div><span>pyasynq ${version}</span><${Language} /></div>
  </div>`;
}

const Language = () =>
  html`<select class="language" aria-label=${t("language")} onChange=${(event) => chooseLanguage(event.target.value)}>
    ${languages.map(([name, text]) => html`<option value=${name} selected=${name === language.value} lang=${name}>${text}</option>`)}
  </select>`;

function Live() {
  const state = sample.value ? connection.value : "starting";
  const texts = { starting: t("live_starting"), live: t("live"), polling: t("live_polling") };
  const text = texts[state] ?? t("live_old", { s: age_s.value });
  return html`<span class=${cls("live", state in texts ? state : "stale")}>${text}</span>`;
}

// One line that says why the numbers may not be trusted.
function Trouble() {
  const retry = html`<${Button} kind="sm" onClick=${poll}>${t("try_now")}<//>`;
  if (problem.value?.status === 401) {
    const reload = html`<${Button} kind="sm" onClick=${() => location.reload()}>${t("reload")}<//>`;
    return html`<${Banner} state="archived" glyph="cross" action=${reload}>${t("logged_out")}<//>`;
  }
  if (connection.value === "away") {
    const since = problem.value.since && html`<${Time} at=${problem.value.since} absolute />`;
    return html`<${Banner} state="archived" glyph="cross" action=${retry}>
      ${parts(since ? "away_since" : "away", { broker: me.value.broker.name, since })} ${problem.value.detail}
    <//>`;
  }
  if (connection.value === "stale")
    return html`<${Banner} state="retry" glyph="alert" action=${retry}>${t("stale", { s: age_s.value })}<//>`;
  return null;
}

// Read-only is said once; what may not be done is not shown.
function MayOnlyLook() {
  const { role, read_only, actions } = me.value;
  if (!read_only && actions.some((action) => action.includes("."))) return null;
  const text = read_only
    ? t("read_only")
    : parts("only_viewer", { role: html`<b>${t(`role_${role}`)}</b>` });
  return html`<${Banner} state="pending" glyph="info">${text}<//>`;
}

function showKeys() {
  const text = html`<div class="keysheet">
      ${listed().map(
        ([group, keys]) =>
          html`<section><h3>${group}</h3><dl class="kv keys">${keys.map(([key, { text, off }]) => html`<dt><${Key} name=${key} /><span class="vh">${key}</span></dt><dd class=${off && "dim"}>${text}</dd>`)}</dl></section>`,
      )}
    </div>
    <label class="row"><input type="checkbox" checked=${areOn.value} onChange=${switchKeys} /> ${t("keys_on")}</label>`;
  return ask({ title: t("keys"), text, wide: true });
}

// The page is drawn in a microtask: its field has the focus before the next key.
function openField(page, name) {
  open([page]);
  queueMicrotask(() => document.querySelector(name)?.focus());
}

function find() {
  const field = document.querySelector("[data-search]");
  if (field) field.select();
  else openField("tasks", "[data-search]");
}

const findQueue = () => openField("overview", "[data-queue-filter]");

function useGlobalKeys() {
  const group = t("keys_everywhere");
  const pages = shown().map((page) => [
    `g ${page.key}`,
    { group, text: titleOf(page), act: () => open([page.name]) },
  ]);
  useKeys({
    "/": { group, text: t("key_search"), act: find },
    "?": { group, text: t("keys"), act: showKeys },
    ...Object.fromEntries(pages),
    "g q": { group, text: t("key_queue"), act: findQueue },
  });
}

function Top({ title, trail, isSearch }) {
  return html`<header class="top">
    ${trail}
    <h1 class="cut">${title}</h1>
    <span class="sp"></span>
    ${
      !isSearch &&
      html`<button type="button" class="find" onClick=${find} aria-label=${t("search_everything")}>
      <${Icon} name="search" /><span class="cut">${t("search_everything")}</span>${areOn.value && html`<${Key} name="/" />`}
    </button>`
    }
    <${Live} />
    <${Button} kind="ic ghost m-hide" icon="theme" label=${t("theme")} onClick=${switchTheme} />
    <${Button} kind="ic ghost m-hide" label=${t("keys")} onClick=${showKeys}>?<//>
  </header>`;
}

function Frame() {
  const [name = "overview", ...rest] = route.value.path;
  const known = PAGES.find((page) => page.name === name && shown().includes(page));
  const { page: Page, of } = known ?? DETAILS[name] ?? {};
  const home = known ?? PAGES.find((page) => page.name === of);
  const detail = DETAILS[name] && rest.at(-1);
  const main = useRef();
  useGlobalKeys();
  useTitle(detail || (home && titleOf(home)));
  const skip = (event) => {
    event.preventDefault();
    main.current.focus();
  };
  const trail =
    detail &&
    html`<span class="trail nw"><a href=${address([of])}>${titleOf(home)}</a> <span class="dim">/</span></span>`;
  return html`<a class="vh skip" href="#main" onClick=${skip}>${t("skip")}</a>
    <aside class="side" aria-label="pyasynq">
      <div class="brand"><img class="logo" src="static/icon.svg" alt="" /><span class="name">pyasynq</span></div>
      <${Nav} current=${home?.name} />
      <${About} />
    </aside>
    <div class="page">
      <${Top} title=${detail || (home ? titleOf(home) : t("not_found"))} trail=${trail} isSearch=${name === "tasks"} />
      <main id="main" tabindex="-1" ref=${main}>
        <${Trouble} />
        <${MayOnlyLook} />
        ${Page ? html`<${Page} key=${`${name}/${rest.join("/")}`} parts=${rest} />` : html`<div class="panel"><${Empty} icon="search" title=${t("not_found")} action=${html`<a class="btn" href="#/">${t("back_to_overview")}</a>`} /></div>`}
        <${Jobs} />
      </main>
    </div>
    <${Dialog} />
    <${Messages} />`;
}

function App() {
  language.value;
  useEffect(() => {
    if (me.value) start();
  }, [Boolean(me.value)]);
  if (refusal.value)
    return html`<main class="alone"><div class="panel"><${Failed} problem=${refusal.value} onRetry=${loadSession} /></div></main>`;
  return me.value ? html`<${Frame} />` : html`<main class="alone"><${Skeleton} /></main>`;
}

showTheme();
await Promise.all([loadTexts(), loadSession()]);
document.body.replaceChildren();
render(html`<${App} />`, document.body);
