// The effect of a field's change waits for the click that leaves the field, because it could move the clicked element away.

/** Whether a pointer is pressed. */
let isPressed = false;
/** What waits for the click. @type {(() => void)[]} */
let waiting = [];

const release = () => {
  const callbacks = waiting;
  waiting = [];
  for (const callback of callbacks) callback();
};

/**
 * Calls a function at once, or before the handlers of the click that the user has begun.
 * @param {() => void} callback
 */
export const beforeClick = (callback) => {
  if (isPressed) waiting.push(callback);
  else callback();
};

addEventListener("pointerdown", () => (isPressed = true), true);
for (const type of ["pointerup", "pointercancel"])
  addEventListener(
    type,
    () => {
      isPressed = false;
      // A pointer that is released over another element makes no click.
      setTimeout(release);
    },
    true,
  );
addEventListener("click", release, true);
