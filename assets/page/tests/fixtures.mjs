// The fixture of the page's tests, and functions that open and measure the page.
import { test as base, expect } from "@playwright/test";

import { PAGE } from "./browser.mjs";

export { expect };

/** The mark of a test that measures times, so that no other test may run beside it. */
export const ALONE = { tag: "@alone" };

/** A test that fails if the page writes errors to the console or sends requests to a network. */
export const test = base.extend({
  page: async ({ page }, use) => {
    const errors = [];
    page.on("console", (message) => message.type() === "error" && errors.push(message.text()));
    page.on("pageerror", (error) => errors.push(String(error)));
    page.on("request", (request) => /^https?:/.test(request.url()) && errors.push(`network: ${request.url()}`));
    await use(page);
    expect(errors, "errors on the console, or requests to a network").toEqual([]);
  },
});

/** Opens the page and waits for its model. */
export const open = async (page, hash = "") => {
  await page.goto(PAGE + hash);
  await expect(page.locator("#opened")).toContainText("parameters");
};
/** Returns the value that an element shows. Locators use ids, because a search by role or text takes a second. */
export const number = async (page, id) =>
  Number((await page.locator(id).textContent()).split("/")[0].replaceAll(",", ""));
/** Waits for the end of a run. */
export const trained = (page, steps = "500 / 500") => expect(page.locator("#at")).toHaveText(steps);

/** The trace categories that hold tasks. */
export const TASKS = ["disabled-by-default-devtools.timeline"];
/**
 * Returns the tasks of the busiest thread of this name. Their `tdur` is processor time in microseconds. Unlike `dur`,
 * the time by the clock, `tdur` excludes the waits for a core that other work on the computer causes.
 */
export const tasksOf = (trace, name) => {
  const { traceEvents } = JSON.parse(trace);
  const threads = traceEvents.filter((event) => event.name === "thread_name" && event.args.name.startsWith(name));
  const tasks = threads.map(({ pid, tid }) => {
    return traceEvents.filter(
      (event) => event.name === "RunTask" && event.pid === pid && event.tid === tid && event.tdur,
    );
  });
  return tasks.reduce((most, some) => (some.length > most.length ? some : most), []);
};
