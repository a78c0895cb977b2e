/**
 * Parses addresses (RFC 5322 §3.4, RFC 5321 §4.1.2, RFC 6531 §3.3) once, by one scanner. The result of that one parse
 * is compared with identities, recorded and written into RCPT TO, so that no two parts of Postern can read one text
 * as two addresses. The scanner moves forward only: it reads each character a bounded number of times.
 *
 * Accepted: names as phrases (with the dots, brackets and UTF-8 that programs write unquoted), quoted strings,
 * encoded words, comments, groups, quoted and UTF-8 local parts, IDN, address literals.
 * Refused: controls, source routes (RFC 5321 §3.6.1), addresses without a domain, encoded words as local parts, an
 * unquoted name with an `@` that is not the address itself, and text after the address.
 */
import { Cache } from '../cache.ts';
import { PosternError } from '../errors.ts';
import { canonicalDomain, canonicalLiteral } from './domain.ts';
import { decodeWords, encodeWords } from './encoded-words.ts';
import type { Address } from './types.ts';

/**
 * Maximum length of a local part as written, and of a whole address (RFC 5321 §4.5.3.1.1, .3 without its <>), octets.
 */
const MAX_LOCAL = 64;
const MAX_ADDRESS = 254;

/** Maximum depth of nested comments. A deeper text is an attack. */
const MAX_NESTING = 16;

