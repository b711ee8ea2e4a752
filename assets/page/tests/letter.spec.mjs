// The view of the next letter.
import { expect, open, test, trained } from "./fixtures.mjs";

const rows = (page) => page.evaluate(() => [...document.querySelectorAll(".letter-row")].map((row) => row.textContent));
/** Returns the shares that a line states, in percent. */
const shares = (label) => [...label.matchAll(/([\d.]+) %/g)].map((match) => Number(match[1]));

test("the next letter is about equally likely before training and not after it", async ({ page }) => {
  await open(page, "#letter");
  await expect(page.locator(".letter-row")).toHaveCount(27);
  await expect(page.locator("#letter-untrained")).toContainText("not trained yet");
  for (const label of await rows(page)) expect(shares(label)[0]).toBeLessThan(6);
  await page.locator("#timeline-train").click();
  await trained(page);
  await expect(page.locator("#letter-untrained")).toHaveText("");
  await page.locator("#letter-text").fill("");
  await expect.poll(async () => shares((await rows(page))[0])[0]).toBeGreaterThan(7);
  const labels = await rows(page);
  expect(labels.reduce((sum, label) => sum + shares(label)[0], 0)).toBeCloseTo(100, -1);
  // Five tokens are kept by default, and their shares add up to 1.
  const kept = labels.filter((label) => label.includes("is drawn from"));
  expect(kept.length).toBe(5);
  expect(Math.round(kept.reduce((sum, label) => sum + shares(label)[1], 0) / 2)).toBe(50);
  expect(labels.slice(0, 5)).toEqual(kept);
});

test("top-k cuts the bars, a temperature of 0 leaves one, and a bar adds its letter", async ({ page }) => {
  await open(page, "#letter");
  await page.locator("#timeline-train").click();
  await trained(page);
  const slide = (id, value) =>
    page.locator(id).evaluate((slider, value) => {
      slider.value = value;
      slider.dispatchEvent(new Event("input"));
    }, value);
  await slide("#letter-top-k", "3");
  await expect(page.locator(".letter-row:not(.cut)")).toHaveCount(3);
  expect(page.url()).toContain("top_k=3");
  await slide("#letter-temperature", "0");
  await expect(page.locator(".letter-row:not(.cut)")).toHaveCount(1);
  const first = await page.locator(".letter-row").first().locator(".letter").textContent();
  await page.locator(".letter-row").first().click();
  await expect(page.locator("#letter-text")).toHaveValue(`mar${first}`);
  expect(page.url()).toContain(`prefix=mar${first}`);
  await page.locator("#letter-text").fill("Ω");
  await expect(page.locator("#letter-message")).toHaveText(/not in the vocabulary\. Use the characters abc\S*xyz\.$/);
  await expect(page.locator("#letter-draw")).toBeDisabled();
  await expect(page.locator(".letter-row")).toHaveCount(0);
  await page.locator("#letter-text").fill("abcdefg");
  await expect(page.locator(".letter-row")).toHaveCount(27);
  await expect(page.locator("#letter-message")).toHaveText("");
  await expect(page.locator("#letter-draw")).toBeEnabled();
  await page.locator("#letter-text").fill("Mar");
  await expect(page.locator("#letter-message")).toContainText("Write `m` in lower case.");
  await page.locator("#letter-text").fill("abcdefgh");
  await expect(page.locator("#letter-message")).toContainText("The text has 8 letters");
  await expect(page.locator("#letter-limit")).toContainText("At most 7 letters.");
  await expect(page.locator(".letter-row")).toHaveCount(0);
});

test("a name is drawn letter by letter", async ({ page }) => {
  await page.emulateMedia({ reducedMotion: "reduce" });
  await open(page, "#letter?prefix=an");
  await page.locator("#timeline-train").click();
  await trained(page);
  for (let i = 1; i <= 3; i++) {
    await page.locator("#letter-draw").click();
    await expect(page.locator("#letter-drawn li")).toHaveCount(i);
  }
  for (const name of await page.locator("#letter-drawn li").allTextContents()) expect(name).toMatch(/^an[a-z]*[·…]$/);
  await expect(page.locator("#letter-text")).toHaveValue("an");
  await page.locator("#letter-one").click();
  await expect.poll(async () => (await page.locator("#letter-text").inputValue()).length).toBeGreaterThanOrEqual(2);
});
