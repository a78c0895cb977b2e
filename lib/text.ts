/** Cleans text of strangers (SMTP replies, reports, user agents, tags) for every place that stores or shows it. */

/** Line and paragraph separators, which many readers of logs take for the end of a line. */
const SEPARATORS = '\\u2028\\u2029';
/**
 * Controls (terminal escapes, line breaks), lone surrogates (no UTF-8 has them) and noncharacters: XML 1.0, and so
 * SQS, refuses most of them, and none has a meaning in a line of text.
 */
const UNFIT = new RegExp(`[\\p{Cc}\\p{Cs}\\p{Noncharacter_Code_Point}${SEPARATORS}]`, 'gu');
/** Most text matches and needs no second pass. */
const PLAIN = /^[\x20-\x7e]*$/;

/**
 * Puts the text on one line, with U+FFFD in place of each character that a store, a queue or a terminal cannot hold.
 */
export function cleanText(text: string): string {
  return PLAIN.test(text) ? text : text.replace(UNFIT, '\ufffd');
}
