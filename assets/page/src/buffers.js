// The buffers of an opened step, which the kernels have computed.

/**
 * The worker's reply to `open_step`, see `assets/page/wasm/src/session/look.rs`. `tokens` and `ids` end with the last
 * target. The values of the buffers follow each other in `values`.
 * @typedef {{ step: number, loss: number, grad_norm: number, clip: number, tokens: string[], ids: number[],
 *   vocab: string[], heads: number, layers: number, values: Float32Array,
 *   optimizer: { learning_rate: number, beta1: number, beta2: number, eps: number, weight_decay: number, max_grad_norm: number },
 *   buffers: { name: string, shape: number[], at: number }[] }} StepReply
 */
/** @typedef {{ name: string, shape: number[], values: Float32Array }} Buffer */

/** An opened step. */
export class OpenedStep {
  /** @param {StepReply} reply */
  constructor(reply) {
    this.reply = reply;
    /** The number of positions. */
    this.n = reply.ids.length - 1;
    /** @type {Map<string, Buffer>} */
    this.buffers = new Map();
    for (const { name, shape, at } of reply.buffers) {
      const length = shape.reduce((product, axis) => product * axis, 1);
      this.buffers.set(name, { name, shape, values: reply.values.subarray(at, at + length) });
    }
    /** The names of the weights' tensors, in the order of the checkpoint. */
    this.tensors = reply.buffers
      .filter(({ name }) => name.endsWith(".after"))
      .map(({ name }) => name.slice(0, -".after".length));
    /** The number of channels. */
    this.channels = this.buffer("wte").shape[1];
    /** The number of channels of a head. */
    this.headDim = this.channels / reply.heads;
  }

  /**
   * Returns the buffer of this name.
   * @param {string} name
   * @returns {Buffer}
   */
  buffer(name) {
    const buffer = this.buffers.get(name);
    if (!buffer) throw new Error(`an opened step has no buffer \`${name}\``);
    return buffer;
  }

  /**
   * Returns a value of a buffer.
   * @param {string} name
   * @param {number[]} index
   */
  at(name, index) {
    const { shape, values } = this.buffer(name);
    return values[index.reduce((at, i, axis) => at * shape[axis] + i, 0)];
  }

  /**
   * Returns whether a buffer has a value at this index.
   * @param {string} name
   * @param {number[]} index
   */
  has(name, index) {
    const shape = this.buffers.get(name)?.shape;
    return (
      shape !== undefined &&
      shape.length === index.length &&
      index.every((i, axis) => Number.isInteger(i) && i >= 0 && i < shape[axis])
    );
  }
}

/**
 * Returns the largest magnitude of values.
 * @param {Float32Array} values
 */
export const largest = (values) => {
  let most = 0;
  for (const value of values) most = Math.max(most, Math.abs(value));
  return most;
};

/**
 * Returns a token as it is shown. The start and the end of a document are a dot, and a space is visible.
 * @param {string} token
 */
export const shown = (token) => (token === "<BOS>" ? "·" : token === " " ? "␣" : token);
