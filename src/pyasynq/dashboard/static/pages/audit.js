// Who did that?
import { html, useEffect, useSignal } from "../lib.js";
import { get } from "../api.js";
import { hasText, t } from "../i18n.js";
import { useKeys } from "../keys.js";
import { sample } from "../live.js";
import { useListKeys } from "../table.js";
import { Time } from "../time.js";
import { Button, Empty, Failed, Foreign, Skeleton, State } from "../ui.js";

const PAGE = 50;
const LOOK = {
    done: ["completed", "completed"],
    stopped: ["retry", "pause"],
    failed: ["archived", "cross"],
    refused: ["archived", "cross"],
};

const actionText = (action) => {
    const key = `audit_${action}`;
    return hasText(key) ? t(key) : action;
};

export function AuditRow({ entry, isShort = false }) {
    const [state, glyph] = LOOK[entry.outcome] ?? ["waiting", "dot"];
    const outcome = html`<${State} name=${state} glyph=${glyph}>${t(`outcome_${entry.outcome}`)}<//>`;
    return html`<tr data-key=${isShort ? undefined : entry.id} tabindex=${isShort ? undefined : "-1"}>
    <td class="dim nw"><${Time} at=${entry.at} absolute /></td>
    <td class="b"><${Foreign} text=${entry.principal} /></td>
    ${!isShort && html`<td class="soft m-hide">${entry.role && t(`role_${entry.role}`)}</td>`}
    <td class="nw">${actionText(entry.action)}</td>
    <td class="grow cut full soft" title=${entry.target}><span class="mono"><${Foreign} text=${entry.target} /></span>${entry.detail && html` <span class="dim"><${Foreign} text=${entry.detail} /></span>`}</td>
    <td class="num" data-l=${t("count")}>${entry.count == null ? "" : t("n_tasks", { n: entry.count })}</td>
    ${(!isShort || entry.outcome !== "done") && html`<td class="nw">${outcome}</td>`}
  </tr>`;
}

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
    useKeys({ m: { group: t("keys_list"), text: t("look_further"), off: !cursor, act: more } });
    if (problem && !items)
        return html`<div class="panel"><${Failed} problem=${problem} onRetry=${reload} /></div>`;
    if (!items) return html`<div class="panel"><${Skeleton} rows=${8} /></div>`;
    return html`<section class="panel scroll" aria-label=${t("page_audit")}>
    <header><h2>${t("page_audit")}</h2><span class="dim">${t("audit_note")}</span></header>
    ${
        items.length
            ? html`<table class="tbl stack" aria-label=${t("page_audit")}>
          <thead><tr>${["at", "who", "role", "did", "to_what", "count", "outcome"].map((name) => html`<th scope="col" class=${name === "count" ? "num" : name === "role" ? "m-hide" : ""}>${t(name)}</th>`)}</tr></thead>
          <tbody>${items.map((entry) => html`<${AuditRow} key=${entry.id} entry=${entry} />`)}</tbody>
        </table>`
            : html`<${Empty} icon="audit" title=${t("nobody_did")}>${t("nobody_did_text")}<//>`
    }
    ${cursor && html`<footer><${Button} kind="sm" shortcut="m" onClick=${more}>${t("look_further")}<//></footer>`}
  </section>`;
}
