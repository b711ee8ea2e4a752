// Access to the page's elements.

/**
 * Returns the element with an id.
 * @template {HTMLElement} T
 * @param {string} id
 * @param {new () => T} [type] the element's class, which the element is checked against
 * @returns {T}
 */
export const $ = (id, type) => {
  const element = document.getElementById(id);
  if (!(element instanceof (type ?? HTMLElement))) throw new Error(`the page has no element \`${id}\` of this type`);
  return /** @type {T} */ (element);
};

/**
 * Returns the input with an id.
 * @param {string} id
 */
export const input = (id) => $(id, HTMLInputElement);

/**
 * Returns the elements that a selector matches.
 * @param {string} selector
 * @param {ParentNode} [within]
 * @returns {HTMLElement[]}
 */
export const all = (selector, within = document) =>
  [...within.querySelectorAll(selector)].map((node) => /** @type {HTMLElement} */ (node));

/**
 * Returns a new element with these properties and children.
 * @template {keyof HTMLElementTagNameMap} K
 * @param {K} tag
 * @param {object} [properties]
 * @param {(Node | string)[]} children
 * @returns {HTMLElementTagNameMap[K]}
 */
export const element = (tag, properties = {}, ...children) => {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
};

/**
 * Returns the JSON in a script element.
 * @param {string} id
 */
export const json = (id) => JSON.parse($(id).textContent ?? "");

/**
 * Returns a number with separators between thousands.
 * @param {number} value
 */
export const grouped = (value) => value.toLocaleString("en");

/** Returns whether the user asks for less motion. */
export const prefersLessMotion = () => matchMedia("(prefers-reduced-motion: reduce)").matches;
