// Takes the README's pictures, assets/page.png and assets/loss.svg; with a folder as argument, screenshots of every view
// at two widths in light and dark, to be looked at.
import { chromium } from "@playwright/test";
import { mkdirSync, writeFileSync } from "node:fs";

import { LAUNCH, PAGE, inRepository } from "./browser.mjs";

const browser = await chromium.launch(LAUNCH);

const trainedPage = async (options, hash = "") => {
  const page = await browser.newPage({ reducedMotion: "reduce", ...options });
  await page.goto(PAGE + hash);
  await page.waitForFunction(() => document.getElementById("opened").textContent !== "");
  await page.evaluate(() => live.train());
  await page.waitForFunction(() => document.getElementById("verdict").textContent !== "");
  await page.waitForTimeout(300);
  return page;
};

const folder = process.argv[2];
if (folder) {
  mkdirSync(folder, { recursive: true });
  for (const [width, height] of [[1400, 900], [400, 850]]) {
    for (const colorScheme of ["light", "dark"]) {
      const page = await trainedPage({ viewport: { width, height }, colorScheme });
      await page.screenshot({ path: `${folder}/live-${width}-${colorScheme}.png`, fullPage: true });
      for (const view of ["reference", "kernels", "side-by-side"]) {
        await page.evaluate((view) => (location.hash = `#${view}/attention`), view);
        await page.waitForTimeout(400);
        await page.screenshot({ path: `${folder}/${view}-${width}-${colorScheme}.png` });
      }
      await page.close();
    }
  }
} else {
  const page = await trainedPage({ viewport: { width: 1400, height: 800 } });
  writeFileSync(inRepository("assets/loss.svg"), await page.evaluate(() => svgOf(curveOf(live.state.losses, 860, 300), CURVE_STYLE)) + "\n");
  await page.evaluate(() => (location.hash = "#side-by-side/attention"));
  await page.waitForTimeout(400);
  await page.screenshot({ path: inRepository("assets/page.png") });
}
await browser.close();
