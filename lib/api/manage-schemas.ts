/** Keys and identities. */
import type { Schema } from './schema.ts';
import { flag, list, name, object, text, time } from './schema-words.ts';

const key = {
  id: text('Access key id: also the SMTP user name.'),
  tenant: text(),
  admin: flag('May manage keys, identities and tenants.'),
  name: text(),
  createdAt: time('When it was made.'),
};

export const MANAGE_SCHEMAS: Record<string, Schema> = {
  KeyRequest: object(
    {
      tenant: name("The tenant it belongs to; else the caller's."),
      admin: flag('Whether it may manage keys, identities and tenants; else it may send, and read its own.'),
      name: { type: 'string', maxLength: 256, description: 'For people.' },
    },
    [],
  ),
  NewKey: object(
    {
      ...key,
      secret: text('Secret access key. Shown this once.'),
      bearer: text('What follows `Authorization: Bearer`.'),
      smtpPassword: text('SMTP password, derived as Amazon SES derives it.'),
    },
    ['id', 'tenant', 'admin', 'createdAt', 'secret', 'bearer', 'smtpPassword'],
  ),
  Keys: object({ keys: list(object(key, ['id', 'tenant', 'admin', 'createdAt'])) }, ['keys']),
  IdentityDns: object(
    {
      name: text(),
      type: { type: 'string', enum: ['DOMAIN', 'EMAIL_ADDRESS'] },
      tenant: text(),
      verified: flag('It may send.'),
      dkimStatus: { type: 'string', enum: ['PENDING', 'SUCCESS', 'FAILED', 'NOT_STARTED'] },
      records: list(
        object({ name: text(), type: { type: 'string', enum: ['TXT'] }, value: text() }, [
          'name',
          'type',
          'value',
        ]),
        'To be published. A zone file needs values longer than 255 characters in several strings.',
      ),
    },
    ['name', 'type', 'tenant', 'verified', 'dkimStatus', 'records'],
  ),
};
