// The paths of the page and the browser, and the page's generator, for tests and scripts.
import { execFileSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

import { OpenedStep } from "../src/buffers.js";
import { callModule, modules } from "../src/kernels.js";

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

/** The request for the model of the default run. */
export const DEFAULT = {
  do: "open",
  corpus: null,
  steps: 500,
  learning_rate: 0.01,
  seed: 42,
  n_embd: 16,
  n_head: 4,
  n_layer: 1,
  block_size: 8,
};

/** Opens a step of a run in the page's module, here in Node.js. The settings are those that differ from the default run. */
export const openedStep = async (settings, steps, step) => {
  const { exact } = await modules(pageModule());
  const { instance } = await WebAssembly.instantiate(exact, {});
  for (const request of [
    { ...DEFAULT, ...settings },
    { do: "train", steps },
  ])
    callModule(instance.exports, request);
  return new OpenedStep(callModule(instance.exports, { do: "open_step", step }));
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
