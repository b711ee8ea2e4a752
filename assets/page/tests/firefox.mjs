// Trains the page in Firefox, driven by WebDriver BiDi, and compares the bits and the errors. Playwright drives only a
// Firefox of its own, and this one is the system's.
import { existsSync } from "node:fs";
import puppeteer from "puppeteer-core";

import { PAGE } from "./browser.mjs";

const paths = ["/usr/bin/firefox-esr", "/usr/bin/firefox", "/Applications/Firefox.app/Contents/MacOS/firefox"];
const executablePath = process.env.FIREFOX ?? paths.find((path) => existsSync(path));
if (!executablePath) {
  console.log("skipped: the page in Firefox, which is not installed");
  process.exit();
}

/** Fails with the values if they differ. */
const expectEqual = (got, expected, what) => {
  if (got !== expected) throw new Error(`${what}: expected ${expected}, got ${got}`);
};

const browser = await puppeteer.launch({ browser: "firefox", executablePath, headless: true });
try {
  const page = await browser.newPage();
  const errors = [];
  page.on("console", (message) => message.type() === "error" && errors.push(message.text()));
  page.on("pageerror", (error) => errors.push(String(error)));
  const text = (id) => page.$eval(id, (element) => element.textContent);

  for (const form of ["fastest", "exact"]) {
    await page.goto("about:blank");
    await page.goto(`${PAGE}#live?multiply_add=${form}`);
    await page.waitForFunction(() => document.body.dataset.warm !== undefined);
    await page.click("#train");
    await page.waitForFunction(() => document.getElementById("verdict").textContent !== "");
    expectEqual(await text("#verdict"), "Equal, bit for bit.", `the ${form} form`);
    expectEqual(await text("#here-hash"), await text("#native-hash"), `the hash of the ${form} form`);
    console.log(`${await browser.version()}: ${await text("#here-step")}. ${await text("#form")}`);
  }

  // Every view opens, its sources have numbered lines, and nothing scrolls sideways.
  await page.setViewport({ width: 400, height: 850 });
  for (const view of await page.$$eval("#views a", (links) => links.map((link) => link.dataset.to.split("/")[0]))) {
    await page.evaluate((view) => {
      location.hash = `#${view}`;
    }, view);
    await page.waitForFunction((view) => document.body.dataset.view === view, {}, view);
    const width = await page.evaluate(() => document.documentElement.scrollWidth);
    expectEqual(width <= 400, true, `the width of ${view}, ${width} pixels, fits a phone`);
  }
  await page.waitForFunction(() => document.querySelectorAll(".line .number").length > 10);
  expectEqual(errors.join("\n"), "", "errors on the console");
} finally {
  await browser.close();
}
