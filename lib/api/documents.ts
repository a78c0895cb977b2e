/** Configuration documents: administrators change them while Postern runs, and restore earlier versions. */
import * as z from 'zod/mini';
import { DOCUMENT, ROUTING } from '../control/config-kinds.ts';
import type { DocumentChange, DocumentVersion } from '../control/documents.ts';
import { IpInventory } from '../control/ip-inventory.ts';
import { PosternError } from '../errors.ts';
import { headerOf } from '../http/raw-request.ts';
import {
  type ApiAnswer,
  type ApiCall,
  iso,
  label,
  operation,
  type Parameter,
  requireAdmin,
} from './operation.ts';
import { about, anyObject, flag, integer, named, text, time } from './schema.ts';

/** A strong entity tag (RFC 9110 §8.8.3) that is a version. */
const ETAG = /^"(0|[1-9]\d{0,9})"$/;

const version = {
  kind: text(),
  name: text(),
  version: integer('Grows by one with each change; also the ETag.'),
  at: time('When it was stored.'),
  by: text('Access key that stored it.'),
  removed: flag('The document was removed with this version.'),
};
const value = z.optional(anyObject('The document.'));

const ConfigValue = named('ConfigValue', anyObject('The document.'));
const ConfigDocument = named(
  'ConfigDocument',
  z.strictObject({
    ...version,
    value,
    problems: z.optional(
      z.array(text()).check(about('It is stored, but not in force: the version before goes on running.')),
    ),
  }),
);
const ConfigDocuments = named(
  'ConfigDocuments',
  z.strictObject({ documents: z.array(z.strictObject(version)) }),
);
const ConfigHistory = named(
  'ConfigHistory',
  z.strictObject({ versions: z.array(z.strictObject({ ...version, value })).check(about('Newest first.')) }),
);
const RollBackRequest = named(
  'RollBackRequest',
  z.strictObject({ version: z.optional(integer('Version to restore; absent: the one before.', 1)) }),
);

const kind = label('kind', 'Kind of document.');
const name = label('name', 'Name of the document.');
const ifMatch: Parameter = {
  name: 'If-Match',
  in: 'header',
  description:
    'The version that must be current, as `"3"`; `"0"`: it must not exist yet. When it is another, 409, and nothing is changed.',
  schema: { type: 'string' },
};
const example = {
  kind: 'automation',
  name: 'default',
  version: 3,
  at: '2026-01-01T00:00:00.000Z',
  by: 'AKIAEXAMPLEEXAMPLE22',
  removed: false,
};
const rules = { off: ['google.rate'] };

const listDocuments = operation({
  method: 'get',
  path: '/config/{kind}',
  operationId: 'listDocuments',
  summary: "List configuration documents of a kind (administrator's key)",
  parameters: [kind],
  answer: {
    status: 200,
    description: 'The latest version of each.',
    schema: ConfigDocuments,
    example: { documents: [example] },
  },
  handle(call) {
    requireAdmin(call, 'read configuration documents');
    const documents = call.deps.control.documents.list(call.params.kind!);
    return { body: { documents: documents.map((one) => ({ ...shown(one), value: undefined })) } };
  },
});

const getDocument = operation({
  method: 'get',
  path: '/config/{kind}/{name}',
  operationId: 'getDocument',
  summary: "A configuration document (administrator's key)",
  parameters: [kind, name],
  answer: {
    status: 200,
    description: 'Its latest version.',
    schema: ConfigDocument,
    example: { ...example, value: rules },
  },
  handle(call) {
    requireAdmin(call, 'read configuration documents');
    const of = placeOf(call);
    const document = call.deps.control.documents.get(of.kind, of.name);
    if (document !== undefined) return answer(document);
    throw new PosternError(
      'not_found',
      `There is no ${of.kind} document ${JSON.stringify(of.name.slice(0, 64))}.`,
    );
  },
});

