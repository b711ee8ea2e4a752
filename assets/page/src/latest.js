// Work on the newest request only.

/**
 * Returns a function that starts work, or remembers its argument while earlier work goes on. Then the newest argument
 * alone is worked on, so that a slider never waits for places that it has left.
 * @template T
 * @param {(argument: T) => Promise<void>} work
 * @returns {(argument: T) => void}
 */
export const latestOnly = (work) => {
  let busy = false;
  /** @type {{ argument: T } | null} */
  let next = null;
  /** @param {T} argument */
  const run = async (argument) => {
    if (busy) {
      next = { argument };
      return;
    }
    busy = true;
    try {
      await work(argument);
    } finally {
      busy = false;
    }
    const waiting = next;
    next = null;
    if (waiting) run(waiting.argument);
  };
  return run;
};
