/** The OpenAPI 3.1 document of the Postern API, served at `/v1/openapi.json`. */
import { OPERATE_PATHS } from './operate-paths.ts';
import { SCHEMAS } from './schemas.ts';
import { SUPPRESSION_PATHS } from './suppression-paths.ts';

export interface Operation {
  operationId: string;
  summary: string;
  description?: string;
  /** `[]`: needs no key. */
  security?: [];
  parameters?: {
    name: string;
    in: 'path' | 'query' | 'header';
    required?: true;
    description: string;
    schema: object;
  }[];
  /** Name of the schema of the body, and examples that fit it. */
  request?: { schema: string; required: boolean; examples: Record<string, unknown> };
  /** What a call that succeeds answers. */
  answer: { status: 200 | 201 | 202 | 204; description: string; schema?: string; example?: unknown };
}

const ID = '010001a2b3c4d5e6-0f8fad5b-d9cb-469f-a165-70867728950e-000000@example.com';
const messageId = {
  name: 'id',
  in: 'path',
  required: true,
  description: 'Message id.',
  schema: { type: 'string' },
} as const;
const identityName = {
  name: 'name',
  in: 'path',
  required: true,
  description: 'Domain or address.',
  schema: { type: 'string' },
} as const;
const records = [{ name: 'token._domainkey.example.com', type: 'TXT', value: 'v=DKIM1; k=rsa; p=MIIB…' }];
const exampleKey = {
  id: 'AKIAEXAMPLEEXAMPLE22',
  tenant: 'default',
  admin: false,
  name: 'shop',
  createdAt: '2026-01-01T00:00:00.000Z',
};

