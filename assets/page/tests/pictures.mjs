// Takes the README's pictures, assets/page.png and assets/loss.svg. With a folder as argument, takes screenshots of
// every view at two widths, light and dark, for a look at a change.

import { mkdirSync, writeFileSync } from "node:fs";
import { chromium } from "@playwright/test";

import { inRepository, LAUNCH, PAGE } from "./browser.mjs";

/** The colours of the loss curve outside of the page. */
const CURVE_STYLE =
  `<style>text{font:12px system-ui,sans-serif;fill:#6a6f78}path.rule{stroke:#8884;fill:none}` +
  `path.raw{stroke:#2f6f8f;stroke-opacity:.36;stroke-width:3;stroke-linecap:round}path.mean{fill:none;stroke:#1f7a9c;stroke-width:2.2}` +
  `path.val{fill:none;stroke:#d9662b;stroke-width:1.2;stroke-dasharray:2 4}path.dots{stroke:#d9662b;stroke-width:9;stroke-linecap:round}circle{stroke:none}circle.raw{fill:#2f6f8f;fill-opacity:.4}` +
  `circle.mean{fill:#1f7a9c}circle.val{fill:#d9662b}` +
  `@media(prefers-color-scheme:dark){text{fill:#a3a9b4}path.raw{stroke:#67c1e0}path.mean{stroke:#6fcdec}circle.mean{fill:#6fcdec}` +
  `circle.raw{fill:#67c1e0}path.val,path.dots{stroke:#ff9d5c}circle.val{fill:#ff9d5c}}</style>`;

/** The place that the README shows: an opened step, and the sum behind a query. */
const PICTURE = "#step/layer0.q:4,5?at=43";

const browser = await chromium.launch(LAUNCH);

/** Opens the page and trains the default run. */
const trainedPage = async (options, hash = "") => {
  const page = await browser.newPage({ reducedMotion: "reduce", ...options });
  await page.goto(PAGE + hash);
  await page.waitForFunction(() => document.getElementById("opened").textContent !== "");
  await page.locator("#train").click();
  await page.waitForFunction(() => document.getElementById("verdict").textContent !== "");
  await page.waitForTimeout(300);
  return page;
};

const folder = process.argv[2];
if (folder) {
  mkdirSync(folder, { recursive: true });
  for (const [width, height] of [
    [1400, 900],
    [400, 850],
  ]) {
    for (const colorScheme of ["light", "dark"]) {
      const page = await trainedPage({ viewport: { width, height }, colorScheme });
      await page.screenshot({ path: `${folder}/live-${width}-${colorScheme}.png`, fullPage: true });
      for (const view of ["step", "letter", "tour"]) {
        await page.evaluate((view) => (location.hash = `#${view}`), view);
        await page.waitForTimeout(600);
        await page.screenshot({ path: `${folder}/${view}-${width}-${colorScheme}.png`, fullPage: true });
      }
      for (const view of ["reference", "kernels", "side-by-side"]) {
        await page.evaluate((view) => (location.hash = `#${view}/attention`), view);
        await page.waitForTimeout(400);
        await page.screenshot({ path: `${folder}/${view}-${width}-${colorScheme}.png` });
      }
      await page.close();
    }
  }
} else {
  const page = await trainedPage({ viewport: { width: 1400, height: 940 } });
  await page.locator("#plot").evaluate((plot) => Object.assign(plot.style, { width: "860px" }));
  await page.waitForTimeout(300);
  const svg = await page.locator("#plot svg").evaluate((svg) => svg.outerHTML);
  writeFileSync(inRepository("assets/loss.svg"), `${svg.replace(">", `>${CURVE_STYLE}`)}\n`);
  await page.evaluate((picture) => (location.hash = picture), PICTURE);
  await page.waitForTimeout(600);
  await page.screenshot({ path: inRepository("assets/page.png") });
}
await browser.close();
