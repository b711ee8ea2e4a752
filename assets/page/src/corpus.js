// The user's own text. The worker reads and checks it, so that a long text does not hold up the page.
import { complain } from "./complaint.js";
import { $, grouped, input } from "./dom.js";
import { onMessage, send } from "./engine.js";
import { onPlace, setSetting, setting } from "./fragment.js";
import { trained } from "./trained.js";

/** A text, and what is wrong with it. @typedef {{ blob: Blob, name: string, error?: string }} Corpus */

/** The largest text in bytes. A model of it takes about ten times as much memory. */
const LIMIT = 50_000_000;
/** The largest number of characters in the box. More would make the box slow. */
const BOX = 100_000;
/** The largest number of characters in the address. */
const ADDRESS = 2000;

const box = $("corpus", HTMLTextAreaElement);
const hint = box.placeholder;
/** The user's text, or null for the built-in names. @type {Corpus | null} */
let corpus = trained && { blob: new Blob([trained.corpus]), name: "the corpus of the model" };
/** Whether the worker has the text, or is about to have it. @type {"no" | "sent" | "yes"} */
let known = "no";
/** @type {((isNew: boolean) => void)[]} */
const listeners = [];

/** Returns whether the model learns from the user's text. */
export const hasOwnCorpus = () => corpus !== null;

/** Returns what is wrong with the user's text, or undefined. */
export const corpusError = () => corpus?.error;

/**
 * Calls a function whenever the user has chosen a text, and whenever the worker has taken or refused it. Only in
 * the first case the text is new.
 * @param {(isNew: boolean) => void} listener
 */
export const onCorpus = (listener) => listeners.push(listener);

/** @param {boolean} isNew */
const tell = (isNew) => {
  for (const listener of listeners) listener(isNew);
};

/** Returns whether the worker has the text, or never will. Otherwise sends the text. */
export const sendCorpus = () => {
  if (corpus === null || corpus.error !== undefined || known === "yes") return true;
  if (known === "sent") return false;
  if (corpus.blob.size > LIMIT) {
    corpus.error = `${corpus.name} has ${grouped(Math.ceil(corpus.blob.size / 1e6))} MB, and a text may have ${LIMIT / 1e6} MB at most\nhint: use a part of it`;
    return true;
  }
  known = "sent";
  send({ corpus: corpus.blob });
  return false;
};

/** Forgets that the worker has the text, for a new worker. */
export const resendCorpus = () => {
  known = "no";
};

/**
 * Takes a text, or the built-in names if it is null. Only a short text is part of the address.
 * @param {Corpus | null} next
 * @param {string} [text] the text, if it is short
 */
const take = (next, text = "") => {
  corpus = next;
  known = "no";
  const short = text.length <= ADDRESS ? text : "";
  setSetting("corpus", short, "");
  $("corpus-link").hidden = next === null || short !== "";
  tell(true);
};

/**
 * Takes a text that the user has written or pasted.
 * @param {string} text
 */
const takeText = (text) => take({ blob: new Blob([text]), name: "your text" }, text);

/**
 * Takes a file. Its beginning is shown in the box.
 * @param {File} file
 */
const takeFile = async (file) => {
  $("corpus-box", HTMLDetailsElement).open = true;
  const text = file.size <= BOX ? await file.text() : "";
  box.value = text;
  box.placeholder = `${file.name}: ${grouped(file.size)} bytes`;
  take({ blob: file, name: file.name }, text.includes("\ufffd") ? "" : text);
};

onMessage(({ reading, corpus: read }) => {
  if (reading !== undefined) $("corpus-progress", HTMLProgressElement).value = reading;
  $("corpus-progress").hidden = reading === undefined;
  if (!read || !corpus) return;
  known = "yes";
  if (read.error !== undefined) corpus.error = `cannot use ${corpus.name}: ${read.error.replace(/^error: /, "")}`;
  tell(false);
});

$("use").addEventListener("click", () => {
  if (box.value.trim() !== "") takeText(box.value);
  else complain("your corpus is empty\nhint: paste a text with one document on each line");
});
$("builtin").addEventListener("click", () => {
  box.value = "";
  box.placeholder = hint;
  take(null);
});
box.addEventListener("paste", (event) => {
  const text = event.clipboardData?.getData("text/plain") ?? "";
  if (text.length <= BOX) return;
  event.preventDefault();
  box.value = "";
  box.placeholder = `the pasted text: ${grouped(text.length)} characters`;
  takeText(text);
});
$("file").addEventListener("change", () => {
  const file = input("file").files?.[0];
  // The same file can be chosen again after a change.
  input("file").value = "";
  if (file) takeFile(file);
});
document.addEventListener("dragover", (event) => event.preventDefault());
document.addEventListener("drop", (event) => {
  event.preventDefault();
  const file = event.dataTransfer?.files[0];
  if (file) takeFile(file);
});

if (trained) box.value = trained.corpus.length <= BOX ? trained.corpus : "";

/** The text of the address that was taken last. */
let addressed = "";
onPlace(() => {
  const text = setting("corpus", "");
  if (text === addressed) return;
  addressed = text;
  if (text === "" || text === box.value) return;
  box.value = text;
  $("corpus-box", HTMLDetailsElement).open = true;
  takeText(text);
});
