// The address: `#/page/part?key=value`. Everything that a page shows is in it, so that an address
// can be sent to somebody else. All addresses are relative, so that any prefix works.
import { signal } from "./lib.js";

const read = () => {
  const [path, query = ""] = location.hash.replace(/^#\/?/, "").split(/\?(.*)/s);
  return {
    path: path.split("/").map(decode).filter(Boolean),
    query: Object.fromEntries(new URLSearchParams(query)),
  };
};

function decode(part) {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}

export const route = signal(read());
addEventListener("hashchange", () => (route.value = read()));

// Return the address of a page; parts of the query that are empty are left out.
export function address(path, query = {}) {
  const parts = path.map(encodeURIComponent).join("/");
  const given = Object.entries(query).filter(([, value]) => value !== "" && value != null);
  return `#/${parts}${given.length ? `?${new URLSearchParams(given)}` : ""}`;
}

export const open = (path, query) => (location.hash = address(path, query));

// Change parts of the query of this page, without a new entry in the history of the browser.
export function change(parts) {
  const { path, query } = route.value;
  history.replaceState(null, "", address(path, { ...query, ...parts }));
  route.value = read();
}

// -- the search line ------------------------------------------------------------------------------

const PLAIN = /^[\w@./+-]+$/;

// A name in quotes is exact; a quotation mark in it is matched by a star outside.
const quoted = (name) =>
  PLAIN.test(name)
    ? name
    : name
        .split('"')
        .map((part) => `"${part}"`)
        .join("*");

// A text can have no quotation mark: its longest part without one has to do.
const longest = (text) =>
  text.split('"').reduce((best, part) => (part.length > best.length ? part : best), "");

const values = {
  state: (state) => state, // one, or several with commas between them
  error: (text) => `"${longest(text)}"`,
};

export const queryOf = (terms) =>
  Object.entries(terms)
    .filter(([, value]) => value)
    .map(([key, value]) => `${key}:${(values[key] ?? quoted)(value)}`)
    .join(" ");

export const EVERYTHING = "state:*";

// The address of the tasks that meet all terms, and that of one task.
export const tasksAt = (terms) => address(["tasks"], { q: queryOf(terms) });
export const taskAt = ({ queue, id }) => address(["task", queue, id]);
