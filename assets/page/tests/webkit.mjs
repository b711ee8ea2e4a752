// Trains the page in WebKit, driven by WebDriver, and compares the bits. The browser is WebKitGTK's, which Debian has in
// the package `webkit2gtk-driver`. It needs a display, for example that of `xvfb-run -a npm run webkit`.
import { spawn, spawnSync } from "node:child_process";
import { setTimeout as sleep } from "node:timers/promises";

import { PAGE } from "./browser.mjs";

/** The port of the driver. */
const PORT = 9517;
/** The longest wait for a state of the page, in milliseconds. */
const PATIENCE = 120_000;

const { error } = spawnSync("WebKitWebDriver", ["--version"]);
if (error || !(process.env.DISPLAY || process.env.WAYLAND_DISPLAY)) {
  console.log(`skipped: the page in WebKit, since there is no ${error ? "WebKitWebDriver" : "display"}`);
  process.exit();
}
const driver = spawn("WebKitWebDriver", [`--port=${PORT}`], { stdio: "ignore" });

/** Sends a command of WebDriver, and returns its value. */
const command = async (method, path, body) => {
  const headers = { "Content-Type": "application/json" };
  const response = await fetch(`http://127.0.0.1:${PORT}${path}`, {
    method,
    headers,
    body: body && JSON.stringify(body),
  });
  const { value } = await response.json();
  if (value?.error) throw new Error(`${value.error}: ${value.message}`);
  return value;
};

/** Calls `look` until it returns something true, which it returns. */
const until = async (what, look) => {
  for (const end = Date.now() + PATIENCE; Date.now() < end; await sleep(100)) {
    const found = await look();
    if (found) return found;
  }
  throw new Error(`timed out waiting for ${what}`);
};

/** Fails with the values if they differ. */
const expectEqual = (got, expected, what) => {
  if (got !== expected) throw new Error(`${what}: expected ${expected}, got ${got}`);
};

let session;
try {
  await until("the driver", () => command("GET", "/status").catch(() => null));
  const { sessionId, capabilities } = await command("POST", "/session", { capabilities: { alwaysMatch: {} } });
  session = `/session/${sessionId}`;
  const run = (script, ...args) => command("POST", `${session}/execute/sync`, { script, args });
  const text = (id) => run("return document.getElementById(arguments[0]).textContent", id);
  const open = async (hash) => {
    // A change of the fragment alone would not load the page again.
    await command("POST", `${session}/url`, { url: "about:blank" });
    await command("POST", `${session}/url`, { url: PAGE + hash });
  };

  for (const form of ["fastest", "exact"]) {
    await open(`#live?multiply_add=${form}`);
    await until("the model", () => run("return document.body.dataset.warm !== undefined"));
    await run("document.getElementById('train').click()");
    await until("the end of the run", () => text("verdict"));
    expectEqual(await text("verdict"), "Equal, bit for bit.", `the ${form} form`);
    expectEqual(await text("here-hash"), await text("native-hash"), `the hash of the ${form} form`);
    console.log(`WebKit ${capabilities.browserVersion}: ${await text("here-step")}. ${await text("form")}`);
  }

  // WebKit's workers cannot read a text in a page from disk, so the page reads it.
  await open(`#live?corpus=${encodeURIComponent("anna\nemma\nolivia\n")}`);
  const opened = () => text("opened").then((opened) => opened.includes("2 documents to train on"));
  await until("the corpus", opened);
  for (const view of ["step", "letter", "tour/backward", "side-by-side/attention"]) {
    await run("location.hash = arguments[0]", `#${view}`);
    await until(view, () => run("return document.body.dataset.view === arguments[0]", view.split("/")[0]));
  }
  await until("the sources", () => run("return document.querySelectorAll('.line .number').length > 10"));
} finally {
  if (session) await command("DELETE", session);
  driver.kill();
}
