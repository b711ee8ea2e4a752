// A part of `npm run audit`, in which each theme and the extreme widths occur, and comparisons of screenshots.
import { audit, eachView, THEMES, WIDTHS } from "./audit-page.mjs";
import { PAGE } from "./browser.mjs";
import { expect, open, test } from "./fixtures.mjs";

for (const [theme, width] of [
  ["light", 1400],
  ["dark", 400],
  ["forced", 320],
]) {
  test(`no view breaks a rule of axe or cuts text off: ${theme}, ${width} pixels`, async ({ browser }) => {
    await eachView(browser, PAGE, { viewport: { width, height: 900 }, ...THEMES[theme] }, async (page, view) => {
      expect(await audit(page), view).toEqual({ violations: [], clipped: [] });
    });
  });
}

test("a link gives the picture that it was taken from, at each width", async ({ page, context }) => {
  await page.emulateMedia({ reducedMotion: "reduce" });
  for (const width of WIDTHS) {
    for (const [view, op] of [["live"], ["reference", "adamw"], ["side-by-side", "mlp"]]) {
      await page.setViewportSize({ width, height: 800 });
      await open(page);
      await page.locator(`#views [data-to="${view}"]`).click();
      for (let i = 0; op && (await page.evaluate(() => location.hash.split("/")[1])) !== op; i++) {
        expect(i).toBeLessThan(20);
        await page.keyboard.press("k");
      }
      await page.evaluate(() => document.activeElement.blur());
      const other = await context.newPage();
      await other.emulateMedia({ reducedMotion: "reduce" });
      await other.setViewportSize({ width, height: 800 });
      await open(other, new URL(page.url()).hash);
      await expect(async () => {
        const [picture, again] = [await page.screenshot(), await other.screenshot()];
        expect(picture.equals(again), `${page.url()} at ${width} pixels`).toBe(true);
      }).toPass({ timeout: 10_000 });
      await other.close();
    }
  }
});
