/** Attached files: SES's limits on attachments, and the header lines of an attached part. */
import { detectMimeType } from 'nodemailer/lib/mime-funcs/mime-types';
import { PosternError } from '../errors.ts';
import { encodeBase64, sevenBitOf } from './encoding.ts';
import { makeField } from './message.ts';
import type { Attachment } from './types.ts';

/** A MIME part that holds content: its header lines, each ending in CRLF, and its encoded body. */
export interface Leaf {
  header: string;
  /** Text is latin1, one character an octet: it is written where the message is put together, and nowhere before. */
  body: Buffer | string;
  /** Whether the body is as the caller gave it and could hold a line that looks like a boundary. */
  verbatim: boolean;
}

const MAX_FILE_NAME = 255;
const MAX_CONTENT_TYPE = 78;
const MAX_CONTENT_ID = 78;
const MAX_DESCRIPTION = 1000;

/** File types that spread malware: SES developer guide, "Amazon SES unsupported attachment types". */
const UNSUPPORTED_EXTENSIONS = new Set(
  (
    'ade adp app asp bas bat cer chm cmd com cpl crt csh der exe fxp gadget hlp hta inf ins isp its js jse ksh ' +
    'lib lnk mad maf mag mam maq mar mas mat mau mav maw mda mdb mde mdt mdw mdz msc msh msh1 msh2 mshxml ' +
    'msh1xml msh2xml msi msp mst ops pcd pif plg prf prg reg scf scr sct shb shs sys ps1 ps1xml ps2 ps2xml ' +
    'psc1 psc2 tmp url vb vbe vbs vps vsmacros vss vst vsw vxd ws wsc wsf wsh xnk'
  ).split(' '),
);

const TOKEN = "[A-Za-z0-9!#$%&'*+.^_`{|}~-]+";
/** `type/subtype` and its parameters (RFC 2045 §5.1). */
const CONTENT_TYPE = new RegExp(
  `^(${TOKEN})/${TOKEN}(?:[ \\t]*;[ \\t]*${TOKEN}=(?:${TOKEN}|"[ !#-\\[\\]-~]*"))*$`,
);
/** Characters allowed between the angle brackets of a Content-ID. */
const CONTENT_ID = /^[!-;=?-~]+$/;
const CONTROLS = /[\u0000-\u001f\u007f-\u009f\u2028\u2029]/;

/**
 * Encodes an attachment as a MIME part. The content type comes from the file name when none is given.
 * @throws PosternError `bad_request` for content that SES refuses: limits, file types, malformed members
 */
export function attachmentPart(attachment: Attachment): Leaf {
  const { fileName } = attachment;
  if (fileName !== undefined) checkFileName(fileName);
  let type = contentType(attachment);
  let body: string | undefined;
  if (/^message\//i.test(type)) {
    // RFC 2046 §5.2.1 forbids base64 on message/*: one that is not clean 7-bit text travels as a plain file.
    body = sevenBitOf(attachment.content.toString('latin1'));
    if (body === undefined) type = 'application/octet-stream';
  }
  const verbatim = body !== undefined;
  let header = `Content-Type: ${type}\r\nContent-Transfer-Encoding: ${verbatim ? '7bit' : 'base64'}\r\n`;
  header += `Content-Disposition: ${attachment.inline ? 'inline' : 'attachment'}`;
  if (fileName !== undefined) header += parameter('filename', fileName);
  header += '\r\n';
  if (attachment.contentId !== undefined) header += `Content-ID: <${contentId(attachment.contentId)}>\r\n`;
  if (attachment.description) {
    checkLength('ContentDescription', attachment.description, 0, MAX_DESCRIPTION);
    if (CONTROLS.test(attachment.description)) throw refused('ContentDescription has a control character.');
    header += `${makeField('Content-Description', attachment.description).raw}\r\n`;
  }
  return { header, body: body ?? encodeBase64(attachment.content), verbatim };
}

