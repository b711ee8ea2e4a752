// The audit of one view: rules of accessibility by axe, and text that is cut off.
import { readFileSync } from "node:fs";

/** The widths in pixels at which the page is looked at. */
export const WIDTHS = [1400, 1024, 768, 400, 320];

/** The settings of a browser for each theme. */
export const THEMES = {
  light: { colorScheme: "light" },
  dark: { colorScheme: "dark" },
  forced: { colorScheme: "dark", forcedColors: "active" },
};

const AXE = readFileSync(new URL("node_modules/axe-core/axe.min.js", import.meta.url), "utf8");

/** Returns the names of the page's views. */
export const viewsOf = (page) =>
  page.locator("#views a").evaluateAll((links) => links.map((link) => link.dataset.to.split("/")[0]));

/** Returns the violations of axe's rules, one for each element. */
const violations = async (page) => {
  if (!(await page.evaluate(() => "axe" in window))) await page.evaluate(AXE);
  return page.evaluate(async () => {
    // An element that fades in has less contrast for a moment.
    await Promise.allSettled(document.getAnimations().map((animation) => animation.finished));
    const tags = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"];
    // Chunks of a source that are not in view have the tokens and colours of those in view. They keep their heights
    // without their 20,000 elements, in which axe would spend most of its time.
    const chunks = [...document.querySelectorAll(".chunk:not(:has(.line))")].map((chunk) => {
      const rest = document.createDocumentFragment();
      rest.append(...chunk.childNodes);
      return { chunk, rest };
    });
    const { violations } = await axe.run(document, { runOnly: tags, resultTypes: ["violations"], preload: false });
    for (const { chunk, rest } of chunks) chunk.append(rest);
    return violations.flatMap(({ id, nodes }) => nodes.map(({ target }) => `${id}: ${target.join(" ")}`));
  });
};

/** Returns the texts that an edge cuts off: of the window, of an element that hides its overflow, or of an SVG. */
const clipped = (page) =>
  page.evaluate(() => {
    /** Returns the left and right edges between which a node can be seen or scrolled to vertically. */
    const edges = (node) => {
      let [left, right] = [0, document.documentElement.clientWidth];
      for (let box = node; box && box !== document.body; box = box.parentElement) {
        if (getComputedStyle(box).overflowX === "visible") continue;
        const rect = box.getBoundingClientRect();
        [left, right] = [Math.max(left, rect.left), Math.min(right, rect.right)];
      }
      return [left, right];
    };
    const found = [];
    const visible = { contentVisibilityAuto: true, opacityProperty: true, visibilityProperty: true };
    for (const element of document.body.querySelectorAll("*")) {
      const texts = [...element.childNodes].filter(
        (node) => node.nodeType === Node.TEXT_NODE && node.data.trim() !== "",
      );
      if (texts.length === 0 || !element.checkVisibility(visible)) continue;
      // These texts are for screen readers, or scroll by design.
      if (element.closest(".hidden, .skip, select, textarea")) continue;
      const [left, right] = edges(element);
      const isCut = (range) =>
        [...range.getClientRects()].some((rect) => rect.width > 0 && (rect.left < left - 1 || rect.right > right + 1));
      for (const text of texts) {
        const range = document.createRange();
        range.selectNodeContents(text);
        if (!isCut(range)) continue;
        // The white space at the end of a wrapped line hangs over the edge, so the words are looked at.
        for (const word of text.data.matchAll(/\S+/g)) {
          range.setStart(text, word.index);
          range.setEnd(text, word.index + word[0].length);
          if (isCut(range)) found.push(`${element.tagName.toLowerCase()} "${word[0]}"`);
        }
      }
    }
    const { scrollWidth, clientWidth } = document.documentElement;
    if (scrollWidth > clientWidth) found.push(`the page scrolls sideways to ${scrollWidth} of ${clientWidth} pixels`);
    // All lines of the sources have to fit, also those that are not in view.
    for (const chunk of document.querySelectorAll(".view:not([hidden]) .chunk")) {
      if (chunk.scrollWidth > chunk.clientWidth) found.push(`line of ${chunk.closest(".file").id}`);
    }
    return found;
  });

/** Audits the view that a page shows, and returns the texts of what it finds. */
export const audit = async (page) => ({ violations: await violations(page), clipped: await clipped(page) });

/** Returns the names of the tour's stations as places, except the first, which the view itself shows. */
const stationsOf = (page) =>
  page
    .locator("#tour-articles article")
    .evaluateAll((articles) => articles.slice(1).map(({ dataset }) => `tour/${dataset.station}`));

/**
 * Opens the page in a browser, trains the default run, and calls `look` with the name of each view that it then shows,
 * and of each station of the tour, except those to `skip`.
 */
export const eachView = async (browser, address, options, look, skip = () => false) => {
  const page = await browser.newPage({ reducedMotion: "reduce", ...options });
  await page.goto(address);
  await page.waitForFunction(() => document.body.dataset.warm !== undefined);
  await look(page, "live-untrained");
  await page.locator("#train").click();
  await page.waitForFunction(() => document.getElementById("verdict").textContent !== "");
  const places = [...(await viewsOf(page)), ...(await stationsOf(page))];
  for (const view of places.filter((place) => !skip(place))) {
    await page.evaluate((view) => {
      location.hash = `#${view}${["reference", "kernels", "side-by-side"].includes(view) ? "/attention?q=softmax" : ""}`;
    }, view);
    await page.waitForTimeout(400);
    await look(page, view);
  }
  await page.close();
};
