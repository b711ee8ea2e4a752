// The state of the page: texts and addresses that it refuses, models that follow each other, and links.
import { audit } from "./audit-page.mjs";
import { PAGE } from "./browser.mjs";
import { expect, number, open, test, trained } from "./fixtures.mjs";

/** Writes a text into the box of the corpus. */
const write = async (page, text) => {
  await page.locator("#corpus-box").evaluate((box) => {
    box.open = true;
  });
  await page.locator("#corpus").fill(text);
};
/** Goes to another view by its link. */
const goTo = (page, view) => page.locator(`#views [data-to="${view}"]`).click();
/** Returns the texts of the page that show a model, as far as they can be seen. */
const shownOfModel = (page) =>
  page.evaluate(() =>
    [
      ...document.querySelectorAll(
        "#names td, #heads td, #after-samples li, #plane text, #plot path.mean[d^=M], #opened:not(:empty), #step-rows canvas, .letter-row, #letter-drawn li, .tour-figure *, #tour-pick button",
      ),
    ]
      .filter((element) => element.checkVisibility({ visibilityProperty: true }))
      .map((element) => `${element.closest("[id]").id}: ${element.textContent}`),
  );

test("a refused text is told beside the button and the box, and nothing of the older run stays", async ({ page }) => {
  await open(page);
  await page.locator("#train").click();
  await trained(page);
  await expect(page.locator("#after")).toHaveAttribute("data-step", "500");
  expect((await shownOfModel(page)).length).toBeGreaterThan(150);
  await write(page, "only one line");
  // Train takes the text of the box.
  await expect(page.locator("#train")).toHaveText("Train");
  await page.locator("#train").click();
  for (const box of ["#message", "#corpus-message"]) {
    await expect(page.locator(box)).toContainText("cannot use your text: your corpus has only one document");
    await expect(page.locator(box)).toContainText("hint: put at least two documents on lines of their own");
    expect(await page.locator(box).textContent()).not.toContain("--");
  }
  await expect(page.locator("#message")).toContainText("Nothing is trained until");
  await expect(page.locator("#at")).toHaveText("0");
  await page.locator("#train").click();
  await expect(page.locator("#message")).toBeInViewport();
  for (const view of ["live", "step", "letter", "tour"]) {
    await goTo(page, view);
    expect(await shownOfModel(page), view).toEqual([]);
    await expect(page.locator(view === "live" ? "#message" : "#timeline-message")).toContainText("only one document");
  }
  // The address has no text that it could not open again.
  expect(page.url()).not.toContain("corpus");
  await page.locator("#timeline-train").click();
  await expect(page.locator("#timeline-message")).toBeVisible();
  expect(await audit(page)).toEqual({ violations: [], clipped: [] });
  await goTo(page, "live");
  await page.locator("#corpus").fill("ab\nba\naab\n");
  await page.locator("#train").click();
  await trained(page);
  await expect(page.locator("#message")).toBeHidden();
  await expect(page.locator("#corpus-message")).toBeHidden();
  expect(page.url()).toContain("corpus=ab");
  await page.locator("#builtin").click();
  await page.locator("#step").click();
  await expect(page.locator("#at")).toHaveText("1 / 500");
  await expect(page.locator("#opened")).toContainText("4,646 documents");
  expect(page.url()).not.toContain("corpus");
});

