// The sources, with ops in both panes, the docs between them, the search and the line numbers.
import { readFileSync } from "node:fs";

import { inRepository } from "./browser.mjs";
import { expect, open, test } from "./fixtures.mjs";

/** Returns the ops with their places. */
const places = (page) => page.evaluate(() => JSON.parse(document.getElementById("op-places").textContent));

/** Returns the path and the line where a pane puts an op's first line. The line is 0 while no source is there. */
const reading = (page, pane, below = 90) =>
  page.evaluate(
    ([pane, below]) => {
      const box = document.querySelector(pane).getBoundingClientRect();
      const line = document.elementFromPoint(box.left + 80, box.top + below)?.closest(".line");
      // A chunk that has just come into view may not be laid out yet.
      const [path, number] = line?.querySelector(".number").dataset.line.split(":") ?? ["", 0];
      return { path, line: Number(number) };
    },
    [pane, below],
  );

/** Waits until the panes have stood still for twelve frames. */
const still = (page) =>
  page.evaluate(async () => {
    const places = () => [...document.querySelectorAll(".pane")].map((pane) => pane.scrollTop).join();
    for (let frames = 0, last = ""; frames < 12; frames = places() === last ? frames + 1 : 0) {
      last = places();
      await new Promise(requestAnimationFrame);
    }
  });

/** Expects a pane to show a place at its top. */
const shows = (page, pane, { path, lines }) =>
  expect
    .poll(async () => {
      const read = await reading(page, pane);
      return read.path === path && Math.abs(read.line - lines[0]) < 4 ? "the op" : `${read.path}:${read.line}`;
    }, `${pane} at ${path}:${lines[0]}`)
    .toBe("the op");

/** Scrolls a pane with the wheel until a place is at its top, and waits until the panes stand still. */
const wheelTo = async (page, pane, { path, lines }) => {
  await still(page);
  await page.locator(pane).hover();
  // A chunk has its height only once it has come into view, so the way is known only from near.
  await expect(async () => {
    const by = await page.evaluate(
      ([pane, path, line]) => {
        const file = document.getElementById(path);
        const chunk = [...file.querySelectorAll(".chunk")].findLast((chunk) => Number(chunk.dataset.first) < line);
        const at = file.querySelector(`[data-line="${path}:${line}"]`) ?? chunk;
        return at.getBoundingClientRect().top - document.querySelector(pane).getBoundingClientRect().top - 70;
      },
      [pane, path, lines[0]],
    );
    await page.mouse.wheel(0, Math.round(by));
    await still(page);
    expect(Math.abs(by)).toBeLessThan(4);
  }).toPass();
  await expect.poll(async () => (await reading(page, pane)).path).toBe(path);
};

test("each pane follows the other to the same op", async ({ page }) => {
  await open(page, "#side-by-side");
  const ops = Object.fromEntries((await places(page)).map((op) => [op.name, op]));
  const current = page.locator("#ops [aria-current]");
  await page.locator('#ops [data-op="attention"]').click();
  await shows(page, "#pane-kernels", ops.attention.kernels);
  await shows(page, "#pane-reference", ops.attention.reference);
  expect(ops.attention.reference.path).toBe("host/reference/src/model.rs");
  expect(ops.attention.kernels.path).toBe("gpu-kernels/src/ops/attention.rs");
  await expect(page.locator("#op article:visible")).toContainText("softmax");

  // In the reference the MLP follows attention. The pane that follows does not lead back to another op.
  await wheelTo(page, "#pane-reference", ops.mlp.reference);
  await shows(page, "#pane-kernels", ops.mlp.kernels);
  await still(page);
  await expect(current).toHaveText("mlp");
  await expect(page.locator("#op article:visible h2")).toHaveText("mlp");

  // In the kernels the cross-entropy follows the MLP.
  await wheelTo(page, "#pane-kernels", ops.cross_entropy.kernels);
  await shows(page, "#pane-reference", ops.cross_entropy.reference);
  await still(page);
  await expect(current).toHaveText("cross_entropy");
  expect(page.url()).toContain("#side-by-side/cross_entropy");

  await page.keyboard.press("k");
  await expect(current).toHaveText("mlp");
});

