// The user's own text. The worker reads and checks it, so that a long text does not hold up the page.
import { complainOfCorpus } from "./complaint.js";
import { $, grouped, input } from "./dom.js";
import { onMessage, send } from "./engine.js";
import { go, onCheck, onPlace, repair, setting } from "./fragment.js";
import { notify } from "./notice.js";
import { trained } from "./trained.js";

/**
 * A text, where it comes from, and what is wrong with it.
 * @typedef {{ blob: Blob, name: string, text?: string, isLinked?: boolean, error?: string }} Corpus
 */

/** The largest text in bytes. A model of it takes about ten times as much memory. */
const LIMIT = 50_000_000;
/** The largest number of characters in the box. More would make the box slow. */
const BOX = 100_000;
/** The largest number of characters in the address. */
const ADDRESS = 2000;

const box = $("corpus", HTMLTextAreaElement);
const hint = box.placeholder;
/** The text with which the page begins. @type {Corpus | null} */
const initial = trained && { blob: new Blob([trained.corpus]), name: "the corpus of the model" };
/** The name of that text. */
const INITIAL = initial?.name ?? "the built-in names";
/** The user's text, or null for the built-in names. @type {Corpus | null} */
let corpus = initial;
/** Whether the worker has the text, or is about to have it. @type {"no" | "sent" | "yes"} */
let known = "no";
/** The number of the text that was sent last. */
let number = 0;
/** The text that the box had when a text was taken. */
let boxed = "";
/** The text of the address that was taken last. */
let addressed = "";
/** The name of the long text that the worker has accepted, or an empty text. */
let long = "";
/** @type {((isNew: boolean) => void)[]} */
const listeners = [];

/** Returns whether the model learns from the user's text. */
export const hasOwnCorpus = () => corpus !== null;

/** Returns whether the model learns from the text with which the page begins. */
export const isInitialCorpus = () => corpus === initial;

/** Returns what is wrong with the user's text, or undefined. */
export const corpusError = () =>
  corpus?.error &&
  `${corpus.error}\nNothing is trained until you use another text or the built-in names, in the view Live under “Your own corpus”.`;

/** Returns whether the user has written a text that is not used yet. */
export const hasNewText = () => box.value !== boxed;

/**
 * Calls a function whenever the user has chosen a text, and whenever the worker has taken or refused it. Only in
 * the first case the text is new.
 * @param {(isNew: boolean) => void} listener
 */
export const onCorpus = (listener) => listeners.push(listener);

/** @param {boolean} isNew */
const tell = (isNew) => {
  complainOfCorpus(corpus?.error ?? "");
  for (const listener of listeners) listener(isNew);
};

/** Returns whether the worker has the text, or never will. Otherwise sends the text. */
export const sendCorpus = () => {
  if (corpus === null || corpus.error !== undefined || known === "yes") return true;
  if (known === "sent") return false;
  if (corpus.blob.size > LIMIT) {
    corpus.error = `${corpus.name} has ${grouped(Math.ceil(corpus.blob.size / 1e6))} MB, and a text may have ${LIMIT / 1e6} MB at most\nhint: use a part of it`;
    complainOfCorpus(corpus.error);
    return true;
  }
  known = "sent";
  number += 1;
  send({ corpus: { blob: corpus.blob, number } });
  return false;
};

/** Forgets that the worker has the text, for a new worker. */
export const resendCorpus = () => {
  known = "no";
};

/**
 * Puts a short text in the address, or the name of a long one, or neither. A step that the address names is none of a run
 * on this text.
 * @param {string} text
 * @param {string} [name]
 */
const putInAddress = (text, name = "") => {
  addressed = text;
  long = name;
  go({ settings: { corpus: text || null, file: name || null, at: null } }, { replace: true });
};

/**
 * Takes a text, or the built-in names if it is null. The address names a text of the user only if the worker accepts it.
 * @param {Corpus | null} next
 * @param {boolean} [isLinked] whether the address asks for the text
 */
const take = (next, isLinked = false) => {
  corpus = next;
  known = "no";
  boxed = box.value;
  if (!isLinked) putInAddress("");
  $("corpus-link").hidden = true;
  tell(true);
};

/**
 * Takes a text that the user has written or pasted, or that the address has.
 * @param {string} text
 * @param {boolean} [isLinked]
 */
