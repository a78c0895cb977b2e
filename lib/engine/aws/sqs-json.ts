/**
 * JSON that SQS takes: its messages hold the characters of XML 1.0 only, and one of another kind is refused for good
 * (`InvalidMessageContents`). `JSON.stringify` escapes controls and lone surrogates; this escapes the rest, and the
 * characters beyond the BMP, which some emulators refuse.
 */
const UNSENDABLE = /[\ud800-\udfff\ufffe\uffff]/g;

export function sqsJson(value: unknown): string {
  return JSON.stringify(value).replace(UNSENDABLE, (unit) => `\\u${unit.charCodeAt(0).toString(16)}`);
}