function checkFileName(fileName: string): void {
  checkLength('FileName', fileName, 1, MAX_FILE_NAME);
  if (CONTROLS.test(fileName)) throw refused('An attachment FileName has a control character or line break.');
  // Windows drops trailing dots and spaces: `x.exe. ` opens as `x.exe`.
  let end = fileName.length;
  while (end > 0 && (fileName[end - 1] === '.' || fileName[end - 1]!.trim() === '')) end--;
  const extension = fileName.slice(fileName.lastIndexOf('.', end - 1) + 1, end).toLowerCase();
  if (extension.length < end && UNSUPPORTED_EXTENSIONS.has(extension)) {
    throw refused(`Illegal filename '${fileName}': files of type .${extension} cannot be sent.`);
  }
}

function contentType(attachment: Attachment): string {
  const type = attachment.contentType;
  if (type === undefined) return detectMimeType(attachment.fileName ?? '');
  checkLength('ContentType', type, 1, MAX_CONTENT_TYPE);
  const match = CONTENT_TYPE.exec(type);
  if (!match) throw refused(`ContentType '${printable(type)}' is not a media type such as application/pdf.`);
  // A multipart needs a boundary inside its content, and cannot be base64 (RFC 2046 §5.1).
  if (match[1]!.toLowerCase() === 'multipart') throw refused('An attachment cannot be of type multipart.');
  return type;
}

function contentId(id: string): string {
  const bare = id.startsWith('<') && id.endsWith('>') ? id.slice(1, -1) : id;
  checkLength('ContentId', bare, 1, MAX_CONTENT_ID);
  if (!CONTENT_ID.test(bare)) {
    throw refused(`ContentId '${printable(id)}' must be printable ASCII without spaces and angle brackets.`);
  }
  return bare;
}

/** Octets of a file name that one line holds, so that lines stay under 78. */
const SEGMENT = 54;

/**
 * A MIME parameter on lines of its own, `;` first. ASCII values are quoted strings; others, and long ones,
 * follow RFC 2231: UTF-8, percent-encoded, continued over as many lines as they need.
 */
export function parameter(name: string, value: string): string {
  if (value.length <= SEGMENT && /^[ !#-[\]-~]*$/.test(value)) return `;\r\n ${name}="${value}"`;
  const segments: string[] = [];
  let segment = '';
  for (const byte of Buffer.from(value, 'utf8')) {
    const piece = isAttributeChar(byte)
      ? String.fromCharCode(byte)
      : `%${byte < 16 ? '0' : ''}${byte.toString(16).toUpperCase()}`;
    if (segment.length + piece.length > SEGMENT) {
      segments.push(segment);
      segment = '';
    }
    segment += piece;
  }
  segments.push(segment);
  if (segments.length === 1) return `;\r\n ${name}*=utf-8''${segment}`;
  return segments.map((text, i) => `;\r\n ${name}*${i}*=${i === 0 ? "utf-8''" : ''}${text}`).join('');
}

/** `attribute-char` of RFC 2231 §7, limited to characters that no reader misreads. */
function isAttributeChar(byte: number): boolean {
  return (
    (byte >= 0x30 && byte <= 0x39) ||
    (byte >= 0x41 && byte <= 0x5a) ||
    (byte >= 0x61 && byte <= 0x7a) ||
    byte === 0x2d ||
    byte === 0x2e ||
    byte === 0x5f
  );
}

function checkLength(member: string, value: string, least: number, most: number): void {
  if (value.length >= least && value.length <= most) return;
  throw refused(
    `1 validation error detected: Value at 'attachments.${member}' failed to satisfy constraint: ` +
      `Member must have length between ${least} and ${most}`,
  );
}

function printable(text: string): string {
  return text.slice(0, 100).replace(/[^ -~]/g, '?');
}

function refused(message: string): PosternError {
  return new PosternError('bad_request', message);
}
