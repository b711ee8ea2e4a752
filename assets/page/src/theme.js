// Light and dark.
import { $ } from "./dom.js";

/** Returns the stored theme, or null. A page from disk may lack storage. */
const stored = () => {
  try {
    return localStorage.getItem("theme");
  } catch {
    return null;
  }
};

/**
 * Takes a theme, `light` or `dark`.
 * @param {string} name
 */
const take = (name) => {
  document.documentElement.dataset.theme = name;
  $("theme").setAttribute("aria-pressed", String(name === "dark"));
};

/** Returns the theme that the page has. */
const current = () =>
  document.documentElement.dataset.theme ?? (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light");

/** Switches between light and dark. */
export const switchTheme = () => {
  const name = current() === "dark" ? "light" : "dark";
  take(name);
  try {
    localStorage.setItem("theme", name);
  } catch {
    // The theme then lasts until the page is closed.
  }
};

const name = stored();
if (name === "light" || name === "dark") take(name);
else $("theme").setAttribute("aria-pressed", String(current() === "dark"));
$("theme").addEventListener("click", switchTheme);
