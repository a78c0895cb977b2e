/**
 * Parameters of the Query protocol: `Destination.ToAddresses.member.1=a@b.example`, in a form or in a query. They are
 * text throughout; `Structure.Member`, `List.member.N` and nothing else nests.
 */
import { PosternError } from '../../errors.ts';
import { type ServiceModel, shapeName, shapeOf } from '../model/form.ts';

/** Parameters of one request: 50 destinations with 50 recipients each and their tags have some thousands. */
const MAX_PARAMETERS = 10_000;
/** Levels of names: the deepest of SES v1 has nine. */
const MAX_DEPTH = 16;

/** @throws PosternError `malformed_request` for what no form is. */
export function parseForm(text: string): Map<string, string> {
  const parameters = new Map<string, string>();
  if (text === '') return parameters;
  let start = 0;
  while (start <= text.length) {
    const end = text.indexOf('&', start);
    const part = text.slice(start, end < 0 ? text.length : end);
    start = end < 0 ? text.length + 1 : end + 1;
    if (part === '') continue;
    const equals = part.indexOf('=');
    const name = decodePart(equals < 0 ? part : part.slice(0, equals));
    if (parameters.has(name)) throw malformed(`The parameter ${shown(name)} is given twice.`);
    parameters.set(name, equals < 0 ? '' : decodePart(part.slice(equals + 1)));
    if (parameters.size > MAX_PARAMETERS)
      throw malformed(`The request has more than ${MAX_PARAMETERS} parameters.`);
  }
  return parameters;
}

function decodePart(text: string): string {
  const spaced = text.includes('+') ? text.replaceAll('+', ' ') : text;
  if (!spaced.includes('%')) return spaced;
  try {
    return decodeURIComponent(spaced);
  } catch {
    throw malformed('A parameter holds an invalid percent-encoding.');
  }
}

interface ParameterNode {
  value?: string;
  inner?: Map<string, ParameterNode>;
}

/**
 * The members of an input by its shape; parameters that the shape lacks are dropped, as SES does.
 * @throws PosternError `malformed_request` for a list whose members are not counted from 1 without a gap.
 */
export function membersOf(
  model: ServiceModel,
  shape: string,
  parameters: ReadonlyMap<string, string>,
): Record<string, unknown> {
  const root: ParameterNode = {};
  for (const [name, value] of parameters) {
    const steps = name.split('.', MAX_DEPTH + 1);
    if (steps.length > MAX_DEPTH) throw malformed(`The parameter ${shown(name)} nests too deep.`);
    let node = root;
    for (const step of steps) {
      node.inner ??= new Map();
      const next = node.inner.get(step) ?? {};
      node.inner.set(step, next);
      node = next;
    }
    node.value = value;
  }
  return (memberValue(model, shape, root, '') ?? {}) as Record<string, unknown>;
}

function memberValue(model: ServiceModel, name: string, node: ParameterNode, at: string): unknown {
  const shape = shapeOf(model, name);
  switch (shape.type) {
    case 'structure': {
      if (!node.inner) return node.value === undefined ? undefined : {};
      const out: Record<string, unknown> = {};
      for (const [member, of] of Object.entries(shape.members ?? {})) {
        const inner = node.inner.get(member);
        if (inner)
          out[member] = memberValue(model, shapeName(of), inner, at === '' ? member : `${at}.${member}`);
      }
      return out;
    }
    case 'list': {
      const members = node.inner?.get('member')?.inner;
      // An empty list is written `List=`.
      if (!members) return node.value === '' ? [] : node.value;
      return Array.from({ length: members.size }, (_, i) => {
        const one = members.get(String(i + 1));
        if (!one) throw malformed(`The members of ${at} are not counted from 1 without a gap.`);
        return memberValue(model, shape.member!, one, `${at}.member.${i + 1}`);
      });
    }
    default:
      return node.value;
  }
}

function shown(name: string): string {
  return JSON.stringify(name.length > 80 ? `${name.slice(0, 80)}…` : name);
}

function malformed(message: string): PosternError {
  return new PosternError('malformed_request', message);
}