/** Operations by path and method. */
export const PATHS: Readonly<Record<string, Partial<Record<'get' | 'post' | 'put' | 'delete', Operation>>>> =
  {
    '/messages': {
      post: {
        operationId: 'sendMessages',
        summary: 'Send one message, or one to each of up to 1,000 recipients',
        description:
          'Answered when every accepted message is durable. When nothing was accepted, the answer is the failure of ' +
          'the first message. Members that are not in this document are refused.',
        parameters: [
          {
            name: 'Idempotency-Key',
            in: 'header',
            description:
              'Makes the call safe to repeat: for 24 hours the same key with the same body gets the first answer ' +
              'again, and with another body 409. Bytes are compared: repeat the body as it was.',
            schema: { type: 'string', minLength: 1, maxLength: 256 },
          },
        ],
        request: {
          schema: 'SendRequest',
          required: true,
          examples: {
            one: {
              from: 'Shop <orders@example.com>',
              to: ['ann@example.net'],
              subject: 'Your order',
              text: 'It is on its way.',
            },
            many: {
              from: 'news@example.com',
              recipients: [
                { address: 'ann@example.net', name: 'Ann', substitutions: { first: 'Ann' } },
                { address: 'bob@example.net', substitutions: { first: 'Bob' } },
              ],
              template: { subject: 'Hello {{first}}', text: 'News for you, {{first}}.' },
              class: 'bulk',
              tags: { campaign: 'spring' },
              sendAt: '2026-03-01T09:00:00+01:00',
            },
          },
        },
        answer: {
          status: 202,
          description: 'Accepted, all or some.',
          schema: 'SendAnswer',
          example: { messages: [{ id: ID, recipient: 'ann@example.net' }], rejected: [] },
        },
      },
    },
    '/messages/{id}': {
      get: {
        operationId: 'getMessage',
        summary: 'What became of a message: every delivery, every attempt',
        parameters: [messageId],
        answer: {
          status: 200,
          description: 'The message.',
          schema: 'Message',
          example: {
            id: ID,
            tenant: 'default',
            keyId: exampleKey.id,
            door: 'postern',
            sourceIp: '192.0.2.7',
            acceptedAt: '2026-01-01T00:00:00.000Z',
            expiresAt: '2026-01-01T14:00:00.000Z',
            from: 'orders@example.com',
            subject: 'Your order',
            class: 'transactional',
            pool: 'default',
            tags: { 'ses:from-domain': ['example.com'] },
            size: 4096,
            deliveries: [
              {
                recipient: 'ann@example.net',
                state: 'deferred',
                reason: 'peer_temporary',
                text: '451 4.7.1 Greylisted, try again later',
                action: 'Wait: the peer asked to try again.',
                nextAttemptAt: '2026-01-01T00:05:00.000Z',
                attempts: [
                  {
                    at: '2026-01-01T00:00:00.100Z',
                    durationMs: 210,
                    sourceIp: '192.0.2.25',
                    mx: { host: 'mx.example.net', address: '198.51.100.1', port: 25 },
                    tls: { protocol: 'TLSv1.3', cipher: 'TLS_AES_256_GCM_SHA384', verified: true },
                    replies: [{ phase: 'rcpt', code: 451, text: '4.7.1 Greylisted, try again later' }],
                    state: 'deferred',
                    reason: 'peer_temporary',
                    text: '451 4.7.1 Greylisted, try again later',
                    uncertain: false,
                    nextAttemptAt: '2026-01-01T00:05:00.000Z',
                  },
                ],
              },
            ],
          },
        },
      },
    },
    '/messages/{id}/cancel': {
      post: {
        operationId: 'cancelMessage',
        summary: 'Cancel the deliveries of a message that still wait',
        parameters: [messageId],
        answer: {
          status: 200,
          description: 'What will not be sent, and what it was too late for.',
          schema: 'CancelAnswer',
          example: { id: ID, cancelled: [{ recipient: 'ann@example.net' }], tooLate: [] },
        },
      },
    },
    '/messages/{id}/events': {
      get: {
        operationId: 'messageEvents',
        summary: 'The events of a message in the form of Amazon SES',
        description:
          'Sending, attempts, and what was reported later: bounces, complaints, opens and clicks, a thousand at most.',
        parameters: [messageId],
        answer: {
          status: 200,
          description: 'Events, oldest first.',
          schema: 'Events',
          example: { events: [{ eventType: 'Send', mail: { messageId: ID }, send: {} }] },
        },
      },
    },
    '/keys': {
      get: {
        operationId: 'listKeys',
        summary: "List access keys (administrator's key)",
        parameters: [
          { name: 'tenant', in: 'query', description: 'Only of this tenant.', schema: { type: 'string' } },
        ],
        answer: {
          status: 200,
          description: 'Keys without secrets.',
          schema: 'Keys',
          example: { keys: [exampleKey] },
        },
      },
      post: {
        operationId: 'createKey',
        summary: "Create an access key (administrator's key)",
        description: 'One key serves this API, the SES APIs and SMTP.',
        request: {
          schema: 'KeyRequest',
          required: false,
          examples: { shop: { tenant: 'default', name: 'shop' } },
        },
        answer: {
          status: 201,
          description: 'The key, its secret shown this once.',
          schema: 'NewKey',
          example: {
            ...exampleKey,
            secret: 'wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY',
            bearer: `${exampleKey.id}.wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY`,
            smtpPassword: 'BLBM/9hSUELfq8Gw+rU1YcBjkOxGbhT2XG763xVLGWL9',
          },
        },
      },
    },
    '/keys/{id}': {
      delete: {
        operationId: 'revokeKey',
        summary: "Revoke an access key (administrator's key)",
        parameters: [
          {
            name: 'id',
            in: 'path',
            required: true,
            description: 'Access key id.',
            schema: { type: 'string' },
          },
        ],
        answer: { status: 204, description: 'Revoked, everywhere within about a second.' },
      },
    },
    '/identities/{name}/dns': {
      get: {
        operationId: 'identityDns',
        summary: 'The DNS records that an identity needs',
        parameters: [identityName],
        answer: {
          status: 200,
          description: 'The records, and whether they were found when last looked for.',
          schema: 'IdentityDns',
          example: {
            name: 'example.com',
            type: 'DOMAIN',
            tenant: 'default',
            verified: false,
            dkimStatus: 'PENDING',
            records,
          },
        },
      },
    },
    '/identities/{name}/check': {
      post: {
        operationId: 'checkIdentity',
        summary: "Look the DNS records of an identity up now (administrator's key)",
        parameters: [identityName],
        answer: {
          status: 200,
          description: 'What was found.',
          schema: 'IdentityDns',
          example: {
            name: 'example.com',
            type: 'DOMAIN',
            tenant: 'default',
            verified: true,
            dkimStatus: 'SUCCESS',
            records,
          },
        },
      },
    },
    ...SUPPRESSION_PATHS,
    ...OPERATE_PATHS,
    '/openapi.json': {
      get: {
        operationId: 'openapi',
        summary: 'This document',
        security: [],
        answer: { status: 200, description: 'OpenAPI 3.1.' },
      },
    },
  };

/** @param version of Postern. */
export function openapi(version: string): object {
  const paths: Record<string, Record<string, object>> = {};
  for (const [path, methods] of Object.entries(PATHS)) {
    paths[path] = Object.fromEntries(
      Object.entries(methods).map(([method, operation]) => [method, written(operation)]),
    );
  }
  return {
    openapi: '3.1.0',
    info: {
      title: 'Postern API',
      version,
      description:
        'Send mail, see where it is and why, cancel what waits; manage suppression lists, keys, directives and configuration.',
    },
    servers: [{ url: '/v1' }],
    security: [{ bearer: [] }],
    paths,
    components: {
      securitySchemes: {
        bearer: { type: 'http', scheme: 'bearer', description: '`<access key id>.<secret access key>`' },
      },
      schemas: SCHEMAS,
    },
  };
}

/** An operation as OpenAPI writes it. */
function written({ request, answer, ...rest }: Operation): object {
  const examples = Object.entries(request?.examples ?? {}).map(([name, value]) => [name, { value }]);
  return {
    ...rest,
    requestBody: request && {
      required: request.required,
      content: json(request.schema, { examples: Object.fromEntries(examples) }),
    },
    responses: {
      [answer.status]: {
        description: answer.description,
        content: answer.schema && json(answer.schema, { example: answer.example }),
      },
      default: { description: 'A failure.', content: json('ErrorAnswer') },
    },
  };
}

function json(schema: string, more: object = {}): object {
  return { 'application/json': { schema: { $ref: `#/components/schemas/${schema}` }, ...more } };
}
