// What a page reads: at once, then again every few seconds while it is looked at.
import { useEffect, useRef, useSignal } from "./lib.js";
import { get } from "./api.js";

const EVERY_MS = 5000;

// Return { data, problem, reload }. If `where` is null nothing is read; `every_ms` 0 reads once.
export function useResource(where, query = {}, { every_ms = EVERY_MS } = {}) {
    const key = `${where} ${JSON.stringify(query)}`;
    const state = useSignal({ key, data: null, problem: null });
    const load = useRef(() => {});
    useEffect(() => {
        if (!where) return undefined;
        const stop = new AbortController();
        let timer = 0;
        const keep = (change) => {
            const known = state.peek().key === key ? state.peek() : { data: null };
            state.value = { key, ...known, ...change };
        };
        load.current = async () => {
            clearTimeout(timer);
            try {
                if (!document.hidden)
                    keep({ data: await get(where, query, stop.signal), problem: null });
            } catch (problem) {
                if (stop.signal.aborted) return;
                keep({ problem });
            }
            if (every_ms) timer = setTimeout(load.current, every_ms);
        };
        load.current();
        return () => {
            stop.abort();
            clearTimeout(timer);
        };
    }, [key]);
    const { data, problem } = state.value.key === key ? state.value : { data: null, problem: null };
    return { data, problem, reload: () => load.current() };
}
