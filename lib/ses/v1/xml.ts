/** Answers of the Query protocol, as XML 1.0 that every SDK's parser takes. */
import { type ServiceModel, shapeName, shapeOf } from '../model/form.ts';

const NAMESPACE = 'http://ses.amazonaws.com/doc/2010-12-01/';

/** Characters that XML 1.0 has no way to write, and halves of surrogate pairs. */
const UNWRITABLE = /[^\t\n\r\u{20}-\u{D7FF}\u{E000}-\u{FFFD}\u{10000}-\u{10FFFF}]/gu;

function escaped(text: string): string {
  return (
    text
      .replace(UNWRITABLE, '\u{FFFD}')
      .replaceAll('&', '&amp;')
      .replaceAll('<', '&lt;')
      .replaceAll('>', '&gt;')
      .replaceAll('"', '&quot;')
      // A parser would make a line feed of it.
      .replaceAll('\r', '&#13;')
  );
}

/** The answer of an action that has succeeded. @param output absent for an action without one. */
export function successXml(model: ServiceModel, action: string, output: unknown, requestId: string): string {
  const shape = model.operations[action]!.output;
  const result = shape === undefined ? '' : element(`${action}Result`, valueXml(model, shape, output ?? {}));
  return `<${action}Response xmlns="${NAMESPACE}">${result}<ResponseMetadata>${element('RequestId', requestId)}</ResponseMetadata></${action}Response>`;
}

export interface XmlError {
  type: 'Sender' | 'Receiver';
  code: string;
  message: string;
}

export function errorXml({ type, code, message }: XmlError, requestId: string): string {
  const error = element('Type', type) + element('Code', code) + element('Message', escaped(message));
  return `<ErrorResponse xmlns="${NAMESPACE}">${element('Error', error)}${element('RequestId', requestId)}</ErrorResponse>`;
}

function element(name: string, content: string): string {
  return content === '' ? `<${name}/>` : `<${name}>${content}</${name}>`;
}

function valueXml(model: ServiceModel, name: string, value: unknown): string {
  const shape = shapeOf(model, name);
  switch (shape.type) {
    case 'structure': {
      const given = value as Record<string, unknown>;
      let out = '';
      for (const [member, of] of Object.entries(shape.members ?? {})) {
        if (given[member] !== undefined)
          out += element(member, valueXml(model, shapeName(of), given[member]));
      }
      return out;
    }
    case 'list':
      return (value as unknown[])
        .map((one) => element('member', valueXml(model, shape.member!, one)))
        .join('');
    case 'map':
      return Object.entries(value as object)
        .map(([key, one]) =>
          element(
            'entry',
            element('key', escaped(key)) + element('value', valueXml(model, shape.value!, one)),
          ),
        )
        .join('');
    case 'blob':
      return Buffer.from(value as Uint8Array).toString('base64');
    case 'timestamp':
      return (value as Date).toISOString();
    default:
      return escaped(String(value));
  }
}