const takeText = (text, isLinked = false) => {
  const name = isLinked ? "the text of the address" : "your text";
  take({ blob: new Blob([text]), name, text, isLinked }, isLinked);
};

/** Takes the built-in names. */
const takeNames = () => {
  box.value = "";
  box.placeholder = hint;
  take(null);
};

/** Takes the text that the user has written in the box. */
export const useBox = () => {
  if (box.value.trim() !== "") return takeText(box.value);
  take({
    blob: new Blob([]),
    name: "your text",
    error: "your text is empty\nhint: paste a text with one document on each line",
  });
};

/**
 * Takes a file. The box shows it once it is accepted.
 * @param {File} file
 */
const takeFile = (file) => {
  $("corpus-box", HTMLDetailsElement).open = true;
  take({ blob: file, name: file.name });
};

/**
 * Shows a file that the worker has accepted in the box.
 * @param {Corpus} file
 */
const showFile = async (file) => {
  const text = file.blob.size <= BOX ? await file.blob.text() : "";
  if (corpus !== file) return;
  box.value = text;
  box.placeholder = `${file.name}: ${grouped(file.blob.size)} bytes`;
  boxed = box.value;
  nameAccepted(file, text);
};

/**
 * Puts an accepted text in the address if it is short, and says if it is long.
 * @param {Corpus} accepted
 * @param {string} text the text, or an empty one if it is long
 */
const nameAccepted = ({ name }, text) => {
  const isShort = text !== "" && text.length <= ADDRESS;
  if (isShort) putInAddress(text);
  else putInAddress("", name);
  $("corpus-link").hidden = isShort;
};

/**
 * Serves the refusal of a text. In place of a text of the address, which the user may never have seen, the page takes
 * the one with which it begins.
 * @param {Corpus} refused
 * @param {string} reason
 */
const refuse = (refused, reason) => {
  const error = `cannot use ${refused.name}: ${reason.replace(/^error: /, "")}`;
  if (!refused.isLinked) {
    refused.error = error;
    return tell(false);
  }
  notify(`The page takes ${INITIAL} instead of the text of this address.`, [error]);
  take(initial);
  complainOfCorpus(error);
};

/**
 * Reads a text for a worker that cannot read it, and sends its bytes.
 * @param {Corpus} unread
 */
const sendBytes = async (unread) => {
  const mine = number;
  try {
    const bytes = await unread.blob.arrayBuffer();
    if (mine === number) send({ corpus: { blob: bytes, number } });
  } catch (error) {
    if (mine !== number) return;
    known = "yes";
    refuse(unread, error instanceof Error ? error.message : String(error));
  }
};

onMessage(({ reading, corpus: read }) => {
  if (reading !== undefined) $("corpus-progress", HTMLProgressElement).value = reading;
  $("corpus-progress").hidden = reading === undefined;
  if (!read || !corpus || read.number !== number) return;
  if (read.unread) return sendBytes(corpus);
  known = "yes";
  if (read.error !== undefined) return refuse(corpus, read.error);
  if (corpus.text === undefined && corpus !== initial) showFile(corpus);
  else if (corpus.text !== undefined && !corpus.isLinked) nameAccepted(corpus, corpus.text);
  tell(false);
});

$("use").addEventListener("click", useBox);
$("builtin").addEventListener("click", takeNames);
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

/** Shows the text with which the page begins. */
const showInitial = () => {
  box.value = trained && trained.corpus.length <= BOX ? trained.corpus : "";
  box.placeholder = hint;
  boxed = box.value;
};
showInitial();

onCheck(({ settings }) => {
  const name = settings.get("file") ?? "";
  if (name === "" || name === long) return;
  repair({ settings: { file: null } });
  notify("The text of this address is too long to be a part of it.", [
    `Give “${name}” again under “Your own corpus”. Until then the page takes ${INITIAL}.`,
  ]);
});
onPlace(() => {
  const text = setting("corpus", "");
  if (text === addressed && setting("file", "") === long) return;
  addressed = text;
  long = "";
  if (text === "") {
    showInitial();
    return take(initial, true);
  }
  box.value = text;
  $("corpus-box", HTMLDetailsElement).open = true;
  takeText(text, true);
});