const putDocument = operation({
  method: 'put',
  path: '/config/{kind}/{name}',
  operationId: 'putDocument',
  summary: "Change a configuration document while Postern runs (administrator's key)",
  description:
    'Checked as a whole before anything changes: each problem is named with its path, and what ran goes on running. An IP that a routing document adds gets a warm-up plan, unless its entry says `"warm": true`.',
  parameters: [kind, name, ifMatch],
  request: { schema: ConfigValue, required: true, examples: { rules } },
  answer: {
    status: 200,
    description: 'In force here, and everywhere within about a second.',
    schema: ConfigDocument,
    example: { ...example, value: rules },
  },
  async handle(call) {
    const change = changeOf(call);
    const of = placeOf(call);
    const { control, installed } = call.deps;
    const stored =
      of.kind === ROUTING.name && of.name === DOCUMENT
        ? await new IpInventory(control.documents, installed).putRouting(
            call.body,
            change,
            (await control.account.attributes()).autoWarmup,
          )
        : await control.documents.put(of.kind, of.name, call.body, change);
    return changed(call, 'stored', stored);
  },
});

const removeDocument = operation({
  method: 'delete',
  path: '/config/{kind}/{name}',
  operationId: 'removeDocument',
  summary: "Remove a configuration document (administrator's key)",
  description: 'Removing it is a version too, and can be rolled back.',
  parameters: [kind, name, ifMatch],
  answer: {
    status: 200,
    description: 'The version that records the removal.',
    schema: ConfigDocument,
    example: { ...example, removed: true },
  },
  async handle(call) {
    const change = changeOf(call);
    const of = placeOf(call);
    return changed(call, 'removed', await call.deps.control.documents.remove(of.kind, of.name, change));
  },
});

const documentHistory = operation({
  method: 'get',
  path: '/config/{kind}/{name}/history',
  operationId: 'documentHistory',
  summary: "The last versions of a configuration document (administrator's key)",
  parameters: [kind, name],
  answer: {
    status: 200,
    description: 'The current version and up to fifty before it.',
    schema: ConfigHistory,
    example: { versions: [{ ...example, value: rules }] },
  },
  async handle(call) {
    requireAdmin(call, 'read configuration documents');
    const of = placeOf(call);
    const versions = await call.deps.control.documents.history(of.kind, of.name);
    return { body: { versions: versions.map(shown) } };
  },
});

const rollBackDocument = operation({
  method: 'post',
  path: '/config/{kind}/{name}/rollback',
  operationId: 'rollBackDocument',
  summary: "Bring an earlier version back (administrator's key)",
  description: 'It becomes the newest version, checked as any other.',
  parameters: [kind, name, ifMatch],
  request: { schema: RollBackRequest, required: false, examples: { before: {}, named: { version: 2 } } },
  answer: {
    status: 200,
    description: 'In force.',
    schema: ConfigDocument,
    example: { ...example, version: 4, value: rules },
  },
  async handle(call) {
    const change = changeOf(call);
    const of = placeOf(call);
    const document = await call.deps.control.documents.rollBack(of.kind, of.name, call.body.version, change);
    return changed(call, 'rolled-back', document);
  },
});

export const DOCUMENTS = [
  listDocuments,
  getDocument,
  putDocument,
  removeDocument,
  documentHistory,
  rollBackDocument,
];

function placeOf({ params }: ApiCall): { kind: string; name: string } {
  return { kind: params.kind!, name: params.name! };
}

/** @throws `access_denied`; `bad_request` for an If-Match that names no version. */
function changeOf(call: ApiCall): DocumentChange {
  requireAdmin(call, 'change configuration documents');
  const header = headerOf(call.head, 'if-match');
  if (header === undefined) return { by: call.caller.keyId };
  const expected = ETAG.exec(header.trim())?.[1];
  if (expected === undefined) {
    throw new PosternError('bad_request', 'If-Match is a version in quotes, as "3".');
  }
  return { by: call.caller.keyId, expect: Number(expected) };
}

function changed({ deps }: ApiCall, what: string, document: DocumentVersion): ApiAnswer {
  const { kind, name, version, by } = document;
  deps.log.info(`configuration.${what}`, { kind, name, version, key: by });
  return answer(document);
}

function answer(document: DocumentVersion): ApiAnswer {
  return { body: shown(document), etag: `"${document.version}"` };
}

function shown({ at, ...document }: DocumentVersion) {
  return { ...document, at: iso(at), removed: document.value === undefined };
}
