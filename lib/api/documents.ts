/** Configuration documents over the API: administrators change them while Postern runs, and take it back. */
import type { Change, DocumentVersion } from '../control/documents.ts';
import { PosternError } from '../errors.ts';
import { headerOf } from '../http/raw-request.ts';
import { type Answer, type Call, type Handler, iso, requireAdmin } from './operation.ts';

/** A strong entity tag (RFC 9110 §8.8.3) that is a version. */
const ETAG = /^"(0|[1-9]\d{0,9})"$/;

export const listDocuments: Handler = (call) => {
  requireAdmin(call, 'read configuration documents');
  const documents = call.deps.control.documents.list(call.params.kind!);
  return { status: 200, body: { documents: documents.map((one) => ({ ...shown(one), value: undefined })) } };
};

export const getDocument: Handler = (call) => {
  requireAdmin(call, 'read configuration documents');
  const { kind, name } = labels(call);
  const document = call.deps.control.documents.get(kind, name);
  if (document !== undefined) return answer(document);
  throw new PosternError('not_found', `There is no ${kind} document ${JSON.stringify(name.slice(0, 64))}.`);
};

export const putDocument: Handler = async (call) => {
  const change = changeOf(call);
  const { kind, name } = labels(call);
  return changed(call, 'stored', await call.deps.control.documents.put(kind, name, call.body, change));
};

export const removeDocument: Handler = async (call) => {
  const change = changeOf(call);
  const { kind, name } = labels(call);
  return changed(call, 'removed', await call.deps.control.documents.remove(kind, name, change));
};

export const documentHistory: Handler = async (call) => {
  requireAdmin(call, 'read configuration documents');
  const { kind, name } = labels(call);
  const versions = await call.deps.control.documents.history(kind, name);
  return { status: 200, body: { versions: versions.map(shown) } };
};

export const rollBackDocument: Handler = async (call) => {
  const change = changeOf(call);
  const { kind, name } = labels(call);
  const { version } = call.body as { version?: number };
  const document = await call.deps.control.documents.rollBack(kind, name, version, change);
  return changed(call, 'rolled-back', document);
};

function labels({ params }: Call): { kind: string; name: string } {
  return { kind: params.kind!, name: params.name! };
}

/** @throws `access_denied`; `bad_request` for an If-Match that names no version. */
function changeOf(call: Call): Change {
  requireAdmin(call, 'change configuration documents');
  const header = headerOf(call.head, 'if-match');
  if (header === undefined) return { by: call.caller.keyId };
  const version = ETAG.exec(header.trim())?.[1];
  if (version === undefined) {
    throw new PosternError('bad_request', 'If-Match is a version in quotes, as "3".');
  }
  return { by: call.caller.keyId, expect: Number(version) };
}

function changed({ deps }: Call, what: string, document: DocumentVersion): Answer {
  const { kind, name, version, by } = document;
  deps.log.info(`configuration.${what}`, { kind, name, version, key: by });
  return answer(document);
}

function answer(document: DocumentVersion): Answer {
  return { status: 200, body: shown(document), etag: `"${document.version}"` };
}

function shown({ at, ...document }: DocumentVersion) {
  return { ...document, at: iso(at), removed: document.value === undefined };
}
