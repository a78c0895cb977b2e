/**
 * Encoded words (RFC 2047): how an ASCII header field carries other text.
 *
 * Decoding is for display only. The decoded text is never parsed again: an encoded word that spells
 * `<other@example.com>` or a comma is text, not an address.
 */

/** Maximum length of an encoded word, its `=?` and `?=` included (RFC 2047 §2). */
const MAX_WORD = 75;
/** Length of the delimiters around the payload: `=?UTF-8?Q?` and `?=`. */
const FRAME = 12;
/** Minimum length of a word: it holds any character. */
const MIN_WORD = FRAME + 16;

const WORD = /=\?([^?\s*]+)(?:\*[^?\s]*)?\?([bBqQ])\?([^?\s]*)\?=/g;
/** Controls would break a line, or a terminal, when the decoded text is shown. */
const CONTROLS = /[\u0000-\u001f\u007f-\u009f\u2028\u2029]/g;

type Decoder = InstanceType<typeof TextDecoder>;

const decoders = new Map<string, Decoder | undefined>();

function decoder(charset: string): Decoder | undefined {
  const label = charset.toLowerCase();
  if (decoders.has(label)) return decoders.get(label);
  let made: Decoder | undefined;
  try {
    made = new TextDecoder(label);
  } catch {
    // The charset is unsupported: the word stays as it is.
  }
  // Labels are the sender's text: the cache must not grow with them.
  if (decoders.size < 200) decoders.set(label, made);
  return made;
}

function payloadOf(encoding: string, text: string): Buffer {
  if (encoding === 'b' || encoding === 'B') return Buffer.from(text, 'base64');
  const bytes = text
    .replaceAll('_', ' ')
    .replace(/=([0-9A-Fa-f]{2})/g, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)));
  return Buffer.from(bytes, 'latin1');
}

/**
 * Decodes the encoded words in a header text. Neighbours in one charset are joined before they are decoded, because
 * many senders cut inside a character. A word that cannot be decoded stays as it is; controls become spaces.
 */
export function decodeWords(text: string): string {
  if (!text.includes('=?')) return text;
  let out = '';
  let end = 0;
  let charset = '';
  let bytes: Buffer[] = [];
  const flush = (): void => {
    if (bytes.length) out += decoder(charset)!.decode(Buffer.concat(bytes));
    bytes = [];
  };
  for (const match of text.matchAll(WORD)) {
    const [word, label = '', encoding = '', body = ''] = match;
    if (!decoder(label)) continue;
    const between = text.slice(end, match.index);
    // White space between two encoded words is not displayed (RFC 2047 §6.2).
    const adjoins = end > 0 && /^[ \t\r\n]*$/.test(between);
    if (!adjoins || label.toLowerCase() !== charset) flush();
    if (!adjoins) out += between;
    charset = label.toLowerCase();
    bytes.push(payloadOf(encoding, body));
    end = match.index + word.length;
  }
  flush();
  return (out + text.slice(end)).replace(CONTROLS, ' ');
}

/** Characters that may stand unencoded in any Q word, in a phrase too (RFC 2047 §5 (3)). */
const Q_LITERAL = /^[A-Za-z0-9!*+/-]$/;

function q(character: string): string {
  if (character === ' ') return '_';
  if (Q_LITERAL.test(character)) return character;
  let out = '';
  for (const byte of Buffer.from(character, 'utf8')) {
    out += `=${byte.toString(16).toUpperCase().padStart(2, '0')}`;
  }
  return out;
}

/**
 * Encodes text as one or more encoded words, each at most 75 characters and cut between characters, with a space
 * between them (where a header may be folded). UTF-8; Q or B, the shorter of the two. Fit for a phrase.
 * @param first maximum length of the first word: the rest of its line of 76 (RFC 2047 §2), octets.
 */
export function encodeWords(text: string, first = MAX_WORD): string {
  const characters = Array.from(text.toWellFormed());
  const pieces = characters.map(q);
  const qLength = pieces.reduce((sum, piece) => sum + piece.length, 0);
  const useB = Math.ceil(Buffer.byteLength(text, 'utf8') / 3) * 4 < qLength;
  const words: string[] = [];
  const payload = (word: number): number => (useB ? Math.floor((word - FRAME) / 4) * 3 : word - FRAME);
  let current = '';
  let size = 0;
  let room = payload(Math.max(MIN_WORD, Math.min(first, MAX_WORD)));
  const flush = (): void => {
    const body = useB ? Buffer.from(current, 'utf8').toString('base64') : current;
    if (current) words.push(`=?UTF-8?${useB ? 'B' : 'Q'}?${body}?=`);
    current = '';
    size = 0;
    room = payload(MAX_WORD);
  };
  for (const [i, character] of characters.entries()) {
    const piece = useB ? character : pieces[i]!;
    const cost = useB ? Buffer.byteLength(character, 'utf8') : piece.length;
    if (size + cost > room && current) flush();
    current += piece;
    size += cost;
  }
  flush();
  return words.join(' ');
}
