// The page that the program writes by `--page`.
import { execFileSync } from "node:child_process";
import { existsSync, writeFileSync } from "node:fs";
import { pathToFileURL } from "node:url";

import { inRepository } from "./browser.mjs";
import { expect, test, trained } from "./fixtures.mjs";

const PROGRAM = process.env.MICROGPT ?? inRepository("target/release/microgpt");
const NAMES = "</script>\nzoë\nemma\nolivia\n猫\nava\nisabella\nsophia\nmia\ncharlotte\namelia\nharper\n";

/** The flags of a short run. */
const FLAGS = "--steps 60 --seed 3 --n-embd 8 --n-layer 2 --val-every 20 --val-docs 1 --device cpu".split(" ");

/** Trains a model with the program, and returns its stdout and the address of its page. */
const trainedPage = (info, flags) => {
  test.skip(!existsSync(PROGRAM), `the program is not built: ${PROGRAM}`);
  const [names, file] = [info.outputPath("names.txt"), info.outputPath("own.html")];
  writeFileSync(names, NAMES);
  const args = ["--input", names, ...FLAGS, ...flags, "--page", file];
  const stdout = execFileSync(PROGRAM, args, { encoding: "utf8", stdio: "pipe" });
  return { stdout, url: pathToFileURL(file).href };
};
/** Goes to another view by its link. */
const goTo = (page, view) => page.locator(`#views [data-to="${view}"]`).click();
/** Returns the probabilities before training, as the bars of the next letter show them. */
const untrained = async (page) => {
  const lines = await page.locator(".letter-row").allTextContents();
  return lines.map((line) => line.match(/before training ([\d.]+)/)?.[1]);
};

test("a page of a trained model opens at the end of its run, and repeats the run to the bit", async ({
  page,
}, info) => {
  const { stdout, url } = trainedPage(info, ["--samples", "8"]);
  const samples = stdout.split("\n").flatMap((line) => line.match(/^sample +\d+: (.*)$/)?.[1].trim() ?? []);
  expect(samples.length).toBe(8);

  await page.goto(url);
  await trained(page, "60 / 60");
  await expect(page.locator("#lead")).toContainText("for 60 steps on 12 documents");
  await expect(page.locator("#message")).toBeHidden();
  for (const [id, value] of Object.entries({ steps: "60", seed: "3", n_embd: "8", n_layer: "2" })) {
    await expect(page.locator(`#${id}`)).toHaveValue(value);
  }
  const shown = page.locator("#names tbody tr").first().locator("td span");
  await expect(shown).toHaveText(samples.map((sample) => sample || "·"));
  // The program's figures stand where those of the native default run stand in the page of the repository.
  const hash = page.locator("#native-hash");
  await expect(hash).toHaveText(/^[0-9a-f]{16}$/);
  await expect(page.locator("#native-name")).toHaveText("the program’s run");
  const loss = [...stdout.matchAll(/val loss: ([\d.]+)/g)].at(-1)[1];
  expect(Number(await page.locator("#native-val").textContent())).toBeCloseTo(Number(loss), 3);
  await expect(page.locator("#after-loss")).toHaveText(/^The program has trained it, and its validation loss is \d/);
  // The settings of the run are the defaults of this page, so its address holds none.
  expect(new URL(page.url()).hash).not.toContain("=");

  await goTo(page, "step");
  await expect(page.locator("#step-lead")).toContainText("Step 61 would follow the 60 steps of the program’s run");
  await expect(page.locator("#step-moved")).toContainText("its learning rate is 0, so this step moves no weight");
  await expect(page.locator("#step-movers")).toBeHidden();
  await goTo(page, "tour");
  for (const [station, text] of [
    [8, "Train repeats the run in this page"],
    [9, "Then drag the timeline"],
    [12, "Train repeats the run in this page"],
  ]) {
    await page
      .locator("#tour-stations a")
      .nth(station - 1)
      .click();
    await expect(page.locator(".tour-note:visible")).toContainText(text);
  }
  await goTo(page, "letter");
  await page.locator("#letter-text").fill("a");
  await expect(page.locator("#letter-untrained")).toHaveText("");
  await expect.poll(() => untrained(page)).not.toContain(undefined);
  const before = await untrained(page);
  expect(Math.max(...before.map(Number))).toBeLessThan(8);

  await goTo(page, "live");
  await page.locator("#train").click();
  await trained(page, "60 / 60");
  await expect(page.locator("#verdict")).toHaveText("Equal, bit for bit.");
  await expect(page.locator("#here-hash")).toHaveText(await hash.textContent());
  // The repeated run begins with the weights that the page has shown as those before training.
  await goTo(page, "letter");
  await expect(page.locator("#view-letter")).toHaveAttribute("data-step", "60");
  expect(await untrained(page)).toEqual(before);
  await page.locator("#timeline-step").fill("43");
  await expect.poll(() => page.url()).toContain("at=43");
  // A link to a step repeats the run, in the page of the trained model too.
  const link = page.url().replace("#letter", "#step");
  await page.goto("about:blank");
  await page.goto(link);
  await expect(page.locator("#view-step")).toHaveAttribute("data-step", "43");
  await expect(page.locator("#step-movers")).toBeVisible();
});

test("a page that cannot repeat the run of its model says so", async ({ page }, info) => {
  const { url } = trainedPage(info, ["--batch", "2", "--samples", "0"]);
  await page.goto(`${url}#step`);
  await expect(page.locator("#step-lead")).toContainText(
    "The run of the program had others too, which this page lacks",
  );
  await page.evaluate(() => {
    location.hash = "#step?at=43";
  });
  await expect(page.locator("#view-step")).toHaveAttribute("data-step", "43");
  await expect(page.locator("#notice")).toContainText("Step 43 is that of a new run from new weights.");
  await goTo(page, "live");
  await trained(page, "60 / 60");
  await expect(page.locator("#verdict")).toHaveText(
    "The other figures are those of the program’s run, which this run does not repeat.",
  );
});
