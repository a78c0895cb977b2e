/** Stored templates: their names are unique within a tenant. */
import { PosternError } from '../errors.ts';
import type { DocumentCache } from './document-cache.ts';
import type { DocumentIndex } from './document-index.ts';
import { checkName, isName, shorten, tenantKey } from './names.ts';
import type { Quota } from './quotas.ts';
import type { Control, StoredTemplate } from './types.ts';

/** SES: "up to 500 KB in size, including both the text and HTML parts". */
const MAX_TEMPLATE_BYTES = 500 * 1024;

/** What a list shows of a template. */
export type TemplateRow = Pick<StoredTemplate, 'createdAt'>;

/** The list of a template: its tenant's. */
export function rowsOfTemplate({ tenant, name, createdAt }: StoredTemplate): Record<string, TemplateRow> {
  return { [tenantKey(tenant, name)]: { createdAt } };
}

export function openTemplates(
  cache: DocumentCache<StoredTemplate>,
  { index, quota }: { index: DocumentIndex<StoredTemplate, TemplateRow>; quota: Quota },
): Control['templates'] {
  return {
    find: async (name, tenant) => (isName(name) ? cache.get(tenantKey(tenant, name)) : undefined),

    async list(tenant, page) {
      const rows = await index.list(tenant, page);
      return rows.map(({ key, shown }) => ({ name: key, ...shown }));
    },

    async create(template) {
      const { tenant, name } = template;
      checkName('tenant', tenant);
      checkName('template', name);
      checkSize(template);
      const key = tenantKey(tenant, name);
      await quota.within(
        tenant,
        () => index.count(tenant),
        () => index.around(template, () => cache.create(key, template, `Template ${name}`)),
      );
    },

    async update(template) {
      checkSize(template);
      const stored = await cache.update(tenantKey(template.tenant, template.name), ({ createdAt }) => ({
        ...template,
        createdAt,
      }));
      if (!stored) {
        throw new PosternError('template_missing', `Template ${shorten(template.name)} does not exist.`);
      }
    },

    async delete(name, tenant) {
      const key = tenantKey(tenant, name);
      const existed = await cache.delete(key);
      await index.remove(key, { name, tenant, createdAt: 0 });
      return existed;
    },
  };
}

function checkSize({ subject = '', text = '', html = '' }: StoredTemplate): void {
  const size = Buffer.byteLength(subject) + Buffer.byteLength(text) + Buffer.byteLength(html);
  if (size <= MAX_TEMPLATE_BYTES) return;
  throw new PosternError('bad_request', `The template has ${size} bytes; ${MAX_TEMPLATE_BYTES} is the most.`);
}
