// The kernels' module, which the worker asks and which answers in JSON. The module has two forms: a multiply-add is either
// the instruction of relaxed SIMD or a call of a function that computes the exact result.

/**
 * @typedef {{ memory: WebAssembly.Memory, buffer: (length: number) => number, call: () => number, corpus: () => number,
 *   trained: () => void, values: () => number, wrong: () => number }} Exports
 */
/**
 * The form of a module, and why it was taken. `wrong` is the number of results of the instruction that were not exact,
 * if the browser has the instruction.
 * @typedef {{ exports: Exports, form: "relaxed" | "exact", why: "fused" | "asked" | "unknown" | "unfused", wrong?: number }}
 *   Kernels
 */

/** The byte of `call`. */
const CALL = 0x10;

/**
 * Returns the numbers in LEB128 in some bytes.
 * @param {Uint8Array} bytes
 */
const numbers = (bytes) => {
  const found = [];
  let [number, shift] = [0, 0];
  for (const byte of bytes) {
    number += (byte & 0x7f) << shift;
    shift += 7;
    if (byte < 0x80) {
      found.push(number);
      [number, shift] = [0, 0];
    }
  }
  return found;
};

/**
 * Returns the module with the instruction and the module with calls from a text, base64 of gzip. `src/module.rs` says what
 * the text has.
 * @param {string} text
 */
export const modules = async (text) => {
  const bytes = Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
  // WebKit cannot read a blob of a page from disk.
  const stream = new Response(bytes).body?.pipeThrough(new DecompressionStream("gzip"));
  const data = await new Response(stream).arrayBuffer();
  const length = new DataView(data).getUint32(0, true);
  const [index, ...gaps] = numbers(new Uint8Array(data, 4, length));
  const relaxed = new Uint8Array(data, 4 + length);
  const exact = relaxed.slice();
  let place = 0;
  for (const gap of gaps) {
    place += gap;
    // The index takes the two bytes that are left of the instruction, so it may need its second byte only for the form.
    exact.set([CALL, (index & 0x7f) | 0x80, index >> 7], place);
  }
  return { relaxed, exact };
};

/** @param {Uint8Array<ArrayBuffer>} module */
const instantiate = async (module) => {
  const { instance } = await WebAssembly.instantiate(module, {});
  return /** @type {Exports} */ (/** @type {unknown} */ (instance.exports));
};

/**
 * Instantiates the faster form that is exact in this browser, or the exact form if it is `asked` for.
 * @param {string} text
 * @param {boolean} asked
 * @returns {Promise<Kernels>}
 */
export const loadKernels = async (text, asked) => {
  const { relaxed, exact } = await modules(text);
  if (asked) return { exports: await instantiate(exact), form: "exact", why: "asked" };
  if (!WebAssembly.validate(relaxed)) return { exports: await instantiate(exact), form: "exact", why: "unknown" };
  const exports = await instantiate(relaxed);
  const wrong = exports.wrong();
  if (wrong === 0) return { exports, form: "relaxed", why: "fused", wrong };
  return { exports: await instantiate(exact), form: "exact", why: "unfused", wrong };
};

/**
 * Returns `length` bytes of the module's buffer. The next call of the module may move them.
 * @param {Exports} exports
 * @param {number} length
 */
const view = (exports, length) => {
  const at = exports.buffer(length);
  return new Uint8Array(exports.memory.buffer, at, length);
};

/**
 * Returns the module's reply to a request, in JSON.
 * @param {Exports} exports
 * @param {object} request
 */
export const askModule = (exports, request) => {
  const bytes = new TextEncoder().encode(JSON.stringify(request));
  view(exports, bytes.length).set(bytes);
  return new TextDecoder().decode(view(exports, exports.call()));
};

/**
 * Returns the module's reply to a request. A failed request is thrown.
 * @param {Exports} exports
 * @param {object} request
 */
export const callModule = (exports, request) => {
  const reply = JSON.parse(askModule(exports, request));
  if (reply.error) throw new Error(reply.error);
  return reply.buffers ? { ...reply, values: valuesOf(exports, reply) } : reply;
};

/**
 * Returns a copy of the values of a reply's buffers.
 * @param {Exports} exports
 * @param {{ buffers: { shape: number[], at: number }[] }} reply
 */
const valuesOf = (exports, { buffers }) => {
  const ends = buffers.map(({ shape, at }) => shape.reduce((product, axis) => product * axis, 1) + at);
  return new Float32Array(exports.memory.buffer, exports.values(), Math.max(...ends)).slice();
};

/**
 * Returns the bytes of a blob.
 * @param {Blob} blob
 * @param {(part: number) => void} progress is called with the part of the blob that has been read
 */
const bytesOf = async (blob, progress) => {
  const bytes = new Uint8Array(blob.size);
  let at = 0;
  for (const reader = blob.stream().getReader(); ; ) {
    const { value } = await reader.read();
    if (!value) return bytes;
    bytes.set(value, at);
    at += value.length;
    progress(at / blob.size);
  }
};

/**
 * Gives the module a corpus, and returns its reply, or null if the corpus was no longer `wanted` once it was read. The
 * reply is `unread` if the worker cannot read the blob, as in WebKit in a page from disk. Then the page may give the bytes.
 * @param {Exports} exports
 * @param {Blob | ArrayBuffer} blob
 * @param {(part: number) => void} progress is called with the part of the corpus that has been read
 * @param {() => boolean} wanted
 * @returns {Promise<{ error?: string, unread?: true } | null>}
 */
export const readCorpus = async (exports, blob, progress, wanted) => {
  // Requests that come in between use the module's buffer, and may move its memory.
  const bytes = blob instanceof Blob ? await bytesOf(blob, progress).catch(() => null) : new Uint8Array(blob);
  if (!wanted()) return null;
  if (!bytes) return { unread: true };
  view(exports, bytes.length).set(bytes);
  return JSON.parse(new TextDecoder().decode(view(exports, exports.corpus())));
};

/**
 * Gives the module the values of a trained model.
 * @param {Exports} exports
 * @param {Uint8Array} bytes
 */
export const giveTrained = (exports, bytes) => {
  view(exports, bytes.length).set(bytes);
  exports.trained();
};
