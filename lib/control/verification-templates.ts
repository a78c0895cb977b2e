/**
 * Templates of custom verification mails, a tenant's own. Their content may be larger than a row of the store: it is
 * kept in parts, and the row of the template names which parts are in force.
 *
 * ```
 *  content ─► parts under a new id ─► the template's row names them ─► parts of before go
 *                                        └─ not written: the new parts go, and nothing has changed
 * ```
 * A process that dies in between leaves parts that nothing names; they go with the template.
 */
import { randomUUID } from 'node:crypto';
import type { Rows } from '../engine/ports.ts';
import { ROW_CALL, type Row, type RowKey } from '../engine/rows.ts';
import { PosternError } from '../errors.ts';
import type { Clock } from '../time.ts';
import { checkName, isName, shorten } from './names.ts';

/** SES: "You can create up to 50 custom verification email templates". */
export const MAX_VERIFICATION_TEMPLATES = 50;
/** SES: "The total size of the email must be less than 10 MB." */
const MAX_CONTENT = 10 * 1024 * 1024;
/** Bytes of content in one row: in base64 it stays below the bound of a row. */
const PART = 180 * 1024;
/** Parts that are written or read at one time: some 4 MB. */
const PARTS_OF_CALL = 16;

const TEMPLATE = 'verification-template';
const CONTENT = 'verification-content';

export interface VerificationTemplate {
  name: string;
  tenant: string;
  from: string;
  subject: string;
  successUrl: string;
  failureUrl: string;
  tags?: { Key: string; Value: string }[];
  createdAt: number;
}

interface StoredVerificationTemplate extends VerificationTemplate {
  /** Names the parts of its content. */
  content: string;
  parts: number;
}

/** All of a template but what is set once. */
export type VerificationTemplateInput = Omit<VerificationTemplate, 'createdAt'> & { content: string };

export class VerificationTemplates {
  readonly #rows: Rows;
  readonly #clock: Clock;

  constructor(rows: Rows, clock: Clock) {
    this.#rows = rows;
    this.#clock = clock;
  }

  /** @throws `bad_request`, `already_exists`, `limit_exceeded`. */
  async create({ content, ...template }: VerificationTemplateInput): Promise<void> {
    const { name, tenant } = template;
    checkName('template', name);
    const there = await this.list(tenant, {});
    if (there.some((one) => one.name === name)) throw exists(name);
    if (there.length >= MAX_VERIFICATION_TEMPLATES) throw tooMany();
    await this.#replace({ ...template, createdAt: this.#clock.now() }, content, 0);
    // Calls at one time may have passed the check together: those that find too many take theirs back.
    if ((await this.list(tenant, {})).length <= MAX_VERIFICATION_TEMPLATES) return;
    await this.delete(tenant, name);
    throw tooMany();
  }

  /** Replaces what is given; tags and the time of its making stay. @throws `bad_request`, `not_found`. */
  async update(
    tenant: string,
    name: string,
    { content, ...change }: Partial<VerificationTemplateInput>,
  ): Promise<void> {
    const row = await this.#read(tenant, name);
    const stored = row.value as StoredVerificationTemplate;
    const changed = { ...stored, ...change };
    if (content === undefined)
      await this.#rows.change({ ...keyOf(tenant, name), value: changed }, row.version);
    else await this.#replace(changed, content, row.version);
  }

