import { defineConfig } from "@playwright/test";

import { LAUNCH } from "./browser.mjs";

export default defineConfig({
  globalSetup: "./setup.mjs",
  // The tests measure times, which other work on the computer disturbs. So they run one at a time, and again on failure.
  workers: 1,
  retries: 2,
  // These limits only end a test that hangs. Tests of speed measure the time themselves.
  timeout: 240_000,
  expect: { timeout: 40_000 },
  reporter: "list",
  use: { launchOptions: LAUNCH, viewport: { width: 1400, height: 900 } },
});
