/**
 * Converts a peer's reply to one line of text, and back. An attempt's record keeps the text; events and statistics
 * read code and enhanced code from it again, so nothing about a reply is stored twice.
 */

/** One SMTP reply (RFC 5321 §4.2); `enhanced` is an RFC 3463 code, `5.1.1`. */
export interface Reply {
  code: number;
  enhanced?: string;
  /** Text of each line, without code and enhanced code. */
  lines: readonly string[];
}

/** Maximum length of a stored reply: a peer may answer with more than a record needs, characters. */
export const MAX_REPLY_TEXT = 1000;

const TEXT_FORM = /^([2-5][0-9]{2})(?:[ -]|$)(?:([245]\.[0-9]{1,3}\.[0-9]{1,3})(?: |$))?/;

/** Formats `550 5.1.1 user unknown`: the lines joined by a blank, at most `MAX_REPLY_TEXT` characters. */
export function replyText(reply: Reply): string {
  const head = reply.enhanced ? `${reply.code} ${reply.enhanced}` : String(reply.code);
  const text = reply.lines.length === 1 ? reply.lines[0]! : reply.lines.join(' ');
  return (text === '' ? head : `${head} ${text}`).slice(0, MAX_REPLY_TEXT);
}

/** Parses the output of `replyText`, or a diagnostic of a report; undefined when it begins with no reply code. */
export function readReply(text: string): Reply | undefined {
  const match = TEXT_FORM.exec(text);
  if (!match) return undefined;
  return {
    code: Number(match[1]),
    enhanced: match[2],
    lines: [text.slice(match[0].length).trim()],
  };
}
