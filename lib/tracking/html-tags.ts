/**
 * Finds the tags of HTML as a browser does (HTML standard §13.2.5), so that text that only looks like a tag (in a
 * comment, a script, a style sheet, a title, an attribute's value) is not one. The scan goes once from left to right.
 * A construct that does not end extends to the end of the text, as in the standard.
 *
 * Text is read by its ASCII characters alone, so it may also be the bytes of any charset that contains ASCII, one
 * character a byte.
 */

export interface Attribute {
  /** Lower case. */
  name: string;
  /** Start of the attribute, the white space before it included. */
  start: number;
  end: number;
  /** Range of the value, without quotes; absent when there is none. */
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
  ['style', 'textarea', 'title', 'xmp', 'iframe', 'noembed', 'noframes'].map((name) => [
    name,
    new RegExp(`</${name}(?=[\\t\\n\\f\\r />])`, 'gi'),
  ]),
);

/** Names longer than this never match a handler. */
const LONGEST_NAME = 16;

/** Passes text and tags to the handler, in their order. Linear in the text. */
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
      // `<!` and `<?`: comments, doctype, and constructs that count as a comment.
      endText(open);
      end = endOfComment(html, open);
    } else if (isLetter(next) || (next === 47 && isLetter(html.charCodeAt(open + 2)))) {
      endText(open);
      end = tag(open, next === 47);
    } else if (next === 47 && open + 2 < html.length) {
      // `</` without a letter: a comment up to the next `>`.
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
    let nameEnd = nameStart;
    while (nameEnd < html.length && !endsName(html.charCodeAt(nameEnd))) nameEnd++;
    const name = nameEnd - nameStart > LONGEST_NAME ? '' : html.slice(nameStart, nameEnd).toLowerCase();
    const wanted = !closes && handler.elements.has(name) ? ([] as Attribute[]) : undefined;
    const end = goOver(html, nameEnd, handler.attributes, wanted);
    if (end < 0) return -1;
    if (closes) handler.close(name, open);
    else if (wanted) handler.open(wanted);
    else if (name === 'plaintext') return -1;
    if (!closes && name === 'script') return endOfScript(html, end);
    const content = closes ? undefined : RAW_TEXT.get(name);
    if (!content) return end;
    content.lastIndex = end;
    return content.exec(html)?.index ?? -1;
  }
}

/**
 * Scans the attributes of a tag; those of `names` go into `found`. Character by character, because most tags have
 * little in them. @returns where the tag ends, or -1.
 */
function goOver(html: string, from: number, names: ReadonlySet<string>, found?: Attribute[]): number {
  const { length } = html;
  let at = from;
  for (;;) {
    const start = at;
    let code = 0;
    while (at < length && (isSpace((code = html.charCodeAt(at))) || code === SLASH)) at++;
    if (at >= length) return -1;
    if (code === GREATER) return at + 1;
    const nameStart = at++; // a `=` may begin a name
    while (at < length && (code = html.charCodeAt(at)) !== EQUALS && !endsName(code)) at++;
    const nameEnd = at;
    let value: Attribute['value'];
    let equals = at;
    while (isSpace(html.charCodeAt(equals))) equals++;
    if (html.charCodeAt(equals) === EQUALS) {
      at = equals + 1;
      while (isSpace(html.charCodeAt(at))) at++;
      const quote = html[at];
      if (quote === '"' || quote === "'") {
        const close = html.indexOf(quote, at + 1);
        if (close < 0) return -1;
        value = [at + 1, close];
        at = close + 1;
      } else {
        const valueStart = at;
        while (at < length && (code = html.charCodeAt(at)) !== GREATER && !isSpace(code)) at++;
        if (at > valueStart) value = [valueStart, at];
      }
    }
    if (!found || nameEnd - nameStart > LONGEST_NAME) continue;
    const name = html.slice(nameStart, nameEnd).toLowerCase();
    if (names.has(name)) found.push({ name, start, end: at, value });
  }
}

const SLASH = 47;
const EQUALS = 61;
const GREATER = 62;

function isSpace(code: number): boolean {
  return code === 32 || (code <= 13 && (code === 9 || code === 10 || code === 12 || code === 13));
}

function endsName(code: number): boolean {
  return code === GREATER || code === SLASH || isSpace(code);
}

/**
 * Finds the end tag of a script; -1 when there is none. Behind `<!--`, a `<script` makes the next `</script` part of
 * the text (HTML standard §13.2.5.20 and on, "script data double escaped").
 */
function endOfScript(html: string, from: number): number {
  let escaped = false;
  let twice = false;
  SCRIPT_MARKS.lastIndex = from;
  for (let mark = SCRIPT_MARKS.exec(html); mark !== null; mark = SCRIPT_MARKS.exec(html)) {
    switch (mark[0].toLowerCase()) {
      case '<!--':
        // The dashes may also be those of the end, as in `<!-->`.
        SCRIPT_MARKS.lastIndex = mark.index + 2;
        escaped = true;
        break;
      case '-->':
        escaped = twice = false;
        break;
      case '<script':
        twice = escaped;
        break;
      default:
        if (!twice) return mark.index;
        twice = false;
    }
  }
  return -1;
}

const SCRIPT_MARKS = /<!--|-->|<\/?script(?=[\t\n\f\r />])/gi;

/** Finds the end of `<!-- … -->` (and `--!>`, and the two short forms), else of the text up to the next `>`. */
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

function isLetter(code: number): boolean {
  return (code >= 97 && code <= 122) || (code >= 65 && code <= 90);
}