test("a run that goes on when its text or its settings change leaves nothing behind", async ({ page }) => {
  await open(page, "#live?steps=200000");
  await page.locator("#train").click();
  await expect.poll(() => number(page, "#at")).toBeGreaterThan(100);
  await write(page, "one");
  await page.locator("#use").click();
  await expect(page.locator("#message")).toContainText("only one document");
  await page.waitForTimeout(300);
  await expect(page.locator("#at")).toHaveText("0");
  expect(await shownOfModel(page)).toEqual([]);
  await page.locator("#builtin").click();
  await page.locator("#train").click();
  await expect.poll(() => number(page, "#at")).toBeGreaterThan(100);
  // Two models that are asked for at once: only the second one is shown.
  await page.evaluate(() => {
    for (const [id, value] of [
      ["steps", "40"],
      ["n_embd", "8"],
    ]) {
      const input = document.getElementById(id);
      input.value = value;
      for (const kind of ["input", "change"]) input.dispatchEvent(new Event(kind, { bubbles: true }));
    }
    document.getElementById("train").click();
  });
  await trained(page, "40 / 40");
  await expect(page.locator("#opened")).toContainText("1,048 parameters");
  await expect(page.locator("#train")).toHaveText("Train");
  await page.waitForTimeout(300);
  await expect(page.locator("#at")).toHaveText("40 / 40");
  // A text that is not wanted any more is still being read when the model opens.
  await page.evaluate(() => {
    const data = new DataTransfer();
    data.setData("text/plain", "abba\nbaab\n".repeat(800_000));
    document.getElementById("corpus").dispatchEvent(new ClipboardEvent("paste", { clipboardData: data }));
    for (const id of ["builtin", "train"]) document.getElementById(id).click();
  });
  await trained(page, "40 / 40");
  await expect(page.locator("#opened")).toContainText("vocabulary 27");
  await expect(page.locator("#message")).toBeHidden();
});

test("settings that do not suit a smaller vocabulary are told, and every view shows the new model", async ({
  page,
}) => {
  await open(page);
  await page.locator("#train").click();
  await trained(page);
  await goTo(page, "letter");
  await page.emulateMedia({ reducedMotion: "reduce" });
  await page.locator("#letter-draw").click();
  await expect(page.locator("#letter-drawn li")).toHaveCount(1);
  await goTo(page, "live");
  await write(page, "a\naa\naaa\n");
  await page.locator("#use").click();
  await expect(page.locator("#opened")).toContainText("vocabulary 2");
  await expect(page.locator("#top_k-note")).toHaveText("The model has 2 tokens, so all of them are kept.");
  await page.locator("#train").click();
  await trained(page);
  await expect(page.locator("#after")).toHaveAttribute("data-step", "500");
  await expect(page.locator("#plane text")).toHaveCount(2);
  for (const text of await page.locator(":is(#after-samples li, #names td)").allTextContents())
    expect(text).toMatch(/^[a·\s]+$/);
  // The model cannot read the page's own example, so its first document takes that place.
  await expect(page.locator("#text")).toHaveValue("a");
  await expect(page.locator("#attention-message")).toHaveText("");
  await page.locator("#text").fill("maria");
  // The attention goes over a text that the model cannot read, so its tables are hidden.
  await expect(page.locator("#attention-message")).toContainText("not in the vocabulary");
  await expect(page.locator("#heads")).toBeHidden();
  await page.locator("#text").fill("aa");
  await expect(page.locator("#heads table").first().locator("tbody tr")).toHaveCount(3);
  await expect(page.locator("#heads")).toBeVisible();
  await goTo(page, "letter");
  await expect(page.locator("#letter-drawn li")).toHaveCount(0);
  await expect(page.locator("#letter-text")).toHaveValue("a");
  await expect(page.locator(".letter-row")).toHaveCount(2);
  await page.locator("#letter-text").fill("x");
  await expect(page.locator("#letter-message")).toContainText("not in the vocabulary");
  await expect(page.locator("#letter-rows")).toBeHidden();
  await goTo(page, "tour");
  await page.locator("#tour-stations a").nth(9).click();
  await expect(page.locator(".tour-note:visible")).toContainText("top-k 2");
  await goTo(page, "live");
  await page.locator("#builtin").click();
  await expect(page.locator("#top_k-note")).toBeHidden();
  for (const [id, text] of [
    ["top_k", "Top-k must be a whole number from 1 on, got 0"],
    ["temperature", "Temperature must be a number from 0 on, got -1"],
  ]) {
    const input = page.locator(`#${id}`);
    const before = await input.inputValue();
    await input.fill(text.split("got ")[1]);
    await expect(page.locator("#message")).toHaveText(text);
    await page.locator("#train").click();
    await expect(page.locator("#message")).toHaveText(text);
    await expect(page.locator("#at")).toHaveText("0");
    await expect(page.locator("#after-message")).toHaveText(text);
    await expect(page.locator("#after-samples")).toBeHidden();
    await input.fill(before);
    await expect(page.locator("#message")).toBeHidden();
    await expect(page.locator("#after-samples")).toBeVisible();
  }
});

