// Measures the speed that the page states, and records it in assets/page/speed.json, from which the page is made.

import { writeFileSync } from "node:fs";
import { cpus } from "node:os";
import { chromium } from "@playwright/test";

import { generator, inRepository, KERNELS, LAUNCH, pageModule } from "./browser.mjs";

const { steps, times } = JSON.parse(generator(["speed"]));

/** The number of runs. The fastest run of each launch counts, since other work on the computer only slows a launch. */
const RUNS = 30;

/**
 * Returns the microseconds per step in the browser, and the hash at the end of a run. `launch` steps take some
 * milliseconds.
 */
const measure = async ({ script, module, exact, steps, launch, runs }) => {
  const { loadKernels, callModule } = await import(script);
  const { exports, form } = await loadKernels(module, exact);
  const settings = { steps, learning_rate: 0.01, seed: 42, n_embd: 16, n_head: 4, n_layer: 1, block_size: 8 };
  const fastest = new Array(steps / launch).fill(Infinity);
  for (let run = 0; run < runs; run++) {
    callModule(exports, { do: "open", corpus: null, ...settings });
    for (let i = 0; i < fastest.length; i++) {
      const start = performance.now();
      callModule(exports, { do: "train", steps: launch });
      fastest[i] = Math.min(fastest[i], performance.now() - start);
    }
  }
  const time = (1000 * fastest.reduce((sum, time) => sum + time)) / steps;
  return { time, form, hash: callModule(exports, { do: "hash" }).hash };
};

const browser = await chromium.launch(LAUNCH);
const page = await browser.newPage();
const kernels = { script: KERNELS, module: pageModule(), steps };
const exact = await page.evaluate(measure, { ...kernels, exact: true, launch: 20, runs: RUNS });
const relaxed = await page.evaluate(measure, { ...kernels, exact: false, launch: 250, runs: 5 * RUNS });
const name = `Chromium ${browser.version().split(".")[0]}`;
await browser.close();
if (relaxed.form !== "relaxed") throw new Error("the measurement takes a processor with a fused multiply-add");
if (exact.hash !== relaxed.hash) throw new Error("the two forms of the module differ in their bits");
const rounded = (time) => Number(time.toPrecision(3));
const record = {
  processor: cpus()[0].model,
  browser: name,
  native: times.map(([name, time]) => [name, rounded(time)]),
  exact: rounded(exact.time),
  relaxed: rounded(relaxed.time),
};
writeFileSync(inRepository("assets/page/speed.json"), `${JSON.stringify(record, null, 1)}\n`);
console.log(record);
