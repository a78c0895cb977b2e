/**
 * Finds the tags of HTML as a browser does (HTML standard §13.2.5), so that what only looks like a tag (in a
 * comment, a script, a style sheet, a title, an attribute's value) is none. It goes once from left to right, whatever
 * the text is: what does not end, ends it all, as in the standard.
 *
 * Text is read by its ASCII characters alone, so it may also be the bytes of any charset that ASCII is part of, one
 * character a byte.
 */

export interface Attribute {
  /** Lower case. */
  name: string;
  /** Where it begins, the white space before it included. */
  start: number;
  end: number;
  /** Where its value is, without quotes; absent when it has none. */
  value?: [start: number, end: number];
}

export interface HtmlHandler {
  /** Names in lower case. */
  elements: ReadonlySet<string>;
  attributes: ReadonlySet<string>;
  /** Text between tags: `html.slice(start, end)`, never empty. */
  text(start: number, end: number): void;
  /** A start tag of one of `elements`, with those of its attributes that are in `attributes`. */
  open(attributes: Attribute[]): void;
  /** An end tag. @param name lower case. */
  close(name: string, start: number): void;
}

/** Elements whose content is text up to their own end tag (scripting is off in mail, so `noscript` is not one). */
const RAW_TEXT = new Map(
  ['script', 'style', 'textarea', 'title', 'xmp', 'iframe', 'noembed', 'noframes'].map((name) => [
    name,
    new RegExp(`</${name}(?=[\\t\\n\\f\\r />])`, 'gi'),
  ]),
);

/** Longer names are none that anybody asks for. */
const LONGEST_NAME = 16;
const NAME_END = /[\t\n\f\r />]/g;
const SPACES = /[\t\n\f\r ]*/y;
const BETWEEN_ATTRIBUTES = /[\t\n\f\r /]*/y;
/** A `=` may begin a name. */
const ATTRIBUTE_NAME = /[^\t\n\f\r />][^\t\n\f\r />=]*/y;
const UNQUOTED = /[^\t\n\f\r >]+/y;

export function scanHtml(html: string, handler: HtmlHandler): void {
  let textStart = 0;
  let at = 0;

  const endText = (end: number): void => {
    if (end > textStart) handler.text(textStart, end);
  };

  while (at < html.length) {
    const open = html.indexOf('<', at);
    if (open < 0) break;
    const next = html.charCodeAt(open + 1);
    let end: number;
    if (next === 33 || next === 63) {
      // `<!` and `<?`: comments, doctype, and what passes for a comment.
      endText(open);
      end = endOfComment(html, open);
    } else if (isLetter(next) || (next === 47 && isLetter(html.charCodeAt(open + 2)))) {
      endText(open);
      end = tag(open, next === 47);
    } else if (next === 47 && open + 2 < html.length) {
      // `</` and no letter: a comment up to the next `>`.
      endText(open);
      end = after(html, '>', open + 2);
    } else {
      at = open + 1;
      continue;
    }
    if (end < 0) return;
    textStart = at = end;
  }
  endText(html.length);

  /** @returns where the tag, or the raw text behind it, ends; -1 when it does not. */
  function tag(open: number, closes: boolean): number {
    const nameStart = closes ? open + 2 : open + 1;
    NAME_END.lastIndex = nameStart;
    const nameEnd = NAME_END.exec(html)?.index ?? -1;
    if (nameEnd < 0) return -1;
    const name = nameEnd - nameStart > LONGEST_NAME ? '' : html.slice(nameStart, nameEnd).toLowerCase();
    const wanted = !closes && handler.elements.has(name) ? ([] as Attribute[]) : undefined;
    const end = goOver(html, nameEnd, handler.attributes, wanted);
    if (end < 0) return -1;
    if (closes) handler.close(name, open);
    else if (wanted) handler.open(wanted);
    else if (name === 'plaintext') return -1;
    const content = closes ? undefined : RAW_TEXT.get(name);
    if (!content) return end;
    content.lastIndex = end;
    return content.exec(html)?.index ?? -1;
  }
}

/** Goes over the attributes of a tag; those of `names` go into `found`. @returns where the tag ends, or -1. */
function goOver(html: string, from: number, names: ReadonlySet<string>, found?: Attribute[]): number {
  let at = from;
  for (;;) {
    const start = at;
    at = skip(BETWEEN_ATTRIBUTES, html, at);
    if (at >= html.length) return -1;
    if (html.charCodeAt(at) === 62) return at + 1;
    const nameStart = at;
    at = skip(ATTRIBUTE_NAME, html, at);
    const nameEnd = at;
    let value: Attribute['value'];
    const equals = skip(SPACES, html, at);
    if (html.charCodeAt(equals) === 61) {
      at = skip(SPACES, html, equals + 1);
      const quote = html[at];
      if (quote === '"' || quote === "'") {
        const close = html.indexOf(quote, at + 1);
        if (close < 0) return -1;
        value = [at + 1, close];
        at = close + 1;
      } else {
        const end = skip(UNQUOTED, html, at);
        if (end > at) value = [at, end];
        at = end;
      }
    }
    if (!found || nameEnd - nameStart > LONGEST_NAME) continue;
    const name = html.slice(nameStart, nameEnd).toLowerCase();
    if (names.has(name)) found.push({ name, start, end: at, value });
  }
}

/** `<!-- … -->` (and `--!>`, and the two short forms), else up to the next `>`. */
function endOfComment(html: string, open: number): number {
  if (!html.startsWith('!--', open + 1)) return after(html, '>', open + 2);
  if (html[open + 4] === '>') return open + 5;
  if (html.startsWith('->', open + 4)) return open + 6;
  COMMENT_END.lastIndex = open + 4;
  return COMMENT_END.exec(html) ? COMMENT_END.lastIndex : -1;
}

const COMMENT_END = /--!?>/g;

function after(html: string, what: string, from: number): number {
  const at = html.indexOf(what, from);
  return at < 0 ? -1 : at + what.length;
}

function skip(pattern: RegExp, html: string, at: number): number {
  pattern.lastIndex = at;
  return pattern.test(html) ? pattern.lastIndex : at;
}

function isLetter(code: number): boolean {
  return (code >= 97 && code <= 122) || (code >= 65 && code <= 90);
}
