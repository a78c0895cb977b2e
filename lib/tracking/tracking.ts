/**
 * Open and click tracking of HTML, as Amazon SES does it (SES developer guide, "Email sending metrics FAQs" and
 * "Configuring custom domains to handle open and click tracking"):
 *
 * - links of `<a>` and `<area>` to `http:` and `https:` are replaced, the first 250 of a message, except those with the
 *   attribute `ses:no-track`; `ses:tags="name:value;…"` comes back in the click's event. Neither attribute is sent.
 * - a link that is not spelt as RFC 3986 requires, or is longer than 4,096 octets, stays as it is.
 * - the image that reports an open replaces `{{ses:openTracker}}`, once in a message, else it is put at the end.
 *
 * Nothing else changes, not one character. Links in comments (Outlook's conditional ones too) stay as they are.
 */
import { OPEN_TRACKER } from '../mail/types.ts';
import { type Attribute, scanHtml } from './html-tags.ts';
import { MAX_LINK_TAGS, MAX_TARGET, type TrackedMessage, type TrackingLinks } from './links.ts';

/** Maximum number of tracked links in one message (SES). */
const MAX_LINKS = 250;

/** Base URLs of links of each kind, as `https://click.example.com`, without a path. Absent: not tracked. */
export interface TrackingTargets {
  /** The image. */
  open?: string;
  /** Links to `http:` and to `https:` (they may keep their scheme). */
  click?: { http: string; https: string };
}

/**
 * Tracks one HTML text.
 * @param html may be octets, one character each, of any charset that contains ASCII.
 * @param read the same text with everything masked that only looks like ASCII.
 * @returns the HTML with its links and image; undefined when there is nothing to change.
 */
export type Tracker = (html: string, read?: string) => string | undefined;

/** Makes the tracker of one message: it counts the links of all its parts, and adds one image. */
export function createTracker(
  links: TrackingLinks,
  message: TrackedMessage,
  { open, click }: TrackingTargets,
): Tracker {
  const hosts = click && { http: hostOf(click.http), https: hostOf(click.https) };
  let place = 0;
  let image =
    open &&
    `<img alt="" src="${open}${links.open(hostOf(open), message)}" width="1" height="1" style="width:1px;height:1px;border:0">`;

  /** The replacement of a link's value; undefined when the value stays. */
  function tracked(value: string, tags: string): string | undefined {
    if (!click || place >= MAX_LINKS) return undefined;
    const target = targetOf(value);
    if (target === undefined) return undefined;
    const scheme = /^https/i.test(target) ? 'https' : 'http';
    return click[scheme] + links.click(hosts![scheme], message, place++, target, tags);
  }

  return (html, read = html) => {
    const edits: HtmlEdit[] = [];
    let placeholder = read.indexOf(OPEN_TRACKER);
    let bodyEnd = -1;
    let htmlEnd = -1;

    scanHtml(read, {
      elements: LINK_ELEMENTS,
      attributes: LINK_ATTRIBUTES,
      text(start, end) {
        if (placeholder < 0 || placeholder >= end) return;
        if (placeholder < start) placeholder = read.indexOf(OPEN_TRACKER, start);
        while (placeholder >= 0 && placeholder < end) {
          const after = placeholder + OPEN_TRACKER.length;
          edits.push({ start: placeholder, end: after, text: image ?? '' });
          image = undefined;
          placeholder = read.indexOf(OPEN_TRACKER, after);
        }
      },
      close(name, start) {
        if (name === 'body') bodyEnd = start;
        else if (name === 'html') htmlEnd = start;
      },
      open(attributes) {
        const find = (name: string): Attribute | undefined =>
          attributes.find((attribute) => attribute.name === name);
        for (const attribute of attributes) {
          if (attribute.name !== 'href') edits.push(removal(read, attribute));
        }
        const href = find('href');
        if (!href?.value || find('ses:no-track')) return;
        const tags = read.slice(...(find('ses:tags')?.value ?? [0, 0]));
        const text = tracked(read.slice(...href.value), isLinkTags(tags) ? tags : '');
        if (text !== undefined) edits.push({ start: href.value[0], end: href.value[1], text });
      },
    });

    if (image !== undefined) {
      const end = bodyEnd >= 0 ? bodyEnd : htmlEnd >= 0 ? htmlEnd : html.length;
      edits.push({ start: end, end, text: image });
      image = undefined;
    }
    return edits.length > 0 ? applied(html, edits) : undefined;
  };
}

