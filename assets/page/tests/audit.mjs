// Audits every view in every theme at every width, before and after training. The last line has the sums.
import { chromium } from "@playwright/test";

import { audit, eachView, THEMES, WIDTHS } from "./audit-page.mjs";
import { LAUNCH, PAGE } from "./browser.mjs";

const browser = await chromium.launch(LAUNCH);
const sums = { violations: 0, clipped: 0 };
for (const [theme, options] of Object.entries(THEMES)) {
  for (const width of WIDTHS) {
    await eachView(browser, PAGE, { viewport: { width, height: 900 }, ...options }, async (page, view) => {
      for (const [kind, found] of Object.entries(await audit(page))) {
        sums[kind] += found.length;
        for (const text of found) console.log(`${view}, ${theme}, ${width} pixels: ${kind}: ${text}`);
      }
    });
  }
}
await browser.close();
console.log(`audit: ${sums.violations} axe violations, ${sums.clipped} clipped lines`);
process.exitCode = sums.violations + sums.clipped > 0 ? 1 : 0;
