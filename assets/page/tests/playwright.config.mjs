import { defineConfig } from "@playwright/test";

import { LAUNCH } from "./browser.mjs";

export default defineConfig({
  // One at a time, and once more if it fails: the tests measure times, and other work on a machine may stall one.
  workers: 1,
  retries: 1,
  timeout: 120_000,
  // For what the page comes to in the end; what must be quick is measured.
  expect: { timeout: 20_000 },
  reporter: "list",
  use: { launchOptions: LAUNCH, viewport: { width: 1400, height: 900 } },
});
