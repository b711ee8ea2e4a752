// Measures the speed that the page states, and records it in assets/page/speed.json, from which the page is made.

import { writeFileSync } from "node:fs";
import { cpus } from "node:os";
import { chromium } from "@playwright/test";

import { generator, inRepository, LAUNCH, pageModule } from "./browser.mjs";

const { steps, times, relaxed } = JSON.parse(generator(["speed"]));

/** The number of runs. The fastest run of each launch counts, since other work on the computer only slows a launch. */
const RUNS = 30;

/**
 * Returns the microseconds per step in the browser, and the hash at the end of a run. `launch` steps take some
 * milliseconds.
 */
const measure = async ({ module, steps, launch, runs }) => {
  const bytes = Uint8Array.from(atob(module), (c) => c.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  const { instance } = await WebAssembly.instantiate(await new Response(stream).arrayBuffer(), {});
  const { memory, buffer, call } = instance.exports;
  const view = (length) => {
    const at = buffer(length);
    return new Uint8Array(memory.buffer, at, length);
  };
  const ask = (request) => {
    const bytes = new TextEncoder().encode(JSON.stringify(request));
    view(bytes.length).set(bytes);
    return JSON.parse(new TextDecoder().decode(view(call())));
  };
  const fastest = new Array(steps / launch).fill(Infinity);
  for (let run = 0; run < runs; run++) {
    ask({
      do: "open",
      corpus: null,
      steps,
      learning_rate: 0.01,
      seed: 42,
      n_embd: 16,
      n_head: 4,
      n_layer: 1,
      block_size: 8,
    });
    for (let i = 0; i < fastest.length; i++) {
      const start = performance.now();
      ask({ do: "train", steps: launch });
      fastest[i] = Math.min(fastest[i], performance.now() - start);
    }
  }
  return { time: (1000 * fastest.reduce((sum, time) => sum + time)) / steps, hash: ask({ do: "hash" }).hash };
};

const browser = await chromium.launch(LAUNCH);
const page = await browser.newPage();
const ours = await page.evaluate(measure, { module: pageModule(), steps, launch: 20, runs: RUNS });
const other = await page.evaluate(measure, { module: relaxed, steps, launch: 250, runs: 5 * RUNS });
const name = `Chromium ${browser.version().split(".")[0]}`;
await browser.close();
if (ours.hash !== other.hash)
  throw new Error(
    "relaxed SIMD must give the bits of the exact module, which takes a processor with a fused multiply-add",
  );
const rounded = (time) => Number(time.toPrecision(3));
const record = {
  processor: cpus()[0].model,
  browser: name,
  native: times.map(([name, time]) => [name, rounded(time)]),
  page: rounded(ours.time),
  relaxed: rounded(other.time),
};
writeFileSync(inRepository("assets/page/speed.json"), `${JSON.stringify(record, null, 1)}\n`);
console.log(record);
