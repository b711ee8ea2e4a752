// Compares the page's module, which runs in Node.js, with the native kernels.

import { gunzipSync } from "node:zlib";
import { expect, test } from "@playwright/test";

import { generator, pageModule } from "./browser.mjs";

const DEFAULT = {
  do: "open",
  corpus: null,
  steps: 120,
  learning_rate: 0.01,
  seed: 42,
  n_embd: 16,
  n_head: 4,
  n_layer: 1,
  block_size: 8,
};
const RUNS = [
  { ...DEFAULT, seed: 7, learning_rate: 0.05 },
  { ...DEFAULT, n_embd: 24, n_head: 3, n_layer: 2, block_size: 11, seed: 1 },
  {
    ...DEFAULT,
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

test("runs of other shapes and corpora give the native bits", async () => {
  const requests = RUNS.flatMap((run) => [run, ...ASK]);
  const native = generator(["native"], { input: requests.map((request) => `${JSON.stringify(request)}\n`).join("") });
  const { instance } = await WebAssembly.instantiate(gunzipSync(Buffer.from(pageModule(), "base64")), {});
  const { memory, buffer, call } = instance.exports;
  const view = (length) => {
    const at = buffer(length);
    return new Uint8Array(memory.buffer, at, length);
  };
  const expected = native.trim().split("\n");
  expect(expected.length).toBe(requests.length);
  requests.forEach((request, i) => {
    const bytes = new TextEncoder().encode(JSON.stringify(request));
    view(bytes.length).set(bytes);
    expect(new TextDecoder().decode(view(call())), JSON.stringify(request)).toBe(expected[i]);
  });
  expect(new Set(expected.filter((reply) => reply.includes('"hash"'))).size, "distinct hashes").toBe(RUNS.length);
});
