// The names of the settings that the address may hold.

/** The settings of a run. A change of any of them needs a new model. */
export const RUN = /** @type {const} */ ([
  "steps",
  "learning_rate",
  "seed",
  "n_embd",
  "n_head",
  "n_layer",
  "block_size",
]);
/** The settings that apply to any model. */
export const OTHERS = /** @type {const} */ (["temperature", "top_k", "text", "pace", "multiply_add"]);
/** The settings that are lists of values. */
export const LISTS = ["pace", "multiply_add"];
/** The setting that belongs to a part of a view of the sources. */
export const LINE = "line";
/** The step that the timeline shows. It belongs to a run. */
export const AT = "at";
/** The user's text, if it is short. */
export const CORPUS = "corpus";
/** The name of the user's text, if it is long. */
export const FILE = "file";
/** All settings. */
export const ALL = [...RUN, ...OTHERS, LINE, AT, CORPUS, FILE, "pane", "prefix", "q"];
