/** Every JSON value of the Postern API. Requests are checked against these, and the document serves them. */
import { MANAGE_SCHEMAS } from './manage-schemas.ts';
import { MESSAGE_SCHEMAS } from './message-schemas.ts';
import { OPERATE_SCHEMAS } from './operate-schemas.ts';
import type { Schema } from './schema.ts';
import { object, text } from './schema-words.ts';
import { SEND_SCHEMAS } from './send-schemas.ts';
import { SUPPRESSION_SCHEMAS } from './suppression-paths.ts';

const failure = {
  code: text('Stable; one of the table of errors.'),
  message: text('What is wrong, and where.'),
  action: text('What to do about it.'),
};

/** Named schemas: `#/components/schemas/<name>`. */
export const SCHEMAS: Readonly<Record<string, Schema>> = {
  ...SEND_SCHEMAS,
  ...MESSAGE_SCHEMAS,
  ...MANAGE_SCHEMAS,
  ...SUPPRESSION_SCHEMAS,
  ...OPERATE_SCHEMAS,
  Failure: object(failure, ['code', 'message', 'action']),
  ErrorAnswer: object(
    {
      error: object({ ...failure, requestId: text('Also in X-Request-Id.') }, [
        'code',
        'message',
        'action',
        'requestId',
      ]),
    },
    ['error'],
  ),
};
