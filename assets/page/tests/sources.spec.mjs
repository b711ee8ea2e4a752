// The sources: stages that are followed, search, line numbers.
import { readFileSync } from "node:fs";

import { inRepository } from "./browser.mjs";
import { expect, open, test } from "./fixtures.mjs";

const places = (page) => page.evaluate(() => JSON.parse(document.getElementById("stage-places").textContent));

/** The text at the top of a pane, where a stage's first lines are put; line 0 of nothing while there is none. */
const reading = (page, pane, below = 90) => page.evaluate(([pane, below]) => {
  const box = document.querySelector(pane).getBoundingClientRect();
  const range = document.caretRangeFromPoint(box.left + 80, box.top + below);
  const code = range?.startContainer.parentElement.closest("code");
  // What has just come into view may not be laid out yet.
  if (!code?.closest(".file")) return { path: "", line: 0 };
  const before = document.createRange();
  before.setStart(code, 0);
  before.setEnd(range.startContainer, range.startOffset);
  return { path: code.closest(".file").id, line: before.toString().split("\n").length };
}, [pane, below]);

/** Waits until the panes have stood still for a while. */
const still = (page) => page.evaluate(async () => {
  const places = () => [...document.querySelectorAll(".pane")].map((pane) => pane.scrollTop).join();
  for (let frames = 0, last = ""; frames < 12; frames = places() === last ? frames + 1 : 0) {
    last = places();
    await new Promise(requestAnimationFrame);
  }
});

/** Expects a pane to show a stage's place at its top. */
const shows = (page, pane, { path, lines }) => expect.poll(async () => {
  const read = await reading(page, pane);
  return read.path === path && Math.abs(read.line - lines[0]) < 4 ? "the stage" : `${read.path}:${read.line}`;
}, `${pane} at ${path}:${lines[0]}`).toBe("the stage");

/** Scrolls a pane with the wheel until a place is at its top, and waits for the end of the scrolling. */
const wheelTo = async (page, pane, { path, lines }) => {
  await still(page);
  await page.locator(pane).hover();
  const by = await page.evaluate(([pane, path, line]) => {
    const body = document.getElementById(path).querySelector(".body").getBoundingClientRect();
    const lineHeight = parseFloat(getComputedStyle(document.querySelector(".pane pre")).lineHeight);
    return body.top + (line - 1) * lineHeight - document.querySelector(pane).getBoundingClientRect().top - 70;
  }, [pane, path, lines[0]]);
  await page.mouse.wheel(0, Math.round(by));
  await expect.poll(async () => (await reading(page, pane)).path).toBe(path);
  await still(page);
};

test("a stage is followed on both sides, whichever leads", async ({ page }) => {
  await open(page, "#side-by-side");
  const stages = Object.fromEntries((await places(page)).map((stage) => [stage.name, stage]));
  const current = page.locator("#stages [aria-current]");
  await page.locator("#stages").getByText("attention").click();
  await shows(page, "#pane-kernels", stages.attention.kernels);
  await shows(page, "#pane-reference", stages.attention.reference);
  expect(stages.attention.reference.path).toBe("host/reference/src/model.rs");
  expect(stages.attention.kernels.path).toBe("gpu-kernels/src/stages/attention.rs");
  await expect(page.locator("#stage article:visible")).toContainText("softmax");

  // Down the reference from attention lies the MLP. What follows does not lead: the stage stays.
  await wheelTo(page, "#pane-reference", stages.mlp.reference);
  await shows(page, "#pane-kernels", stages.mlp.kernels);
  await still(page);
  await expect(current).toHaveText("mlp");
  await expect(page.locator("#stage article:visible h2")).toHaveText("mlp");

  // Down the kernels from the MLP lies the cross-entropy.
  await wheelTo(page, "#pane-kernels", stages.cross_entropy.kernels);
  await shows(page, "#pane-reference", stages.cross_entropy.reference);
  await still(page);
  await expect(current).toHaveText("cross_entropy");
  expect(page.url()).toContain("#side-by-side/cross_entropy");

  // By the keyboard.
  await page.keyboard.press("k");
  await expect(current).toHaveText("mlp");
});

test("every stage can be picked, and stays when a pane is touched", async ({ page }) => {
  await page.emulateMedia({ reducedMotion: "reduce" });
  await open(page, "#side-by-side");
  for (const { name, reference, kernels } of await places(page)) {
    await page.locator(`#stages [data-stage="${name}"]`).click();
    await shows(page, "#pane-reference", reference);
    await shows(page, "#pane-kernels", kernels);
    // Some are a few lines long there, and the next one is near.
    await page.locator("#pane-reference").hover();
    await page.mouse.wheel(0, 12);
    await still(page);
    await expect(page.locator("#stages [aria-current]")).toHaveText(name);
  }
});

test("every stage has its math between the panes, and its place in both", async ({ page }) => {
  await open(page, "#side-by-side");
  const stages = await places(page);
  const names = stages.map((stage) => stage.name);
  for (const name of ["embed", "rmsnorm", "attention", "mlp", "cross_entropy", "clip", "adamw", "sample", "train", "evaluate", "generate"]) expect(names).toContain(name);
  for (const { name, reference, kernels } of stages) {
    const doc = page.locator(`#stage article[data-stage="${name}"]`);
    expect((await doc.locator("code, pre").count()), name).toBeGreaterThan(2);
    for (const { path, lines } of [reference, kernels]) {
      const text = readFileSync(inRepository(path), "utf8").split("\n").slice(lines[0] - 1, lines[1]).join("\n");
      const shown = await page.evaluate(([path, lines]) => {
        return document.getElementById(path).querySelector("code").textContent.split("\n").slice(lines[0] - 1, lines[1]).join("\n");
      }, [path, lines]);
      expect(shown, path).toBe(text);
    }
  }
});

test("search goes through the sources", async ({ page }) => {
  await open(page, "#kernels");
  await page.keyboard.press("/");
  await page.keyboard.type("upper_where");
  await expect(page.locator("#hits")).toContainText("lines");
  await page.keyboard.press("Enter");
  await expect(page.locator("#hits")).toHaveText(/^1 of \d+$/);
  await page.keyboard.press("Enter");
  await expect(page.locator("#hits")).toHaveText(/^2 of \d+$/);
  await expect(page.locator(".mark.here")).toBeInViewport();
  await page.keyboard.press("Shift+Enter");
  await expect(page.locator("#hits")).toHaveText(/^1 of \d+$/);
});

test("line numbers link to the file", async ({ page }) => {
  await open(page, "#reference/attention");
  const { path, lines } = (await places(page)).find((stage) => stage.name === "attention").reference;
  const link = page.locator(`[id="${path}"] .gutter a[href="../${path}#L${lines[0]}"]`);
  await expect(link).toHaveText(String(lines[0]));
  await expect(link).toBeInViewport();
  // The number stands beside its line.
  await shows(page, "#pane-reference", { path, lines });
  const [gutter, top] = [await link.boundingBox(), await page.locator("#pane-reference").boundingBox()];
  expect((await reading(page, "#pane-reference", gutter.y + gutter.height / 2 - top.y)).line).toBe(lines[0]);
});
