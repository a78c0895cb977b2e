/** From method and raw path to operation and labels, by a tree of segments that is built once from the model. */
import { decode } from '../http/sigv4-canonical.ts';
import { SES_V2 } from './model/models.ts';

export interface SesRoute {
  operation: string;
  /** Values of the path's labels, decoded once. */
  labels: Record<string, string>;
  /** Whether the whole input is in the query. */
  fromQuery?: true;
}

interface Node {
  literal: Map<string, Node>;
  label?: Node;
  /** By method: the operation, and the names of the labels on the way to it. */
  methods: Map<string, { operation: string; labels: string[]; fromQuery?: true }>;
}

function emptyNode(): Node {
  return { literal: new Map(), methods: new Map() };
}

const root = emptyNode();
/** Operations without labels, by method and path, as they are called most. */
const fixed = new Map<string, SesRoute>();

function add(operation: string, method: string, path: string, fromQuery?: true): void {
  const labels: string[] = [];
  let node = root;
  for (const segment of segmentsOf(path)) {
    if (segment.startsWith('{')) {
      labels.push(segment.slice(1, -1));
      node = node.label ??= emptyNode();
    } else {
      const next = node.literal.get(segment) ?? emptyNode();
      node.literal.set(segment, next);
      node = next;
    }
  }
  node.methods.set(method, { operation, labels, fromQuery });
  if (labels.length === 0) fixed.set(`${method} ${path}`, routeOf({ operation, fromQuery }, {}));
}

function routeOf(
  { operation, fromQuery }: Pick<SesRoute, 'operation' | 'fromQuery'>,
  labels: SesRoute['labels'],
): SesRoute {
  return fromQuery ? { operation, labels, fromQuery: true } : { operation, labels };
}

for (const [operation, { method, path }] of Object.entries(SES_V2.operations)) add(operation, method, path);
// Where SDKs older than autumn 2026 look for two of them.
add('ListConfigurationSets', 'GET', '/v2/email/configuration-sets', true);
add('ListEmailIdentities', 'GET', '/v2/email/identities', true);

/** One trailing slash does not count: boto3 sends `/insights/{id}/`, the JavaScript SDK leaves it off. */
function segmentsOf(path: string): string[] {
  return (path.endsWith('/') ? path.slice(1, -1) : path.slice(1)).split('/');
}

/**
 * The operation of a request. Segments are split before they are decoded, so `%2F` stays inside its label.
 * @returns undefined when no operation has this method and path.
 * @throws PosternError `bad_request` for an invalid percent-encoding in a label.
 */
export function matchRoute(method: string, rawPath: string): SesRoute | undefined {
  const known = fixed.get(`${method} ${rawPath}`);
  if (known) return known;
  let node = root;
  const values: string[] = [];
  for (const segment of segmentsOf(rawPath)) {
    const next = node.literal.get(segment);
    if (next) node = next;
    else if (node.label && segment !== '') {
      values.push(segment);
      node = node.label;
    } else return undefined;
  }
  const found = node.methods.get(method);
  if (!found) return undefined;
  const labels: Record<string, string> = {};
  for (const [i, name] of found.labels.entries()) labels[name] = decode(values[i]!);
  return routeOf(found, labels);
}
