// Inputs that once broke the page, each with its whole kind.
import { ALONE, expect, number, open, test, trained } from "./fixtures.mjs";

test("a learning rate that is too high ends in advice or in a curve of few lines", async ({ page }) => {
  await open(page);
  for (const rate of ["0.3", "3", "100", "1e30"]) {
    await page.locator("#learning_rate").fill(rate);
    await page.locator("#learning_rate").blur();
    await page.locator("#train").click();
    await expect
      .poll(async () => (await page.locator("#message").isVisible()) || (await page.locator("#afterwards").isVisible()))
      .toBe(true);
    if (await page.locator("#message").isVisible()) {
      await expect(page.locator("#message")).toContainText(/training diverged at step|the run diverges/);
      await expect(page.locator("#message")).toContainText("hint: lower the learning rate");
    }
    expect(await page.locator("#plot .rule").count(), rate).toBeLessThan(12);
    expect(await page.locator("#plot text").count(), rate).toBeLessThan(24);
    await page.locator("#reset").click();
    await expect(page.locator("#at")).toHaveText("0");
  }
});

test("every view of a run that diverged says so or shows numbers", async ({ page }) => {
  for (const rate of ["1e6", "1e30"]) {
    await open(page, `#live?learning_rate=${rate}`);
    await page.reload();
    await page.locator("#train").click();
    await expect(page.locator("#message")).toContainText("training diverged at step");
    const message = await page.locator("#message").textContent();
    const taken = await number(page, "#at");
    expect(message).toContain(`diverged at step ${taken + 1},`);
    expect(await page.locator("#plot path.mean").getAttribute("d")).not.toBe("");
    for (const view of ["step", "letter", "tour", "live"]) {
      await page.locator(`#views [data-to="${view}"]`).click();
      await expect(page.locator(`#view-${view}`)).toBeVisible();
      if (view === "letter" && rate === "1e30") {
        await expect(page.locator("#letter-message")).toContainText("no longer numbers. Lower the learning rate");
        await expect(page.locator("#letter-draw")).toBeDisabled();
      }
      if (view === "step")
        await expect(page.locator("#step-lead, #step-message").filter({ visible: true })).not.toHaveText("");
      await expect(page.locator(`#view-${view}`)).not.toContainText(/NaN *%|Infinity|NaN/);
    }
    await page.locator('#start [data-to="step"]').click();
    await expect(page.locator("#step-lead")).toContainText("Step 1 trains on selene");
    await expect(page.locator("#message")).toHaveText(message);
  }
});

