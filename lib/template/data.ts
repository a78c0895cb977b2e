/** Template data: read from JSON, and merged for bulk mail. */
import { PosternError } from '../errors.ts';

export type TemplateData = Record<string, unknown>;

/** Maximum length of SES's TemplateData and ReplacementTemplateData, characters. */
export const MAX_DATA = 262_144;
/** Maximum nesting of objects in merged data. */
const MAX_NESTING = 1000;

/**
 * Parses template data: a JSON object in a string. An absent or empty string is no data.
 * @throws PosternError `bad_request` when it is too long, or not a JSON object
 */
export function parseTemplateData(text: string | undefined): TemplateData {
  if (!text) return {};
  if (text.length > MAX_DATA) {
    throw new PosternError(
      'bad_request',
      `The template data has ${text.length} characters; it may have at most ${MAX_DATA}.`,
    );
  }
  let data: unknown;
  try {
    data = JSON.parse(text);
  } catch (cause) {
    throw new PosternError('bad_request', 'The template data is not valid JSON.', { cause });
  }
  if (!isObject(data)) throw new PosternError('bad_request', 'The template data is not a JSON object.');
  return data;
}

/**
 * Merges replacement data over default data, as SES's bulk operations do: objects are merged member by member,
 * everything else, lists too, is replaced. Neither argument is changed; the result shares their values. A member
 * named `__proto__` is a member, never a prototype.
 * @throws PosternError `template_too_complex` when both are nested over 1,000 deep
 */
export function mergeData(defaults: TemplateData, replacement: TemplateData, depth = 0): TemplateData {
  if (depth > MAX_NESTING) {
    throw new PosternError('template_too_complex', `The template data is nested over ${MAX_NESTING} deep.`);
  }
  // A spread defines members, it does not assign them: after it, `merged[key] = …` reaches own members only.
  const merged: TemplateData = { ...defaults, ...replacement };
  for (const key of Object.keys(replacement)) {
    const below = Object.hasOwn(defaults, key) ? defaults[key] : undefined;
    const above = replacement[key];
    if (isObject(below) && isObject(above)) merged[key] = mergeData(below, above, depth + 1);
  }
  return merged;
}

function isObject(value: unknown): value is TemplateData {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
