/** Formats commands. No text that could end a command or a path early is accepted. */

/** An unquoted path: no control character, space, angle bracket, quote or backslash. */
const PLAIN_PATH = /^[^\x00-\x20\x7f-\x9f"\\<>]+$/;
/** A quoted local part (RFC 5321 §4.1.2) may hold a space or a `>`, but never a control character. */
const QUOTED_PATH = /^"(?:[^"\\\x00-\x1f\x7f-\x9f]|\\[\x20-\x7e])*"@[^\x00-\x20\x7f-\x9f"\\<>]+$/;
const EHLO_NAME = /^[A-Za-z0-9._:[\]-]+$/;
const BEYOND_ASCII = /[^\x00-\x7f]/;

/**
 * Whether an address can stand between `<` and `>` without becoming a second command or a parameter
 * (envelope injection). The empty path is for the null sender alone.
 */
export function isSafePath(address: string, mayBeEmpty = false): boolean {
  return PLAIN_PATH.test(address) || QUOTED_PATH.test(address) || (mayBeEmpty && address === '');
}

export function isSafeEhloName(name: string): boolean {
  return EHLO_NAME.test(name);
}

export function isAscii(text: string): boolean {
  return !BEYOND_ASCII.test(text);
}

/**
 * Formats MAIL with the required parameters (RFC 5321 §4.1.1.2; SIZE RFC 1870, BODY RFC 6152, SMTPUTF8 RFC 6531
 * §3.4).
 */
export function mailCommand(
  path: string,
  size: number | undefined,
  eightBit: boolean,
  utf8: boolean,
): string {
  let command = `MAIL FROM:<${path}>`;
  if (size !== undefined) command += ` SIZE=${size}`;
  if (eightBit) command += ' BODY=8BITMIME';
  if (utf8) command += ' SMTPUTF8';
  return `${command}\r\n`;
}

export function rcptCommand(path: string): string {
  return `RCPT TO:<${path}>\r\n`;
}

/** The whole body as one chunk (RFC 3030 §2). */
export function bdatCommand(size: number): string {
  return `BDAT ${size} LAST\r\n`;
}
