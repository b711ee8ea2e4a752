// The kernels' module, which the worker asks and which answers in JSON.

/** @typedef {{ memory: WebAssembly.Memory, buffer: (length: number) => number, call: () => number }} Exports */

/**
 * Returns the exports of a module, base64 of gzip.
 * @param {string} module
 * @returns {Promise<Exports>}
 */
export const instantiate = async (module) => {
  const bytes = Uint8Array.from(atob(module), (c) => c.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  const { instance } = await WebAssembly.instantiate(await new Response(stream).arrayBuffer(), {});
  return /** @type {any} */ (instance.exports);
};

/**
 * Returns the module's reply to a request.
 * @param {Exports} exports
 * @param {object} request
 */
export const callModule = (exports, request) => {
  /** @param {number} length */
  const view = (length) => {
    const at = exports.buffer(length);
    return new Uint8Array(exports.memory.buffer, at, length);
  };
  const bytes = new TextEncoder().encode(JSON.stringify(request));
  view(bytes.length).set(bytes);
  const reply = JSON.parse(new TextDecoder().decode(view(exports.call())));
  if (reply.error) throw new Error(reply.error);
  return reply;
};
