// What a reader has chosen, kept by the browser: language, theme, whether single keys act.
const NAME = "pyasynq.dashboard";

function read() {
  try {
    return JSON.parse(localStorage.getItem(NAME)) || {};
  } catch {
    return {}; // the browser keeps nothing, or something else
  }
}

const settings = read();

export const setting = (name) => settings[name];

export function keep(name, value) {
  settings[name] = value;
  try {
    localStorage.setItem(NAME, JSON.stringify(settings));
  } catch {
    // The browser keeps nothing: it holds until the page is closed.
  }
}

export function showTheme() {
  if (settings.theme) document.documentElement.dataset.theme = settings.theme;
}

export function switchTheme() {
  const system = matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light";
  keep("theme", (settings.theme || system) === "dark" ? "light" : "dark");
  showTheme();
}