test("every op can be picked and stays when a pane is touched", async ({ page }) => {
  await page.emulateMedia({ reducedMotion: "reduce" });
  await open(page, "#side-by-side");
  for (const { name, reference, kernels } of await places(page)) {
    await page.locator(`#ops [data-op="${name}"]`).click();
    await shows(page, "#pane-reference", reference);
    await shows(page, "#pane-kernels", kernels);
    // Some ops have only a few lines in the reference, so the next op is near.
    await page.locator("#pane-reference").hover();
    await page.mouse.wheel(0, 12);
    await still(page);
    await expect(page.locator("#ops [aria-current]")).toHaveText(name);
  }
});

test("every op has its math between the panes and its place in both", async ({ page }) => {
  await open(page, "#side-by-side");
  const ops = await places(page);
  expect(ops.map((op) => op.name).sort()).toEqual([
    "adamw",
    "attention",
    "backward",
    "clip",
    "cross_entropy",
    "embed",
    "evaluate",
    "generate",
    "linear",
    "mlp",
    "model",
    "rmsnorm",
    "sample",
    "train",
  ]);
  for (const { name, reference, kernels } of ops) {
    const doc = page.locator(`#op article[data-op="${name}"]`);
    expect(await doc.locator("code, pre").count(), name).toBeGreaterThan(2);
    for (const { path, lines } of [reference, kernels]) {
      const text = readFileSync(inRepository(path), "utf8")
        .split("\n")
        .slice(lines[0] - 1, lines[1])
        .join("\n");
      const shown = await page.evaluate(
        ([path, lines]) => {
          return document
            .getElementById(path)
            .querySelector("code")
            .textContent.split("\n")
            .slice(lines[0] - 1, lines[1])
            .join("\n");
        },
        [path, lines],
      );
      expect(shown, path).toBe(text);
    }
  }
});

test("the views of an op are listed with their shapes", async ({ page }) => {
  await open(page, "#side-by-side/attention");
  const doc = page.locator("#op article:visible");
  await expect(doc.locator("h2")).toHaveText("attention");
  const views = doc.locator('h4:has(code:text-is("Query")) ~ dl').first();
  await expect(views.locator("dt")).toHaveText(["q", "k", "v", "probs", "group_stride", "attn"]);
  await expect(views.locator("dd").nth(1)).toHaveText(/^\[T, A\]: /);
  await expect(doc.locator("h4")).toContainText(["attend", "backward_keys"]);
});

test("a search goes through the sources", async ({ page }) => {
  await open(page, "#kernels");
  await page.keyboard.press("/");
  await page.keyboard.type("upper_where");
  await expect(page.locator("#hits")).toContainText("lines");
  await page.keyboard.press("Enter");
  await expect(page.locator("#hits")).toHaveText(/^1 of \d+$/);
  await page.keyboard.press("Enter");
  await expect(page.locator("#hits")).toHaveText(/^2 of \d+$/);
  await expect(page.locator(".line.here")).toBeInViewport();
  await page.keyboard.press("Shift+Enter");
  await expect(page.locator("#hits")).toHaveText(/^1 of \d+$/);
});

test("a line number is a link to its line", async ({ page }) => {
  await open(page, "#reference/attention");
  const { path, lines } = (await places(page)).find((op) => op.name === "attention").reference;
  const number = (line) => page.locator(`.number[data-line="${path}:${line}"]`);
  await expect(number(lines[0])).toBeInViewport();
  // The number stands beside its line.
  await shows(page, "#pane-reference", { path, lines });
  const [box, pane] = [await number(lines[0]).boundingBox(), await page.locator("#pane-reference").boundingBox()];
  expect((await reading(page, "#pane-reference", box.y + box.height / 2 - pane.y)).line).toBe(lines[0]);

  await number(lines[0] + 3).click();
  await expect(page.locator(".line.linked")).toHaveCount(1);
  const link = page.url();
  expect(link).toContain("#reference/attention?line=");
  await page.goto("about:blank");
  await page.goto(link);
  await expect(page.locator("#pane-reference .line.linked")).toBeInViewport();
  await expect(page.locator(".line.linked .number")).toHaveAttribute("data-line", `${path}:${lines[0] + 3}`);

  // Another op is shown from its first line.
  await page.keyboard.press("j");
  await expect(page.locator(".line.linked")).toHaveCount(0);
  expect(page.url()).not.toContain("line=");
});
