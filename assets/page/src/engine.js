// The worker with the model, as the page's own thread sees it.
import { $ } from "./dom.js";

/** @import { Kernels } from "./kernels.js" */

/**
 * The settings of a model and its run, under the names of the command line.
 * @typedef {{ steps: number, learning_rate: number, seed: number, n_embd: number, n_head: number, n_layer: number,
 *   block_size: number }} Settings
 */
/**
 * The sizes of a model and its corpus. `cut` is the number of documents that are longer than the block, and
 * `example` a text that the model can read.
 * @typedef {{ step: number, train: number, val: number, cut: number, vocab: number, params: number, example: string }} Opened
 */
/** @typedef {{ step: number, samples: string[] }} Names */
/** @typedef {{ step: number, tokens?: string[], heads?: number[][][], error?: string }} Attention */
/**
 * The steps since the last report. `time` and `wall` are in milliseconds, without and with the worker's pauses.
 * @typedef {{ losses: number[], time: number, wall: number, step: number, names: Names[], attention?: Attention,
 *   validations: { step: number, val_loss: number }[], hash?: string }} Report
 */
/**
 * A message of the worker. `model` is the number that the page has given the model, if the message is on one. `hash` is
 * that of a trained model. `reading` is the part of a corpus that is read. `error` is a failed message's, and the worker
 * needs a successor if it is a `trap`. `dropped` is the page's own message that there is no model any more.
 * @typedef {{ model?: number, dropped?: true, ready?: Omit<Kernels, "exports">, warm?: true, opened?: Opened, names?: Names, again?: boolean, attention?: Attention,
 *   report?: Report, hash?: string, reading?: number,
 *   corpus?: { error?: string, unread?: true, number: number }, error?: string, trap?: boolean, id?: number, reply?: any }} Message
 */

/** @type {Worker | null} */
let worker = null;
/** @type {((message: Message) => void)[]} */
const listeners = [];
/** The requests whose reply is due. @type {Map<number, { resolve: (reply: any) => void, reject: (error: Error) => void }>} */
const due = new Map();
let asked = 0;
/** The number of the model. Messages of earlier models are ignored. */
let model = 0;

/** The failure of a request for a model that there is no more. */
export class Dropped extends Error {}

/**
 * Calls a function with every message of the worker except replies.
 * @param {(message: Message) => void} listener
 */
export const onMessage = (listener) => listeners.push(listener);

/** @param {Message} message */
const tell = (message) => {
  for (const listener of listeners) listener(message);
};

/** @param {Message} message */
const receive = (message) => {
  if (message.model !== undefined && message.model !== model && !message.trap) return;
  const request = message.id === undefined ? undefined : due.get(message.id);
  if (request && message.id !== undefined) {
    due.delete(message.id);
    if (message.error === undefined) request.resolve(message.reply);
    else request.reject(new Error(message.error.replace(/^error: /, "")));
  }
  if (message.id === undefined || message.trap) tell(message);
};

/** Rejects all requests that are due. */
const rejectAll = () => {
  for (const { reject } of due.values()) reject(new Dropped());
  due.clear();
};

/** Drops the model, in the page and in the worker. */
export const drop = () => {
  model += 1;
  rejectAll();
  send({ drop: model });
  tell({ dropped: true });
};

/**
 * Starts a worker in place of any earlier one.
 * @param {boolean} exact whether the worker takes the exact form of the module
 */
export const start = (exact) => {
  worker?.terminate();
  rejectAll();
  const source = new Blob([$("worker").textContent ?? ""], { type: "text/javascript" });
  worker = new Worker(URL.createObjectURL(source));
  worker.onmessage = ({ data }) => receive(data);
  worker.onerror = (event) => receive({ error: `the worker failed: ${event.message}` });
  send({ drop: model });
  worker.postMessage({ module: ($("module").textContent ?? "").trim(), exact });
};

/**
 * Sends a message to the worker.
 * @param {object} message
 */
export const send = (message) => worker?.postMessage(message);

/**
 * Asks the worker's module, and resolves with its reply. `assets/page/wasm/src/session.rs` has the requests.
 * @param {object} request
 * @returns {Promise<any>}
 */
export const ask = (request) =>
  new Promise((resolve, reject) => {
    asked += 1;
    due.set(asked, { resolve, reject });
    send({ id: asked, request });
  });