test("an address with values that the page cannot use opens with a notice and the defaults", async ({ page }) => {
  /** @type {[string, string[]][]} */
  const cases = [
    [
      "#step?learning_rate=0&colour=red&at=x&pace=7&top_k=2.5",
      [
        "“learning_rate” must be a number above 0, got 0.",
        "“colour” is unknown.",
        "“at” must be a whole number from 0 to 500, the number of steps, got x.",
        "“pace” cannot be 7.",
        "“top_k” must be a whole number from 1 on, got 2.5.",
      ],
    ],
    ["#live?steps=100&at=101", ["“at” must be a whole number from 0 to 100, the number of steps, got 101."]],
    ["#letter?n_embd=10", ["“n_embd” must be a multiple of “n_head”, got 10 and 4."]],
    ["#nowhere?seed=", ["The view “nowhere” is unknown.", "“seed” must be a whole number from 0 to"]],
    ["#tour/nothing", ["The part “nothing” of the view “tour” is unknown."]],
    ["#reference/clip?line=none.rs:3", ["“line” must be a file and a line of it, got none.rs:3."]],
    ["#step/dlogits:1,99", ["The step has no cell “dlogits:1,99”."]],
    ["#letter?corpus=one+line&seed=1e99", ["only one document", "“seed” must be"]],
  ];
  await page.goto(PAGE);
  for (const [hash, reasons] of cases) {
    await page.evaluate((hash) => {
      location.hash = hash;
    }, hash);
    for (const reason of reasons) await expect(page.locator("#notice"), hash).toContainText(reason);
    await expect(page.locator("#notice li")).toHaveCount(reasons.length);
    await expect(page.locator("#opened"), hash).toContainText("4,646 documents");
    await expect(page.locator("#learning_rate")).toHaveValue("0.01");
    // The address and the links are repaired, so a reload and another view open as they should.
    await expect.poll(() => page.url(), hash).not.toMatch(/colour|at=|pace|corpus|nowhere|nothing|none\.rs|99/);
    const links = await page.locator("#views a").evaluateAll((links) => links.map((link) => link.hash).join());
    expect(links).not.toMatch(/colour|corpus|learning_rate/);
  }
  await page.setViewportSize({ width: 320, height: 700 });
  expect(await audit(page)).toEqual({ violations: [], clipped: [] });
  // A text of the address that is refused stays in the box, where it can be mended.
  await expect(page.locator("#corpus")).toHaveValue("one line");
  await page.locator("#timeline-train").click();
  await trained(page);
  await page.locator("#notice-close").click();
  await expect(page.locator("#notice")).toBeHidden();
  // The first address is checked like every later one.
  await page.goto("about:blank");
  await page.goto(`${PAGE}#live?corpus=one&n_embd=0`);
  await expect(page.locator("#notice li")).toHaveCount(2);
  await page.reload();
  await expect(page.locator("#opened")).toContainText("4,646 documents");
  await expect(page.locator("#notice")).toBeHidden();
  await expect(page.locator("#corpus")).toHaveValue("");
});

test("a file in another encoding leaves box and address as they were", async ({ page }) => {
  await open(page);
  await write(page, "née\nzoë\nolé\n");
  await page.locator("#use").click();
  await expect(page.locator("#opened")).toContainText("2 documents to train on");
  const utf16 = Buffer.from("\ufeffemma\nolivia\nava\n", "utf16le");
  for (const buffer of [utf16, utf16.subarray(2)]) {
    await page.locator("#file").setInputFiles({ name: "names.txt", mimeType: "text/plain", buffer });
    await expect(page.locator("#corpus-message")).toContainText("encoded as UTF-16LE, not UTF-8");
    await expect(page.locator("#corpus")).toHaveValue("née\nzoë\nolé\n");
    expect(page.url()).not.toContain("corpus");
  }
  await page.locator("#use").click();
  await expect(page.locator("#message")).toBeHidden();
  await expect(page.locator("#opened")).toContainText("2 documents to train on");
  const names = { name: "names.txt", mimeType: "text/plain", buffer: Buffer.from("\ufeffmia\r\nava\r\n") };
  await page.locator("#file").setInputFiles(names);
  await expect(page.locator("#corpus")).toHaveValue("mia\nava\n");
  await expect.poll(() => page.url()).toContain("corpus=mia");
  await page.reload();
  await expect(page.locator("#opened")).toContainText("vocabulary 5");
});

