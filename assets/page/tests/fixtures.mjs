// What the tests share: a page that must not complain, and how it is opened and measured.
import { expect, test as base } from "@playwright/test";

import { PAGE } from "./browser.mjs";

export { expect };

/** A test whose page has no error on its console and asks no network for anything. */
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

export const open = async (page, hash = "") => {
  await page.goto(PAGE + hash);
  await expect(page.locator("#opened")).toContainText("parameters");
};
// Elements are found by their ids: a look through the sources for a role or a text would take a second.
export const number = async (page, id) => Number((await page.locator(id).textContent()).split("/")[0].replaceAll(",", ""));
export const trained = (page, steps = "500 / 500") => expect(page.locator("#at")).toHaveText(steps, { timeout: 40_000 });

export const TASKS = ["disabled-by-default-devtools.timeline"];
/**
 * The tasks of the busiest thread of this name. Their `tdur` is the processor's time in microseconds: the clock's, `dur`,
 * holds the waiting for a core as well, which other work on the machine causes.
 */
export const tasksOf = (trace, name) => {
  const { traceEvents } = JSON.parse(trace);
  const threads = traceEvents.filter((event) => event.name === "thread_name" && event.args.name.startsWith(name));
  const tasks = threads.map(({ pid, tid }) => {
    return traceEvents.filter((event) => event.name === "RunTask" && event.pid === pid && event.tid === tid && event.tdur);
  });
  return tasks.reduce((most, some) => (some.length > most.length ? some : most), []);
};
