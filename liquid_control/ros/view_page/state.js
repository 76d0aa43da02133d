// What all parts of the page share.

export const $ = (id) => document.getElementById(id);

// The newest of each kind that the server has said.
export const now = {};

// What a node says of itself, by its name.
export function status(name) {
  return now.diagnostics?.find((each) => each.name === name);
}
