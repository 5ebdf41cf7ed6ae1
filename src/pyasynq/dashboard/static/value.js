// A value of JSON or MessagePack as a tree.
import { html } from "./lib.js";
import { Foreign } from "./ui.js";
import { t } from "./i18n.js";

const MOST = 200;

export function Value({ name, value, isOpen = false }) {
  const key = name === undefined ? "" : html`<span class="k"><${Foreign} text=${name} /></span>: `;
  if (value === null || typeof value !== "object")
    return html`<p>${key}<${Leaf} value=${value} /></p>`;
  const entries = Array.isArray(value) ? value.map((one, at) => [at, one]) : Object.entries(value);
  const size = Array.isArray(value) ? `[${entries.length}]` : `{${entries.length}}`;
  return html`<details open=${isOpen || entries.length < 8}>
    <summary class="tw">${key}<span class="z">${size}</span></summary>
    <div class="in1">
      ${entries.slice(0, MOST).map(([inner, one]) => html`<${Value} key=${inner} name=${inner} value=${one} />`)}
      ${entries.length > MOST && html`<p class="z">${t("and_more", { n: entries.length - MOST })}</p>`}
    </div>
  </details>`;
}

function Leaf({ value }) {
  if (typeof value === "string") return html`<span class="s">"<${Foreign} text=${value} />"</span>`;
  return html`<span class="d">${JSON.stringify(value)}</span>`;
}
