// The page that the program writes by `--page`.
import { execFileSync } from "node:child_process";
import { existsSync, writeFileSync } from "node:fs";
import { pathToFileURL } from "node:url";

import { inRepository } from "./browser.mjs";
import { expect, test, trained } from "./fixtures.mjs";

const PROGRAM = process.env.MICROGPT ?? inRepository("target/release/microgpt");
const NAMES = "</script>\nzoë\nemma\nolivia\n猫\nava\nisabella\nsophia\nmia\ncharlotte\namelia\nharper\n";

test("a page of a trained model opens at the end of its run, and repeats the run to the bit", async ({
  page,
}, info) => {
  test.skip(!existsSync(PROGRAM), `the program is not built: ${PROGRAM}`);
  const [names, file] = [info.outputPath("names.txt"), info.outputPath("own.html")];
  writeFileSync(names, NAMES);
  const flags = [
    "--steps",
    "60",
    "--seed",
    "3",
    "--n-embd",
    "8",
    "--n-layer",
    "2",
    "--samples",
    "8",
    "--device",
    "cpu",
  ];
  const stdout = execFileSync(PROGRAM, ["--input", names, ...flags, "--page", file], {
    encoding: "utf8",
    stdio: "pipe",
  });
  const samples = stdout.split("\n").flatMap((line) => line.match(/^sample +\d+: (.*)$/)?.[1].trim() ?? []);
  expect(samples.length).toBe(8);

  await page.goto(pathToFileURL(file).href);
  await trained(page, "60 / 60");
  await expect(page.locator("#lead")).toContainText("for 60 steps on 12 documents");
  await expect(page.locator("#message")).toBeHidden();
  for (const [id, value] of Object.entries({ steps: "60", seed: "3", n_embd: "8", n_layer: "2" })) {
    await expect(page.locator(`#${id}`)).toHaveValue(value);
  }
  const shown = page.locator("#names tbody tr").first().locator("td span");
  await expect(shown).toHaveText(samples.map((sample) => sample || "·"));
  const hash = await page.locator("#here-hash").textContent();
  expect(hash).toMatch(/^[0-9a-f]{16}$/);
  // The settings of the run are the defaults of this page, so its address holds none.
  expect(new URL(page.url()).hash).not.toContain("=");

  await page.locator("#reset").click();
  await expect(page.locator("#at")).toHaveText("0");
  await page.locator("#train").click();
  await trained(page, "60 / 60");
  await expect(page.locator("#here-hash")).toHaveText(hash);
});
