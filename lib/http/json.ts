/** The JSON object in the body of a request. */
import { isUtf8 } from 'node:buffer';
import { PosternError } from '../errors.ts';
import { boundJson } from './json-bounds.ts';

/** Parses a body; an empty body is an empty object. @throws PosternError `malformed_request`. */
export function parseObject(body: Buffer): Record<string, unknown> {
  if (body.length === 0) return {};
  if (!isUtf8(body)) throw new PosternError('malformed_request', 'The body is not valid UTF-8.');
  boundJson(body);
  let value: unknown;
  try {
    value = JSON.parse(body.toString('utf8'));
  } catch {
    throw new PosternError('malformed_request', 'The body is not valid JSON.');
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw new PosternError('malformed_request', 'The body must be a JSON object.');
  return value as Record<string, unknown>;
}
