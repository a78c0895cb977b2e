/**
 * The body of a verification mail: what its template says, then the link, as in SES. Images that stand in the HTML as
 * `data:` URLs become attachments, because mail programs do not show them otherwise.
 */
import { Parser } from 'htmlparser2';
import { PosternError } from '../errors.ts';
import type { Attachment } from '../mail/types.ts';

/** Elements that run, load or submit something: no mail program shows them, and filters refuse mail that has them. */
const ACTIVE = new Set([
  'applet',
  'base',
  'embed',
  'form',
  'frame',
  'frameset',
  'iframe',
  'link',
  'meta',
  'object',
  'script',
]);
const MAX_IMAGES = 50;
const IMAGE = /(\ssrc\s*=\s*)(["'])data:(image\/[a-z0-9.+-]{1,40});base64,([A-Za-z0-9+/=\s]+)\2/gi;
const TAG = /<[a-z!/]/i;

/** The parts of the mail. @throws PosternError `invalid_template` for content that no mail should have. */
export function verificationContent(
  content: string,
  link: string,
): { text?: string; html?: string; attachments?: Attachment[] } {
  if (content.trim() === '') throw refused('it is empty.');
  if (!TAG.test(content)) return { text: `${content.trimEnd()}\n\n${link}\n` };
  refuseActive(content);
  const attachments: Attachment[] = [];
  const shown = content.replace(
    IMAGE,
    (whole, start: string, quote: string, contentType: string, data: string) => {
      const bytes = Buffer.from(data, 'base64');
      if (bytes.length === 0) return whole;
      const number = attachments.length + 1;
      if (number > MAX_IMAGES) throw refused(`it has more than ${MAX_IMAGES} images.`);
      const contentId = `image-${number}`;
      const type = contentType.toLowerCase();
      attachments.push({
        fileName: `${contentId}.${type.slice(type.indexOf('/') + 1).replace(/\+.*/, '')}`,
        contentType: type,
        contentId,
        inline: true,
        content: bytes,
      });
      return `${start}${quote}cid:${contentId}${quote}`;
    },
  );
  const anchor = `<p><a href="${link}">${link}</a></p>`;
  const end = /<\/(?:body|html)\s*>/i.exec(shown)?.index ?? shown.length;
  const html = `${shown.slice(0, end)}${anchor}${shown.slice(end)}`;
  return { html, ...(attachments.length > 0 && { attachments }) };
}

function refuseActive(html: string): void {
  let found: string | undefined;
  const parser = new Parser({
    onopentag(name, attributes) {
      if (ACTIVE.has(name)) found ??= `it has the element <${name}>.`;
      for (const [attribute, value] of Object.entries(attributes)) {
        if (attribute.startsWith('on')) found ??= `<${name}> has the attribute ${attribute.slice(0, 40)}.`;
        if (/^\s*(?:javascript|vbscript):/i.test(value))
          found ??= `<${name}> has a script in ${attribute.slice(0, 40)}.`;
      }
    },
  });
  parser.end(html);
  if (found !== undefined) throw refused(found);
}

function refused(why: string): PosternError {
  return new PosternError('invalid_template', `The content of the template is invalid: ${why}`);
}
