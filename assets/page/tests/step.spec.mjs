// The opened step: its numbers, the sums behind its cells, and the ways through it by pointer and keyboard.

import { sumOf, updateOf } from "../src/equations.js";
import { openedStep } from "./browser.mjs";
import { expect, open, test } from "./fixtures.mjs";

/** Returns the value that a cell's sum comes to. */
const resultOf = (step, { name, index, terms, factors = [] }) => {
  const sum = terms.reduce((sum, { value }) => sum + value, 0);
  const local = name.replace(/^layer\d+\./, "");
  if (local === "h") return Math.max(0, sum);
  if (local === "loss") return -Math.log(sum);
  // A softmax needs the scores of the whole row.
  if (local === "probs" && index.length === 3 && index[2] > index[1]) return 0;
  if (local === "probs") {
    const row =
      index.length === 3
        ? Array.from({ length: index[1] + 1 }, (_, key) => [index[0], index[1], key])
        : step.reply.ids.map((_, i) => [index[0], i]);
    const all = index.length === 3 ? row : step.reply.vocab.map((_, v) => [index[0], v]);
    const score = (at) => sumOf(step, name, at).terms.reduce((sum, { value }) => sum + value, 0);
    return Math.exp(sum) / all.reduce((total, at) => total + Math.exp(score(at)), 0);
  }
  return factors.reduce((product, { value }) => product * value, sum);
};

test("the sum behind every cell comes to the value that the kernels computed", async () => {
  const runs = [
    [{}, 43, 43],
    [{ n_embd: 12, n_head: 3, n_layer: 2, block_size: 5, steps: 60 }, 60, 51],
  ];
  for (const [settings, steps, number] of runs) {
    const step = await openedStep(settings, steps, number);
    const compared = new Set();
    for (const { name, shape, values } of step.buffers.values()) {
      const most = values.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
      // Every seventh cell, which reaches each row and column in turn.
      for (let i = 0; i < values.length; i += 7) {
        const index = shape.map(
          (length, axis) => Math.floor(i / shape.slice(axis + 1).reduce((a, b) => a * b, 1)) % length,
        );
        const sum = sumOf(step, name, index);
        if (!sum) continue;
        compared.add(name.replace(/^layer\d+\./, ""));
        expect(Math.abs(resultOf(step, sum) - values[i]), `${number}: ${sum.label}`).toBeLessThanOrEqual(2e-5 * most);
      }
    }
    // Weights, moments and the reciprocals of the norms are no sums.
    expect(compared.size).toBe(14 + 13 + 8);
    for (const tensor of step.tensors) {
      const { before, after, mHat, vHat } = updateOf(step, tensor, [1, 3]);
      const { learning_rate, eps, weight_decay } = step.reply.optimizer;
      expect(after).toBeCloseTo(before - learning_rate * (mHat / (Math.sqrt(vHat) + eps) + weight_decay * before), 6);
    }
  }
});

test("a step shows what the model expects, and the weights that moved", async ({ page }) => {
  await open(page, "#step");
  await expect(page.locator("#step-lead")).toContainText("Step 1 trains on");
  const cards = page.locator(".position");
  const n = await cards.count();
  expect(n).toBeGreaterThan(2);
  for (let t = 0; t < n; t++) {
    const card = cards.nth(t);
    await expect(card.locator(".came")).toHaveCount(1);
    expect(await card.locator(".bars li").count()).toBeGreaterThan(4);
    expect(Number(await card.locator(".loss .value").textContent())).toBeCloseTo(3.3, 0);
  }
  // In the first step all weights with a gradient move by the learning rate, and no gradient comes through zeros.
  await expect(page.locator("#step-moved")).toContainText("the learning rate 0.01");
  await expect(page.locator("#step-moved")).toContainText(
    "attn_wq, attn_wk, attn_wv, mlp_fc1 moved by the weight decay alone",
  );
  await expect(page.locator("#step-changes tbody tr").first()).toContainText("432 of 432");
  // The reader goes from the weight that moved most to its update.
  await page.locator("#step-movers button").first().click();
  await expect(page.locator("#cell-body")).toContainText("direction");
  await expect(page.locator("#cell-body .update")).toContainText("0.01");
});

