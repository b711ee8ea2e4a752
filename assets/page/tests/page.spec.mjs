import { expect, test } from "@playwright/test";
import { readFileSync, statSync } from "node:fs";

import { PAGE, inRepository } from "./browser.mjs";

const errors = [];

test.beforeEach(async ({ page }) => {
  errors.length = 0;
  page.on("console", (message) => message.type() === "error" && errors.push(message.text()));
  page.on("pageerror", (error) => errors.push(String(error)));
  page.on("request", (request) => /^https?:/.test(request.url()) && errors.push(`network: ${request.url()}`));
});
test.afterEach(() => expect(errors, "errors on the console, or requests to a network").toEqual([]));

const open = async (page, hash = "") => {
  await page.goto(PAGE + hash);
  await expect(page.locator("#opened")).toContainText("parameters");
};
// Elements are found by their ids: a look through the sources for a role or a text would take a second.
const number = async (page, id) => Number((await page.locator(id).textContent()).split("/")[0].replaceAll(",", ""));
const trained = (page, steps = "500 / 500") => expect(page.locator("#at")).toHaveText(steps, { timeout: 40_000 });

const TASKS = ["disabled-by-default-devtools.timeline"];
/**
 * The tasks of the busiest thread of this name. Their `tdur` is the processor's time in microseconds: the clock's, `dur`,
 * holds the waiting for a core as well, which other work on the machine causes.
 */
const tasksOf = (trace, name) => {
  const { traceEvents } = JSON.parse(trace);
  const threads = traceEvents.filter((event) => event.name === "thread_name" && event.args.name.startsWith(name));
  const tasks = threads.map(({ pid, tid }) => {
    return traceEvents.filter((event) => event.name === "RunTask" && event.pid === pid && event.tid === tid && event.tdur);
  });
  return tasks.reduce((most, some) => (some.length > most.length ? some : most), []);
};

test("the page is one file under 1.5 MB that shows itself within 300 ms", async ({ page }) => {
  expect(statSync(inRepository("assets/microgpt.html")).size).toBeLessThan(1_500_000);
  const paints = [];
  for (let i = 0; i < 3; i++) {
    await page.goto(PAGE);
    paints.push(await page.evaluate(() => new Promise((resolve) => {
      new PerformanceObserver((list) => resolve(list.getEntries()[0].startTime)).observe({ type: "paint", buffered: true });
    })));
  }
  console.log(`first paint after ${paints.map(Math.round).join(", ")} ms`);
  expect(Math.min(...paints)).toBeLessThan(300);
});

test("views switch by link and by key, and are in the address", async ({ page }) => {
  await open(page);
  const [reference, kernels] = [page.locator("#pane-reference"), page.locator("#pane-kernels")];
  await page.locator('#views [data-view="reference"]').click();
  await expect(reference).toBeVisible();
  await expect(kernels).toBeHidden();
  await page.keyboard.press("3");
  await expect(kernels).toBeVisible();
  await expect(reference).toBeHidden();
  expect(page.url()).toContain("#kernels");
  await page.keyboard.press("4");
  await expect(kernels).toBeVisible();
  await expect(reference).toBeVisible();
  await page.keyboard.press("1");
  await expect(page.locator("#live")).toBeVisible();
  await expect(page.locator("#code")).toBeHidden();
});

/** The text at the top of a pane, under its title. */
const reading = (page, pane, below = 90) => page.evaluate(([pane, below]) => {
  const box = document.querySelector(pane).getBoundingClientRect();
  const range = document.caretRangeFromPoint(box.left + 80, box.top + below);
  const file = range.startContainer.parentElement.closest(".file");
  const before = document.createRange();
  before.setStart(file.querySelector("code"), 0);
  before.setEnd(range.startContainer, range.startOffset);
  return { path: file.id, line: before.toString().split("\n").length };
}, [pane, below]);

const places = (page) => page.evaluate(() => JSON.parse(document.getElementById("stage-places").textContent));

test("a stage is followed on both sides, whichever leads", async ({ page }) => {
  await open(page, "#side-by-side");
  await page.locator("#stages").getByText("attention").click();
  const attention = (await places(page)).find((stage) => stage.name === "attention");
  expect(attention.reference.path).toBe("host/src/reference/model.rs");
  await expect.poll(async () => (await reading(page, "#pane-kernels")).path).toBe("gpu-kernels/src/stages/attention.rs");
  await expect.poll(async () => Math.abs((await reading(page, "#pane-reference")).line - attention.reference.lines[0])).toBeLessThan(4);
  await expect(page.locator("#stage article:visible")).toContainText("softmax");

  // Down the reference from attention lies the MLP.
  await page.locator("#pane-reference").hover();
  await expect.poll(async () => {
    await page.mouse.wheel(0, 200);
    return page.locator("#stages [aria-current]").textContent();
  }).toBe("mlp");
  await expect.poll(async () => (await reading(page, "#pane-kernels")).path).toBe("gpu-kernels/src/stages/mlp.rs");
  await expect(page.locator("#stage article:visible h2")).toHaveText("mlp");

  // Down the kernels from the MLP lies the cross-entropy.
  const entropy = (await places(page)).find((stage) => stage.name === "cross_entropy");
  await page.locator("#pane-kernels").hover();
  await expect.poll(async () => {
    await page.mouse.wheel(0, 100);
    return page.locator("#stages [aria-current]").textContent();
  }).toBe("cross_entropy");
  await expect.poll(async () => Math.abs((await reading(page, "#pane-reference")).line - entropy.reference.lines[0])).toBeLessThan(4);
  expect(page.url()).toContain("#side-by-side/cross_entropy");

  // By the keyboard.
  await page.keyboard.press("k");
  await expect(page.locator("#stages [aria-current]")).toHaveText("mlp");
});