  /** A template without its content. @throws `not_found`. */
  async find(tenant: string, name: string): Promise<VerificationTemplate> {
    return (await this.#read(tenant, name)).value as StoredVerificationTemplate;
  }

  /** A template with its content. @throws `not_found`. */
  async read(tenant: string, name: string): Promise<VerificationTemplateInput> {
    const stored = (await this.#read(tenant, name)).value as StoredVerificationTemplate;
    const rows = await this.#parts(tenant, stored);
    const bytes = rows.map((row) => Buffer.from(row?.value as string, 'base64'));
    return { ...stored, content: Buffer.concat(bytes).toString() };
  }

  /** By name, without content. */
  async list(
    tenant: string,
    { after, max = ROW_CALL }: { after?: string; max?: number },
  ): Promise<VerificationTemplate[]> {
    const rows = await this.#rows.query({ kind: TEMPLATE, partition: tenant, after, max });
    return rows.map(({ value }) => value as StoredVerificationTemplate);
  }

  /** @returns whether it existed. */
  async delete(tenant: string, name: string): Promise<boolean> {
    if (!isName(name)) return false;
    const [row] = await this.#rows.get([keyOf(tenant, name)]);
    if (!row) return false;
    // First of all, so that nobody reads a template whose content is half gone.
    await this.#rows.delete([row]);
    const parts = { kind: CONTENT, partition: `${tenant}/${name}`, max: PARTS_OF_CALL };
    for (;;) {
      const some = await this.#rows.query(parts);
      await this.#rows.delete(some);
      if (some.length < PARTS_OF_CALL) return true;
    }
  }

  /** Writes a template whose row has this version. */
  async #replace(template: VerificationTemplate, content: string, version: number): Promise<void> {
    const bytes = Buffer.from(content);
    if (bytes.length >= MAX_CONTENT)
      throw new PosternError(
        'invalid_template',
        `The content has ${bytes.length} bytes; it must be less than ${MAX_CONTENT}.`,
      );
    const { tenant, name } = template;
    const before = 'content' in template ? (template as StoredVerificationTemplate) : undefined;
    const parts = Math.ceil(bytes.length / PART);
    const stored: StoredVerificationTemplate = { ...template, content: randomUUID(), parts };
    const keys = partKeys(stored);
    for (let at = 0; at < parts; at += PARTS_OF_CALL)
      await this.#rows.put(
        keys.slice(at, at + PARTS_OF_CALL).map((key, i) => ({
          ...key,
          value: bytes.subarray((at + i) * PART, (at + i + 1) * PART).toString('base64'),
        })),
      );
    try {
      await this.#rows.change({ ...keyOf(tenant, name), value: stored }, version);
    } catch (error) {
      await this.#rows.delete(keys);
      if (version === 0 && error instanceof PosternError && error.code === 'config_conflict')
        throw exists(name);
      throw error;
    }
    if (before) await this.#rows.delete(partKeys(before));
  }

  async #parts(tenant: string, stored: StoredVerificationTemplate): Promise<(Row | undefined)[]> {
    const keys = partKeys(stored);
    const rows: (Row | undefined)[] = [];
    for (let at = 0; at < keys.length; at += PARTS_OF_CALL)
      rows.push(...(await this.#rows.get(keys.slice(at, at + PARTS_OF_CALL))));
    if (rows.every((row) => row !== undefined)) return rows;
    // It was replaced between the two reads.
    const now = (await this.#read(tenant, stored.name)).value as StoredVerificationTemplate;
    if (now.content !== stored.content) return this.#parts(tenant, now);
    throw new PosternError('storage_damaged', `The content of the template ${stored.name} is not whole.`);
  }

  async #read(tenant: string, name: string): Promise<Row> {
    const [row] = isName(name) ? await this.#rows.get([keyOf(tenant, name)]) : [];
    if (row) return row;
    throw new PosternError(
      'not_found',
      `Custom verification email template <${shorten(name)}> does not exist.`,
    );
  }
}

function keyOf(tenant: string, name: string): RowKey {
  return { kind: TEMPLATE, partition: tenant, key: name };
}

function partKeys({ tenant, name, content, parts }: StoredVerificationTemplate): RowKey[] {
  return Array.from({ length: parts }, (_, i) => ({
    kind: CONTENT,
    partition: `${tenant}/${name}`,
    key: `${content}/${String(i).padStart(3, '0')}`,
  }));
}

function exists(name: string): PosternError {
  return new PosternError('already_exists', `Custom verification email template <${name}> already exists.`);
}

function tooMany(): PosternError {
  return new PosternError(
    'limit_exceeded',
    `A maximum of ${MAX_VERIFICATION_TEMPLATES} custom verification email templates is allowed per account.`,
  );
}
