/** Building elements, and changing what is shown into what was built without disturbing who reads or selects it. */

const SVG = "http://www.w3.org/2000/svg";

function filled(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== null && value !== false) node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children.filter((child) => child !== null));
  return node;
}

/** @param {(Node|string|null)[]} children  null is left out, like an attribute that is null or false */
export const element = (tag, attributes = {}, ...children) =>
  filled(document.createElement(tag), attributes, children);

export const drawing = (tag, attributes = {}, ...children) =>
  filled(document.createElementNS(SVG, tag), attributes, children);

function morphAttributes(shown, built) {
  for (const { name } of [...shown.attributes]) if (!built.hasAttribute(name)) shown.removeAttribute(name);
  for (const { name, value } of built.attributes) {
    if (shown.getAttribute(name) !== value) shown.setAttribute(name, value);
  }
}

function morph(shown, built) {
  if (shown.nodeName !== built.nodeName) return shown.replaceWith(built);
  if (shown.nodeType === Node.TEXT_NODE) {
    if (shown.data !== built.data) shown.data = built.data;
    return;
  }
  morphAttributes(shown, built);
  morphChildren(shown, [...built.childNodes]);
}

function morphChildren(shown, built) {
  const before = [...shown.childNodes];
  built.forEach((node, index) => (before[index] ? morph(before[index], node) : shown.append(node)));
  before.slice(built.length).forEach((node) => node.remove());
}

/** Has the element with that id show these children. */
export function show(id, ...children) {
  morphChildren(document.getElementById(id), children);
}