test("an address without its long text says so", async ({ page }) => {
  await open(page);
  await page.locator("#corpus-box").evaluate((box) => {
    box.open = true;
  });
  await page.evaluate(() => {
    const data = new DataTransfer();
    data.setData("text/plain", "abba\nbaab\n".repeat(20_000));
    document.getElementById("corpus").dispatchEvent(new ClipboardEvent("paste", { clipboardData: data }));
  });
  await expect(page.locator("#opened")).toContainText("vocabulary 3");
  await expect.poll(() => page.url()).toContain("file=your+text");
  await page.locator("#train").click();
  await trained(page);
  await goTo(page, "step");
  await expect(page.locator("#view-step")).toHaveAttribute("data-step", "500");
  await expect(page.locator("#notice")).toBeHidden();
  await page.reload();
  await expect(page.locator("#notice")).toContainText("Give “your text” again under “Your own corpus”");
  await expect(page.locator("#view-step")).toHaveAttribute("data-step", "1");
  expect(page.url()).toMatch(/#step$/);
});

test("a link to a cell reproduces the step and the cell", async ({ page }) => {
  await open(page, "#step");
  await expect(page.locator("#view-step")).toHaveAttribute("data-step", "1");
  await page.locator("#cell-questions button").nth(2).click();
  await expect.poll(() => page.url()).toMatch(/#step\/dlogits%3A\d+%2C\d+\?at=1$/);
  // A cell of the first step does not hold back the views when the run begins.
  await page.locator("#timeline-train").click();
  await trained(page);
  await expect(page.locator("#view-step")).toHaveAttribute("data-step", "500");
  for (const step of ["500", "137"]) {
    await page.locator("#timeline-step").fill(step);
    await expect(page.locator("#view-step")).toHaveAttribute("data-step", step);
    await page.locator("#step-movers button").first().click();
    const cell = page.locator("#cell-body");
    await expect(cell.locator(".update")).toBeVisible();
    const shown = await cell.textContent();
    const link = page.url();
    expect(link).toContain(`at=${step}`);
    await page.goto("about:blank");
    await page.goto(link);
    await expect(page.locator("#view-step")).toHaveAttribute("data-step", step);
    await expect(cell).toHaveText(shown);
  }
  // A reload shows the end of a run again, with the same samples.
  await goTo(page, "live");
  await page.locator("#timeline-last").click();
  await expect(page.locator("#after")).toHaveAttribute("data-step", "500");
  const samples = await page.locator("#after-samples").textContent();
  await expect.poll(() => page.url()).toContain("at=500");
  await page.reload();
  await expect(page.locator("#after")).toHaveAttribute("data-step", "500");
  await expect(page.locator("#after-samples")).toHaveText(samples);
});

test("the timeline spans the whole run, and stays where it was dragged while the run goes on", async ({ page }) => {
  await open(page, "#live?steps=1000&pace=200");
  const slider = page.locator("#timeline-step");
  await page.locator("#train").click();
  await expect.poll(() => number(page, "#at")).toBeGreaterThan(60);
  await expect(slider).toHaveAttribute("max", "1000");
  await expect.poll(async () => Number(await slider.inputValue())).toBeGreaterThan(70);
  await slider.fill("50");
  await expect(page.locator("#timeline-label")).toHaveText("after step 50 of 1,000");
  await expect.poll(() => page.url()).toContain("at=50");
  // A step further back than that of the address.
  await slider.fill("20");
  await expect(page.locator("#after")).toHaveAttribute("data-step", "20");
  const taken = await number(page, "#at");
  await expect.poll(() => number(page, "#at")).toBeGreaterThan(taken + 30);
  await expect(slider).toHaveValue("20");
  await expect(page.locator("#timeline-taken")).toHaveText(/^\d+ done$/);
  // The run has not come so far.
  await slider.fill("990");
  expect(Number(await slider.inputValue())).toBeLessThan(500);
  await expect.poll(() => page.url()).not.toContain("at=");
  await page.locator("#pace").selectOption("");
  await trained(page, "1,000 / 1,000");
  await expect(slider).toHaveValue("1000");
});

test("Back and Forward bring back the text, the settings and the step", async ({ page }) => {
  await open(page, "#live?steps=60");
  await page.locator("#train").click();
  await trained(page, "60 / 60");
  await expect.poll(() => page.url()).toContain("at=60");
  const hash = await page.locator("#here-hash").textContent();
  await page.locator('#afterwards [data-settings="seed=7"]').click();
  await expect(page.locator("#at")).toHaveText("0");
  expect(page.url()).not.toContain("at=");
  await page.locator("#train").click();
  await trained(page, "60 / 60");
  await expect(page.locator("#here-hash")).not.toHaveText(hash);
  await page.goBack();
  await expect(page.locator("#here-hash")).toHaveText(hash);
  await page.evaluate(() => {
    location.hash = "#live?steps=60&corpus=ab%0Aba%0A";
  });
  await expect(page.locator("#opened")).toContainText("vocabulary 3");
  await page.goBack();
  await expect(page.locator("#here-hash")).toHaveText(hash);
  await expect(page.locator("#corpus")).toHaveValue("");
  await page.goForward();
  await expect(page.locator("#opened")).toContainText("vocabulary 3");
  // The form does not bring back values that the address lacks.
  await page.locator("#temperature").fill("");
  await page.locator("#seed").fill("-1");
  await page.reload();
  await expect(page.locator("#temperature")).toHaveValue("0.6");
  await expect(page.locator("#seed")).toHaveValue("42");
});

test("a text that the model has learned by heart is told", async ({ page }) => {
  await open(page);
  await write(page, "anna\nbert\ncarla\ndora\nemil\nfritz\ngerda\nhanna\nida\njosef\nkarl\nlena\n");
  await page.locator("#use").click();
  await expect(page.locator("#opened")).toContainText("to validate");
  await page.locator("#train").click();
  await trained(page);
  await expect(page.locator("#try-longer")).toBeVisible();
});

test("an emptied text is refused, and a half-typed number does not come into the address", async ({ page }) => {
  await open(page);
  await write(page, "abc\nacb\ncab\n");
  await page.locator("#use").click();
  await expect(page.locator("#opened")).toContainText("vocabulary 4");
  await page.locator("#corpus").fill("");
  await page.locator("#train").click();
  await expect(page.locator("#message")).toContainText("your text is empty");
  await expect(page.locator("#at")).toHaveText("0");
  await page.locator("#builtin").click();
  await expect(page.locator("#opened")).toContainText("4,646 documents");
  await page.locator("#steps").pressSequentially("5.5");
  await page.locator("#steps").blur();
  await expect(page.locator("#steps-fault")).toBeVisible();
  expect(page.url()).not.toContain("steps");
});

test("a run that has failed begins again, and Back returns to the cell before", async ({ page }) => {
  await open(page, "#live?learning_rate=1e30");
  await page.locator("#train").click();
  await expect(page.locator("#message")).toContainText("diverged");
  await expect(page.locator("#train")).toHaveText("Train");
  await page.locator("#learning_rate").fill("0.01");
  await page.locator("#train").click();
  await trained(page);
  await page.goto(`${PAGE}#step?at=1`);
  const questions = page.locator("#cell-questions button");
  await questions.nth(0).click();
  await expect(page).toHaveURL(/layer0\.q/);
  await questions.nth(1).click();
  await expect(page).toHaveURL(/layer0\.probs/);
  await page.goBack();
  await expect(page).toHaveURL(/layer0\.q/);
});

test("a changed setting that ends a run is told, and a refused text leaves no old news", async ({ page }) => {
  await open(page);
  await page.locator("#pace").selectOption("40");
  await page.locator("#train").click();
  await expect(page.locator("#train")).toHaveText("Pause");
  await expect(page.locator("#at")).not.toHaveText("0");
  await page.locator("#seed").fill("7");
  await page.locator("#seed").blur();
  await expect(page.locator("#opened")).toContainText(/^The change of a setting has ended the run at step \d+\. /);
  await expect(page.locator("#announcement")).toContainText("has ended the run");
  await write(page, "anna");
  await page.locator("#use").click();
  await expect(page.locator("#message")).toContainText("only one document");
  await expect(page.locator("#plot")).toContainText("There is no text to train on");
  await expect(page.locator("#announcement")).toHaveText("");
});
