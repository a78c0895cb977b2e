/** The OpenAPI 3.1 document of the Postern API, served at `/v1/openapi.json`: collected from the resources. */

import { ADDRESSES } from './addresses.ts';
import { BACKUPS } from './backups.ts';
import { BATCHES } from './batches.ts';
import { CONTACT_LISTS } from './contact-lists.ts';
import { CONTACTS } from './contacts.ts';
import { DELIVERIES } from './deliveries.ts';
import { DIRECTIVES } from './directives.ts';
import { dkimZone } from './dkim-zone.ts';
import { DOCUMENTS } from './documents.ts';
import { identityReport } from './domain-report.ts';
import { ErrorAnswer } from './errors.ts';
import { EVENT_DESTINATIONS } from './event-destinations.ts';
import { EVENTS } from './events.ts';
import { EXPLAIN } from './explain.ts';
import { health } from './health.ts';
import { IDENTITIES } from './identities.ts';
import { IMPORTS } from './imports.ts';
import { IPS } from './ips.ts';
import { KEYS } from './keys.ts';
import { MESSAGES } from './messages.ts';
import type { ApiOperation } from './operation.ts';
import { POLICY } from './policy.ts';
import { QUEUES } from './queues.ts';
import { REPORTS } from './reports.ts';
import { REPUTATION } from './reputation.ts';
import { jsonSchemas, referenceOf, type Schema } from './schema.ts';
import { sendMessages } from './send.ts';
import { ACCOUNT } from './sending-limits.ts';
import { SITES } from './sites.ts';
import { STATISTICS_PATHS } from './statistics.ts';
import { exportSuppressions, importSuppressions } from './suppression-files.ts';
import { SUPPRESSIONS } from './suppressions.ts';
import { TEMPLATES } from './templates.ts';
import { TENANTS } from './tenants.ts';
import { WARMUP } from './warmup.ts';

/** Every operation that needs a key. */
export const OPERATIONS: readonly ApiOperation[] = [
  sendMessages,
  ...MESSAGES,
  ...BATCHES,
  ...ACCOUNT,
  ...TENANTS,
  ...KEYS,
  ...IDENTITIES,
  identityReport,
  dkimZone,
  health,
  ...REPORTS,
  ...TEMPLATES,
  // Before the path with a label in the place of `export`.
  exportSuppressions,
  importSuppressions,
  ...SUPPRESSIONS,
  ...IMPORTS,
  ...CONTACT_LISTS,
  ...CONTACTS,
  ...ADDRESSES,
  ...EVENT_DESTINATIONS,
  ...EVENTS,
  ...STATISTICS_PATHS,
  ...REPUTATION,
  ...DIRECTIVES,
  ...DELIVERIES,
  ...QUEUES,
  ...EXPLAIN,
  ...SITES,
  ...IPS,
  ...WARMUP,
  ...DOCUMENTS,
  ...POLICY,
  ...BACKUPS,
];

/** Answers that every operation may give. */
const FAILURES = {
  '4XX': {
    description: 'The request is refused: the error says why, and what to do.',
    content: json(ErrorAnswer),
  },
  default: { description: 'A failure of the service.', content: json(ErrorAnswer) },
};

const ITSELF = {
  operationId: 'openapi',
  tags: ['openapi.json'],
  summary: 'This document',
  security: [],
  responses: {
    200: { description: 'OpenAPI 3.1.' },
    ...FAILURES,
  },
};

/** @param version of Postern. */
export function openapi(version: string): object {
  const paths: Record<string, Record<string, object>> = {};
  for (const operation of OPERATIONS) {
    const methods = (paths[operation.path] ??= {});
    methods[operation.method] = written(operation);
  }
  paths['/openapi.json'] = { get: ITSELF };
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
    tags: [...new Set(Object.keys(paths).map(tagOf))].map((name) => ({ name })),
    paths,
    components: {
      securitySchemes: {
        bearer: { type: 'http', scheme: 'bearer', description: '`<access key id>.<secret access key>`' },
      },
      schemas: jsonSchemas(),
    },
  };
}

/** An operation as OpenAPI writes it. */
function written(operation: ApiOperation): object {
  const { operationId, summary, description, parameters, request, upload, answer } = operation;
  const examples = Object.entries(request?.examples ?? {}).map(([name, value]) => [name, { value }]);
  return {
    operationId,
    tags: [tagOf(operation.path)],
    summary,
    description,
    parameters,
    requestBody: upload
      ? { required: true, content: texts(upload) }
      : request && {
          required: request.required,
          content: json(request.schema, { examples: Object.fromEntries(examples) }),
        },
    responses: {
      [answer.status]: {
        description: answer.description,
        content: answer.media
          ? texts(answer.media)
          : answer.schema && {
              ...json(answer.schema, { example: answer.example }),
              ...(answer.stream && {
                'text/event-stream': { schema: { type: 'string', description: answer.stream } },
              }),
            },
      },
      ...FAILURES,
    },
  };
}

/** The resource that a path is of: its first segment. */
function tagOf(path: string): string {
  return path.split('/')[1]!;
}

function json(schema: Schema, more: object = {}): object {
  return { 'application/json': { schema: { $ref: referenceOf(schema) }, ...more } };
}

function texts(types: readonly string[]): object {
  return Object.fromEntries(types.map((type) => [type, { schema: { type: 'string' } }]));
}