const PLAIN = /^([A-Za-z0-9!#$%&'*+/=?^_`{|}~.-]+)@([A-Za-z0-9.-]+)$/;
/** Dot-atom (RFC 5322 §3.2.3) with the UTF-8 of RFC 6532 §3.2. */
const DOT_ATOM = /^[^\u0000-\u0020"(),:;<>@[\\\]\u007f.]+(?:\.[^\u0000-\u0020"(),:;<>@[\\\]\u007f.]+)*$/;
/** Controls, except the tab that is white space in a header. */
const CONTROLS = /[\u0000-\u0008\u000a-\u001f\u007f]/;
/**
 * Characters beyond ASCII that a reader cannot see or takes for the end of the text (controls, separators, blanks),
 * and the marks of bytes that were not UTF-8, because mail would go to another address than was written.
 */
const UNSEEN = /[\p{Cc}\p{Cs}\p{Z}\ufeff\ufffd]/u;
const ENCODED_WORD = /=\?[^?]*\?[bq]\?/i;
/** A run of characters that is neither blank nor special in a phrase. */
const WORD = /[^ \t"(),:;<>@\\]+/y;
const DOMAIN_TEXT = /[^ \t"(),:;<>@[\\\]]+/y;

function refuse(text: string, why: string): never {
  const shown = text.length > 80 ? `${text.slice(0, 80)}…` : text;
  throw new PosternError('invalid_address', `${JSON.stringify(shown)} is not an address: ${why}.`);
}

/** Builds a mailbox and checks it as a whole. `local` is unquoted. */
function mailbox(text: string, name: string, local: string, domain: string): Address {
  const utf8 = /[^\x00-\x7f]/.test(local);
  if (utf8 && UNSEEN.test(local.replaceAll(' ', '')))
    refuse(text, 'its local part has characters that cannot be seen or read');
  if (ENCODED_WORD.test(local)) refuse(text, 'an encoded word may not stand in an address (RFC 2047 §5)');
  const written = DOT_ATOM.test(local) ? local : `"${local.replace(/["\\]/g, '\\$&')}"`;
  const octets = utf8 ? Buffer.byteLength(written, 'utf8') : written.length;
  checkLengths(text, octets, domain);
  return { name, local, domain, address: `${written}@${domain}`, utf8 };
}

function checkLengths(text: string, octets: number, domain: string): void {
  if (octets > MAX_LOCAL) refuse(text, `its local part is longer than ${MAX_LOCAL} octets`);
  if (octets + 1 + domain.length > MAX_ADDRESS) refuse(text, `it is longer than ${MAX_ADDRESS} octets`);
}

/** The common case, `local@domain` in ASCII; undefined sends the text to the scanner. */
function plain(text: string): Address | undefined {
  const match = PLAIN.exec(text);
  if (!match) return undefined;
  const local = match[1]!;
  if (!DOT_ATOM.test(local)) refuse(text, 'its local part has a dot too many; quote it');
  const domain = canonicalDomain(match[2]!);
  // Only what may be an encoded word is looked at again.
  if (local.includes('=?')) return mailbox(text, '', local, domain);
  checkLengths(text, local.length, domain);
  return { name: '', local, domain, address: `${local}@${domain}`, utf8: false };
}

class Scanner {
  readonly text: string;
  at = 0;

  constructor(text: string) {
    if (CONTROLS.test(text)) refuse(text, 'it has a line break or another control character');
    this.text = text;
  }

  /** The current character; empty at the end. */
  peek(): string {
    return this.text[this.at] ?? '';
  }

  fail(why: string): never {
    return refuse(this.text, why);
  }

  take(pattern: RegExp): string {
    pattern.lastIndex = this.at;
    const match = pattern.exec(this.text);
    if (!match) return '';
    this.at = pattern.lastIndex;
    return match[0];
  }

  /** Skips blanks and comments (CFWS, RFC 5322 §3.2.2). */
  skip(): void {
    let depth = 0;
    for (; this.at < this.text.length; this.at++) {
      const c = this.text[this.at];
      if (c === '(') {
        if (++depth > MAX_NESTING) this.fail('its comments are nested too deeply');
      } else if (depth > 0) {
        if (c === ')') depth--;
        else if (c === '\\') this.at++;
      } else if (c !== ' ' && c !== '\t') return;
    }
    if (depth > 0) this.fail('a comment is not closed');
  }

  /** Reads the content of a quoted string (RFC 5322 §3.2.4) whose opening quote is next. */
  quoted(): string {
    let out = '';
    for (this.at++; this.at < this.text.length; this.at++) {
      const c = this.text[this.at]!;
      if (c === '"') {
        this.at++;
        return out;
      }
      if (c === '\\') {
        this.at++;
        out += this.peek();
      } else out += c;
    }
    return this.fail('a quotation mark is not closed');
  }

  /** Reads the domain that follows an `@`. */
  domain(): string {
    this.skip();
    if (this.peek() !== '[') {
      const text = this.take(DOMAIN_TEXT);
      if (!text) this.fail('it has no domain');
      return canonicalDomain(text);
    }
    const end = this.text.indexOf(']', this.at);
    if (end < 0) this.fail('an address literal is not closed');
    const literal = this.text.slice(this.at + 1, end);
    this.at = end + 1;
    return canonicalLiteral(literal);
  }
}

interface PhraseWord {
  text: string;
  quoted: boolean;
}

function localPart(s: Scanner, words: PhraseWord[]): string {
  if (words.length !== 1)
    s.fail(words.length ? 'its local part has blanks; quote it' : 'it has no local part');
  const word = words[0]!;
  if (word.quoted) {
    if (!word.text) s.fail('its local part is empty');
    if (word.text.includes('\t')) s.fail('its local part has a tab');
  } else if (!DOT_ATOM.test(word.text)) s.fail('its local part has characters that must be quoted');
  return word.text;
}

function words(s: Scanner): PhraseWord[] {
  const out: PhraseWord[] = [];
  for (;;) {
    s.skip();
    if (s.peek() === '"') out.push({ text: s.quoted(), quoted: true });
    else {
      const text = s.take(WORD);
      if (!text) return out;
      out.push({ text, quoted: false });
    }
  }
}

/** Decodes a phrase for display: its encoded words are decoded, but never those inside quotes (RFC 2047 §5). */
function phrase(list: PhraseWord[]): string {
  const parts: string[] = [];
  let run: string[] = [];
  const flush = (): void => {
    if (run.length) parts.push(decodeWords(run.join(' ')));
    run = [];
  };
  for (const word of list) {
    if (!word.quoted) run.push(word.text);
    else {
      flush();
      parts.push(word.text);
    }
  }
  flush();
  return parts.join(' ').replaceAll('\t', ' ').trim();
}

/** Parses the mailbox that begins with these words: an addr-spec, or a name and an angle-addr. */
function mailboxAfter(s: Scanner, list: PhraseWord[]): Address {
  let name = phrase(list);
  let bare: Address | undefined;
  if (s.peek() === '@') {
    const local = localPart(s, list);
    s.at++;
    bare = mailbox(s.text, '', local, s.domain());
    s.skip();
    if (s.peek() !== '<') return bare;
    // `a@example.com <a@example.com>`: many programs write the address in place of a missing name.
    name = bare.address;
  }
  if (s.peek() !== '<') s.fail(list.length ? 'it has no @ and domain' : 'it is empty');
  s.at++;
  s.skip();
  if (s.peek() === '@') s.fail('source routes are not taken');
  const local = localPart(s, words(s));
  if (s.peek() !== '@') s.fail('it has no @ and domain');
  s.at++;
  const domain = s.domain();
  s.skip();
  if (s.peek() !== '>') s.fail('the address in < > does not end where it should');
  s.at++;
  s.skip();
  const address = mailbox(s.text, name, local, domain);
  // One text that shows two addresses is a lure: readers disagree which of them is meant.
  if (bare && bare.address.toLowerCase() !== address.address.toLowerCase()) {
    s.fail('its name is another address; quote the name');
  }
  return address;
}

/**
 * Parses one mailbox of a header or an API: `Name <local@domain>` or `local@domain`.
 * @throws `invalid_address` that states what is wrong.
 */
export function parseAddress(text: string): Address {
  const quick = plain(text);
  if (quick) return quick;
  const s = new Scanner(text);
  const address = mailboxAfter(s, words(s));
  if (s.at < text.length) s.fail('something follows the address');
  return address;
}

/**
 * Parses the address list of a To or Cc field. Members of groups are listed in their place, and empty elements
 * (`a@b,,c@d`, RFC 5322 §4.4) are skipped. The text must be unfolded and must not be decoded: see `unfoldedValue`.
 * @throws `invalid_address`
 */
export function parseAddressList(text: string): Address[] {
  const quick = plain(text);
  if (quick) return [quick];
  const s = new Scanner(text);
  const out: Address[] = [];
  let inGroup = false;
  for (;;) {
    const list = words(s);
    const c = s.peek();
    if (c === ':' && list.length && !inGroup) {
      inGroup = true;
      s.at++;
      continue;
    }
    if (list.length || c === '<' || c === '@') out.push(mailboxAfter(s, list));
    if (inGroup && s.peek() === ';') {
      inGroup = false;
      s.at++;
      s.skip();
    }
    if (s.at >= text.length) break;
    if (s.peek() !== ',') s.fail('something follows an address');
    s.at++;
  }
  if (inGroup) s.fail('a group is not closed with ;');
  return out;
}

/**
 * Parses an SMTP mailbox (RFC 5321 §4.1.2), the text between < and > of MAIL FROM and RCPT TO: no name, no comment,
 * no blank outside quotes. The caller handles the null sender.
 * @throws `invalid_address`
 */
export function parseEnvelopeAddress(text: string): Address {
  const quick = plain(text);
  if (quick) return quick;
  const s = new Scanner(text);
  const word = s.peek() === '"' ? { text: s.quoted(), quoted: true } : { text: s.take(WORD), quoted: false };
  const local = localPart(s, word.text || word.quoted ? [word] : []);
  if (s.peek() !== '@') s.fail('it has no @ and domain');
  s.at++;
  if (s.peek() === ' ' || s.peek() === '\t' || s.peek() === '(') s.fail('it has blanks or a comment');
  const domain = s.domain();
  if (s.at < text.length) s.fail('something follows the address');
  return mailbox(text, '', local, domain);
}

/** Texts of senders that are kept, and the longest of them, characters. */
const SENDERS = 2000;
const MAX_KEPT = 200;

/**
 * Keeps what was parsed of senders: most send more than one message, and a From with a name takes the scanner 3 µs. What is
 * parsed is frozen.
 */
function kept<T extends Address | readonly Address[]>(parse: (text: string) => T): (text: string) => T {
  const known = new Cache<string, T>(SENDERS);
  return (text) => {
    const found = known.get(text);
    if (found) return found;
    // A copy, because a part of a text holds the whole of it in memory: here the header of a message.
    const own = Buffer.from(text).toString();
    if (text.length > MAX_KEPT || own !== text) return parse(text);
    const parsed = parse(own);
    Object.freeze(parsed);
    if (Array.isArray(parsed)) for (const one of parsed) Object.freeze(one);
    known.set(own, parsed);
    return parsed;
  };
}

/** As `parseAddress`, `parseAddressList` and `parseEnvelopeAddress`, for the text of a sender. */
export const parseSender = kept(parseAddress);
export const parseSenders = kept<readonly Address[]>(parseAddressList);
export const parseEnvelopeSender = kept(parseEnvelopeAddress);

/** Length of the first encoded word of a name, octets: the word may follow `Resent-Reply-To: ` on a line of 76. */
const FIRST_WORD = 58;
const ATOMS = /^[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(?: [A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*$/;

/**
 * Formats an address for a header field. Names are written bare, quoted or as encoded words, as needed; a name that
 * looks like an encoded word, or whose words cannot be folded, is encoded too.
 * @throws `invalid_header` on a name with a line break or another control character.
 */
export function formatAddress(a: Address): string {
  if (!a.name) return a.address;
  if (/[\u0000-\u001f\u007f]/.test(a.name)) {
    throw new PosternError(
      'invalid_header',
      `The name of ${a.address} has a line break or control character.`,
    );
  }
  let name = a.name;
  if (/[^\x20-\x7e]|=\?|[^ ]{76}/.test(name)) name = encodeWords(name, FIRST_WORD);
  else if (!ATOMS.test(name)) name = `"${name.replace(/["\\]/g, '\\$&')}"`;
  return `${name} <${a.address}>`;
}
