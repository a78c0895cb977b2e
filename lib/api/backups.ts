/** Backups of the store of a running service. */
import * as z from 'zod/mini';
import type { Backup as StoredBackup } from '../control/backup/backups.ts';
import { PosternError } from '../errors.ts';
import { type ApiCall, iso, label, operation, requireAdmin } from './operation.ts';
import { integer, named, text, time } from './schema.ts';

const Backup = named(
  'Backup',
  z.strictObject({
    id: text('Names it.'),
    directory: text(
      'Where it is, on the host of the service. It holds the master key: keep it as safe as that.',
    ),
    state: z.enum(['running', 'done', 'failed']),
    startedAt: time('What was promised until then is in it.'),
    endedAt: z.optional(time('When it was whole, or failed.')),
    bytes: integer('Bytes that are copied.'),
    of: integer('Bytes that it will have, about.'),
    error: z.optional(text('Why it failed.')),
  }),
);
const BackupList = named('BackupList', z.strictObject({ backups: z.array(Backup) }));

const example = {
  id: '2026-01-01T00-00-00.000Z',
  directory: '/var/lib/postern/backups/2026-01-01T00-00-00.000Z',
  state: 'done' as const,
  startedAt: '2026-01-01T00:00:00.000Z',
  endedAt: '2026-01-01T00:00:12.000Z',
  bytes: 1_048_576,
  of: 1_048_576,
};

const startBackup = operation({
  method: 'post',
  path: '/backups',
  operationId: 'startBackup',
  summary: "Begin a backup of the running store (administrator's key)",
  description:
    'A copy of the store of one instant, with the keys that open it, in a directory of its own below the data directory. Mail goes on meanwhile. One at a time.',
  answer: {
    status: 202,
    description: 'It has begun.',
    schema: Backup,
    example: { ...example, state: 'running', endedAt: undefined },
  },
  async handle(call) {
    const backups = backupsOf(call);
    const begun = await backups.start();
    call.deps.log.info('backup.started', { id: begun.id, key: call.caller.keyId });
    return { body: shown(begun) };
  },
});

const listBackups = operation({
  method: 'get',
  path: '/backups',
  operationId: 'listBackups',
  summary: "Backups on the host (administrator's key)",
  answer: {
    status: 200,
    description: 'The oldest first.',
    schema: BackupList,
    example: { backups: [example] },
  },
  async handle(call) {
    return { body: { backups: (await backupsOf(call).list()).map(shown) } };
  },
});

const getBackup = operation({
  method: 'get',
  path: '/backups/{id}',
  operationId: 'getBackup',
  summary: "How far a backup is (administrator's key)",
  parameters: [label('id', 'Id of the backup.')],
  answer: { status: 200, description: 'The backup.', schema: Backup, example },
  async handle(call) {
    const id = call.params.id!;
    const found = await backupsOf(call).find(id);
    if (found !== undefined) return { body: shown(found) };
    throw new PosternError('not_found', `There is no backup ${JSON.stringify(id.slice(0, 64))}.`);
  },
});

export const BACKUPS = [startBackup, listBackups, getBackup];

/** @throws `access_denied`; `unsupported_operation` where the process has no store of its own. */
function backupsOf(call: ApiCall) {
  requireAdmin(call, 'make backups');
  const { backups } = call.deps;
  if (backups !== undefined) return backups;
  throw new PosternError(
    'unsupported_operation',
    'This installation keeps everything in AWS: its tables have point-in-time recovery where the stage asks for it, its bucket versions.',
  );
}

function shown({ startedAt, endedAt, ...rest }: StoredBackup) {
  return { ...rest, startedAt: iso(startedAt), endedAt: iso(endedAt) };
}