test("every stage has its math between the panes, and its place in both", async ({ page }) => {
  await open(page, "#side-by-side");
  const stages = await places(page);
  const names = stages.map((stage) => stage.name);
  for (const name of ["embed", "rmsnorm", "attention", "mlp", "cross_entropy", "adamw", "sample"]) expect(names).toContain(name);
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
  await page.keyboard.type("upper_or");
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
  const link = page.locator('[id="host/src/reference/model.rs"] .gutter a').nth(9);
  await expect(link).toHaveAttribute("href", "../host/src/reference/model.rs#L10");
});

test("500 steps train within a second to the native run's bits", async ({ page, browser }) => {
  await open(page);
  await expect(page.locator("#names tbody tr")).toHaveCount(1);
  await page.waitForFunction(() => live.state.warm);
  await browser.startTracing(page, { categories: TASKS });
  const start = Date.now();
  await page.locator("#train").click();
  await trained(page);
  const clock = (Date.now() - start) / 1000;
  const tasks = tasksOf(await browser.stopTracing(), "DedicatedWorker thread");
  const seconds = tasks.reduce((sum, task) => sum + task.tdur, 0) / 1e6;
  console.log(`500 steps: ${seconds.toFixed(2)} s of the processor, ${clock.toFixed(2)} s from click to end`);
  expect(seconds).toBeGreaterThan(0.05);
  expect(seconds).toBeLessThan(1);
  const loss = await number(page, "#val");
  expect(loss).toBeGreaterThan(2);
  expect(loss).toBeLessThan(2.8);
  await expect(page.locator("#verdict")).toHaveText("Equal, bit for bit.");
  expect(await page.locator("#here-hash").textContent()).toMatch(/^[0-9a-f]{16}$/);
  expect(await page.locator("#here-hash").textContent()).toBe(await page.locator("#native-hash").textContent());
  expect(await page.locator("#here-val").textContent()).toBe(await page.locator("#native-val").textContent());
  // Names came as it learned.
  expect(await page.locator("#names tbody tr").count()).toBeGreaterThan(8);
  await expect(page.locator("#names tbody tr").first().locator("td")).toContainText(/[a-z]{3}/);
  expect((await page.locator("#plot path.mean").getAttribute("d")).split("L").length).toBeGreaterThan(100);
});

test("sampling follows its settings", async ({ page }) => {
  await open(page);
  await page.locator("#train").click();
  await trained(page);
  const first = page.locator("#names tbody tr").first().locator("td");
  const before = await first.textContent();
  await page.locator("#temperature").fill("0");
  // Greedy: every sample is the same.
  await expect(first).not.toHaveText(before);
  expect(new Set((await first.textContent()).trim().split(/\s+/)).size).toBe(1);
  await page.locator("#top_k").fill("99");
  await expect(first).toHaveText(/[a-z]/);
});

test("it pauses, steps, goes on and starts anew", async ({ page }) => {
  await open(page);
  await page.locator("#pace").selectOption("200");
  await page.locator("#train").click();
  await expect.poll(() => number(page, "#at")).toBeGreaterThan(5);
  await page.locator("#train").click();
  await expect(page.locator("#train")).toHaveText("Continue");
  await page.waitForTimeout(100);
  const paused = await number(page, "#at");
  await page.waitForTimeout(300);
  expect(await number(page, "#at")).toBe(paused);
  expect(paused).toBeLessThan(500);
  await page.locator("#step").click();
  await expect.poll(() => number(page, "#at")).toBe(paused + 1);
  await page.locator("#pace").selectOption("");
  await page.locator("#train").click();
  await trained(page);
  // However it was cut into launches, the run is the same.
  await expect(page.locator("#verdict")).toHaveText("Equal, bit for bit.");
  await page.locator("#reset").click();
  await expect(page.locator("#at")).toHaveText("0");
  await expect(page.locator("#train")).toHaveText("Train");
});