test("the address holds settings, view and op, and a link reproduces them", async ({ page }) => {
  await open(page);
  await page.locator("#steps").fill("120");
  await page.locator("#seed").fill("9");
  await page.locator("#temperature").fill("0.9");
  await page.locator("#settings details:not([id]) summary").click();
  await page.locator("#n_layer").fill("2");
  await page.locator("#n_layer").blur();
  await page.locator("#text").fill("ola");
  await page.locator("#train").click();
  await trained(page, "120 / 120");
  const hash = await page.locator("#here-hash").textContent();
  await page.locator('#views [data-to="side-by-side"]').click();
  await page.locator('#ops [data-op="clip"]').click();
  const link = page.url();
  expect(link).toMatch(/#side-by-side\/clip\?/);

  // The link gives the view in another window, and the same run in it.
  await page.goto("about:blank");
  await page.goto(link);
  await expect(page.locator("#ops [aria-current]")).toHaveText("clip");
  await page.locator('#views [data-to="live"]').click();
  await expect(page.locator("#opened")).toContainText("parameters");
  for (const [id, value] of Object.entries({
    steps: "120",
    seed: "9",
    temperature: "0.9",
    n_layer: "2",
    text: "ola",
  })) {
    await expect(page.locator(`#${id}`)).toHaveValue(value);
  }
  await page.locator("#train").click();
  await trained(page, "120 / 120");
  await expect(page.locator("#here-hash")).toHaveText(hash);

  await page.goBack();
  await expect(page.locator("#code")).toBeVisible();
  await expect(page.locator("#ops [aria-current]")).toHaveText("clip");
  await page.goForward();
  await expect(page.locator("#view-live")).toBeVisible();
  await page.reload();
  await expect(page.locator("#seed")).toHaveValue("9");
});

test("a short text of one's own is a part of the address", async ({ page }) => {
  await open(page);
  await page.locator("#corpus-box summary").click();
  await page.locator("#corpus").fill("née\nzoë\n100 %\n#?&\n");
  await page.locator("#use").click();
  await expect(page.locator("#opened")).toContainText("3 documents to train on");
  const opened = await page.locator("#opened").textContent();
  await page.reload();
  await expect(page.locator("#opened")).toHaveText(opened);
  await expect(page.locator("#corpus")).toHaveValue("née\nzoë\n100 %\n#?&\n");
});

test("a long text is read beside the page, and a part of a long line is told", ALONE, async ({ page }) => {
  await open(page);
  await page.locator("#corpus-box summary").click();
  const line = "the quick brown fox jumps over the lazy dog\n";
  // A frame that comes late shows that the page was held up.
  await page.evaluate(() => {
    window.longest = 0;
    let last = performance.now();
    const frame = (now) => {
      window.longest = Math.max(window.longest, now - last);
      last = now;
      requestAnimationFrame(frame);
    };
    requestAnimationFrame(frame);
  });
  const start = Date.now();
  await page.evaluate((line) => {
    const data = new DataTransfer();
    data.setData("text/plain", line.repeat(5e6 / line.length));
    const paste = new ClipboardEvent("paste", { clipboardData: data, bubbles: true, cancelable: true });
    document.getElementById("corpus").dispatchEvent(paste);
  }, line);
  await expect(page.locator("#opened")).toContainText("102,272 documents to train on");
  const seconds = (Date.now() - start) / 1000;
  const longest = await page.evaluate(() => window.longest);
  console.log(`5 MB: ${seconds.toFixed(1)} s, longest frame ${longest.toFixed(0)} ms`);
  expect(longest).toBeLessThan(1000);
  await expect(page.locator("#opened")).toContainText("113,636 of the documents are longer than the block");
  await expect(page.locator("#corpus-link")).toBeVisible();
  await page.locator("#steps").fill("20");
  await page.locator("#train").click();
  await trained(page, "20 / 20");
});

test("other encodings and files are named, and large ones are refused", async ({ page }) => {
  await open(page);
  const utf16 = Buffer.from("\ufeffemma\nolivia\nava\n", "utf16le");
  const files = [
    ["names.txt", utf16, "cannot use names.txt: your corpus is encoded as UTF-16LE, not UTF-8"],
    ["bare.txt", utf16.subarray(2), "cannot use bare.txt: your corpus is encoded as UTF-16LE, not UTF-8"],
    ["latin.txt", Buffer.from("zo\xeb\nemma\n", "latin1"), "cannot use latin.txt"],
    ["names.gz", Buffer.from([0x1f, 0x8b, 8, 0, 0, 0]), "a gzip archive"],
    ["empty.txt", Buffer.from(""), "is empty"],
  ];
  for (const [name, buffer, message] of files) {
    await page.locator("#file").setInputFiles({ name, mimeType: "text/plain", buffer });
    await expect(page.locator("#message")).toContainText(message);
    await page.locator("#train").click();
    await expect(page.locator("#message")).toContainText(message);
  }
  await page.evaluate(() => {
    const dataTransfer = new DataTransfer();
    dataTransfer.items.add(new File([new Uint8Array(50_000_001)], "large.txt"));
    document.body.dispatchEvent(new DragEvent("drop", { dataTransfer, bubbles: true, cancelable: true }));
  });
  await expect(page.locator("#message")).toContainText("large.txt has 51 MB, and a text may have 50 MB at most");
  await page.locator("#builtin").click();
  await expect(page.locator("#message")).toBeHidden();
  await expect(page.locator("#opened")).toContainText("4,646 documents");
});

test("a search counts lines, goes both ways and shows each line", async ({ page }) => {
  for (const width of [1400, 700]) {
    await page.setViewportSize({ width, height: 800 });
    await open(page, "#side-by-side");
    await page.locator("#query").fill("fn backward");
    await expect(page.locator("#hits")).toHaveText(/^\d+ lines$/);
    const count = Number((await page.locator("#hits").textContent()).split(" ")[0]);
    const lines = new Set();
    for (let i = 1; i <= Math.min(count, 6); i++) {
      await page.keyboard.press("Enter");
      await expect(page.locator("#hits")).toHaveText(`${i} of ${count}`);
      await expect(page.locator(".line.here")).toBeInViewport();
      expect((await page.locator(".line.here").textContent()).toLowerCase()).toContain("fn backward");
      lines.add(await page.locator(".line.here .number").getAttribute("data-line"));
    }
    expect(lines.size).toBe(Math.min(count, 6));
    await page.keyboard.press("Shift+Enter");
    await expect(page.locator("#hits")).toHaveText(`${Math.min(count, 6) - 1} of ${count}`);
    await page.locator("#query").fill("");
    await expect(page.locator("#hits")).toHaveText("");
    await page.locator("#query").fill("optimizer");
    await expect(page.locator("#hits")).toHaveText(/^\d+ lines?$/);
    await page.keyboard.press("Shift+Enter");
    await expect(page.locator("#hits")).toHaveText(/^(\d+) of \1$/);
    // Another view searches its own pane.
    await page.locator('#views [data-to="kernels"]').click();
    await page.locator("#query").press("Enter");
    await expect(page.locator("#hits")).toHaveText(/^1 of \d+$/);
    await expect(page.locator("#pane-kernels .line.here")).toBeInViewport();
    await page.locator("#query").fill("no such words");
    await expect(page.locator("#hits")).toHaveText("no match");
  }
});

test("the skip link leads to the content and keeps the place", async ({ page }) => {
  await open(page, "#reference/clip?seed=3");
  await page.keyboard.press("Tab");
  await expect(page.locator("#skip")).toBeFocused();
  await expect(page.locator("#skip")).toBeInViewport();
  await page.keyboard.press("Enter");
  await expect(page.locator("#main")).toBeFocused();
  expect(page.url()).toContain("#reference/clip?seed=3");
});

test("a narrow window shows one pane at a time", async ({ page }) => {
  await page.setViewportSize({ width: 768, height: 900 });
  await open(page, "#side-by-side/attention");
  const panes = { reference: "#pane-reference", math: "#op", kernels: "#pane-kernels" };
  for (const [name, pane] of Object.entries(panes)) {
    await page.locator(`#pane-switch [data-pane="${name}"]`).click();
    for (const other of Object.values(panes))
      await expect(page.locator(other)).toBeVisible({ visible: other === pane });
    if (name !== "math") await expect(page.locator(`${pane} .line.op`).first()).toBeInViewport();
  }
  await page.reload();
  await expect(page.locator("#pane-kernels")).toBeVisible();
});

test("the sources print in two columns, and the live view as a report", async ({ page }) => {
  await open(page);
  await page.locator("#train").click();
  await trained(page);
  await page.emulateMedia({ media: "print" });
  for (const hidden of ["body > header", "#train", "#afterwards"]) await expect(page.locator(hidden)).toBeHidden();
  for (const shown of ["#plot svg", "#names", "#figures"]) await expect(page.locator(shown)).toBeVisible();
  await page.emulateMedia({ media: "screen" });
  await page.locator('#views [data-to="side-by-side"]').click();
  await page.locator('#ops [data-op="attention"]').click();
  await expect(page.locator("#pane-reference .line.op").first()).toBeInViewport();
  // A sheet of A4 has some 720 pixels between its margins.
  await page.setViewportSize({ width: 720, height: 1000 });
  await page.emulateMedia({ media: "print" });
  const boxes = await page.evaluate(() =>
    [...document.querySelectorAll(".line.op")].map((line) => {
      const { left, right } = line.getBoundingClientRect();
      return { left, right, isCut: line.scrollWidth > line.clientWidth, pane: line.closest(".pane").id };
    }),
  );
  expect(boxes.length).toBeGreaterThan(100);
  expect(boxes.filter(({ isCut, left, right }) => isCut || left < 0 || right > 720)).toEqual([]);
  const edges = (pane) => boxes.find((box) => box.pane === pane);
  expect(edges("pane-reference").right).toBeLessThanOrEqual(edges("pane-kernels").left + 1);
  expect((await page.pdf({ format: "A4" })).length).toBeGreaterThan(10_000);
});

test("a million steps take no more memory than a hundred thousand", async ({ page }) => {
  // A step of the least model takes some microseconds.
  await open(page, "#live?steps=1000000&n_embd=4&n_head=1&block_size=2");
  const cdp = await page.context().newCDPSession(page);
  await cdp.send("Performance.enable");
  const heap = async () => {
    await cdp.send("HeapProfiler.collectGarbage");
    const { metrics } = await cdp.send("Performance.getMetrics");
    const value = (name) => metrics.find((metric) => metric.name === name).value;
    return { bytes: value("JSHeapUsedSize"), nodes: value("Nodes") };
  };
  await page.locator("#train").click();
  await expect.poll(() => number(page, "#at")).toBeGreaterThan(100_000);
  const early = await heap();
  await expect.poll(() => number(page, "#at"), { timeout: 120_000 }).toBe(1_000_000);
  const late = await heap();
  console.log(`the heap has ${(early.bytes / 1e6).toFixed(1)} MB and ${(late.bytes / 1e6).toFixed(1)} MB`);
  expect(late.bytes).toBeLessThan(early.bytes + 2e6);
  expect(late.nodes).toBeLessThan(early.nodes + 2000);
  expect(
    await page
      .locator("#plot path.mean")
      .getAttribute("d")
      .then((d) => d.split("L").length),
  ).toBeLessThan(600);
});
