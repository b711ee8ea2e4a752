// The paths of the page and the browser, and the page's generator, for tests and scripts.
import { execFileSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

/** Returns a path in the repository. */
export const inRepository = (path) => fileURLToPath(new URL(`../../../${path}`, import.meta.url));

/** The address of the page. */
export const PAGE = new URL("../../microgpt.html", import.meta.url).href;

/** Runs the page's generator and returns its stdout. */
export const generator = (args = [], options = {}) => {
  const cargo = ["run", "--release", "--quiet", "--package", "page", "--", ...args];
  return execFileSync("cargo", cargo, { cwd: inRepository(""), encoding: "utf8", maxBuffer: 1e8, ...options });
};

/** The address of a script with the page's module `kernels.js`, which imports nothing. */
export const KERNELS = `data:text/javascript,${encodeURIComponent(readFileSync(inRepository("assets/page/src/kernels.js"), "utf8"))}`;

/** Returns the text of the kernels in the page. */
export const pageModule = () => {
  const html = readFileSync(inRepository("assets/microgpt.html"), "utf8");
  return html.match(/<script type="text\/plain" id="module">([^<]*)</)[1];
};

const chromium = ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"].find((path) =>
  existsSync(path),
);

/** The launch options for an installed Chromium, or for Playwright's own if there is none. */
export const LAUNCH = {
  executablePath: process.env.CHROMIUM ?? chromium,
  args: [
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--disable-quic",
  ],
};