/** Removes the placeholder from HTML that is not tracked. */
export function withoutPlaceholder(html: string): string {
  return html.includes(OPEN_TRACKER) ? html.replaceAll(OPEN_TRACKER, '') : html;
}

/** Parses `name:value;name:value` as SES's events show it; null, as in SES, when there is none. */
export function readLinkTags(text: string): Record<string, string[]> | null {
  const tags = new Map<string, string[]>();
  for (const part of text.split(';')) {
    const colon = part.indexOf(':');
    const name = part.slice(0, Math.max(0, colon)).trim();
    const value = part.slice(colon + 1).trim();
    if (name === '' || value === '') continue;
    const values = tags.get(name);
    if (values) values.push(value);
    else tags.set(name, [value]);
  }
  return tags.size > 0 ? Object.fromEntries(tags) : null;
}

const LINK_ELEMENTS = new Set(['a', 'area']);
const LINK_ATTRIBUTES = new Set(['href', 'ses:no-track', 'ses:tags']);

interface HtmlEdit {
  start: number;
  end: number;
  text: string;
}

function applied(html: string, edits: HtmlEdit[]): string {
  edits.sort((a, b) => a.start - b.start);
  let out = '';
  let from = 0;
  for (const { start, end, text } of edits) {
    out += html.slice(from, start) + text;
    from = end;
  }
  return out + html.slice(from);
}

/** Removes an attribute. The tag still needs a blank where the next attribute follows at once. */
function removal(html: string, { start, end }: Attribute): HtmlEdit {
  return { start, end, text: /[\t\n\f\r />]/.test(html[end]!) ? '' : ' ' };
}

/** Characters of a URI (RFC 3986 §2), each `%` with its two digits. */
const URI = /^https?:\/\/(?:[A-Za-z0-9\-._~:/?#[\]@!$&'()*+,;=]|%[0-9A-Fa-f]{2})+$/i;

/** The target of a link as a browser reads the attribute; undefined when it is not to be tracked. */
function targetOf(value: string): string | undefined {
  // A reference is ten characters at most, so a longer value cannot be short enough, and no pattern has to search
  // more.
  if (value.length > 10 * MAX_TARGET) return undefined;
  const url = decodeReferences(value);
  if (url === undefined) return undefined;
  let start = 0;
  let end = url.length;
  while (start < end && isStripped(url.charCodeAt(start))) start++;
  while (end > start && isStripped(url.charCodeAt(end - 1))) end--;
  const target = url.slice(start, end).replace(/[\t\n\r]/g, '');
  return target.length <= MAX_TARGET && URI.test(target) && URL.canParse(target) ? target : undefined;
}

/** Controls and blanks around a URL (URL standard §4.4); NUL is another character by then (HTML standard §13.2.5). */
function isStripped(code: number): boolean {
  return code <= 32 && code > 0;
}

const NAMED = new Map([
  ['amp', '&'],
  ['lt', '<'],
  ['gt', '>'],
  ['quot', '"'],
  ['apos', "'"],
]);
const REFERENCE =
  /&(?:#(?:[xX]([0-9A-Fa-f]{1,7})|([0-9]{1,8}));?|([A-Za-z][A-Za-z0-9]{0,40});|amp(?![A-Za-z0-9=]))/g;

/** Decodes the character references of an attribute's value; undefined when it has one of the rarer names. */
function decodeReferences(value: string): string | undefined {
  if (!value.includes('&')) return value;
  let unknown = false;
  const text = value.replace(REFERENCE, (_, hex?: string, decimal?: string, name?: string) => {
    if (name !== undefined) {
      const character = NAMED.get(name.toLowerCase());
      unknown ||= character === undefined;
      return character ?? '';
    }
    if (hex === undefined && decimal === undefined) return '&';
    const code = hex === undefined ? Number(decimal) : Number.parseInt(hex, 16);
    // Beyond ASCII there is no URI.
    unknown ||= code === 0 || code > 0x7f;
    return unknown ? '' : String.fromCharCode(code);
  });
  return unknown ? undefined : text;
}

/** Whether tags are printable ASCII without characters that HTML would escape, and short enough for a link. */
function isLinkTags(text: string): boolean {
  return text.length <= MAX_LINK_TAGS && /^[ !#-%'-;=?-~]*$/.test(text);
}

/** The host without its port, because a proxy may have removed the port. */
function hostOf(base: string): string {
  return new URL(base).hostname;
}
