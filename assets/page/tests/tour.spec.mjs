// The guided tour.
import { expect, open, test, trained } from "./fixtures.mjs";

const STATIONS = [
  "tokens",
  "embedding",
  "attention",
  "mlp",
  "loss",
  "backward",
  "clip",
  "adamw",
  "schedule",
  "sampling",
  "lanes",
  "devices",
];

test("the tour leads through twelve stations, each with a figure and its lines in both sources", async ({ page }) => {
  await open(page, "#tour");
  await page.locator("#timeline-train").click();
  await trained(page);
  for (const [i, station] of STATIONS.entries()) {
    const article = page.locator(`article[data-station="${station}"]`);
    await expect(article).toBeVisible();
    await expect(page.locator("#tour-articles article:visible")).toHaveCount(1);
    await expect(article.locator(".tour-figure > *").first()).toBeVisible();
    for (const side of ["reference", "kernels"]) {
      const link = page.locator(`#tour-${side}`);
      const href = decodeURIComponent(await link.getAttribute("href"));
      const [, path, line] = href.match(/line=(.*):(\d+)/);
      const text = await page.evaluate(
        ([path, line]) =>
          document
            .getElementById(path)
            .querySelector("code")
            .textContent.split("\n")
            .slice(line - 1, line + 60)
            .join("\n"),
        [path, Number(line)],
      );
      // The item begins with its doc comment, and the function follows.
      const item = (await article.getAttribute(`data-${side}`)).split("@")[0].split("::").at(-1);
      expect(text.startsWith("///") || text.trimStart().startsWith("///"), href).toBe(true);
      expect(text, href).toContain(`fn ${item}`);
    }
    if (i + 1 < STATIONS.length) await page.locator("#tour-next").click();
  }
  await expect(page.locator("#tour-next")).toBeHidden();
  expect(page.url()).toContain("#tour/devices");
  await page.locator("#tour-kernels").click();
  await expect(page.locator(".line.linked")).toBeInViewport();
});

test("figures are live: they follow the timeline and the position", async ({ page }) => {
  await open(page, "#tour/loss");
  await page.locator("#timeline-train").click();
  await trained(page);
  const figure = page.locator('[data-figure="loss"]');
  const before = await figure.innerHTML();
  await page.locator("#timeline-first").click();
  await expect.poll(() => figure.innerHTML()).not.toBe(before);
  await expect(page.locator("#tour-pick")).toContainText("Step 1 reads");
  await page.locator('#tour-stations a[aria-label^="Station 3"]').click();
  await page.locator("#tour-pick button").nth(2).click();
  await expect(page.locator('[data-figure="attention"] .head').first().locator("tbody tr")).toHaveCount(3);
  const shares = await page.locator('[data-figure="attention"] .head').first().locator(".percent").allTextContents();
  expect(Math.abs(shares.reduce((sum, share) => sum + Number.parseFloat(share), 0) - 100)).toBeLessThanOrEqual(1.5);
});

test("the slope of the loss in a logit is p − y, and the lanes come to the kernels' sum", async ({ page }) => {
  await page.emulateMedia({ reducedMotion: "reduce" });
  await open(page, "#tour/backward");
  const text = await page.locator('[data-figure="backward"] .two-charts p').first().textContent();
  const [p, y, slope] = text
    .replaceAll("−", "-")
    .match(/= ([\d.e-]+) - (\d) = ([\d.e-]+)/)
    .slice(1)
    .map(Number);
  expect(y).toBe(1);
  expect(slope).toBeCloseTo(p - y, 3);
  await page.locator('[data-figure="backward"] button.link').click();
  await expect(page.locator("#cell-body")).toContainText("(p − y) / n");
  await page.goBack();
  await page.locator('#tour-stations a[aria-label^="Station 11"]').click();
  const caption = await page.locator('[data-figure="lanes"] .tour-note').textContent();
  const [ours, kernels] = caption.match(/is ([\d.]+)\. The kernels’ buffer has ([\d.]+)\./).slice(1);
  expect(ours).toBe(kernels);
});

test("the lanes come to the kernels' sum at other numbers of channels", async ({ page }) => {
  await page.emulateMedia({ reducedMotion: "reduce" });
  for (const channels of [8, 20, 32]) {
    await open(page, `#tour/lanes?n_embd=${channels}&steps=20&at=20`);
    const text = await page.locator(".lanes-box + .tour-note", { hasText: "The kernels" }).textContent();
    const [computed, kernels] = text.match(/is ([\d.]+)\. The kernels’ buffer has ([\d.]+)\./).slice(1);
    expect(computed).toBe(kernels);
    // A figure that a link opens marks its position.
    await expect(page.locator("#tour-pick [aria-pressed=true]")).toHaveCount(1);
    await page.goto("about:blank");
  }
});
