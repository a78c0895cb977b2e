/** Joins what is imported with what is stored: the rest of a document stays as it is. */

type Json = unknown;
interface JsonObject {
  [key: string]: Json;
}

/** A value that is replaced by another one. */
export interface Replaced {
  readonly path: string;
  readonly before: Json;
  readonly after: Json;
}

/** Members by which the entries of lists are the same entry. */
const IDENTITY: readonly (readonly string[])[] = [
  ['id'],
  ['from'],
  ['ip'],
  ['pool', 'ip', 'class', 'tenant', 'campaign'],
];

/**
 * Puts `own` over `stored`: objects member by member, lists of entries by what identifies an entry, all else replaced.
 * @param replaced gets what had another value.
 */
export function merged(stored: Json, own: Json, path: string, replaced: Replaced[]): Json {
  if (own === undefined) return stored;
  if (stored === undefined) return own;
  if (isObject(stored) && isObject(own)) {
    const result: JsonObject = { ...stored };
    for (const [key, value] of Object.entries(own)) {
      result[key] = merged(
        Object.hasOwn(stored, key) ? stored[key] : undefined,
        value,
        `${path}.${key}`,
        replaced,
      );
    }
    return result;
  }
  if (Array.isArray(stored) && Array.isArray(own) && own.every((one) => keyOf(one) !== undefined)) {
    const result: Json[] = [...(stored as Json[])];
    for (const entry of own as Json[]) {
      const key = keyOf(entry)!;
      const place = result.findIndex((one) => keyOf(one) === key);
      if (place < 0) result.push(entry);
      else if (isObject(entry) && !('id' in entry) && !('from' in entry))
        result[place] = merged(
          isObject(result[place]) ? result[place] : undefined,
          entry,
          `${path}[${key}]`,
          replaced,
        );
      else {
        if (JSON.stringify(result[place]) !== JSON.stringify(entry))
          replaced.push({ path: `${path}[${key}]`, before: result[place], after: entry });
        result[place] = entry;
      }
    }
    return result;
  }
  if (JSON.stringify(stored) !== JSON.stringify(own)) replaced.push({ path, before: stored, after: own });
  return own;
}

function keyOf(entry: Json): string | undefined {
  if (!isObject(entry))
    return typeof entry === 'string' && /^[0-9a-f.:]+$/i.test(entry) ? `ip=${entry}` : undefined;
  const names = IDENTITY.find((all) => all.some((name) => typeof entry[name] === 'string'));
  return names
    ?.flatMap((name) => (entry[name] === undefined ? [] : [`${name}=${JSON.stringify(entry[name])}`]))
    .join();
}

function isObject(value: Json): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
