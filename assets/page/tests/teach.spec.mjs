// The page for a newcomer has numbers that fit and add up, messages in its own words, terms, and the derivation of p − y.
import { counted, digits, lossText, pair, significant } from "../src/numbers.js";
import { updateTexts } from "../src/update.js";
import { openedStep } from "./browser.mjs";
import { expect, open, test, trained } from "./fixtures.mjs";

/** Returns the numbers of a text. */
const numbers = (text) =>
  [...text.replaceAll("−", "-").matchAll(/(?<![\w.)])-?\d+(?:\.\d+)?(?:e-?\d+)?/g)].map((match) => Number(match[0]));

test("numbers are short at any magnitude, and a change stays visible", () => {
  for (const value of [0, 3.2958, -1e30, 1e30, 9999.9999, 123456.7, Number.POSITIVE_INFINITY, Number.NaN]) {
    expect(lossText(value, 3).length, String(value)).toBeLessThan(10);
  }
  expect([0.00074, -12.5, 1e30].map(digits)).toEqual(["7.4e−4", "−12.500", "1.0e30"]);
  expect([0.2020382, 1234567, -7.7381e-8].map(significant)).toEqual(["0.202", "1.235e6", "−7.738e−8"]);
  expect(pair(0.3811894357204437, 0.3811895251274109)).toEqual(["0.381189436", "0.381189525"]);
  expect(pair(-0.05, -0.04)).toEqual(["−0.0500", "−0.0400"]);
  expect(pair(0.5, 0.5)).toEqual(["0.5000", "0.5000"]);
  expect([0, 1, 4646].map((count) => counted(count, "document"))).toEqual([
    "0 documents",
    "1 document",
    "4,646 documents",
  ]);
});

test("the factors that an update shows give the move that it shows, at every step of a run", async () => {
  for (const number of [1, 2, 250, 499, 500]) {
    const step = await openedStep({}, number, number);
    for (const tensor of step.tensors) {
      const index = step.buffer(tensor).shape.map((length) => Math.floor(length / 3));
      const lines = Object.fromEntries(updateTexts(step, tensor, index));
      const where = `step ${number}, ${tensor}: ${lines.change}`;
      const [gradient, clip, clipped] = numbers(lines["after the clip"]);
      expect(Math.abs(gradient * clip - clipped), where).toBeLessThanOrEqual(2e-3 * Math.abs(clipped));
      const [rate, direction, decay, weight, change] = numbers(lines.change);
      const product = rate * (direction + decay * weight);
      expect(rate, where).toBeLessThan(0);
      expect(Math.abs(product - change), where).toBeLessThanOrEqual(2e-3 * Math.abs(change));
      // The weight moves by the change, or a line says by how much it moves instead.
      const [before, after] = numbers(lines.weight);
      const moved = lines.rounding ? numbers(lines.rounding).at(-1) : change;
      if (moved !== 0) expect(lines.weight.split(" → ")[0], where).not.toBe(lines.weight.split(" → ")[1]);
      expect(Math.abs(after - before - moved), where).toBeLessThanOrEqual(0.06 * Math.abs(moved));
    }
  }
});

test("a run that diverges says so with advice, and its numbers stay in their boxes", async ({ page }) => {
  await page.setViewportSize({ width: 400, height: 850 });
  for (const rate of ["3", "1000"]) {
    await page.goto("about:blank");
    await open(page, `#live?learning_rate=${rate}&steps=60`);
    await page.locator("#train").click();
    await trained(page, "60 / 60");
    await expect(page.locator("#message")).toContainText("the run diverges: its loss has risen to");
    await expect(page.locator("#message")).toContainText("hint: lower the learning rate");
    await expect(page.locator("#try-lower")).toBeVisible();
    const cut = await page.evaluate(() =>
      [...document.querySelectorAll("#figures dd, #plot svg text, .position .loss")]
        .filter((element) => {
          const range = document.createRange();
          range.selectNodeContents(element);
          const [text, box] = [
            range.getBoundingClientRect(),
            element.closest("svg, div, .loss").getBoundingClientRect(),
          ];
          return text.left < box.left - 1 || text.right > box.right + 1;
        })
        .map((element) => element.textContent),
    );
    expect(cut, rate).toEqual([]);
  }
  // A run that learns says nothing.
  await page.locator("#try-lower a").click();
  await page.locator("#train").click();
  await trained(page, "60 / 60");
  await expect(page.locator("#message")).toBeHidden();
});

