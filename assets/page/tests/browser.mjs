// What the tests and the pictures share: where the page and the browser are.
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";

/** A path in the repository. */
export const inRepository = (path) => fileURLToPath(new URL(`../../../${path}`, import.meta.url));

/** The page as a file on disk. */
export const PAGE = new URL("../../microgpt.html", import.meta.url).href;

const chromium = ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"].find((path) => existsSync(path));

/** Debian's Chromium where it is, else Playwright's own. */
export const LAUNCH = {
  executablePath: process.env.CHROMIUM ?? chromium,
  args: ["--disable-background-networking", "--disable-component-update", "--disable-sync", "--no-first-run", "--disable-quic"],
};
