import { defineConfig } from "@playwright/test";

import { LAUNCH } from "./browser.mjs";

export default defineConfig({
  // One at a time, and again if it fails: the tests measure times, and other work on a machine may stall them.
  workers: 1,
  retries: 0,
  timeout: 60_000,
  reporter: "list",
  use: { launchOptions: LAUNCH, viewport: { width: 1400, height: 900 } },
});