test("each line of the update of a weight without a gradient multiplies out", async ({ page }) => {
  await open(page, "#step/layer0.attn_wq:0,9?at=1");
  const lines = page.locator("#cell-body .update dd");
  await expect(lines.first()).toHaveText(/\]0$/);
  /** Returns the numbers of a line. */
  const numbers = async (i) =>
    ((await lines.nth(i).textContent()).replaceAll("−", "-").match(/-?\d+(\.\d+)?(e-?\d+)?/g) ?? []).map(Number);
  const near = (got, expected) => expect(Math.abs(got / expected - 1)).toBeLessThan(0.002);
  const [beta1, m0, , bias, m] = await numbers(2);
  const [rate, , decay, w, change] = await numbers(6);
  expect([beta1, m0, bias]).toEqual([0.9, 0, 1e-20]);
  near(m, bias * w);
  const v = await numbers(3);
  near(v.at(-1), v.at(-2));
  const [, , , mHat, , , , vHat] = await numbers(4);
  const [eps, direction] = await numbers(5);
  near(direction, mHat / (Math.sqrt(vHat) + eps));
  near(change, rate * (direction + decay * w));
  await expect(page.locator("#cell-body .update")).toContainText("Nearly all of the change is the weight decay");
});

test("a cell leads to the sum that made it and on to its factors, and the address names it", async ({ page }) => {
  await open(page, "#step");
  await page.locator("#cell-questions button").nth(2).click();
  await expect(page.locator("#cell-body")).toContainText("(p − y) / n");
  await expect(page.locator("#cell-body")).toContainText("minus y");
  const address = page.url();
  expect(address).toContain("dlogits");
  await page.locator("#cell-body button.factor").first().click();
  await expect(page.locator("#cell-body")).toContainText("softmax(logits)");
  await page.locator("#cell-body button.factor").first().click();
  await expect(page.locator("#cell-body")).toContainText("logits = wte · x");
  expect(await page.locator("#cell-body .terms li:not(.term-head)").count()).toBe(16);
  await page.goto(address);
  await page.reload();
  await expect(page.locator("#cell-body")).toContainText("(p − y) / n");
  await page.locator("#cell-close").click();
  await expect(page.locator("#cell-body")).toContainText("Where does a number come from?");
});

test("the sum behind a cell stays in sight while the page scrolls", async ({ page }) => {
  await page.setViewportSize({ width: 1400, height: 900 });
  await open(page, "#step");
  await expect(page.locator("#step-movers tbody tr").first()).toBeAttached();
  await page.locator("#step-update").scrollIntoViewIfNeeded();
  expect(await page.evaluate(() => scrollY)).toBeGreaterThan(1000);
  await expect(page.locator("#cell")).toBeInViewport({ ratio: 0.9 });
});

test("a map is read and picked by pointer and by keyboard", async ({ page }) => {
  await open(page, "#step");
  const map = page.locator("#step-rows .map-cells").first();
  await map.scrollIntoViewIfNeeded();
  const box = await map.boundingBox();
  await page.mouse.move(box.x + 3.5 * 14, box.y + 2.5 * 14);
  await expect(page.locator(".map-tip")).toHaveText(/^x_embed\[2 “.”, 3\] = −?\d/);
  await page.mouse.click(box.x + 3.5 * 14, box.y + 2.5 * 14);
  await expect(page.locator("#cell-body .cell-head")).toContainText(/x_embed\[2 “.”, 3\]/);
  const shown = (await page.locator("#cell-body .cell-head").textContent()).split("=")[1].trim();
  expect((await page.locator(".map-tip").textContent()).endsWith(shown)).toBe(true);
  await map.focus();
  await page.keyboard.press("ArrowRight");
  await page.keyboard.press("ArrowUp");
  await page.keyboard.press("Enter");
  await expect(page.locator("#cell-body .cell-head")).toContainText(/x_embed\[1 “.”, 4\]/);
  await page.keyboard.press("Escape");
  await expect(page.locator("#cell-close")).toBeHidden();
});

test("a model of several layers has the rows of each, and one that is too large says so", async ({ page }) => {
  await open(page, "#step?n_layer=2&n_embd=24&n_head=3");
  await expect(page.locator("#step-rows .op-row")).toHaveCount(3 + 2 * 8);
  await open(page, "#live");
  await page.goto(`${page.url().split("#")[0]}#step?n_embd=132`);
  await page.reload();
  await expect(page.locator("#step-message")).toContainText("up to 200000 parameters");
});