test("a bad corpus is told, a good one is learned", async ({ page }) => {
  await open(page);
  await page.locator("#corpus-box summary").click();
  const box = page.locator("#corpus");
  await box.fill("only one line");
  await page.locator("#use").click();
  await expect(page.locator("#message")).toContainText("only one document");
  await expect(page.locator("#message")).toContainText("hint:");
  await page.locator("#train").click();
  await expect(page.locator("#message")).toContainText("only one document");
  await box.fill("ärger\nübel\nöde\nžluť\n");
  await page.locator("#use").click();
  await expect(page.locator("#message")).toBeHidden();
  await expect(page.locator("#opened")).toContainText("3 documents");
  await page.locator("#train").click();
  await trained(page);
  await expect(page.locator("#attention-message")).toContainText("not in the vocabulary");
  await page.locator("#text").fill("öd");
  await expect(page.locator("#attention-message")).toHaveText("");
  await expect(page.locator("#heads table").first().locator("tbody tr")).toHaveCount(3);
  // Bytes that are no text.
  await page.locator("#file").setInputFiles({ name: "picture.bin", mimeType: "image/png", buffer: Buffer.from([0xff, 0xfe, 0x80]) });
  await expect(page.locator("#message")).toContainText("picture.bin");
  await page.locator("#file").setInputFiles({ name: "two.txt", mimeType: "text/plain", buffer: Buffer.from("ab\nba\n") });
  await expect(page.locator("#opened")).toContainText("vocabulary 3");
  await expect(page.locator("#message")).toBeHidden();
});

test("bad settings are told", async ({ page }) => {
  await open(page);
  await page.locator("#learning_rate").fill("");
  await page.locator("#learning_rate").blur();
  await expect(page.locator("#message")).toContainText("Learning rate");
  await page.locator("#learning_rate").fill("1e30");
  await page.locator("#train").click();
  await expect(page.locator("#message")).toContainText("diverged");
  await page.locator("#learning_rate").fill("0.01");
  await page.locator("#settings details:not([id]) summary").click();
  await page.locator("#n_head").fill("3");
  await page.locator("#n_head").blur();
  await expect(page.locator("#message")).toContainText("not divisible");
});

test("typing and scrolling stay smooth while it trains", async ({ page, browser }) => {
  await open(page);
  await page.locator("#steps").fill("200000");
  await page.locator("#train").click();
  await expect.poll(() => number(page, "#at")).toBeGreaterThan(200);
  const before = await number(page, "#at");
  /** Does something and looks at how long the page's own thread was busy with a task meanwhile. */
  const smoothly = async (what, act) => {
    await browser.startTracing(page, { categories: TASKS });
    await act();
    const tasks = tasksOf(await browser.stopTracing(), "CrRendererMain");
    const [longest, clock] = ["tdur", "dur"].map((time) => Math.max(...tasks.map((task) => task[time])) / 1000);
    console.log(`${what}: longest of ${tasks.length} tasks ${longest.toFixed(1)} ms of the processor, ${clock.toFixed(1)} ms by the clock`);
    expect(tasks.length, what).toBeGreaterThan(50);
    expect(longest, what).toBeLessThan(50);
  };
  await smoothly("typing and scrolling beside the curve", async () => {
    await page.locator("#text").pressSequentially("anna", { delay: 40 });
    for (let i = 0; i < 10; i++) {
      await page.mouse.wheel(0, i < 5 ? 120 : -120);
      await page.waitForTimeout(40);
    }
  });
  await page.locator('#views [data-view="side-by-side"]').click();
  await page.locator("#pane-reference").hover();
  await page.waitForTimeout(500);
  await smoothly("scrolling and searching the sources", async () => {
    for (let i = 0; i < 30; i++) {
      await page.mouse.wheel(0, 150);
      await page.waitForTimeout(30);
    }
    await page.keyboard.press("/");
    await page.keyboard.type("tile", { delay: 40 });
    await page.waitForTimeout(300);
  });
  expect(await number(page, "#at")).toBeGreaterThan(before + 100);
});

test("a phone has room for it all, and landmarks are there", async ({ page }) => {
  await page.setViewportSize({ width: 400, height: 800 });
  for (const view of ["live", "reference", "kernels", "side-by-side"]) {
    await open(page, `#${view}`);
    const [wide, window] = await page.evaluate(() => [document.documentElement.scrollWidth, innerWidth]);
    expect(wide, view).toBeLessThanOrEqual(window);
  }
  for (const role of ["banner", "main", "search"]) await expect(page.getByRole(role)).toHaveCount(1);
  await expect(page.getByRole("navigation", { name: "Views" })).toBeVisible();
  await expect(page.getByRole("navigation", { name: "Stages" })).toBeVisible();
  for (const name of ["Reference", "Kernels"]) await expect(page.getByRole("region", { name, exact: true })).toBeVisible();
  await expect(page.getByRole("complementary", { name: /Math and shapes/ })).toBeVisible();
});
