// Compares both forms of the page's module with the native kernels.
import { expect, test } from "@playwright/test";

import { DEFAULT, generator, KERNELS, pageModule } from "./browser.mjs";

const SHORT = { ...DEFAULT, steps: 120 };
const RUNS = [
  { ...SHORT, seed: 7, learning_rate: 0.05 },
  { ...SHORT, n_embd: 24, n_head: 3, n_layer: 2, block_size: 11, seed: 1 },
  {
    ...SHORT,
    n_embd: 40,
    n_head: 2,
    block_size: 5,
    steps: 30,
    corpus: "ärger\nžluť\nx\n猫と犬\nhello world\n".repeat(3),
  },
];
const ASK = [
  { do: "train", steps: 10 },
  { do: "train", steps: 110 },
  { do: "hash" },
  { do: "validate", documents: 20 },
  { do: "sample", samples: 20, top_k: 3, temperature: 0.9 },
  { do: "attention", text: "hel" },
  { do: "attention", text: "Ω" },
];

for (const exact of [false, true]) {
  const form = exact ? "exact form" : "form with relaxed SIMD";
  test(`the ${form} gives the native bits for other shapes and corpora`, async ({ page }) => {
    const requests = RUNS.flatMap((run) => [run, ...ASK]);
    const native = generator(["native"], { input: requests.map((request) => `${JSON.stringify(request)}\n`).join("") });
    const expected = native.trim().split("\n");
    expect(expected.length).toBe(requests.length);
    const got = await page.evaluate(
      async ({ script, module, exact, requests }) => {
        const { loadKernels, askModule } = await import(script);
        const kernels = await loadKernels(module, exact);
        return { form: kernels.form, replies: requests.map((request) => askModule(kernels.exports, request)) };
      },
      { script: KERNELS, module: pageModule(), exact, requests },
    );
    test.skip(got.form !== (exact ? "exact" : "relaxed"), "the processor has no fused multiply-add");
    for (const [i, request] of requests.entries()) expect(got.replies[i], JSON.stringify(request)).toBe(expected[i]);
    expect(new Set(expected.filter((reply) => reply.includes('"hash"'))).size, "distinct hashes").toBe(RUNS.length);
  });
}

test("an instruction that is unknown or not fused is replaced by the exact function", async ({ page }) => {
  const taken = await page.evaluate(
    async ({ script, module }) => {
      const { modules, loadKernels } = await import(script);
      const { validate } = WebAssembly;
      WebAssembly.validate = () => false;
      const unknown = await loadKernels(module, false);
      WebAssembly.validate = validate;

      // `c - a * b` takes the place of `a * b + c`.
      const { relaxed, exact } = await modules(module);
      const places = [...exact.keys()].filter((i) => exact[i] !== relaxed[i] && relaxed[i] === 0xfd);
      const stream = new Blob([Uint8Array.from(atob(module), (c) => c.charCodeAt(0))]).stream();
      const file = new Response(stream.pipeThrough(new DecompressionStream("gzip")));
      const bytes = new Uint8Array(await file.arrayBuffer());
      for (const place of places) bytes[bytes.length - relaxed.length + place + 1] = 0x86;
      const packed = new Response(new Blob([bytes]).stream().pipeThrough(new CompressionStream("gzip")));
      const text = Array.from(new Uint8Array(await packed.arrayBuffer()), (byte) => String.fromCharCode(byte)).join("");
      const { form, why, wrong } = await loadKernels(btoa(text), false);
      return { places: places.length, unknown: [unknown.form, unknown.why], other: [form, why], wrong };
    },
    { script: KERNELS, module: pageModule() },
  );
  expect(taken.places).toBeGreaterThan(1000);
  expect(taken.unknown).toEqual(["exact", "unknown"]);
  expect(taken.other).toEqual(["exact", "unfused"]);
  expect(taken.wrong).toBeGreaterThan(5000);
});
