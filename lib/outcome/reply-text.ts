/**
 * Cuts the sender's own text out of a peer's reply.
 *
 * Servers repeat the recipient in their replies, and its local part is any text that a tenant, or a visitor of the
 * tenant's web form, has chosen: `"blocked using spamhaus"@example.com`. Read as the server's own words, such a text
 * would suspend a provider for every tenant and show one tenant's recipient to another. So the envelope, and every
 * other address, is cut out before the words of a reply decide a rule, a pace or a warm-up, and before the reply is
 * stored as a reason that others read. The delivery's own record keeps the whole reply.
 *
 * Words are compared, not characters: servers fold case, drop quotes and backslashes, and break lines anywhere.
 *
 *     550 5.1.1 <"Too many connections"@example.com>: Too Many Connections unknown here
 *     550 5.1.1 <…>: … … … unknown here
 *
 * A cut can only make a rule match less. An address may hold a word that a reply needs for its meaning (`user@`,
 * `spam@`): where the whole reply and the cut one lead to different ends, the milder one is right.
 */
import type { Reply } from './reply.ts';

/** The addresses that a reply may repeat. */
export interface SmtpEnvelope {
  readonly mailFrom: string;
  readonly recipient: string;
}

/** Replaces cut text. No pattern of a rule contains it, and it is no blank. */
const CUT = '…';
/** Minimum length of a local part's words that are cut on their own; shorter ones are cut only beside another of it. */
const MIN_WORD = 4;
/** Maximum length of a reply that is examined; the rest is dropped, characters. */
const MAX_TEXT = 2000;

const WORD = /[\p{L}\p{N}]+/gu;
/** An address: a quoted or plain local part, `@`, and a domain or literal. */
const ADDRESS =
  /(?:"(?:[^"\\\n]|\\.){0,300}"|[^\s<>()[\]",;:@]{1,300})@(?:\[[^\]\s]{1,80}\]|[\p{L}\p{N}._-]{1,255})/gu;

interface ReplyWord {
  readonly text: string;
  readonly start: number;
  readonly end: number;
}

/** Replaces the envelope and every address by `…`, line by line. */
export function cutEnvelope(reply: Reply, envelope?: SmtpEnvelope): Reply {
  const text = reply.lines.join('\n').slice(0, MAX_TEXT);
  const words = wordsOf(text);
  const cut = new Uint8Array(words.length);
  for (const address of envelope === undefined ? [] : [envelope.recipient, envelope.mailFrom]) {
    const at = address.lastIndexOf('@');
    const local = wordsOf(at < 0 ? address : address.slice(0, at)).map((word) => word.text);
    const domain = wordsOf(at < 0 ? '' : address.slice(at + 1)).map((word) => word.text);
    cutSequences(words, local, Math.min(2, local.length), cut);
    cutSequences(words, domain, Math.max(2, domain.length), cut);
    const single = new Set(local.filter((word) => word.length >= MIN_WORD));
    for (const [i, word] of words.entries()) if (single.has(word.text)) cut[i] = 1;
  }
  const spans = [...text.matchAll(ADDRESS)].map(
    ({ 0: found, index }) => [index, index + found.length] as const,
  );
  for (const [i, { start, end }] of words.entries()) if (cut[i] === 1) spans.push([start, end]);
  return spans.length === 0 ? reply : { ...reply, lines: replaceSpans(text, spans).split('\n') };
}

/** Cuts the reply of an attempt's result; the same object when nothing had to be cut. */
export function cutResult<T extends { readonly reply?: Reply }>(result: T, envelope: SmtpEnvelope): T {
  const { reply } = result;
  if (reply === undefined || reply.code < 400) return result;
  const cut = cutEnvelope(reply, envelope);
  return cut === reply ? result : { ...result, reply: cut };
}

function wordsOf(text: string): ReplyWord[] {
  return [...text.matchAll(WORD)].map(({ 0: word, index }) => {
    return { text: word.toLowerCase(), start: index, end: index + word.length };
  });
}

/** Marks every run of at least `least` words that occurs in the same order in `sent`: time words × sent. */
function cutSequences(
  words: readonly ReplyWord[],
  sent: readonly string[],
  least: number,
  cut: Uint8Array,
): void {
  if (sent.length < least || least === 0) return;
  // By index in `sent`: the number of words from there on that equal those of the text from `i` on.
  let runs = new Uint16Array(sent.length + 1);
  for (let i = words.length - 1; i >= 0; i -= 1) {
    const from = new Uint16Array(sent.length + 1);
    let longest = 0;
    for (let j = 0; j < sent.length; j += 1) {
      if (words[i]!.text !== sent[j]) continue;
      from[j] = runs[j + 1]! + 1;
      longest = Math.max(longest, from[j]!);
    }
    if (longest >= least) cut.fill(1, i, i + longest);
    runs = from;
  }
}

/** @param spans may overlap. */
function replaceSpans(text: string, spans: (readonly [start: number, end: number])[]): string {
  spans.sort((a, b) => a[0] - b[0] || b[1] - a[1]);
  let out = '';
  let done = 0;
  for (const [start, end] of spans) {
    if (end <= done) continue;
    const between = text.slice(done, Math.max(done, start));
    out += between === '' && out.endsWith(CUT) ? '' : between + CUT;
    done = end;
  }
  return out + text.slice(done);
}
