/** Small changes of a JSON document, and the difference of two. Pure. */
import { usage } from './exit.ts';

type JsonMembers = Record<string, unknown>;

/** Changes written as `providers/google/messageRate=10/s`, or `providers/google/messageRate=` to remove a member. */
export function edited(document: unknown, edits: readonly string[]): JsonMembers {
  const copy = isMembers(document) ? structuredClone(document) : {};
  for (const edit of edits) {
    const sign = edit.indexOf('=');
    const path = edit.slice(0, Math.max(0, sign)).split('/');
    if (sign < 1 || path.includes(''))
      throw usage(
        `"${edit}" is no change.`,
        'Write path=value, as providers/google/messageRate=10/s; path= removes it.',
      );
    place(copy, path, edit.slice(sign + 1));
  }
  return copy;
}

function place(document: JsonMembers, path: readonly string[], value: string): void {
  let at = document;
  for (const name of path.slice(0, -1)) {
    const next = at[name];
    if (isMembers(next)) at = next;
    else if (value === '') return;
    else at = at[name] = {};
  }
  const last = path.at(-1)!;
  if (value === '') delete at[last];
  else at[last] = parsed(value);
}

/** JSON where it is some, else the text itself. */
function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

function isMembers(value: unknown): value is JsonMembers {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** Lines `- path: value` and `+ path: value`; empty where the two are the same. */
export function difference(before: unknown, after: unknown): string[] {
  const [old, now] = [leaves(before), leaves(after)];
  const lines: string[] = [];
  for (const path of [...new Set([...old.keys(), ...now.keys()])].sort()) {
    if (old.get(path) === now.get(path)) continue;
    if (old.has(path)) lines.push(`- ${path}: ${old.get(path)}`);
    if (now.has(path)) lines.push(`+ ${path}: ${now.get(path)}`);
  }
  return lines;
}

/** Every value that has no members, by its path. */
function leaves(value: unknown, path = '', found = new Map<string, string>()): Map<string, string> {
  const members = typeof value === 'object' && value !== null ? Object.entries(value) : [];
  if (members.length > 0)
    for (const [name, one] of members) leaves(one, path === '' ? name : `${path}/${name}`, found);
  else if (value !== undefined && path !== '') found.set(path, JSON.stringify(value));
  return found;
}
