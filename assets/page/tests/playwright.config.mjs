import { defineConfig } from "@playwright/test";

import { LAUNCH } from "./browser.mjs";

export default defineConfig({
  globalSetup: "./setup.mjs",
  // Other work on the computer disturbs the tests that measure times. So these run alone, see test.mjs, and all run again
  // on failure.
  projects: [
    { name: "together", grepInvert: /@alone/ },
    { name: "alone", grep: /@alone/, workers: 1 },
  ],
  fullyParallel: true,
  retries: 2,
  // These limits only end a test that hangs. Tests of speed measure the time themselves.
  timeout: 240_000,
  expect: { timeout: 40_000 },
  reporter: "list",
  use: { launchOptions: LAUNCH, viewport: { width: 1400, height: 900 } },
});
