// Runs the tests, with the arguments of `playwright test`. Most run two at a time. The others measure times, which other
// work on the computer disturbs, so they run one at a time afterwards.
import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";

const cli = fileURLToPath(new URL("node_modules/@playwright/test/cli.js", import.meta.url));
for (const [project, workers] of [
  ["together", "2"],
  ["alone", "1"],
]) {
  const args = ["test", "--project", project, "--workers", workers, "--pass-with-no-tests", ...process.argv.slice(2)];
  // The first run writes the page for the second one too.
  const env = { ...process.env, ...(project === "alone" ? { PAGE_IS_WRITTEN: "1" } : {}) };
  const { status } = spawnSync(process.execPath, [cli, ...args], { stdio: "inherit", env });
  if (status !== 0) process.exit(status ?? 1);
}