test("messages name the page's settings, and counts have their plurals", async ({ page }) => {
  await open(page);
  await page.locator("#settings details:not([id]) summary").click();
  await page.locator("#n_head").fill("3");
  await page.locator("#n_head").blur();
  await expect(page.locator("#message")).toContainText("`n_embd 16` is not divisible by `n_head 3`");
  await expect(page.locator("#message")).not.toContainText("--");
  await page.locator("#learning_rate").fill("0");
  await page.locator("#train").click();
  await expect(page.locator("#message")).toContainText("Learning rate must be a number above 0, got 0");
  await page.goto("about:blank");
  await open(page);
  await expect(page.locator("#validated")).toHaveText("on 20 of the 517 validation documents");
  await page.locator("#corpus-box summary").click();
  for (const [text, opened] of [
    ["only one line", "only one document"],
    ["a\na\n", ""],
    ["emma\nisabella-maria\n", "1 document to train on, 1 to validate"],
  ]) {
    await page.locator("#corpus").fill(text);
    await page.locator("#use").click();
    await expect(page.locator(opened.startsWith("1") ? "#opened" : "#message")).toContainText(opened);
    await expect(page.locator("#message")).not.toContainText("--");
  }
  await expect(page.locator("#opened")).toContainText(
    "1 of the documents is longer than the block, and only its beginning",
  );
  await expect(page.locator("#validated")).toHaveText("on the 1 validation document");
});

test("a term shows its meaning by keyboard, and the title follows the view", async ({ page }) => {
  await open(page, "#tour/attention");
  await expect(page).toHaveTitle("Tour – microgpt in pure Rust");
  const term = page.locator('article[data-station="attention"] .term').first();
  await term.focus();
  await page.keyboard.press("Enter");
  await expect(page.locator("#term")).toHaveText(/^query The vector that says what a position looks for\./);
  await page.keyboard.press("Escape");
  await expect(page.locator("#term")).toBeHidden();
  // Every term has a meaning.
  const missing = await page.evaluate(() => {
    const known = new Set([...document.querySelectorAll("#glossary dt")].map((term) => term.textContent));
    return [...document.querySelectorAll(".term")].map((term) => term.dataset.term).filter((term) => !known.has(term));
  });
  expect(missing).toEqual([]);
  await page.locator('#views [data-to="live"]').click();
  await expect(page).toHaveTitle("microgpt in pure Rust");
  await page.locator("#start-train").click();
  await trained(page);
});

test("p − y is derived with the numbers of the step, in the tour and in the opened step", async ({ page }) => {
  /** Expects the slope to agree with its check, and returns the slope. */
  const slopeOf = async (lines) => {
    await expect(lines).toHaveCount(5);
    const [slope, check] = (await lines.locator(".formula").allTextContents())
      .slice(-2)
      .map((line) => numbers(line).at(-1));
    expect(Math.abs(slope - check)).toBeLessThan(2e-3);
    return slope;
  };
  await open(page, "#tour/backward");
  const slope = await slopeOf(page.locator('[data-figure="backward"] .derivation li'));
  await page.locator('[data-figure="backward"] button.link').click();
  expect(await slopeOf(page.locator("#cell-body .derivation li"))).toBe(slope);
  await page.goto(`${page.url().split("#")[0]}#step/dlogits:0,5`);
  expect(await slopeOf(page.locator("#cell-body .derivation li"))).toBeGreaterThan(0);
});
