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
    const look = async (page, view) => expect(await audit(page), view).toEqual({ violations: [], clipped: [] });
    // Side by side, the sources look as in their own views. The whole audit looks at each station of the tour.
    const skip = (place) => /^(reference|kernels|tour\/.*)$/.test(place);
    await eachView(browser, PAGE, { viewport: { width, height: 900 }, ...THEMES[theme] }, look, skip);
  });
}

/** The largest number of values in which two pictures of the same page differ at round corners. A letter has more. */
const NOISE = 60;

/** Returns the number of values in which two pictures differ by more than the rounding of a colour. */
const differing = (page, pictures) =>
  page.evaluate(
    async (addresses) => {
      const pixels = addresses.map(async (address) => {
        const image = Object.assign(new Image(), { src: address });
        await image.decode();
        const context = new OffscreenCanvas(image.width, image.height).getContext("2d");
        context.drawImage(image, 0, 0);
        return context.getImageData(0, 0, image.width, image.height).data;
      });
      const [first, second] = await Promise.all(pixels);
      if (first.length !== second.length) return Infinity;
      return first.filter((value, i) => Math.abs(value - second[i]) > 8).length;
    },
    pictures.map((picture) => `data:image/png;base64,${picture.toString("base64")}`),
  );

test("a link gives the picture that it was taken from, at each width", async ({ page, context }) => {
  await page.emulateMedia({ reducedMotion: "reduce" });
  for (const width of WIDTHS) {
    for (const [view, op] of [["live"], ["reference", "adamw"], ["side-by-side", "mlp"]]) {
      await page.setViewportSize({ width, height: 800 });
      await open(page);
      await page.locator(`#views [data-to="${view}"]`).click();
      // A narrow window has a list of ops in place of the links.
      const list = page.locator("#op-pick");
      if (op && (await list.isVisible())) await list.selectOption(op);
      else if (op) await page.locator(`#ops [data-op="${op}"]`).click();
      await page.evaluate(() => document.activeElement.blur());
      const other = await context.newPage();
      await other.emulateMedia({ reducedMotion: "reduce" });
      await other.setViewportSize({ width, height: 800 });
      await open(other, new URL(page.url()).hash);
      await expect(async () => {
        const pictures = [await page.screenshot(), await other.screenshot()];
        expect(await differing(page, pictures), `${page.url()} at ${width} pixels`).toBeLessThan(NOISE);
      }).toPass({ timeout: 10_000 });
      await other.close();
    }
  }
});
