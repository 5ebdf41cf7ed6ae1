// Who looks, and what this reader may do; asked once.
import { signal } from "./lib.js";
import { get } from "./api.js";

export const me = signal(null);
export const refusal = signal(null);

export async function loadSession() {
    try {
        me.value = await get("me");
        refusal.value = null;
    } catch (problem) {
        refusal.value = problem;
    }
}

export const may = (action) => me.value?.actions.includes(action) ?? false;
export const hasFeature = (name) => me.value?.features[name] ?? false;
